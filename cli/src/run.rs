//! `stedi run`: the whole job in one process, from landing to a commit.
//!
//! ```text
//! list landing -> customers -> accelerometer -> step trainer -> join -> check -> commit
//! ```
//! The stages are those of [`stedi_worker`]; here they are put in order, and what they produce is checked and committed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use stedi_engine::directory::Directory;
use stedi_engine::rows::{Reading, StepReading};
use stedi_engine::scan::ScanCounts;
use stedi_job::progress::ShardSize;
use stedi_job::report::{ShardReport, StageReport};
use stedi_job::task::{self as job, ObjectCounts, TaskCost};
use stedi_lake::LandingTable;
use stedi_lake::report::{RequestCounts, RunSummary};
use stedi_run::{Curated, Mode, Run, RunReport, SoFar, StageClock, clean_up, unchanged};
use stedi_store::{CommitLog, Lake, is_on_s3, probe};
use stedi_worker::join::{Join, join};
use stedi_worker::memory::{Budget, MemoryPlan};
use stedi_worker::parts::LakeParts;
use stedi_worker::progress::{Progress, Stage};
use stedi_worker::quarantine::{QuarantineStore, QuarantineSummary};
use stedi_worker::read::LandingReader;
use stedi_worker::scan::{self, Scan, ScanPlan};
use stedi_worker::scratch::Scratch;
use stedi_worker::shuffle::ShuffleStore;
use stedi_worker::{WorkError, customers, fault};

pub use stedi_run::{Inputs, Plan, RunConfig, RunError, new_run_id, now_ms, plan, table_summaries};

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
    let s3 = config.landing.values().flatten().map(String::as_str).chain([lake.uri()]).any(is_on_s3);
    let budget = Budget::new(config.memory_bytes, config.threads, s3);
    budget.check_s3()?;
    let lake = &budget.lake(&lake.on_runtime(runtime.handle()));
    let requests_before = lake.requests();
    let run = new_run_id()?;
    let current = runtime.block_on(CommitLog::new(lake).latest())?;
    runtime.block_on(probe(lake, run))?;
    fault::point("after_probe");
    progress.enter(Stage::List);
    let inputs = runtime.block_on(Inputs::list(lake, config))?.following(current.as_ref(), config.allow_empty)?;
    progress.bytes_total.store(inputs.bytes(), Ordering::Relaxed);
    fault::point("after_list");
    let options = inputs.table_options(config);
    if let Some(current) = current.as_ref().filter(|_| !config.force)
        && runtime.block_on(inputs.are_curated_in(lake, current, &options))?
    {
        let summary = unchanged(lake, current, started);
        runtime.block_on(clean_up(lake, run, false));
        return Ok(RunOutcome { summary, quarantine: QuarantineSummary::default() });
    }
    let run_of = Run { lake, id: run, inputs: &inputs, options: &options };
    let job = Job { run: run_of, config, budget: budget.with_objects(inputs.count())?, progress };
    let quarantine = QuarantineStore::new(lake, run);
    let outcome = job.curate(&runtime, &quarantine).and_then(|(curated, stages, shards)| {
        progress.enter(Stage::Commit);
        let seq = current.as_ref().map_or(1, |c| c.seq + 1);
        let record = runtime.block_on(job.run.prepare(curated, seq))?;
        if progress.is_cancelled() {
            return Err(WorkError::Cancelled.into());
        }
        let summary = runtime.block_on(job.run.commit(&record, started))?;
        let mut in_stages = RequestCounts::default();
        stages.iter().for_each(|stage| in_stages.add(&stage.cost.requests));
        let beside = lake.requests().since(&requests_before).since(&in_stages);
        let report = RunReport::new(summary.clone(), Mode::Embedded, stages, shards, beside);
        runtime.block_on(job.run.report(&report));
        Ok(summary)
    });
    match outcome {
        Ok(summary) => Ok(RunOutcome { summary, quarantine: quarantine.summary() }),
        Err(error) => {
            if !error.may_be_committed() {
                runtime.block_on(clean_up(lake, run, matches!(error, RunError::TooManyBad { .. })));
            }
            Err(error)
        }
    }
}

/// A run and what it has of this machine.
struct Job<'a> {
    run: Run<'a>,
    config: &'a RunConfig,
    budget: Budget,
    progress: &'a Progress,
}

