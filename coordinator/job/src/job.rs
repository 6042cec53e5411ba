//! The state machine of a run: told what happens, it says what is to be done.
//!
//! ```text
//! consent ─▶ scan accelerometer ─▶ readers written ─▶ scan step trainer ─▶ join ─▶ commit
//! ```
//! A stage is over when all its tasks are done and saved. Everything that is asked of the shell may fail, or be done and
//! never answered: it is asked for again then. Work per event depends on the event, not on the size of the run; a tick
//! looks at all workers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use stedi_lake::LandingTable;

use crate::clock::Clock;
use crate::config::JobConfig;
use crate::error::{JobError, WorkerLoss};
use crate::event::{Action, Capacity, DismissReason, EndReason, Epoch, Event, Lease, WorkerId};
use crate::failure::MemoryNeed;
use crate::fleet_size::WorkLeft;
use crate::histogram::Histogram;
use crate::plan::RunPlan;
use crate::progress::{CommitInput, Effort, Progress};
use crate::saver::{Saver, Write};
use crate::task::{AttemptId, FailureClass, RejectCount, Stage, TaskId};
use crate::tasks::Tasks;
use crate::too_small::TooSmall;
use crate::workers::Workers;

mod grants;
mod leases;
mod stages;

/// Of how many lost workers the job remembers why.
const LOSSES_KEPT: usize = 5;

/// It is said so often at least that workers are held back.
const SAID_EVERY_MS_MAX: u64 = 10_000;

/// What the job is waiting for.
#[derive(Clone, Debug)]
enum Phase {
    Tasks(Stage),
    Readers(Action, Write),
    Commit(Arc<CommitInput>, Write),
    Ended(EndReason),
}

/// A lease that was granted and is not over.
#[derive(Clone, Copy, Debug)]
struct Held {
    worker: WorkerId,
    /// What the worker can take; it may be gone when that matters.
    capacity: Capacity,
    /// What the task has of it.
    memory: MemoryNeed,
    granted_ms: u64,
    /// When the worker last said that it has it; when it was granted, before that.
    listed_ms: u64,
}

/// For how long workers were held back, as far as that was said.
#[derive(Debug, Default)]
struct HeldBack {
    said_ms: Option<u64>,
    total_ms: u64,
}

impl HeldBack {
    /// It is said again.
    fn say(&mut self, now_ms: u64) {
        *self = Self { said_ms: Some(now_ms), total_ms: self.until(now_ms) };
    }

    /// Until now; it goes on until it was not said for too long.
    fn until(&self, now_ms: u64) -> u64 {
        let silent_ms = self.said_ms.map_or(0, |said_ms| now_ms - said_ms);
        self.total_ms + if silent_ms <= SAID_EVERY_MS_MAX { silent_ms } else { 0 }
    }
}

/// A run in progress.
#[derive(Debug)]
pub struct Job {
    config: JobConfig,
    plan: Arc<RunPlan>,
    epoch: Epoch,
    clock: Clock,
    phase: Phase,
    progress: Progress,
    tasks: Tasks,
    held: BTreeMap<AttemptId, Held>,
    workers: Workers,
    saver: Saver,
    /// How long the attempts that this epoch accepted took, in the stage that is going on.
    times_ms: Histogram,
    losses: VecDeque<WorkerLoss>,
    too_small: TooSmall,
    /// Since when there is no worker.
    alone_since_ms: Option<u64>,
    held_back: HeldBack,
    stopping: bool,
}

impl Job {
    /// The job of `plan`, of which `progress` is done, led by the coordinator of `epoch`. `now_ms` and the times of
    /// events are milliseconds of any clock; jumps of it do no harm.
    ///
    /// # Panics
    /// If the epoch is 0 or beyond [`Epoch::MAX`], or `progress` is that of a smaller plan.
    pub fn new(config: JobConfig, plan: Arc<RunPlan>, progress: Progress, epoch: Epoch, now_ms: u64) -> Self {
        assert!((1..=Epoch::MAX.0).contains(&epoch.0), "epoch {epoch}");
        let mut job = Self {
            config,
            plan,
            epoch,
            clock: Clock::new(now_ms),
            phase: Phase::Tasks(Stage::Consent),
            progress,
            tasks: Tasks::default(),
            held: BTreeMap::new(),
            workers: Workers::default(),
            saver: Saver::new(epoch),
            times_ms: Histogram::default(),
            losses: VecDeque::new(),
            too_small: TooSmall::default(),
            alone_since_ms: Some(0),
            held_back: HeldBack::default(),
            stopping: false,
        };
        job.begin(Stage::Consent);
        job
    }

