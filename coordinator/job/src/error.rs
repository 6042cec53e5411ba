//! Why a job cannot go on.

use std::fmt;

use crate::invariants::TooManyBad;
use crate::task::{FailureClass, TaskId};

/// Why a run fails. Nothing is committed; what is saved is kept, so that the run can be resumed where that helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// A task failed in a way that no retry changes.
    #[error("{task} failed on {worker}: {message}")]
    Task {
        /// The task.
        task: TaskId,
        /// Name of the worker: it may be that machine's clock or credentials.
        worker: String,
        /// [`FailureClass::BadInput`] or [`FailureClass::Permanent`].
        class: FailureClass,
        /// The error's text.
        message: String,
    },
    /// A task failed too often.
    #[error("{task} failed {failures} times, last with: {message}")]
    Attempts {
        /// The task.
        task: TaskId,
        /// How often.
        failures: u32,
        /// Why it failed last.
        class: FailureClass,
        /// The error's text.
        message: String,
    },
    /// A task does not fit into the memory of the largest worker.
    #[error(
        "{task}{} runs out of memory alone on the largest worker ({memory_bytes} bytes), last with: {message}: give workers \
         more memory{}", OfShard(*.shard), if shard.is_some() { ", or the run more shards (--shards)" } else { "" }
    )]
    OutOfMemory {
        /// The task.
        task: TaskId,
        /// The shard that it joins, if it joins one.
        shard: Option<u32>,
        /// Memory of that worker.
        memory_bytes: u64,
        /// The error's text.
        message: String,
    },
    /// Workers kept disappearing while they executed a task.
    #[error("{task} was lost with {losses} workers, last: {message}: look at the logs of the workers")]
    Losses {
        /// The task.
        task: TaskId,
        /// How many.
        losses: u32,
        /// What is known of the last one.
        message: String,
    },
    /// No worker was there for too long.
    #[error("no worker for {waited_ms} ms with {tasks_left} tasks left in stage {stage}{}", Losses(.last_losses))]
    NoWorkers {
        /// For how long.
        waited_ms: u64,
        /// The stage that waits.
        stage: &'static str,
        /// Its unfinished tasks.
        tasks_left: u32,
        /// What became of the last workers, oldest first.
        last_losses: Vec<WorkerLoss>,
    },
    /// There can be no workers, or they can do no work.
    #[error("{message}")]
    Fleet {
        /// Why, and what to do about it.
        message: String,
    },
    /// The run took longer than `--deadline`.
    #[error("not done after {deadline_ms} ms (--deadline): resume the run with a later deadline or more workers")]
    Deadline {
        /// The deadline.
        deadline_ms: u64,
    },
    /// Too many records could not be read.
    #[error("{0}: look at the run's quarantine")]
    BadRecords(Box<TooManyBad>),
    /// The store kept failing.
    #[error("{what} failed {failures} times, last with: {message}")]
    Store {
        /// What was to be written.
        what: &'static str,
        /// How often.
        failures: u32,
        /// The error's text.
        message: String,
    },
    /// The store will not do what it was asked, however often.
    #[error("the store refused the coordinator; what is done is kept: {message}")]
    Refused {
        /// The error's text; it says the way out.
        message: String,
    },
    /// Landing is not one that a commit may be made of.
    #[error("{message}")]
    Landing {
        /// The error's text; it says the way out.
        message: String,
    },
    /// Another run has committed.
    #[error("another run has committed: {message}: start a new run")]
    Conflict {
        /// The error's text.
        message: String,
    },
    /// What was written is not what must be committed.
    #[error("nothing committed: {message}")]
    Invariant {
        /// The error's text.
        message: String,
    },
    /// Another coordinator has taken the run over.
    #[error("the coordinator of epoch {by} has taken this run over: leave it to that one")]
    Fenced {
        /// Its epoch.
        by: u32,
    },
}

/// What became of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLoss {
    /// Its name.
    pub name: String,
    /// Why.
    pub class: FailureClass,
    /// What is known.
    pub message: String,
}

struct OfShard(Option<u32>);

impl fmt::Display for OfShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |shard| write!(f, " (shard {shard})"))
    }
}

struct Losses<'a>(&'a [WorkerLoss]);

impl fmt::Display for Losses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; none ever registered: are workers running, and is the coordinator's address right?");
        }
        f.write_str("; the last ones:")?;
        self.0.iter().try_for_each(|loss| write!(f, " {} ({:?}: {})", loss.name, loss.class, loss.message))
    }
}
