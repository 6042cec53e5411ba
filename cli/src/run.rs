//! `stedi run`: the whole job in one process, from landing to a commit.
//!
//! ```text
//! list landing -> customers -> accelerometer -> step trainer -> join -> check -> commit
//! ```
//! The stages are those of [`stedi_worker`]; here they are put in order, and what they produce is checked and committed.

mod commit;
mod error;
mod inputs;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

use stedi_engine::directory::Directory;
use stedi_engine::rows::Reading;
use stedi_engine::scan::ScanCounts;
use stedi_job::invariants;
use stedi_lake::commit::CommitRecord;
use stedi_lake::options::{BadRecordLimit, Compression, TableOptions};
use stedi_lake::report::{RunStatus, RunSummary};
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable, MatchMode, RunId};
use stedi_store::{CommitLog, Lake, probe};
use stedi_worker::join::{Join, join};
use stedi_worker::memory::{self, MemoryPlan};
use stedi_worker::parts::LakeParts;
use stedi_worker::progress::{Progress, Stage};
use stedi_worker::quarantine::{QuarantineStore, QuarantineSummary};
use stedi_worker::read::LandingReader;
use stedi_worker::scan::{self, Scan, ScanPlan};
use stedi_worker::scratch::Scratch;
use stedi_worker::shuffle::ShuffleStore;
use stedi_worker::{WorkError, customers, fault};

pub use commit::table_summaries;
pub use error::RunError;
pub use inputs::{Inputs, Plan, plan};

/// What a run is told.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Consent policy.
    pub consent: ConsentPolicy,
    /// Match of machine_learning_curated.
    pub match_mode: MatchMode,
    /// Whether exact duplicates of readings are dropped.
    pub dedupe: bool,
    /// How many bad records of a landing table are accepted.
    pub max_bad_records: BadRecordLimit,
    /// Threads; the number of processors by default. Little memory means fewer.
    pub threads: Option<usize>,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Folder for what does not fit in memory; beside the lake's own files by default.
    pub scratch: Option<PathBuf>,
    /// Number of shards; follows from landing by default.
    pub shards: Option<u32>,
    /// Compression of the parts.
    pub compression: Compression,
    /// Whether to run on landing that the current commit has read already.
    pub force: bool,
    /// Folders to read instead of the lake's landing.
    pub landing: BTreeMap<LandingTable, Vec<String>>,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            consent: ConsentPolicy::Latest,
            match_mode: MatchMode::Customer,
            dedupe: false,
            max_bad_records: BadRecordLimit::Fraction(0.001),
            threads: None,
            memory_bytes: memory::default_bytes(),
            scratch: None,
            shards: None,
            compression: Compression::Zstd,
            force: false,
            landing: BTreeMap::new(),
        }
    }
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// What `--json` prints.
    pub summary: RunSummary,
    /// What could not be read.
    pub quarantine: QuarantineSummary,
}

/// Curates the landing of `lake` and commits the five tables, unless they are up to date.
///
/// Blocks; call it outside of async code.
///
/// # Errors
/// If anything fails; then nothing was committed and, but for the quarantine, nothing is left behind. Only
/// [`RunError::Commit`] may say that it is not known whether the commit was made.
pub fn run(lake: &Lake, config: &RunConfig, progress: &Progress) -> Result<RunOutcome, RunError> {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let lake = &lake.on_runtime(runtime.handle());
    let run = new_run_id()?;
    let current = runtime.block_on(CommitLog::new(lake).latest())?;
    runtime.block_on(probe(lake, run))?;
    fault::point("after_probe");
    progress.enter(Stage::List);
    let inputs = runtime.block_on(inputs::list(lake, config))?;
    progress.bytes_total.store(inputs.bytes(), Ordering::Relaxed);
    fault::point("after_list");
    let options = inputs.table_options(config);
    if let Some(current) = current.as_ref().filter(|current| !config.force && inputs.are_those_of(current, &options)) {
        let summary = unchanged(lake, current, started);
        runtime.block_on(commit::clean_up(lake, run, false));
        return Ok(RunOutcome { summary, quarantine: QuarantineSummary::default() });
    }
    let job = Job { lake, config, inputs: &inputs, options: &options, progress, run };
    let quarantine = QuarantineStore::new(lake, run);
    let outcome = job.curate(&runtime, &quarantine).and_then(|curated| {
        progress.enter(Stage::Commit);
        let seq = current.as_ref().map_or(1, |c| c.seq + 1);
        runtime.block_on(job.commit(curated, seq, started))
    });
    match outcome {
        Ok(summary) => Ok(RunOutcome { summary, quarantine: quarantine.summary() }),
        Err(error) => {
            if !error.may_be_committed() {
                runtime.block_on(commit::clean_up(lake, run, matches!(error, RunError::TooManyBad { .. })));
            }
            Err(error)
        }
    }
}

/// A run's fixed circumstances.
struct Job<'a> {
    lake: &'a Lake,
    config: &'a RunConfig,
    inputs: &'a Inputs,
    options: &'a TableOptions,
    progress: &'a Progress,
    run: RunId,
}

