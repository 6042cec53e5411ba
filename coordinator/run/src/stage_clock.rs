//! What the stages of a run in one process take: the process is the only one at work, so its times are theirs.

use std::collections::BTreeMap;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use stedi_job::report::StageReport;
use stedi_job::task::{Stage, TaskCost};
use stedi_lake::report::RequestCounts;

/// Measures one stage after the other.
#[derive(Debug)]
pub struct StageClock {
    begun: Instant,
    begun_cpu_ms: u64,
    begun_with: SoFar,
    stages: Vec<StageReport>,
}

/// What a process has come to since it began; a stage is the difference between its beginning and its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoFar {
    /// Bytes written to scratch.
    pub spilled_bytes: u64,
    /// Requests to the store.
    pub requests: RequestCounts,
}

impl StageClock {
    /// The first stage begins.
    pub fn new(so_far: SoFar) -> Self {
        Self { begun: Instant::now(), begun_cpu_ms: cpu_ms(), begun_with: so_far, stages: Vec::new() }
    }

    /// `stage` is over, and the next one begins; `moved` says what it has read and written, and how many rows.
    pub fn end(&mut self, stage: Stage, moved: TaskCost, so_far: SoFar) {
        let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now_cpu_ms = cpu_ms();
        let cpu_ms = now_cpu_ms.saturating_sub(self.begun_cpu_ms);
        let spilled_bytes = so_far.spilled_bytes - self.begun_with.spilled_bytes;
        let requests = so_far.requests.since(&self.begun_with.requests);
        (self.begun, self.begun_cpu_ms, self.begun_with) = (Instant::now(), now_cpu_ms, so_far);
        self.stages.push(StageReport {
            stage,
            tasks: 1,
            done: 1,
            attempts: 1,
            speculative: 0,
            failures: BTreeMap::new(),
            elapsed_ms,
            cost: TaskCost { wall_ms: elapsed_ms, cpu_ms, spilled_bytes, requests, ..moved },
        });
    }

    /// The stages so far.
    pub fn into_stages(self) -> Vec<StageReport> {
        self.stages
    }
}

/// CPU time of this process so far.
fn cpu_ms() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let ms = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}
