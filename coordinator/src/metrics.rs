//! What the coordinator counts: events and actions as they pass, and failures as the job counts them.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use stedi_fleet::FleetMetrics;
use stedi_job::Progress;
use stedi_job::event::{Action, Event};
use stedi_job::task::{FailureClass, Stage};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    stage: &'static str,
    class: &'static str,
}

/// The coordinator's metrics; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    grants: Family<OfStage, Counter>,
    revokes: Family<OfStage, Counter>,
    outcomes: Family<OfStage, Counter>,
    failures: Family<Failure, Counter>,
    tasks: Family<OfStage, Gauge>,
    done: Family<OfStage, Gauge>,
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
        self.begin();
        let mut registry = Registry::default();
        self.fleet.register(&mut registry);
        let all = registry.sub_registry_with_prefix("stedi_coordinator");
        all.register("grants", "Attempts granted", self.grants.clone());
        all.register("revokes", "Attempts taken back", self.revokes.clone());
        all.register("outcomes", "Attempts that came to their end, wanted or not", self.outcomes.clone());
        all.register("failures", "Attempts that failed, by class", self.failures.clone());
        all.register("tasks", "Tasks of the plan", self.tasks.clone());
        all.register("tasks_done", "Tasks that are saved or about to be, or have nothing to do", self.done.clone());
        all.register("saves", "Progress records", self.saves.clone());
        all.register(
            "store_failures",
            "Writes that failed, and but for the last are tried again",
            self.store_failures.clone(),
        );
        all.register("workers", "Workers with an open stream", self.workers.clone());
        registry
    }

    /// Begins all counters at 0: of one that comes with its first count, nobody sees that it increased.
    fn begin(&self) {
        for stage in Stage::ALL {
            for counted in [&self.grants, &self.revokes, &self.outcomes] {
                drop(counted.get_or_create(&OfStage { stage: stage.name() }));
            }
            for class in FailureClass::ALL {
                self.failed(stage, class, 0);
            }
        }
    }

    /// How many tasks each stage has, and how many of them are done.
    pub(crate) fn progress(&self, progress: &Progress) {
        for stage in Stage::ALL {
            let of = OfStage { stage: stage.name() };
            self.tasks.get_or_create(&of).set(progress.tasks(stage).into());
            self.done.get_or_create(&of).set(progress.done(stage).into());
        }
    }

    /// An event passes.
    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::TaskDone { lease, .. } => {
                self.outcomes.get_or_create(&OfStage { stage: lease.attempt.task.stage.name() }).inc();
            }
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
            Action::Save { .. } => {
                self.saves.inc();
            }
            _ => {}
        }
    }

    fn failed(&self, stage: Stage, class: FailureClass, attempts: u64) {
        self.failures.get_or_create(&Failure { stage: stage.name(), class: class.name() }).inc_by(attempts);
    }
}

/// The failed attempts that were counted. Which of them counts is known to the job alone: a worker that is gone takes some
/// with it, and of what nobody holds any more a failure says nothing.
#[derive(Debug)]
pub(crate) struct Failures {
    counted: BTreeMap<(Stage, FailureClass), u64>,
}

impl Failures {
    /// Those of earlier coordinators are counted already.
    pub(crate) fn since(progress: &Progress) -> Self {
        Self { counted: progress.failures().map(|(stage, class, attempts)| ((stage, class), attempts)).collect() }
    }

