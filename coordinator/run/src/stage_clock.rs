//! What the stages of a run in one process take: the process is the only one at work, so its times are theirs.

use std::collections::BTreeMap;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use stedi_job::report::StageReport;
use stedi_job::task::{Stage, TaskCost};

/// Measures one stage after the other.
#[derive(Debug)]
pub struct StageClock {
    begun: Instant,
    begun_cpu_ms: u64,
    stages: Vec<StageReport>,
}

impl Default for StageClock {
    fn default() -> Self {
        Self { begun: Instant::now(), begun_cpu_ms: cpu_ms(), stages: Vec::new() }
    }
}

impl StageClock {
    /// `stage` is over, and the next one begins; what it has read and written.
    pub fn end(&mut self, stage: Stage, read_bytes: u64, written_bytes: u64, rows: u64) {
        let elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now_cpu_ms = cpu_ms();
        let cpu_ms = now_cpu_ms.saturating_sub(self.begun_cpu_ms);
        (self.begun, self.begun_cpu_ms) = (Instant::now(), now_cpu_ms);
        self.stages.push(StageReport {
            stage,
            tasks: 1,
            done: 1,
            attempts: 1,
            speculative: 0,
            failures: BTreeMap::new(),
            elapsed_ms,
            cost: TaskCost { wall_ms: elapsed_ms, cpu_ms, read_bytes, written_bytes, rows },
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
