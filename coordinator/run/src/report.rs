//! What a run did and what it cost: the object `report.json` of a run.

use serde::{Deserialize, Serialize};
use stedi_job::report::{ShardReport, StageReport};
use stedi_lake::report::{RequestCounts, RunSummary};

/// Price of a vCPU for an hour, USD: AWS Fargate, Linux on x86, us-east-1, on demand. Includes no memory.
const VCPU_HOUR_USD: f64 = 0.040_48;

/// Price of a thousand GETs or HEADs, USD: S3 Standard, us-east-1.
const GETS_1000_USD: f64 = 0.000_4;

/// Price of a thousand PUTs or LISTs, USD: S3 Standard, us-east-1. DELETEs are free.
const PUTS_1000_USD: f64 = 0.005;

/// Bytes that one request moves, where none was sent because the lake is a folder.
const REQUEST_BYTES: u64 = 8 << 20;

/// The bytes of a terabyte, as S3 prices have it.
const TB: f64 = 1e12;

/// How a run was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In one process.
    Embedded,
    /// By a coordinator and workers.
    Distributed,
}

/// What a run did and what it cost. It has all that [`RunSummary`] has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Inputs, funnel and tables.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// How it was executed.
    pub mode: Mode,
    /// Its stages, in order; in one process a stage is one task.
    pub stages: Vec<StageReport>,
    /// How evenly rows fell into shards.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shards: Option<ShardReport>,
    /// CPU time of all stages.
    pub cpu_seconds: f64,
    /// Requests to the store, as they were sent, until this report was written: of all stages and, beside them, of the
    /// process that commits. All 0 where the lake is a folder.
    #[serde(default)]
    pub requests: RequestCounts,
    /// What it cost, about.
    pub cost: CostEstimate,
}

/// What a run cost, about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostEstimate {
    /// Landing read, in bytes.
    pub landing_bytes: u64,
    /// CPU time, USD.
    pub cpu_usd: f64,
    /// Requests to the store, USD.
    pub requests_usd: f64,
    /// Both, for each terabyte of landing; absent if landing is empty.
    pub usd_per_tb: Option<f64>,
    /// What the numbers rest on.
    pub assumptions: Vec<String>,
}

impl RunReport {
    /// The report of a run. `beside` are the requests that were sent beside those of the stages.
    pub fn new(
        summary: RunSummary,
        mode: Mode,
        stages: Vec<StageReport>,
        shards: ShardReport,
        beside: RequestCounts,
    ) -> Self {
        let cpu_ms: u64 = stages.iter().map(|stage| stage.cost.cpu_ms).sum();
        let landing_bytes = summary.landing.values().map(|counts| counts.bytes).sum();
        let mut requests = beside;
        stages.iter().for_each(|stage| requests.add(&stage.cost.requests));
        let cost = CostEstimate::new(landing_bytes, cpu_ms, &requests, &stages);
        let cpu_seconds = float(cpu_ms) / 1000.0;
        Self { summary, mode, stages, shards: Some(shards), cpu_seconds, requests, cost }
    }
}

impl CostEstimate {
    fn new(landing_bytes: u64, cpu_ms: u64, sent: &RequestCounts, stages: &[StageReport]) -> Self {
        let guessed = guessed_requests(stages);
        let requests = if sent.is_zero() { &guessed } else { sent };
        let cpu_usd = float(cpu_ms) / 3_600_000.0 * VCPU_HOUR_USD;
        let gets = float(requests.get + requests.head) * GETS_1000_USD / 1000.0;
        let puts = float(requests.put + requests.list) * PUTS_1000_USD / 1000.0;
        let requests_usd = gets + puts;
        let usd_per_tb = (landing_bytes > 0).then(|| (cpu_usd + requests_usd) / (float(landing_bytes) / TB));
        let counted = if sent.is_zero() {
            format!(
                "no requests were sent, because the lake is a folder; in S3 each would move {} MiB, and each task would \
                 send one of either kind at least",
                REQUEST_BYTES >> 20
            )
        } else {
            "requests are those that were sent, retries too, but for those of workers and coordinators that died before \
             they told of them, and for the clean-up after this report"
                .to_owned()
        };
        let assumptions = vec![
            format!("a vCPU costs {VCPU_HOUR_USD} USD an hour (Fargate, Linux on x86, us-east-1) and is never idle"),
            format!(
                "1000 GETs or HEADs cost {GETS_1000_USD} USD, 1000 PUTs or LISTs {PUTS_1000_USD} USD, DELETEs nothing \
                 (S3 Standard, us-east-1)"
            ),
            counted,
            "nothing for memory, storage, attempts that failed, the coordinator, or traffic between regions".to_owned(),
        ];
        Self { landing_bytes, cpu_usd, requests_usd, usd_per_tb, assumptions }
    }
}

/// The requests that a run would have sent to S3, about.
fn guessed_requests(stages: &[StageReport]) -> RequestCounts {
    let requests = |bytes: fn(&StageReport) -> u64| {
        // a task sends at least one request of either kind
        let of_stage = |stage: &StageReport| u64::from(stage.tasks).max(bytes(stage).div_ceil(REQUEST_BYTES));
        stages.iter().map(of_stage).sum()
    };
    RequestCounts {
        get: requests(|stage| stage.cost.read_bytes),
        put: requests(|stage| stage.cost.written_bytes),
        ..RequestCounts::default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stedi_job::task::{Stage, TaskCost};

    use super::*;

    fn stage(cost: TaskCost) -> StageReport {
        StageReport {
            stage: Stage::Join,
            tasks: 3,
            done: 3,
            attempts: 3,
            speculative: 0,
            failures: BTreeMap::new(),
            elapsed_ms: 1,
            cost,
        }
    }

    #[test]
    fn requests_cost_what_was_sent() {
        let sent = RequestCounts { get: 1_500, head: 500, put: 900, list: 100, delete: 7_000 };
        let cost = CostEstimate::new(1_000_000_000_000, 3_600_000, &sent, &[stage(TaskCost::default())]);
        assert!((cost.requests_usd - 0.005_8).abs() < 1e-9, "{cost:?}");
        assert!(cost.usd_per_tb.is_some_and(|usd| (usd - VCPU_HOUR_USD - 0.005_8).abs() < 1e-9), "{cost:?}");
        assert!(cost.assumptions.iter().any(|said| said.contains("that were sent")), "{cost:?}");
    }

    #[test]
    fn a_run_over_a_folder_says_that_it_guesses() {
        let moved = TaskCost { read_bytes: 80 << 20, written_bytes: 1, ..TaskCost::default() };
        let cost = CostEstimate::new(0, 0, &RequestCounts::default(), &[stage(moved)]);
        let wanted = (10.0 * GETS_1000_USD + 3.0 * PUTS_1000_USD) / 1000.0;
        assert!((cost.requests_usd - wanted).abs() < 1e-12 && cost.usd_per_tb.is_none(), "{cost:?}");
        assert!(cost.assumptions.iter().any(|said| said.contains("no requests were sent")), "{cost:?}");
    }
}
