//! The one loop: events into the job, actions out of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stedi_endpoint::Health;
use stedi_fleet::{Fleet, Running, Update};
use stedi_job::event::{Action, DismissReason, EndReason, Event};
use stedi_job::{Job, WorkerId};
use stedi_proto::{DismissReason as WireReason, ToWorker};
use tokio::sync::mpsc;

use crate::crew::Crew;
use crate::effects::Effects;
use crate::metrics::{Failures, Metrics};
use crate::service::Input;

/// How often the job looks at its deadlines.
const TICK: Duration = Duration::from_millis(250);

/// How often it is looked whether another coordinator has taken the run over, beside before each write.
const LOOK_AROUND: Duration = Duration::from_secs(5);

/// A job and what its actions need.
pub(crate) struct Drive {
    pub(crate) job: Job,
    pub(crate) effects: Arc<Effects>,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) written: mpsc::UnboundedReceiver<Event>,
    /// Resolves when this process is told to stop.
    pub(crate) stop: tokio::sync::oneshot::Receiver<()>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) failures: Failures,
    /// What times are counted from.
    pub(crate) started: Instant,
    pub(crate) crew: Crew,
    /// Who makes the workers, if this coordinator does.
    pub(crate) fleet: Option<(Arc<Fleet>, Running)>,
}