    /// Counts what is new.
    pub(crate) fn count(&mut self, progress: &Progress, metrics: &Metrics) {
        for (stage, class, attempts) in progress.failures() {
            let counted = self.counted.entry((stage, class)).or_default();
            if attempts > *counted {
                metrics.failed(stage, class, attempts - *counted);
                *counted = attempts;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use prometheus_client::encoding::text::encode;
    use stedi_job::event::Capacity;
    use stedi_job::plan::{PlanObject, TASK_BYTES};
    use stedi_job::task::{RunContext, TaskCost, TaskOutput, Work};
    use stedi_job::{Epoch, Job, JobConfig, RunPlan, WorkerId};
    use stedi_lake::options::{Compression, ConsentPolicy, MatchMode, TableOptions};
    use stedi_lake::{LandingTable, RunId};

    use super::*;

    fn plan() -> RunPlan {
        let options = TableOptions {
            consent: ConsentPolicy::Latest,
            match_mode: MatchMode::Customer,
            dedupe: false,
            shards: 1,
            compression: Compression::Zstd,
        };
        let context = RunContext { run_id: RunId::new(1, 1), lake: "lake".to_owned(), options, slice_bytes: 1 };
        let object = || PlanObject { key: "k".into(), etag: "e".into(), bytes: TASK_BYTES, splittable: false };
        let tables = [LandingTable::Customer, LandingTable::Accelerometer, LandingTable::StepTrainer];
        RunPlan::new(context, tables.map(|table| (table, vec![object()])).into())
    }

    fn served(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).expect("text");
        text
    }

    #[test]
    fn a_task_is_done_once_however_often_it_is_saved_and_also_if_there_is_nothing_to_do() {
        let metrics = Metrics::default();
        let registry = metrics.registry();
        let plan = Arc::new(plan());
        let config = JobConfig { backoff_ms: 0, ..JobConfig::default() };
        let mut job = Job::new(config, Arc::clone(&plan), Progress::new(&plan), Epoch(1), 0);
        let (worker, capacity) = (WorkerId(1), Capacity { slots: 1, memory_bytes: 1 << 30, high_memory: false });
        let mut events = VecDeque::from([Event::WorkerRegistered { worker, name: "w".to_owned(), capacity }]);
        let mut saves = 0;
        while let Some(event) = events.pop_front() {
            for action in job.handle_event(1, event) {
                metrics.action(&action);
                match action {
                    Action::Grant { worker, lease, work, .. } => {
                        let (output, cost) = (output(&work), TaskCost::default());
                        events.push_back(Event::TaskDone { worker, lease, output, cost });
                    }
                    // the first one must be asked for again
                    Action::Save { record } if saves == 0 => {
                        saves += 1;
                        events.push_back(Event::SaveFailed { number: record.number, message: "503".to_owned() });
                        events.push_back(Event::Tick);
                    }
                    Action::Save { record } => events.push_back(Event::Saved { number: record.number }),
                    Action::WriteReaders { .. } => events.push_back(Event::ReadersWritten),
                    _ => {}
                }
            }
            metrics.progress(job.progress());
        }
        let text = served(&registry);
        for (stage, tasks) in Stage::ALL.into_iter().zip([1, 1, 1, 2]) {
            for name in ["tasks", "tasks_done"] {
                let line = format!("stedi_coordinator_{name}{{stage=\"{}\"}} {tasks}\n", stage.name());
                assert!(text.contains(&line), "{line}{text}");
            }
        }
    }

    /// What a task has made of landing in which nothing was kept.
    fn output(work: &Work) -> TaskOutput {
        let (counts, rejects) = (Vec::new(), Vec::new());
        match work {
            Work::Consent { .. } => {
                let directory = "directory".to_owned();
                TaskOutput::Consent { directory, users: 0, directory_memory_bytes: 1, counts, rejects }
            }
            Work::ScanAccelerometer { .. } | Work::ScanStepTrainer { .. } => {
                TaskOutput::Scan { shuffle: None, segments: Vec::new(), readers: Vec::new(), counts, rejects }
            }
            Work::JoinShard { .. } | Work::WriteCustomers { .. } => TaskOutput::Parts(Vec::new()),
        }
    }

    #[test]
    fn attempts_that_go_with_their_worker_are_counted_by_class() {
        let metrics = Metrics::default();
        let registry = metrics.registry();
        let of = |class: &str, count: u32| {
            format!("stedi_coordinator_failures_total{{stage=\"consent\",class=\"{class}\"}} {count}\n")
        };
        for class in FailureClass::ALL {
            assert!(served(&registry).contains(&of(class.name(), 0)), "{class:?}: {}", served(&registry));
        }
        let plan = Arc::new(plan());
        let mut job = Job::new(JobConfig::default(), Arc::clone(&plan), Progress::new(&plan), Epoch(1), 0);
        let mut failures = Failures::since(job.progress());
        let mut pass = |event: Event| {
            metrics.event(&event);
            job.handle_event(1, event);
            failures.count(job.progress(), &metrics);
        };
        for (id, class) in [(1, FailureClass::OutOfMemory), (2, FailureClass::WorkerLost)] {
            let (worker, capacity) = (WorkerId(id), Capacity { slots: 1, memory_bytes: 1 << 30, high_memory: false });
            pass(Event::WorkerRegistered { worker, name: "w".to_owned(), capacity });
            pass(Event::WorkerGone { worker, class, message: "why".to_owned() });
            // what is told twice counts once
            pass(Event::WorkerGone { worker, class, message: "why".to_owned() });
            pass(Event::Tick);
        }
        let text = served(&registry);
        assert!(text.contains(&of("out-of-memory", 1)) && text.contains(&of("worker-lost", 1)), "{text}");
        // a coordinator that is started again has not seen them fail
        let metrics = Metrics::default();
        let registry = metrics.registry();
        Failures::since(job.progress()).count(job.progress(), &metrics);
        assert!(served(&registry).contains(&of("out-of-memory", 0)), "{}", served(&registry));
    }
}