/// What the stages have produced.
struct Curated {
    counts: BTreeMap<LandingTable, Vec<ScanCounts>>,
    parts: Vec<(CuratedTable, stedi_lake::commit::Part)>,
}

impl Job<'_> {
    fn curate(&self, runtime: &tokio::runtime::Runtime, quarantine: &QuarantineStore<'_>) -> Result<Curated, RunError> {
        let config = self.config;
        let wanted = config.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
        let threads = memory::threads(config.memory_bytes, wanted);
        let reader = LandingReader::new(runtime.handle().clone());
        let plan = |table| ScanPlan::of_objects(self.inputs.objects(table), &reader).map_err(WorkError::Read);
        let scan = |table, plan| Scan {
            table,
            objects: self.inputs.objects(table),
            plan,
            reader: &reader,
            quarantine,
            progress: self.progress,
            cancel: self.progress.cancel_flag(),
            threads,
        };
        let mut counts = BTreeMap::new();

        self.progress.enter(Stage::Customers);
        let splits = plan(LandingTable::Customer)?;
        let customer_scan = scan(LandingTable::Customer, &splits);
        let (trusted, customer_counts) =
            customers::trusted(&customer_scan, self.options.consent, self.config.memory_bytes)?;
        let directory = Directory::new(trusted, self.options.shards, self.options.match_mode);
        counts.insert(LandingTable::Customer, customer_counts);
        fault::point("after_customers");

        let row_bytes = size_of::<Reading>();
        let memory =
            MemoryPlan::new(config.memory_bytes, threads, self.options.shards, row_bytes, directory.memory_bytes())
                .map_err(WorkError::Memory)?;
        let scratch = Scratch::new(&self.scratch_folder());
        scratch.make_folder().map_err(WorkError::Scratch)?;
        let mut shuffle = ShuffleStore::new(self.options.shards, memory.shuffle_bytes, &scratch);

        self.progress.enter(Stage::Accelerometer);
        let splits = plan(LandingTable::Accelerometer)?;
        let (has_reading, reading_counts) =
            scan::readings(&scan(LandingTable::Accelerometer, &splits), &directory, &shuffle, memory.chunk_rows)?;
        counts.insert(LandingTable::Accelerometer, reading_counts);
        shuffle.check().map_err(WorkError::Scratch)?;
        fault::point("after_accelerometer");

        self.progress.enter(Stage::StepTrainer);
        let curated_serials = directory.curated_serials(&has_reading);
        let splits = plan(LandingTable::StepTrainer)?;
        let step_scan = scan(LandingTable::StepTrainer, &splits);
        let step_counts = scan::steps(&step_scan, &directory, &curated_serials, &shuffle, memory.chunk_rows)?;
        counts.insert(LandingTable::StepTrainer, step_counts);
        shuffle.check().map_err(WorkError::Scratch)?;
        fault::point("after_step_trainer");
        self.refuse_too_many_bad(&counts, quarantine)?;

        self.progress.enter(Stage::Join);
        let parts = LakeParts::new(self.lake, self.run);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| RunError::Runtime(std::io::Error::other(error)))?;
        pool.install(|| customers::write(&directory, &has_reading, self.options.compression, &parts))
            .map_err(WorkError::Encode)?;
        let stage = Join {
            directory: &directory,
            options: self.options,
            memory: &memory,
            scratch: &scratch,
            parts: &parts,
            progress: self.progress,
            cancel: self.progress.cancel_flag(),
        };
        join(&stage, &shuffle, &pool)?;
        Ok(Curated { counts, parts: parts.into_written() })
    }

    fn refuse_too_many_bad(
        &self,
        counts: &BTreeMap<LandingTable, Vec<ScanCounts>>,
        quarantine: &QuarantineStore<'_>,
    ) -> Result<(), RunError> {
        let ledger = self.inputs.ledger(counts);
        let limit = self.config.max_bad_records;
        match invariants::too_many_bad(&commit::landing_counts(&ledger), limit) {
            Some((table, counts)) => {
                let files = self.lake.location(&stedi_lake::layout::run_dir(self.run));
                Err(RunError::TooManyBad {
                    table,
                    counts,
                    limit: limit.to_string(),
                    quarantine: format!("{files}/quarantine"),
                    summary: Box::new(quarantine.summary()),
                })
            }
            None => Ok(()),
        }
    }

    fn scratch_folder(&self) -> PathBuf {
        self.config
            .scratch
            .clone()
            .or_else(|| self.lake.local_folder().map(|folder| folder.join(stedi_lake::layout::STEDI)))
            .unwrap_or_else(std::env::temp_dir)
    }
}

fn unchanged(lake: &Lake, current: &CommitRecord, started: Instant) -> RunSummary {
    RunSummary {
        run_id: current.run_id,
        status: RunStatus::Unchanged,
        seconds: started.elapsed().as_secs_f64(),
        landing: current.landing.clone(),
        tables: table_summaries(lake, current),
    }
}

/// Epoch ms now.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The id of a run, or of any other writer, that starts now.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_run_id() -> Result<RunId, RunError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| RunError::Runtime(std::io::Error::other(error)))?;
    Ok(RunId::new(now_ms(), u128::from_le_bytes(random)))
}
