//! What the worker counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stedi_job::task::{Stage, TaskCost};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    stage: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    stage: &'static str,
}

/// The worker's metrics; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    attempts: Family<Attempt, Counter>,
    cpu_ms: Family<OfStage, Counter>,
    read_bytes: Family<OfStage, Counter>,
    written_bytes: Family<OfStage, Counter>,
    rows: Family<OfStage, Counter>,
    /// Attempts on a thread.
    pub(crate) running: Gauge,
    /// 1 while the coordinator knows this worker.
    pub(crate) registered: Gauge,
    /// Times that this worker has connected.
    pub(crate) connections: Counter,
}

impl Metrics {
    /// All of them, to be served.
    pub(crate) fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("stedi_worker");
        all.register("attempts", "Attempts by stage and outcome", self.attempts.clone());
        all.register("cpu_milliseconds", "CPU time of successful attempts", self.cpu_ms.clone());
        all.register("read_bytes", "Bytes read from the store by successful attempts", self.read_bytes.clone());
        all.register("written_bytes", "Bytes written to the store by successful attempts", self.written_bytes.clone());
        all.register("rows", "Rows read by successful attempts", self.rows.clone());
        all.register("running", "Attempts on a thread now", self.running.clone());
        all.register("registered", "1 while the coordinator knows this worker", self.registered.clone());
        all.register("connections", "Times that this worker has connected", self.connections.clone());
        all
    }

    /// An attempt has come to its end.
    pub(crate) fn done(&self, stage: Stage, cost: &TaskCost) {
        self.count(stage, "done");
        let of = OfStage { stage: stage.name() };
        self.cpu_ms.get_or_create(&of).inc_by(cost.cpu_ms);
        self.read_bytes.get_or_create(&of).inc_by(cost.read_bytes);
        self.written_bytes.get_or_create(&of).inc_by(cost.written_bytes);
        self.rows.get_or_create(&of).inc_by(cost.rows);
    }

    /// An attempt has ended otherwise.
    pub(crate) fn count(&self, stage: Stage, outcome: &'static str) {
        self.attempts.get_or_create(&Attempt { stage: stage.name(), outcome }).inc();
    }
}
