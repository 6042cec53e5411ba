//! What coordinator and workers say to each other about work: tasks, what they need, what comes out of them.
//!
//! ```text
//! consent ─▶ scan accelerometer ─▶ scan step trainer ─▶ join
//! ```
//! Each stage begins when the one before it is done. Nothing here holds a record: a task's output is names of objects,
//! sizes and counts, and users only as the dense ids of the run's directory.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stedi_lake::commit::Part;
use stedi_lake::options::TableOptions;
use stedi_lake::report::RequestCounts;
use stedi_lake::{CuratedTable, LandingTable, RunId};

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// One task reads all customers and writes the directory.
    Consent,
    /// Accelerometer landing to shuffle files. At its end it is known which customers have readings.
    ScanAccelerometer,
    /// Step trainer landing to shuffle files.
    ScanStepTrainer,
    /// Shuffle files to parts: a task a shard, and one for the two customer tables.
    Join,
}

impl Stage {
    /// All stages, in the order in which they run.
    pub const ALL: [Self; 4] = [Self::Consent, Self::ScanAccelerometer, Self::ScanStepTrainer, Self::Join];

    /// The stage's name in logs, reports and object names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::ScanAccelerometer => "scan-accelerometer",
            Self::ScanStepTrainer => "scan-step-trainer",
            Self::Join => "join",
        }
    }

    /// The landing table that the stage reads.
    pub fn landing(self) -> Option<LandingTable> {
        match self {
            Self::Consent => Some(LandingTable::Customer),
            Self::ScanAccelerometer => Some(LandingTable::Accelerometer),
            Self::ScanStepTrainer => Some(LandingTable::StepTrainer),
            Self::Join => None,
        }
    }
}

/// A task of a run. The tasks of a stage are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// Its stage.
    pub stage: Stage,
    /// Its number within the stage. In [`Stage::Join`] the number of the shard; the last task writes the customers.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:05}", self.stage.name(), self.index)
    }
}

/// One execution of a task. Attempts of a task are numbered from 0 and never used twice, whatever epoch grants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// The number of the attempt.
    pub attempt: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.task, self.attempt)
    }
}

/// Bytes of one landing object that a task reads: the records that start in `range`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSplit {
    /// Position of the object in the plan's list of its table.
    pub object: u32,
    /// Key relative to the lake, or a whole URI where landing lies elsewhere.
    pub key: String,
    /// The ETag that was listed; another one means that the object changed.
    pub etag: String,
    /// Size of the object as stored.
    pub object_bytes: u64,
    /// Bytes of the object; to `u64::MAX` where it cannot be split.
    pub range: Range<u64>,
}

/// What a task is to do. Paths are relative to the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Reads customers, decides who consents, writes the directory.
    Consent {
        /// All customer landing.
        splits: Vec<ObjectSplit>,
    },
    /// Reads accelerometer landing, keeps the readings of trusted customers, writes one shuffle file.
    ScanAccelerometer {
        /// What to read.
        splits: Vec<ObjectSplit>,
        /// Path of the directory.
        directory: String,
    },
    /// Reads step trainer landing, keeps the readings of curated serial numbers, writes one shuffle file.
    ScanStepTrainer {
        /// What to read.
        splits: Vec<ObjectSplit>,
        /// Path of the directory.
        directory: String,
        /// Path of the set of users that have readings.
        readers: String,
    },
    /// Joins one shard and writes its parts of the three reading tables.
    JoinShard {
        /// The shard.
        shard: u32,
        /// Path of the directory.
        directory: String,
        /// The shard's segments of accelerometer readings.
        readings: Vec<SegmentRef>,
        /// The shard's segments of step readings.
        steps: Vec<SegmentRef>,
    },
    /// Writes the parts of the two customer tables.
    WriteCustomers {
        /// Path of the directory.
        directory: String,
        /// Path of the set of users that have readings.
        readers: String,
    },
}

/// The rows of one shard within a shuffle file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The shard.
    pub shard: u32,
    /// Where the segment starts in the file.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

/// A segment and the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRef {
    /// Path of the shuffle file: all segments of it share one, for a large run has millions.
    pub path: Arc<str>,
    /// Where the segment starts in the file.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