    /// Takes note of what has happened; what is to be done about it, in this order.
    pub fn handle_event(&mut self, now_ms: u64, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        let before_ms = self.clock.now_ms();
        let passed_ms = self.clock.advance(now_ms) - before_ms;
        if let Phase::Ended(reason) = &self.phase {
            actions.extend(late(reason, &event));
            return actions;
        }
        if let Phase::Tasks(stage) = self.phase
            && passed_ms > 0
        {
            self.note(stage, |effort| effort.elapsed_ms += passed_ms);
        }
        let outcome = self.take(event, &mut actions).and_then(|()| self.go_on(&mut actions));
        if let Err(error) = outcome {
            self.end(EndReason::Failed(error), &mut actions);
        }
        actions
    }

    fn take(&mut self, event: Event, actions: &mut Vec<Action>) -> Result<(), JobError> {
        match event {
            Event::WorkerRegistered { worker, name, capacity } => {
                self.workers.register(worker, name, capacity, self.clock.now_ms());
                self.too_small.crew(self.workers.usual());
                self.alone_since_ms = None;
                Ok(())
            }
            Event::Heartbeat { worker, running } => self.heartbeat(worker, &running, actions),
            Event::WorkerDraining { worker } => {
                if self.is_known(worker, actions) {
                    self.workers.drain(worker);
                }
                Ok(())
            }
            Event::WorkerRetired { worker, retired } => {
                self.workers.retire(worker, retired);
                Ok(())
            }
            Event::WorkersHeldBack => {
                let now_ms = self.clock.now_ms();
                self.alone_since_ms = self.alone_since_ms.map(|_| now_ms);
                self.held_back.say(now_ms);
                Ok(())
            }
            // everything is written, and nobody needs workers any more
            Event::FleetFailed { .. } if matches!(self.phase, Phase::Commit(..)) => Ok(()),
            Event::FleetFailed { message } => Err(JobError::Fleet { message }),
            Event::WorkerGone { worker, class, message } => self.lose_worker(worker, class, &message),
            Event::TaskDone { worker, lease, output, cost } => self.task_done(worker, lease, output, cost, actions),
            Event::TaskFailed { worker, lease, class, message } => self.task_failed(worker, lease, class, &message),
            Event::TaskReturned { worker, lease } => {
                self.task_failed(worker, lease, FailureClass::Preempted, "handed back")
            }
            Event::Saved { number } => {
                self.saver.saved(number);
                Ok(())
            }
            Event::SaveFailed { number, message } => self.save_failed(number, message, actions),
            Event::ReadersWritten => self.readers_written(),
            Event::ReadersFailed { message } => self.readers_failed(message),
            Event::Committed { seq } => {
                self.end(EndReason::Committed { seq }, actions);
                Ok(())
            }
            Event::CommitFailed { failure, message } => self.commit_failed(failure, message, actions),
            Event::StoreRefused { .. } if self.stopping => {
                // what is not saved is done again by whoever resumes the run
                self.end(EndReason::Stopped, actions);
                Ok(())
            }
            Event::StoreRefused { message } => Err(JobError::Refused { message }),
            Event::Fenced { by } if by > self.epoch => Err(JobError::Fenced { by: by.0 }),
            Event::Fenced { .. } => Ok(()),
            Event::Tick => self.tick(actions),
            Event::Stop => {
                self.stopping = true;
                Ok(())
            }
        }
    }

    /// How the job ended, if it has.
    pub fn ended(&self) -> Option<&EndReason> {
        match &self.phase {
            Phase::Ended(reason) => Some(reason),
            _ => None,
        }
    }

