//! What a run came to, stage by stage, for its report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::progress::{Effort, Progress, ShardSize};
use crate::task::{FailureClass, Stage, TaskCost};

/// One stage of a run, over all epochs whose numbers were saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage.
    pub stage: Stage,
    /// Its tasks, with those that had nothing to do.
    pub tasks: u32,
    /// Those that are done.
    pub done: u32,
    /// Attempts granted.
    pub attempts: u64,
    /// Those of them that were speculative.
    pub speculative: u64,
    /// Failed attempts by class.
    pub failures: BTreeMap<FailureClass, u64>,
    /// How long the stage took, milliseconds.
    pub elapsed_ms: u64,
    /// What the attempts cost whose outputs count.
    pub cost: TaskCost,
}

/// How evenly rows fell into shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardReport {
    /// Number of shards.
    pub shards: u32,
    /// Those without rows.
    pub empty: u32,
    /// Rows that were shuffled.
    pub rows: u64,
    /// Bytes of all segments of shuffle files; in one process those of the rows in memory.
    pub bytes: u64,
    /// Bytes of the largest shard.
    pub bytes_max: u64,
    /// Bytes of the median shard, empty ones left out.
    pub bytes_median: u64,
    /// The largest over the median; 1 is even, 0 is nothing.
    pub skew: f64,
    /// How many shards have from `2^i` to `2^(i+1)` bytes, for each such size that occurs, as (`2^i`, shards).
    pub histogram: Vec<(u64, u64)>,
}

impl Progress {
    /// What each stage came to so far.
    pub fn stage_reports(&self) -> Vec<StageReport> {
        let report = |stage: Stage| {
            let Effort { attempts, speculative, failures, elapsed_ms } =
                self.efforts.get(&stage).cloned().unwrap_or_default();
            let cost = self.costs[stage as usize];
            let (tasks, done) = (self.tasks(stage), self.done(stage));
            StageReport { stage, tasks, done, attempts, speculative, failures, elapsed_ms, cost }
        };
        Stage::ALL.into_iter().map(report).collect()
    }

    /// How large the shards are so far.
    pub fn shard_report(&self) -> ShardReport {
        ShardReport::of(&self.shards)
    }
}

impl ShardReport {
    /// Of shards of these sizes.
    pub fn of(shards: &[ShardSize]) -> Self {
        let mut sizes: Vec<u64> = shards.iter().filter(|size| size.rows > 0).map(|size| size.bytes).collect();
        sizes.sort_unstable();
        let mut histogram = Histogram::default();
        sizes.iter().for_each(|&bytes| histogram.add(bytes));
        let bytes_median = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
        let bytes_max = histogram.max();
        Self {
            shards: count(shards.len()),
            empty: count(shards.len() - sizes.len()),
            rows: shards.iter().map(|size| size.rows).sum(),
            bytes: sizes.iter().sum(),
            bytes_max,
            bytes_median,
            skew: ratio(bytes_max, bytes_median),
            histogram: histogram.by_doubling(),
        }
    }
}

fn count(shards: usize) -> u32 {
    u32::try_from(shards).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
fn ratio(max: u64, median: u64) -> f64 {
    if median == 0 { 0.0 } else { max as f64 / median as f64 }
}