impl Drive {
    /// Drives the job to its end.
    pub(crate) async fn drive_to_end(&mut self) -> EndReason {
        let mut workers = Workers::default();
        let mut look_around = tokio::time::interval(LOOK_AROUND);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopped = false;
        loop {
            self.health.beat();
            let events = tokio::select! {
                Some(event) = self.written.recv() => vec![event],
                Some(input) = self.inputs.recv() => self.take(input, &mut workers),
                update = update(&mut self.fleet) => self.crew.heed(update),
                _ = tick.tick() => {
                    if let Some((_, running)) = &self.fleet {
                        running.need(self.crew.need(&self.job));
                    }
                    self.crew.tick(self.now_ms())
                }
                _ = look_around.tick() => {
                    self.effects.look_around();
                    continue;
                }
                _ = &mut self.stop, if !stopped => {
                    stopped = true;
                    tracing::info!("SIGTERM: saving what is done");
                    vec![Event::Stop]
                }
            };
            for event in events {
                if let Some(reason) = self.handle(event, &mut workers) {
                    return reason;
                }
            }
            self.metrics.workers.set(i64::try_from(workers.outboxes.len()).unwrap_or(i64::MAX));
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What a worker's stream says, in the words of the job.
    fn take(&mut self, input: Input, workers: &mut Workers) -> Vec<Event> {
        match input {
            Input::Connected { worker, pod, outbox, event } => {
                workers.outboxes.insert(worker, outbox);
                match (&self.fleet, pod) {
                    (Some((fleet, _)), Some(pod)) => {
                        let high_memory = fleet.is_high_memory(&pod);
                        self.crew.join(worker, pod, high_memory, event)
                    }
                    _ => vec![event],
                }
            }
            Input::Event(event) => self.crew.hear(event, self.now_ms()),
        }
    }

    /// Tells the job of an event, and performs what it says; how the job ended, if it has.
    fn handle(&mut self, event: Event, workers: &mut Workers) -> Option<EndReason> {
        self.metrics.event(&event);
        tell(&event);
        if let Event::WorkerGone { worker, .. } = &event {
            workers.outboxes.remove(worker);
        }
        let now_ms = self.now_ms();
        let mut end = None;
        for action in self.job.handle_event(now_ms, event) {
            self.metrics.action(&action);
            if let Action::End { reason } = action {
                end = Some(reason);
            } else {
                self.perform(action, workers);
            }
        }
        self.failures.count(self.job.progress(), &self.metrics);
        self.metrics.progress(self.job.progress());
        end
    }

    /// Waits for what is done after the end, and meanwhile tells workers that come, or still speak, how the run ended. One
    /// that comes when this process is gone cannot know it: it waits for its `--coordinator-deadline`.
    pub(crate) async fn say_goodbye<T>(&mut self, last: impl Future<Output = T>) -> T {
        let mut last = std::pin::pin!(last);
        let mut late = Workers::default();
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.health.beat();
            let events = tokio::select! {
                done = &mut last => return done,
                Some(input) = self.inputs.recv() => self.take(input, &mut late),
                _ = tick.tick() => continue,
            };
            let now_ms = self.now_ms();
            for event in events {
                for action in self.job.handle_event(now_ms, event) {
                    self.perform(action, &mut late);
                }
            }
        }
    }

    fn perform(&self, action: Action, workers: &mut Workers) {
        match action {
            Action::Grant { worker, lease, valid_ms, sparing, work } => {
                tracing::debug!(task = %lease.attempt.task, attempt = lease.attempt.attempt, worker = worker.0, "grant");
                workers.send(worker, ToWorker::Grant { lease, valid_ms, sparing, work });
            }
            Action::Revoke { worker, lease, why } => {
                tracing::info!(task = %lease.attempt.task, attempt = lease.attempt.attempt, worker = worker.0, ?why, "revoke");
                workers.send(worker, ToWorker::Revoke { lease, why });
            }
            Action::Dismiss { worker, why } => {
                let (why, message) = dismissal(why);
                tracing::info!(worker = worker.0, ?why, "dismiss");
                workers.send(worker, ToWorker::Dismiss { why, message: message.to_owned() });
                // the stream ends when what is in it has been sent
                workers.outboxes.remove(&worker);
            }
            Action::Save { record } => self.effects.save(record),
            Action::WriteReaders { path, users } => self.effects.write_readers(path, users),
            Action::Commit { input } => self.effects.commit(input),
            Action::End { .. } => unreachable!("the loop takes it"),
        }
    }
}

/// The next thing that the fleet says; never, without one.
async fn update(fleet: &mut Option<(Arc<Fleet>, Running)>) -> Update {
    match fleet {
        Some((_, running)) => running.update().await,
        None => std::future::pending().await,
    }
}

/// The open streams.
#[derive(Default)]
struct Workers {
    outboxes: BTreeMap<WorkerId, mpsc::Sender<ToWorker>>,
}

impl Workers {
    /// A worker that takes no messages is cut off: its stream ends, and the event of that follows.
    fn send(&mut self, worker: WorkerId, message: ToWorker) {
        if let Some(outbox) = self.outboxes.get(&worker)
            && outbox.try_send(message).is_err()
        {
            tracing::warn!(worker = worker.0, "it takes no messages");
            self.outboxes.remove(&worker);
        }
    }
}

fn dismissal(why: DismissReason) -> (WireReason, &'static str) {
    match why {
        DismissReason::RunOver => (WireReason::RunOver, "the run is committed"),
        DismissReason::RunFailed => (WireReason::RunFailed, "the run has failed"),
        DismissReason::Drained => (WireReason::Drained, "everything was handed back"),
        DismissReason::NotRegistered => (WireReason::NotRegistered, "silent for too long, or not known"),
        DismissReason::CoordinatorGoes => (WireReason::CoordinatorGoes, "the coordinator goes"),
    }
}

/// Says what people want to know of.
fn tell(event: &Event) {
    match event {
        Event::WorkerGone { worker, class, message } => {
            tracing::info!(worker = worker.0, ?class, message, "a worker is gone");
        }
        Event::TaskDone { worker, lease, cost, .. } => {
            let stage = lease.attempt.task.stage.name();
            tracing::info!(stage, task = %lease.attempt.task, attempt = lease.attempt.attempt, worker = worker.0, wall_ms = cost.wall_ms, "done");
        }
        Event::TaskFailed { worker, lease, class, message } => {
            let stage = lease.attempt.task.stage.name();
            tracing::warn!(stage, task = %lease.attempt.task, attempt = lease.attempt.attempt, worker = worker.0, ?class, message, "failed");
        }
        Event::StoreRefused { message } => tracing::error!(message, "the store refuses"),
        Event::SaveFailed { message, .. } | Event::ReadersFailed { message } | Event::CommitFailed { message, .. } => {
            tracing::warn!(message, "the store failed");
        }
        Event::FleetFailed { message } => tracing::error!(message, "no workers to be had"),
        Event::Fenced { by } => tracing::warn!(epoch = by.0, "another coordinator has taken the run over"),
        _ => {}
    }
}
