//! What becomes of leases: done, failed, given up, lost.

use super::{Held, Job, LOSSES_KEPT, Phase};
use crate::error::{JobError, WorkerLoss};
use crate::event::{Action, DismissReason, Lease, RevokeReason, WorkerId};
use crate::failure::{Counts, MemoryNeed, Remedy, remedy};
use crate::progress::TaskRecord;
use crate::task::{AttemptId, FailureClass, Stage, TaskCost, TaskId, TaskOutput};

impl Job {
    /// Whether a worker is registered; one that is not is told so. It is alive if it is.
    pub(super) fn is_known(&mut self, worker: WorkerId, actions: &mut Vec<Action>) -> bool {
        let known = self.workers.heard(worker, self.clock.now_ms());
        if !known {
            actions.push(Action::Dismiss { worker, why: DismissReason::NotRegistered });
        }
        known
    }

    pub(super) fn heartbeat(
        &mut self,
        worker: WorkerId,
        running: &[Lease],
        actions: &mut Vec<Action>,
    ) -> Result<(), JobError> {
        if !self.is_known(worker, actions) {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        for &lease in running {
            match self.held.get_mut(&lease.attempt) {
                Some(held) if held.worker == worker && lease.epoch == self.epoch => held.listed_ms = now_ms,
                _ => actions.push(Action::Revoke { worker, lease, why: self.why_not(lease) }),
            }
        }
        let grace_ms = self.config.lease_grace_ms;
        let held_by = self.workers.get(worker).into_iter().flat_map(|worker| &worker.running);
        let is_lost =
            |attempt: &&AttemptId| self.held.get(attempt).is_some_and(|held| now_ms - held.listed_ms > grace_ms);
        let lost: Vec<AttemptId> = held_by.filter(is_lost).copied().collect();
        lost.into_iter()
            .try_for_each(|attempt| self.fail(attempt, FailureClass::WorkerLost, "its worker does not know of it"))
    }

    /// Why a worker must not go on with a lease.
    fn why_not(&self, lease: Lease) -> RevokeReason {
        if lease.epoch != self.epoch {
            RevokeReason::OldEpoch
        } else if self.progress.is_done(lease.attempt.task) {
            RevokeReason::DoneElsewhere
        } else {
            RevokeReason::NotHeld
        }
    }

    pub(super) fn task_done(
        &mut self,
        worker: WorkerId,
        lease: Lease,
        output: TaskOutput,
        cost: TaskCost,
        actions: &mut Vec<Action>,
    ) -> Result<(), JobError> {
        self.workers.heard(worker, self.clock.now_ms());
        let task = lease.attempt.task;
        if self.epoch == lease.epoch && self.progress.winner(task) == Some(lease.attempt.attempt) {
            return Ok(());
        }
        // an attempt that was given up is as good as any other, if nobody was faster
        if lease.epoch != self.epoch || self.progress.is_done(task) || !self.was_granted(lease.attempt) {
            actions.push(Action::Revoke { worker, lease, why: self.why_not(lease) });
            return Ok(());
        }
        if let Err(mismatch) = self.progress.check(task, &output) {
            return self.fail(lease.attempt, FailureClass::Panic, &mismatch.to_string());
        }
        if let Some(held) = self.give_up(lease.attempt) {
            self.times_ms.add(self.clock.now_ms() - held.granted_ms);
            if !held.capacity.high_memory {
                self.too_small.enough(held.memory);
            }
        }
        let mut record = TaskRecord { attempt: lease.attempt, output, cost };
        self.progress.accept(&mut record);
        self.saver.push(record);
        self.tasks.finish(task.index);
        for (attempt, worker) in self.attempts_of(task) {
            self.give_up(attempt);
            let lease = Lease { attempt, epoch: self.epoch };
            actions.push(Action::Revoke { worker, lease, why: RevokeReason::DoneElsewhere });
        }
        Ok(())
    }

    /// Whether this epoch has granted an attempt in the present stage.
    fn was_granted(&self, attempt: AttemptId) -> bool {
        let Phase::Tasks(stage) = self.phase else { return false };
        let number = attempt.attempt.checked_sub(self.epoch.first_attempt());
        attempt.task.stage == stage
            && attempt.task.index < self.progress.tasks(stage)
            && number.is_some_and(|number| number < u32::from(self.tasks.task(attempt.task.index).granted))
    }

    fn attempts_of(&self, task: TaskId) -> Vec<(AttemptId, WorkerId)> {
        let all = AttemptId { task, attempt: 0 }..=AttemptId { task, attempt: u32::MAX };
        self.held.range(all).map(|(attempt, held)| (*attempt, held.worker)).collect()
    }

    /// Ends a lease; what it was, if it was held.
    fn give_up(&mut self, attempt: AttemptId) -> Option<Held> {
        let held = self.held.remove(&attempt)?;
        self.workers.stop(held.worker, attempt);
        self.tasks.stop(attempt.task.index);
        Some(held)
    }

    pub(super) fn task_failed(
        &mut self,
        worker: WorkerId,
        lease: Lease,
        class: FailureClass,
        message: &str,
    ) -> Result<(), JobError> {
        self.workers.heard(worker, self.clock.now_ms());
        if lease.epoch != self.epoch {
            return Ok(());
        }
        self.fail(lease.attempt, class, message)
    }

    /// A held lease has failed: whether and how its task is tried again. Nothing, if it is not held.
    pub(super) fn fail(&mut self, attempt: AttemptId, class: FailureClass, message: &str) -> Result<(), JobError> {
        let Some(&held) = self.held.get(&attempt) else { return Ok(()) };
        let worker = self.workers.get(held.worker);
        let worker = worker.map_or_else(|| held.worker.to_string(), |worker| worker.name.clone());
        let task = attempt.task;
        self.give_up(attempt);
        self.note(task.stage, |effort| *effort.failures.entry(class).or_default() += 1);
        let Remedy::Retry { counts, backoff } = remedy(class) else {
            return Err(JobError::Task { task, worker, class, message: message.to_owned() });
        };
        let least = self.too_small.least();
        let more = held.memory.more().filter(|more| self.is_to_be_had(*more, &held));
        let state = self.tasks.task_mut(task.index);
        state.memory = state.memory.max(least);
        // while another attempt runs, the task is not lost yet
        let last = state.live == 0;
        let (mut failures, mut struck) = (0, false);
        match counts {
            Counts::Nothing => {}
            Counts::Losses => {
                state.losses = state.losses.saturating_add(1);
                if last && state.losses >= self.config.losses_max {
                    let losses = u32::from(state.losses);
                    return Err(JobError::Losses { task, losses, message: message.to_owned() });
                }
            }
            Counts::Attempts => {
                state.failures = state.failures.saturating_add(1);
                failures = u32::from(state.failures);
                if last && state.failures >= self.config.attempts_max {
                    return Err(JobError::Attempts { task, failures, class, message: message.to_owned() });
                }
            }
            // another attempt may have shown already that it needs more than this one had
            Counts::Memory => match more {
                Some(more) => {
                    struck = state.memory < more;
                    state.memory = state.memory.max(more);
                }
                None => {
                    let shard = (task.stage == Stage::Join && task.index < self.plan.shards()).then_some(task.index);
                    let (memory_bytes, message) = (held.capacity.memory_bytes, message.to_owned());
                    return Err(JobError::OutOfMemory { task, shard, memory_bytes, message });
                }
            },
        }
        let now_ms = self.clock.now_ms();
        let due_ms = if backoff { now_ms + self.config.backoff(failures) } else { now_ms };
        self.tasks.requeue(task.index, now_ms, due_ms);
        if struck && self.says_of_others(&held) && self.too_small.strike(held.memory) {
            self.tasks.need(self.too_small.least());
        }
        Ok(())
    }

    /// Whether there is a worker that can give a task more than `held` gave it.
    fn is_to_be_had(&self, more: MemoryNeed, held: &Held) -> bool {
        more < MemoryNeed::Largest || self.config.high_memory || self.workers.most_memory() > held.capacity.memory_bytes
    }

    /// Whether it says something of other tasks, too, that one ran out of memory with what it had.
    fn says_of_others(&self, held: &Held) -> bool {
        match held.memory {
            // of several at once each may be the one that took too much
            MemoryNeed::Slot => held.capacity.slots <= 1,
            MemoryNeed::Alone | MemoryNeed::Largest => self.config.high_memory,
        }
    }

    /// A worker is gone, and with it all that it held.
    pub(super) fn lose_worker(&mut self, worker: WorkerId, class: FailureClass, message: &str) -> Result<(), JobError> {
        let attempts = self.forget_worker(worker, class, message);
        attempts.into_iter().try_for_each(|attempt| self.fail(attempt, class, message))
    }

    /// Strikes a worker off; what it held.
    pub(super) fn forget_worker(&mut self, worker: WorkerId, class: FailureClass, message: &str) -> Vec<AttemptId> {
        let Some(lost) = self.workers.remove(worker) else { return Vec::new() };
        if self.losses.len() == LOSSES_KEPT {
            self.losses.pop_front();
        }
        self.losses.push_back(WorkerLoss { name: lost.name, class, message: message.to_owned() });
        if self.workers.len() == 0 {
            self.alone_since_ms = Some(self.clock.now_ms());
        }
        lost.running.into_iter().collect()
    }

    /// Looks at all deadlines.
    pub(super) fn tick(&mut self, actions: &mut Vec<Action>) -> Result<(), JobError> {
        let now_ms = self.clock.now_ms();
        if let Some(silent_since_ms) = now_ms.checked_sub(self.config.worker_timeout_ms) {
            for worker in self.workers.silent(silent_since_ms) {
                actions.push(Action::Dismiss { worker, why: DismissReason::NotRegistered });
                let message = format!("silent for {} ms", self.config.worker_timeout_ms);
                self.lose_worker(worker, FailureClass::WorkerLost, &message)?;
            }
        }
        let over = |granted_ms: u64| now_ms - granted_ms > self.config.attempt_ms_max;
        let too_long: Vec<(AttemptId, WorkerId)> =
            self.held.iter().filter(|(_, held)| over(held.granted_ms)).map(|(a, held)| (*a, held.worker)).collect();
        for (attempt, worker) in too_long {
            let lease = Lease { attempt, epoch: self.epoch };
            actions.push(Action::Revoke { worker, lease, why: RevokeReason::TooLong });
            self.fail(attempt, FailureClass::TransientIo, "it took too long")?;
        }
        self.check_deadlines(now_ms)?;
        self.speculate(actions)
    }

    fn check_deadlines(&self, now_ms: u64) -> Result<(), JobError> {
        if let Some(deadline_ms) = self.config.deadline_ms
            && now_ms - self.held_back.until(now_ms) > deadline_ms
            && !matches!(self.phase, Phase::Commit(..))
        {
            return Err(JobError::Deadline { deadline_ms });
        }
        if let (Phase::Tasks(stage), Some(since_ms)) = (&self.phase, self.alone_since_ms)
            && now_ms - since_ms > self.config.no_worker_ms
            && self.progress.done(*stage) < self.progress.tasks(*stage)
        {
            return Err(JobError::NoWorkers {
                waited_ms: now_ms - since_ms,
                stage: stage.name(),
                tasks_left: self.progress.tasks(*stage) - self.progress.done(*stage),
                last_losses: self.losses.iter().cloned().collect(),
            });
        }
        Ok(())
    }
}
