//! What of a run is done: as records that are saved, and as what the job makes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stedi_lake::commit::Part;
use stedi_lake::{CuratedTable, LandingTable, RunId, layout};

mod done;
mod segments;

pub use done::{Mismatch, Progress, ShardSize};

use crate::event::Epoch;
use crate::task::{AttemptId, FailureClass, ObjectCounts, Stage, TaskCost, TaskOutput};

/// A batch of finished tasks, as it is saved: one object, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRecord {
    /// The coordinator that saved it.
    pub epoch: Epoch,
    /// Its number within the epoch, from 0.
    pub number: u64,
    /// The tasks, in the order in which they were finished.
    pub tasks: Vec<TaskRecord>,
    /// What the attempts since the record before came to, by stage.
    pub efforts: BTreeMap<Stage, Effort>,
}

/// A finished task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The attempt that counts.
    pub attempt: AttemptId,
    /// What it has made. Of a scan's readers only those that no earlier record names.
    pub output: TaskOutput,
    /// What it cost.
    pub cost: TaskCost,
}

/// What attempts came to, beside what the successful ones have made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Attempts granted.
    pub attempts: u64,
    /// Those of them that were speculative.
    pub speculative: u64,
    /// Failed ones by class.
    pub failures: BTreeMap<FailureClass, u64>,
    /// How long the stage was worked on, milliseconds.
    pub elapsed_ms: u64,
}

impl Effort {
    /// Adds the numbers of `other`.
    pub fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.speculative += other.speculative;
        self.elapsed_ms += other.elapsed_ms;
        for (class, count) in &other.failures {
            *self.failures.entry(*class).or_default() += count;
        }
    }
}

impl TaskCost {
    /// Adds the numbers of `other`.
    pub fn add(&mut self, other: &Self) {
        self.wall_ms = self.wall_ms.saturating_add(other.wall_ms);
        self.cpu_ms = self.cpu_ms.saturating_add(other.cpu_ms);
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.written_bytes = self.written_bytes.saturating_add(other.written_bytes);
        self.rows = self.rows.saturating_add(other.rows);
        self.spilled_bytes = self.spilled_bytes.saturating_add(other.spilled_bytes);
        self.requests.add(&other.requests);
    }
}

/// What a run commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitInput {
    /// The parts of each table, in no order. All five tables are there.
    pub tables: BTreeMap<CuratedTable, Vec<Part>>,
    /// What became of the records of each landing object: as many entries as the plan has objects, in its order.
    pub landing: BTreeMap<LandingTable, Vec<ObjectCounts>>,
}

/// Folder of a run's progress records. Names sort in the order in which they are to be read back.
pub fn progress_dir(run: RunId) -> String {
    format!("{}/progress", layout::run_dir(run))
}

/// Where a progress record lies.
pub fn progress_path(run: RunId, epoch: Epoch, number: u64) -> String {
    format!("{}/{:05}-{number:08}", progress_dir(run), epoch.0)
}

/// Where the set of users with readings lies.
pub fn readers_path(run: RunId) -> String {
    format!("{}/readers", layout::run_dir(run))
}
