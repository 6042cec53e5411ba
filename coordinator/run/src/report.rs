//! What a run did and what it cost: the object `report.json` of a run.

use serde::{Deserialize, Serialize};
use stedi_job::report::{ShardReport, StageReport};
use stedi_lake::report::RunSummary;

/// Price of a vCPU for an hour, USD: AWS Fargate, Linux on x86, us-east-1, on demand. Includes no memory.
const VCPU_HOUR_USD: f64 = 0.040_48;

/// Price of a thousand GETs, USD: S3 Standard, us-east-1.
const GETS_1000_USD: f64 = 0.000_4;

/// Price of a thousand PUTs, USD: S3 Standard, us-east-1.
const PUTS_1000_USD: f64 = 0.005;

/// Bytes that one request moves, where requests are not counted.
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
    /// How evenly rows fell into shards; only of distributed runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shards: Option<ShardReport>,
    /// CPU time of all stages.
    pub cpu_seconds: f64,
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
    /// The report of a run.
    pub fn new(summary: RunSummary, mode: Mode, stages: Vec<StageReport>, shards: Option<ShardReport>) -> Self {
        let cpu_ms: u64 = stages.iter().map(|stage| stage.cost.cpu_ms).sum();
        let landing_bytes = summary.landing.values().map(|counts| counts.bytes).sum();
        let cost = CostEstimate::new(landing_bytes, cpu_ms, &stages);
        Self { summary, mode, stages, shards, cpu_seconds: float(cpu_ms) / 1000.0, cost }
    }
}

impl CostEstimate {
    fn new(landing_bytes: u64, cpu_ms: u64, stages: &[StageReport]) -> Self {
        let requests = |bytes: fn(&StageReport) -> u64| {
            // a task makes at least one request of either kind
            let of_stage = |stage: &StageReport| u64::from(stage.tasks).max(bytes(stage).div_ceil(REQUEST_BYTES));
            float(stages.iter().map(of_stage).sum())
        };
        let cpu_usd = float(cpu_ms) / 3_600_000.0 * VCPU_HOUR_USD;
        let gets = requests(|stage| stage.cost.read_bytes) * GETS_1000_USD / 1000.0;
        let puts = requests(|stage| stage.cost.written_bytes) * PUTS_1000_USD / 1000.0;
        let requests_usd = gets + puts;
        let usd_per_tb = (landing_bytes > 0).then(|| (cpu_usd + requests_usd) / (float(landing_bytes) / TB));
        let assumptions = vec![
            format!("a vCPU costs {VCPU_HOUR_USD} USD an hour (Fargate, Linux on x86, us-east-1) and is never idle"),
            format!(
                "1000 GETs cost {GETS_1000_USD} USD and 1000 PUTs {PUTS_1000_USD} USD (S3 Standard, us-east-1), and \
                 each moves {} MiB",
                REQUEST_BYTES >> 20
            ),
            "nothing for memory, storage, attempts that failed, the coordinator, or traffic between regions".to_owned(),
        ];
        Self { landing_bytes, cpu_usd, requests_usd, usd_per_tb, assumptions }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
fn float(n: u64) -> f64 {
    n as f64
}