/// What became of the records of one landing object, or of the splits of it that one task read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCounts {
    /// Position of the object in the plan's list of its table.
    pub object: u32,
    /// Records that went on.
    pub kept: u64,
    /// Readable records that were left out.
    pub filtered: u64,
    /// Records that could not be read.
    pub quarantined: u64,
}

/// Records of one landing object that could not be read, for one reason. Says where they are, never what is in them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectCount {
    /// Position of the object in the plan's list of its table.
    pub object: u32,
    /// Why they could not be read.
    pub reason: String,
    /// How many they are.
    pub records: u64,
    /// Where the first one starts in the (decompressed) object.
    pub first_offset: u64,
}

/// What a task has made. Objects are there, whole, when it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskOutput {
    /// Of [`Work::Consent`].
    Consent {
        /// Path of the directory.
        directory: String,
        /// Number of distinct trusted e-mails: user ids are below it.
        users: u32,
        /// Memory that the directory takes in a worker, in bytes.
        directory_memory_bytes: u64,
        /// What became of the records of each object.
        counts: Vec<ObjectCounts>,
        /// Why records could not be read, of so many objects and reasons as are named.
        #[serde(default)]
        rejects: Vec<RejectCount>,
    },
    /// Of [`Work::ScanAccelerometer`] and [`Work::ScanStepTrainer`].
    Scan {
        /// Path of the shuffle file; absent if no row went on.
        shuffle: Option<String>,
        /// Its segments, ascending by shard; several of one shard are possible.
        segments: Vec<Segment>,
        /// Ids of the users that have readings, ascending; empty in [`Stage::ScanStepTrainer`].
        readers: Vec<u32>,
        /// What became of the records of each object.
        counts: Vec<ObjectCounts>,
        /// Why records could not be read, of so many objects and reasons as are named.
        #[serde(default)]
        rejects: Vec<RejectCount>,
    },
    /// Of [`Work::JoinShard`] and [`Work::WriteCustomers`].
    Parts(Vec<(CuratedTable, Part)>),
}

/// What an attempt cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCost {
    /// Wall time, milliseconds.
    pub wall_ms: u64,
    /// CPU time of its threads, milliseconds.
    pub cpu_ms: u64,
    /// Bytes read from the store.
    pub read_bytes: u64,
    /// Bytes written to the store.
    pub written_bytes: u64,
    /// Landing or shuffle rows read.
    pub rows: u64,
    /// Bytes written to scratch because they did not fit in memory.
    #[serde(default)]
    pub spilled_bytes: u64,
    /// Requests that the worker has sent to the store since it last said so: those of attempts that ran beside this one,
    /// or failed before it, are in it, too.
    #[serde(default)]
    pub requests: RequestCounts,
}

/// Why an attempt failed, as far as the next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The worker was told to go (SIGTERM, eviction) and handed the task back.
    Preempted,
    /// The worker was not heard of in time, or its stream broke.
    WorkerLost,
    /// The worker ran out of memory, or would have.
    OutOfMemory,
    /// The store asked to slow down for longer than the retries lasted.
    Throttled,
    /// The store or the network failed for longer than the retries lasted.
    TransientIo,
    /// A landing object is gone or changed, or an input of the task is damaged.
    BadInput,
    /// The task panicked.
    Panic,
    /// The coordinator took the task away.
    Cancelled,
    /// Nothing that a retry could change: no permission, bad configuration.
    Permanent,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 9] = [
        Self::Preempted,
        Self::WorkerLost,
        Self::OutOfMemory,
        Self::Throttled,
        Self::TransientIo,
        Self::BadInput,
        Self::Panic,
        Self::Cancelled,
        Self::Permanent,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preempted => "preempted",
            Self::WorkerLost => "worker-lost",
            Self::OutOfMemory => "out-of-memory",
            Self::Throttled => "throttled",
            Self::TransientIo => "transient-io",
            Self::BadInput => "bad-input",
            Self::Panic => "panic",
            Self::Cancelled => "cancelled",
            Self::Permanent => "permanent",
        }
    }
}

/// What every worker of a run is told when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunContext {
    /// The run.
    pub run_id: RunId,
    /// URI of the lake.
    pub lake: String,
    /// What decides the bytes of the parts.
    pub options: TableOptions,
    /// Memory of the rows that one join holds at once; a larger shard is joined in slices. The same for all workers,
    /// because the bytes of the parts depend on it.
    pub slice_bytes: u64,
}
