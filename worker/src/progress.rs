//! What a run shows of itself while it works: numbers that any thread may read.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Listing landing.
    List,
    /// Reading customers.
    Customers,
    /// Reading accelerometer readings.
    Accelerometer,
    /// Reading step trainer readings.
    StepTrainer,
    /// Joining shards and writing parts.
    Join,
    /// Checking and committing.
    Commit,
}

impl Stage {
    const ALL: [Self; 6] =
        [Self::List, Self::Customers, Self::Accelerometer, Self::StepTrainer, Self::Join, Self::Commit];

    /// The stage in a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Customers => "customers",
            Self::Accelerometer => "accelerometer",
            Self::StepTrainer => "step trainer",
            Self::Join => "join",
            Self::Commit => "commit",
        }
    }
}

/// Shared between a run and whoever watches or stops it.
#[derive(Debug, Default)]
pub struct Progress {
    stage: AtomicU8,
    /// Landing bytes of all stages; 0 until listed.
    pub bytes_total: AtomicU64,
    /// Landing bytes read.
    pub bytes_done: AtomicU64,
    /// Landing records read.
    pub rows_done: AtomicU64,
    /// Shards to join.
    pub shards_total: AtomicU64,
    /// Shards joined.
    pub shards_done: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// What the run is doing now.
    pub fn stage(&self) -> Stage {
        Stage::ALL[self.stage.load(Ordering::Relaxed) as usize % Stage::ALL.len()]
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Asks the run to stop; it does so within a fraction of a second and leaves nothing visible.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Becomes true when the run is asked to stop.
    pub fn cancel_flag(&self) -> &AtomicBool {
        &self.cancelled
    }

    /// Whether the run was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
