//! The one loop: events into the job, actions out of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stedi_endpoint::Health;
use stedi_job::event::{Action, DismissReason, EndReason, Event};
use stedi_job::{Job, WorkerId};
use stedi_proto::{DismissReason as WireReason, ToWorker};
use tokio::sync::mpsc;

use crate::effects::Effects;
use crate::metrics::Metrics;
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
    /// What times are counted from.
    pub(crate) started: Instant,
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
            let event = tokio::select! {
                Some(event) = self.written.recv() => event,
                Some(input) = self.inputs.recv() => workers.take(input),
                _ = tick.tick() => Event::Tick,
                _ = look_around.tick() => {
                    self.effects.look_around();
                    continue;
                }
                _ = &mut self.stop, if !stopped => {
                    stopped = true;
                    tracing::info!("SIGTERM: saving what is done");
                    Event::Stop
                }
            };
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
                    self.perform(action, &mut workers);
                }
            }
            self.metrics.workers.set(i64::try_from(workers.outboxes.len()).unwrap_or(i64::MAX));
            if let Some(reason) = end {
                return reason;
            }
        }
    }

    /// Waits for what is done after the end, and meanwhile tells workers that come, or still speak, how the run ended. One
    /// that comes when this process is gone cannot know it: it waits for its `--coordinator-deadline`.
    pub(crate) async fn say_goodbye<T>(&mut self, last: impl Future<Output = T>) -> T {
        let mut last = std::pin::pin!(last);
        let mut late = Workers::default();
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.health.beat();
            let event = tokio::select! {
                done = &mut last => return done,
                Some(input) = self.inputs.recv() => late.take(input),
                _ = tick.tick() => continue,
            };
            let now_ms = self.now_ms();
            for action in self.job.handle_event(now_ms, event) {
                self.perform(action, &mut late);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn perform(&self, action: Action, workers: &mut Workers) {
        match action {
            Action::Grant { worker, lease, valid_ms, work } => {
                tracing::debug!(task = %lease.attempt.task, attempt = lease.attempt.attempt, worker = worker.0, "grant");
                workers.send(worker, ToWorker::Grant { lease, valid_ms, work });
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

/// The open streams.
#[derive(Default)]
struct Workers {
    outboxes: BTreeMap<WorkerId, mpsc::Sender<ToWorker>>,
}

impl Workers {
    fn take(&mut self, input: Input) -> Event {
        match input {
            Input::Connected { worker, outbox, event } => {
                self.outboxes.insert(worker, outbox);
                event
            }
            Input::Event(event) => event,
        }
    }

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
        Event::Fenced { by } => tracing::warn!(epoch = by.0, "another coordinator has taken the run over"),
        _ => {}
    }
}
