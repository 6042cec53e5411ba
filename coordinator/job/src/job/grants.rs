//! Who gets which task.

use super::{Held, Job, Phase};
use crate::error::JobError;
use crate::event::{Action, DismissReason, Lease, WorkerId};
use crate::failure::MemoryNeed;
use crate::task::{AttemptId, FailureClass, Stage, TaskId, Work};
use crate::tasks::GRANTS_MAX;

/// Splits and segments in the grants of one event, about: they are copies. What is left comes with the next event.
const GRANT_ENTRIES_MAX: usize = 200_000;

/// An attempt that runs so many times longer than the median is a straggler.
const STRAGGLER_FACTOR: u64 = 3;

impl Job {
    /// Gives waiting tasks to workers that can take them.
    pub(super) fn assign(&mut self, actions: &mut Vec<Action>) -> Result<(), JobError> {
        let Phase::Tasks(stage) = self.phase else { return Ok(()) };
        if self.stopping || self.saver.is_full() {
            return Ok(());
        }
        self.tasks.release(self.clock.now_ms());
        let mut entries = 0;
        while entries < GRANT_ENTRIES_MAX {
            let Some((index, need)) = self.tasks.peek_heavy() else {
                self.workers.unreserve();
                break;
            };
            let worker = self.workers.reserve(index, need).or_else(|| self.in_place_of_usual());
            let Some(worker) = worker else { break };
            self.tasks.take_heavy();
            entries += self.grant(worker, TaskId { stage, index }, false, actions)?;
            self.workers.unreserve();
        }
        while entries < GRANT_ENTRIES_MAX {
            let Some(worker) = self.workers.idle_high_memory() else { break };
            let Some(index) = self.tasks.take_largest() else { break };
            entries += self.grant(worker, TaskId { stage, index }, false, actions)?;
        }
        while entries < GRANT_ENTRIES_MAX {
            let Some(worker) = self.in_place_of_usual() else { break };
            let Some(index) = self.tasks.take() else { break };
            entries += self.grant(worker, TaskId { stage, index }, false, actions)?;
        }
        while entries < GRANT_ENTRIES_MAX {
            let Some(worker) = self.workers.least_loaded(None) else { break };
            let Some(index) = self.tasks.take() else { break };
            entries += self.grant(worker, TaskId { stage, index }, false, actions)?;
        }
        Ok(())
    }

    /// A worker with more memory for a task that does not need it. They are kept for what needs them, unless all others are
    /// being replaced, which takes longer each time.
    fn in_place_of_usual(&self) -> Option<WorkerId> {
        self.workers.idle_high_memory().filter(|_| self.workers.usual() == 0)
    }

    /// Grants one more attempt; how many splits or segments it has.
    fn grant(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        speculative: bool,
        actions: &mut Vec<Action>,
    ) -> Result<usize, JobError> {
        let state = *self.tasks.task(task.index);
        if state.granted >= GRANTS_MAX {
            let message = "it was granted too often".to_owned();
            let failures = u32::from(state.granted);
            return Err(JobError::Attempts { task, failures, class: FailureClass::Cancelled, message });
        }
        let attempt = AttemptId { task, attempt: self.epoch.first_attempt() + self.tasks.start(task.index) };
        let now_ms = self.clock.now_ms();
        let capacity = self.workers.get(worker).map(|worker| worker.capacity).unwrap_or_default();
        let memory = if capacity.high_memory { MemoryNeed::Largest } else { state.memory };
        self.held.insert(attempt, Held { worker, capacity, memory, granted_ms: now_ms, listed_ms: now_ms });
        self.workers.start(worker, attempt, memory != MemoryNeed::Slot);
        self.note(task.stage, |effort| {
            effort.attempts += 1;
            effort.speculative += u64::from(speculative);
        });
        let (work, entries) = self.work(task);
        let lease = Lease { attempt, epoch: self.epoch };
        // what the largest workers are there for, they can do at full speed
        let sparing = state.memory != MemoryNeed::Slot && !capacity.high_memory;
        actions.push(Action::Grant { worker, lease, valid_ms: self.config.worker_timeout_ms, sparing, work });
        Ok(entries)
    }

    /// What a task is to do; its stage must have begun.
    fn work(&self, task: TaskId) -> (Work, usize) {
        let directory = self.progress.directory.clone().unwrap_or_default();
        let readers = crate::progress::readers_path(self.plan.context.run_id);
        let splits = task.stage.landing().map(|table| self.plan.landing(table).splits(task.index)).unwrap_or_default();
        let entries = splits.len().max(1);
        match task.stage {
            Stage::Consent => (Work::Consent { splits }, entries),
            Stage::ScanAccelerometer => (Work::ScanAccelerometer { splits, directory }, entries),
            Stage::ScanStepTrainer => (Work::ScanStepTrainer { splits, directory, readers }, entries),
            Stage::Join if task.index == self.plan.shards() => (Work::WriteCustomers { directory, readers }, 1),
            Stage::Join => {
                let (readings, steps) = self.progress.segments(task.index);
                let entries = readings.len() + steps.len();
                (Work::JoinShard { shard: task.index, directory, readings, steps }, entries)
            }
        }
    }

    /// Gives stragglers a second attempt on another worker, when nothing else is to be done.
    pub(super) fn speculate(&mut self, actions: &mut Vec<Action>) -> Result<(), JobError> {
        let idle = matches!(self.phase, Phase::Tasks(_)) && !self.stopping && self.tasks.waiting() == 0;
        if !idle || self.saver.is_full() || self.workers.least_loaded(None).is_none() {
            return Ok(());
        }
        let patience_ms = match self.times_ms.median() {
            Some(median_ms) => self.config.straggler_ms.max(STRAGGLER_FACTOR * median_ms),
            None => self.config.first_straggler_ms,
        };
        let now_ms = self.clock.now_ms();
        let is_straggler = |attempt: &AttemptId, held: &Held| {
            let task = self.tasks.task(attempt.task.index);
            task.live == 1 && task.memory == MemoryNeed::Slot && now_ms - held.granted_ms > patience_ms
        };
        let stragglers: Vec<(TaskId, WorkerId)> = self
            .held
            .iter()
            .filter(|(attempt, held)| is_straggler(attempt, held))
            .map(|(attempt, held)| (attempt.task, held.worker))
            .collect();
        for (task, slow) in stragglers {
            if let Some(worker) = self.workers.least_loaded(Some(slow)) {
                self.grant(worker, task, true, actions)?;
            }
        }
        Ok(())
    }

    /// Lets draining workers go that hold nothing.
    pub(super) fn dismiss_drained(&mut self, actions: &mut Vec<Action>) {
        for worker in self.workers.drained() {
            actions.push(Action::Dismiss { worker, why: DismissReason::Drained });
            self.forget_worker(worker, FailureClass::Preempted, "told to go, and went");
        }
    }
}
