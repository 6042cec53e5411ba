//! How patient a job is. Nothing here decides what the tables hold.

use stedi_lake::options::BadRecordLimit;

/// Times and limits of a job; all times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct JobConfig {
    /// A worker that was silent for so long is lost.
    pub worker_timeout_ms: u64,
    /// A lease that its worker does not list in its heartbeats for so long is lost.
    pub lease_grace_ms: u64,
    /// Without any worker for so long, the run fails.
    pub no_worker_ms: u64,
    /// The run fails if this coordinator has not committed it after so long.
    pub deadline_ms: Option<u64>,
    /// A task fails the run when so many of its attempts have failed by fault of the task or the store.
    pub attempts_max: u8,
    /// A task fails the run when so many of its attempts were lost with their workers.
    pub losses_max: u8,
    /// Wait after the first failure of an attempt or a write that may pass; doubled with each further one.
    pub backoff_ms: u64,
    /// The longest such wait.
    pub backoff_ms_max: u64,
    /// An attempt that runs for less than this is no straggler.
    pub straggler_ms: u64,
    /// While no task of the stage is done, an attempt that runs for longer than this is a straggler.
    pub first_straggler_ms: u64,
    /// An attempt that runs for longer than this has failed.
    pub attempt_ms_max: u64,
    /// Time between the beginnings of two saves, unless a stage is done.
    pub save_interval_ms: u64,
    /// A write that is not answered for so long is asked for again.
    pub write_timeout_ms: u64,
    /// The run fails when a write has failed so often in a row.
    pub write_failures_max: u32,
    /// How many bad records of a landing table are accepted.
    pub bad_records: BadRecordLimit,
    /// Whether workers with more memory can be had: a task that runs out of memory alone on a worker waits for one of
    /// them, instead of trying the largest of those that are there.
    pub high_memory: bool,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            worker_timeout_ms: 15_000,
            lease_grace_ms: 10_000,
            no_worker_ms: 600_000,
            deadline_ms: None,
            attempts_max: 4,
            losses_max: 10,
            backoff_ms: 1_000,
            backoff_ms_max: 60_000,
            straggler_ms: 30_000,
            first_straggler_ms: 600_000,
            attempt_ms_max: 7_200_000,
            save_interval_ms: 1_000,
            write_timeout_ms: 120_000,
            write_failures_max: 10,
            bad_records: BadRecordLimit::Fraction(0.001),
            high_memory: false,
        }
    }
}

impl JobConfig {
    /// How long to wait after the `failures`-th failure in a row, from 1.
    pub fn backoff(&self, failures: u32) -> u64 {
        let doubled = self.backoff_ms.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.backoff_ms_max)
    }
}
