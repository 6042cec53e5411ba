//! What follows from the failure of an attempt.

use crate::task::FailureClass;

/// What a failure counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Nothing: it says nothing about the task.
    Nothing,
    /// The attempts that a task has.
    Attempts,
    /// The workers that a task may take with it.
    Losses,
    /// The steps by which a task gets more memory.
    Memory,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again.
    Retry {
        /// What it counts against.
        counts: Counts,
        /// Whether to wait first.
        backoff: bool,
    },
    /// The run cannot succeed.
    Fail,
}

/// What to do after a failure of this class.
pub fn remedy(class: FailureClass) -> Remedy {
    let retry = |counts, backoff| Remedy::Retry { counts, backoff };
    match class {
        FailureClass::Preempted | FailureClass::Cancelled => retry(Counts::Nothing, false),
        FailureClass::WorkerLost => retry(Counts::Losses, false),
        FailureClass::OutOfMemory => retry(Counts::Memory, false),
        FailureClass::Throttled | FailureClass::TransientIo => retry(Counts::Attempts, true),
        FailureClass::Panic => retry(Counts::Attempts, false),
        FailureClass::BadInput | FailureClass::Permanent => Remedy::Fail,
    }
}

/// What a task needs of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryNeed {
    /// A slot.
    #[default]
    Slot,
    /// A worker that does nothing else, and of that as little memory as the task can do with.
    Alone,
    /// The worker with the most memory, and that it does nothing else. Where workers with more memory can be had
    /// ([`JobConfig::high_memory`](crate::JobConfig)), one of those.
    Largest,
}

impl MemoryNeed {
    /// What to try when this was not enough.
    pub fn more(self) -> Option<Self> {
        match self {
            Self::Slot => Some(Self::Alone),
            Self::Alone => Some(Self::Largest),
            Self::Largest => None,
        }
    }
}
