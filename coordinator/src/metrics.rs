//! What the coordinator counts: events and actions as they pass.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stedi_fleet::FleetMetrics;
use stedi_job::event::{Action, Event};
use stedi_job::task::{FailureClass, Stage};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    stage: &'static str,
    class: String,
}

/// The coordinator's metrics; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    grants: Family<OfStage, Counter>,
    revokes: Family<OfStage, Counter>,
    outcomes: Family<OfStage, Counter>,
    failures: Family<Failure, Counter>,
    tasks: Family<OfStage, Gauge>,
    saved: Family<OfStage, Gauge>,
    saves: Counter,
    store_failures: Counter,
    /// Workers with an open stream.
    pub(crate) workers: Gauge,
    /// Of the workers that this coordinator makes.
    pub(crate) fleet: FleetMetrics,
}

impl Metrics {
    /// All of them, to be served.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        self.fleet.register(&mut registry);
        let all = registry.sub_registry_with_prefix("stedi_coordinator");
        all.register("grants", "Attempts granted", self.grants.clone());
        all.register("revokes", "Attempts taken back", self.revokes.clone());
        all.register("outcomes", "Attempts that came to their end, wanted or not", self.outcomes.clone());
        all.register("failures", "Attempts that failed, by class", self.failures.clone());
        all.register("tasks", "Tasks of the plan", self.tasks.clone());
        all.register("tasks_done", "Tasks whose outputs are saved or about to be", self.saved.clone());
        all.register("saves", "Progress records", self.saves.clone());
        all.register(
            "store_failures",
            "Writes that failed, and but for the last are tried again",
            self.store_failures.clone(),
        );
        all.register("workers", "Workers with an open stream", self.workers.clone());
        registry
    }

    /// How many tasks a stage has, and how many of them earlier coordinators have done.
    pub(crate) fn planned(&self, stage: Stage, tasks: u32, done: u32) {
        let of = OfStage { stage: stage.name() };
        self.tasks.get_or_create(&of).set(tasks.into());
        self.saved.get_or_create(&of).set(done.into());
    }

    /// An event passes.
    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::TaskDone { lease, .. } => {
                self.outcomes.get_or_create(&OfStage { stage: lease.attempt.task.stage.name() }).inc();
            }
            Event::TaskFailed { lease, class, .. } => self.failed(lease.attempt.task.stage, *class),
            Event::TaskReturned { lease, .. } => self.failed(lease.attempt.task.stage, FailureClass::Preempted),
            Event::SaveFailed { .. }
            | Event::ReadersFailed { .. }
            | Event::CommitFailed { .. }
            | Event::StoreRefused { .. } => {
                self.store_failures.inc();
            }
            _ => {}
        }
    }

    /// An action passes.
    pub(crate) fn action(&self, action: &Action) {
        match action {
            Action::Grant { lease, .. } => {
                self.grants.get_or_create(&OfStage { stage: lease.attempt.task.stage.name() }).inc();
            }
            Action::Revoke { lease, .. } => {
                self.revokes.get_or_create(&OfStage { stage: lease.attempt.task.stage.name() }).inc();
            }
            Action::Save { record } => {
                self.saves.inc();
                for task in &record.tasks {
                    self.saved.get_or_create(&OfStage { stage: task.attempt.task.stage.name() }).inc();
                }
            }
            _ => {}
        }
    }

    fn failed(&self, stage: Stage, class: FailureClass) {
        self.failures.get_or_create(&Failure { stage: stage.name(), class: format!("{class:?}") }).inc();
    }
}