impl Job<'_> {
    /// Executes the stages; what they produced, what they took, and how rows fell into shards.
    fn curate(
        &self,
        runtime: &tokio::runtime::Runtime,
        quarantine: &QuarantineStore<'_>,
    ) -> Result<(Curated, Vec<StageReport>, ShardReport), RunError> {
        let (config, threads) = (self.config, self.budget.threads);
        let reader = LandingReader::new(runtime.handle().clone()).within(&self.budget);
        let plan = |table| ScanPlan::of_objects(self.run.inputs.objects(table), &reader).map_err(WorkError::Read);
        let scan = |table, plan| Scan {
            table,
            objects: self.run.inputs.objects(table),
            plan,
            reader: &reader,
            quarantine,
            progress: self.progress,
            cancel: self.progress.cancel_flag(),
            threads,
        };
        let mut counts = BTreeMap::new();
        let mut clock = StageClock::new(self.so_far(None));

        self.progress.enter(Stage::Customers);
        let splits = plan(LandingTable::Customer)?;
        let customer_scan = scan(LandingTable::Customer, &splits);
        let (trusted, customer_counts) = customers::trusted(&customer_scan, self.run.options.consent, &self.budget)?;
        let directory = Directory::new(trusted, self.run.options.shards, self.run.options.match_mode);
        self.lap(&mut clock, job::Stage::Consent, &customer_counts, None);
        counts.insert(LandingTable::Customer, numbered(&customer_counts));
        fault::point("after_customers");

        let (shards, held) = (self.run.options.shards, directory.memory_bytes());
        let memory = MemoryPlan::new(&self.budget, shards, held).map_err(WorkError::Memory)?;
        let scratch = Scratch::new(&self.scratch_folder());
        scratch.make_folder().map_err(WorkError::Scratch)?;
        let mut shuffle = ShuffleStore::new(self.run.options.shards, memory.shuffle_bytes, &scratch);

        self.progress.enter(Stage::Accelerometer);
        let splits = plan(LandingTable::Accelerometer)?;
        let (has_reading, reading_counts) =
            scan::readings(&scan(LandingTable::Accelerometer, &splits), &directory, &shuffle, memory.chunk_bytes)?;
        self.lap(&mut clock, job::Stage::ScanAccelerometer, &reading_counts, Some(&scratch));
        counts.insert(LandingTable::Accelerometer, numbered(&reading_counts));
        shuffle.check().map_err(WorkError::Scratch)?;
        fault::point("after_accelerometer");

        self.progress.enter(Stage::StepTrainer);
        let curated_serials = directory.curated_serials(&has_reading);
        let splits = plan(LandingTable::StepTrainer)?;
        let step_scan = scan(LandingTable::StepTrainer, &splits);
        let step_counts = scan::steps(&step_scan, &directory, &curated_serials, &shuffle, memory.chunk_bytes)?;
        self.lap(&mut clock, job::Stage::ScanStepTrainer, &step_counts, Some(&scratch));
        counts.insert(LandingTable::StepTrainer, numbered(&step_counts));
        shuffle.check().map_err(WorkError::Scratch)?;
        fault::point("after_step_trainer");
        self.run.refuse_too_many_bad(&counts, config.max_bad_records, || quarantine.summary())?;

        let shards = ShardReport::of(&shard_sizes(&shuffle));
        self.progress.enter(Stage::Join);
        let parts = LakeParts::new(self.run.lake, self.run.id);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| RunError::Runtime(std::io::Error::other(error)))?;
        let stage = Join {
            directory: &directory,
            options: self.run.options,
            memory: &memory,
            parts: &parts,
            progress: self.progress,
            cancel: self.progress.cancel_flag(),
        };
        join(&stage, &has_reading, &shuffle, &pool)?;
        let parts = parts.into_written();
        let mut moved = TaskCost::default();
        for (_, part) in &parts {
            moved.written_bytes += part.bytes;
            moved.rows += part.rows;
        }
        clock.end(job::Stage::Join, moved, self.so_far(Some(&scratch)));
        Ok((Curated { counts, parts }, clock.into_stages(), shards))
    }

    /// A stage that reads landing is over.
    fn lap(&self, clock: &mut StageClock, stage: job::Stage, counts: &[ScanCounts], scratch: Option<&Scratch>) {
        let objects = stage.landing().map_or(&[][..], |table| self.run.inputs.objects(table));
        let rows = counts.iter().map(|c| c.kept + c.filtered + c.quarantined).sum();
        let read_bytes = objects.iter().map(|object| object.bytes).sum();
        clock.end(stage, TaskCost { read_bytes, rows, ..TaskCost::default() }, self.so_far(scratch));
    }

    /// What this process has come to.
    fn so_far(&self, scratch: Option<&Scratch>) -> SoFar {
        SoFar { spilled_bytes: scratch.map_or(0, Scratch::bytes_written), requests: self.run.lake.requests() }
    }

    fn scratch_folder(&self) -> PathBuf {
        self.config
            .scratch
            .clone()
            .or_else(|| self.run.lake.local_folder().map(|folder| folder.join(stedi_lake::layout::STEDI)))
            .unwrap_or_else(std::env::temp_dir)
    }
}

/// Rows and bytes of each shard, in memory and spilled, as they are in memory.
fn shard_sizes(shuffle: &ShuffleStore<'_>) -> Vec<ShardSize> {
    let size = |shard| {
        let (readings, steps) = shuffle.rows(shard);
        let bytes = readings * size_of::<Reading>() + steps * size_of::<StepReading>();
        ShardSize { bytes: bytes as u64, rows: (readings + steps) as u64 }
    };
    (0..shuffle.shards()).map(size).collect()
}

/// Counts of objects in the order of the inputs, as the ledger takes them.
fn numbered(counts: &[ScanCounts]) -> Vec<ObjectCounts> {
    let numbered = counts.iter().zip(0..);
    numbered
        .map(|(&ScanCounts { kept, filtered, quarantined }, object)| ObjectCounts {
            object,
            kept,
            filtered,
            quarantined,
        })
        .collect()
}