    /// The stage whose tasks are going on; the last one that did while something is written, or after the end.
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Tasks(stage) => stage,
            Phase::Readers(..) => Stage::ScanAccelerometer,
            Phase::Commit(..) | Phase::Ended(_) => {
                let open = |stage: &Stage| self.progress.done(*stage) < self.progress.tasks(*stage);
                Stage::ALL.into_iter().find(open).unwrap_or(Stage::Join)
            }
        }
    }

    /// What is done.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Why records could not be read, by landing table and object: see [`Progress::rejects`]. Keys are those of landing.
    pub fn rejects(&self) -> impl Iterator<Item = (LandingTable, &str, RejectCount)> + '_ {
        self.progress.rejects().map(|(table, reject)| {
            let object = self.plan.landing(table).objects().get(reject.object as usize);
            (table, object.map_or("", |object| &*object.key), reject)
        })
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The leases that are granted and not over, and who holds them.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = (Lease, WorkerId)> + '_ {
        self.held.iter().map(|(attempt, held)| (Lease { attempt: *attempt, epoch: self.epoch }, held.worker))
    }

    /// Number of tasks of the present stage that wait for a worker.
    pub fn waiting(&self) -> u32 {
        self.tasks.waiting()
    }

    /// What is left of a stage for the usual workers: its tasks that are not done, of which as many slots have something
    /// to do, and their bytes, about: landing bytes in the scan stages, shuffle bytes in the join, as far as they are known.
    pub fn work_left(&self, stage: Stage) -> WorkLeft {
        let present = matches!(self.phase, Phase::Tasks(phase) if phase == stage);
        let for_others =
            |index| present && self.config.high_memory && self.tasks.task(index).memory == MemoryNeed::Largest;
        let task_bytes = stage.landing().map_or(self.plan.task_bytes, |table| self.plan.landing(table).task_bytes());
        let mut tasks = self.progress.tasks(stage) - self.progress.done(stage);
        if present {
            tasks = tasks.saturating_sub(u32::try_from(self.high_memory_tasks()).unwrap_or(u32::MAX));
        } else if self.too_small.least() == MemoryNeed::Largest {
            // to be tried; more than that is not expected of them
            tasks = tasks.min(1);
        }
        let bytes = match stage {
            Stage::Join => {
                let open = |index: u32| !self.progress.is_done(TaskId { stage, index }) && !for_others(index);
                let shards = (0u32..).zip(&self.progress.shards);
                shards.filter(|(index, _)| open(*index)).map(|(_, size)| size.bytes).sum()
            }
            _ => u64::from(tasks).saturating_mul(task_bytes),
        };
        WorkLeft { tasks, bytes, task_bytes }
    }

    /// Number of tasks that need a worker with more memory than the usual ones have, waiting or running.
    pub fn high_memory_tasks(&self) -> usize {
        if !self.config.high_memory {
            return 0;
        }
        self.tasks.largest() + self.held.values().filter(|held| held.capacity.high_memory).count()
    }

    /// All workers, and how many tasks each runs.
    pub fn loads(&self) -> impl ExactSizeIterator<Item = (WorkerId, usize)> + '_ {
        self.workers.loads()
    }

    fn note(&mut self, stage: Stage, change: impl Fn(&mut Effort)) {
        change(self.saver.effort(stage));
        change(self.progress.efforts.entry(stage).or_default());
    }

    fn end(&mut self, reason: EndReason, actions: &mut Vec<Action>) {
        if self.ended().is_some() {
            return;
        }
        let why = dismissal(&reason);
        let workers = self.workers.ids();
        actions.extend(workers.into_iter().map(|worker| Action::Dismiss { worker, why }));
        actions.push(Action::End { reason: reason.clone() });
        self.phase = Phase::Ended(reason);
        self.workers = Workers::default();
        self.held.clear();
    }
}

fn dismissal(reason: &EndReason) -> DismissReason {
    match reason {
        EndReason::Committed { .. } => DismissReason::RunOver,
        EndReason::Stopped | EndReason::Failed(JobError::Fenced { .. }) => DismissReason::CoordinatorGoes,
        EndReason::Failed(_) => DismissReason::RunFailed,
    }
}

/// What a worker is told that still speaks after the end.
fn late(reason: &EndReason, event: &Event) -> Option<Action> {
    match event {
        Event::WorkerRegistered { worker, .. }
        | Event::Heartbeat { worker, .. }
        | Event::WorkerDraining { worker }
        | Event::TaskDone { worker, .. }
        | Event::TaskFailed { worker, .. }
        | Event::TaskReturned { worker, .. } => Some(Action::Dismiss { worker: *worker, why: dismissal(reason) }),
        _ => None,
    }
}
