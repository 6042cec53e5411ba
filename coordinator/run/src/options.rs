//! What a run is told, and the command line that tells it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::FalseyValueParser;
use stedi_job::plan::SHARDS_MAX;
use stedi_lake::options::{BadRecordLimit, Compression, TableOptions};
use stedi_lake::{ConsentPolicy, LandingTable, MatchMode};
use stedi_worker::memory::{self, MEMORY_BYTES_MIN};

use crate::size::parse_size;

/// The most threads that can be asked for.
const THREADS_MAX: u16 = 1024;

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
    /// Whether a landing table may have become empty.
    pub allow_empty: bool,
    /// Folders to read instead of the lake's landing.
    pub landing: BTreeMap<LandingTable, Vec<String>>,
}

impl Default for RunConfig {
    fn default() -> Self {
        let TableOptions { consent, match_mode, dedupe, compression, .. } = TableOptions::default();
        Self {
            consent,
            match_mode,
            dedupe,
            max_bad_records: BadRecordLimit::Fraction(0.001),
            threads: None,
            memory_bytes: memory::default_bytes(),
            scratch: None,
            shards: None,
            compression,
            force: false,
            allow_empty: false,
            landing: BTreeMap::new(),
        }
    }
}

/// The options that all kinds of runs have in common, as the command line and the environment give them.
#[derive(Debug, clap::Args)]
pub struct RunOptions {
    /// Whose data may be used: customers whose newest record consents, or every record that consents
    #[arg(long, env = "STEDI_CONSENT", value_name = "latest|any", default_value_t = ConsentPolicy::Latest, value_parser = word::<ConsentPolicy>)]
    consent: ConsentPolicy,
    /// Match step readings with readings of the serial number's owners, or of anybody at the same time
    #[arg(long = "match", env = "STEDI_MATCH", value_name = "customer|timestamp", default_value_t = MatchMode::Customer, value_parser = word::<MatchMode>)]
    match_mode: MatchMode,
    /// Drop exact duplicates of readings
    #[arg(long, env = "STEDI_DEDUPE", value_parser = FalseyValueParser::new())]
    dedupe: bool,
    /// How many records of a landing table may be unreadable, as a number or a share
    #[arg(long, env = "STEDI_MAX_BAD_RECORDS", value_name = "N|P%", default_value = "0.1%", value_parser = word::<BadRecordLimit>)]
    max_bad_records: BadRecordLimit,
    /// Commit even if a landing table has no records any more
    #[arg(long, env = "STEDI_ALLOW_EMPTY", value_parser = FalseyValueParser::new())]
    allow_empty: bool,
    #[command(flatten)]
    machine: MachineOptions,
    /// Folder for what does not fit in memory [default: in the lake]
    #[arg(long, env = "STEDI_SCRATCH", value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Number of shards; follows from landing if not given
    #[arg(long, env = "STEDI_SHARDS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SHARDS_MAX)))]
    shards: Option<u32>,
    /// Compression of the Parquet parts
    #[arg(long, env = "STEDI_COMPRESSION", value_name = "zstd|snappy|none", default_value_t = Compression::Zstd, value_parser = word::<Compression>)]
    compression: Compression,
    #[command(flatten)]
    landing: LandingOptions,
}

/// Where landing is, if not in the lake.
#[derive(Debug, clap::Args)]
pub struct LandingOptions {
    /// Read customer landing from this folder instead of the lake; may be given more than once
    #[arg(long, env = "STEDI_CUSTOMER_LANDING", value_name = "URI")]
    customer_landing: Vec<String>,
    /// The same for accelerometer landing
    #[arg(long, env = "STEDI_ACCELEROMETER_LANDING", value_name = "URI")]
    accelerometer_landing: Vec<String>,
    /// The same for step trainer landing
    #[arg(long, env = "STEDI_STEP_TRAINER_LANDING", value_name = "URI")]
    step_trainer_landing: Vec<String>,
}

impl LandingOptions {
    /// The folders of each landing table; none for one that is in the lake.
    pub fn folders(&self) -> BTreeMap<LandingTable, Vec<String>> {
        BTreeMap::from([
            (LandingTable::Customer, self.customer_landing.clone()),
            (LandingTable::Accelerometer, self.accelerometer_landing.clone()),
            (LandingTable::StepTrainer, self.step_trainer_landing.clone()),
        ])
    }
}

impl RunOptions {
    /// What the run is told.
    pub fn config(&self) -> RunConfig {
        RunConfig {
            consent: self.consent,
            match_mode: self.match_mode,
            dedupe: self.dedupe,
            max_bad_records: self.max_bad_records,
            threads: self.machine.threads(),
            memory_bytes: self.machine.memory_bytes(),
            scratch: self.scratch.clone(),
            shards: self.shards,
            compression: self.compression,
            force: false,
            allow_empty: self.allow_empty,
            landing: self.landing.folders(),
        }
    }
}

/// What a process that computes may take of its machine.
#[derive(Clone, Debug, clap::Args)]
pub struct MachineOptions {
    /// Threads; a worker executes a task on each [default: one for each processor]
    #[arg(long, env = "STEDI_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(THREADS_MAX)))]
    threads: Option<u16>,
    /// Resident memory, such as 512MiB [default: the smaller of 2GiB and 70 % of what there is]
    #[arg(long, env = "STEDI_MEMORY", value_name = "SIZE", value_parser = memory_size)]
    memory: Option<u64>,
}

impl MachineOptions {
    /// Threads, if they were asked for.
    pub fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }

    /// Resident memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.unwrap_or_else(memory::default_bytes)
    }
}

/// Parses what says itself what is wrong with it.
fn word<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}

/// Parses `--memory`: a size that a run can do with.
fn memory_size(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(bytes) if bytes < MEMORY_BYTES_MIN => Err(format!("give at least {}MiB", MEMORY_BYTES_MIN >> 20)),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}
