//! From stage to stage, and what is written between them.

use std::sync::Arc;

use stedi_lake::LandingTable;
use stedi_lake::report::{DAMAGED, LandingCounts};

use super::{Job, Phase};
use crate::error::JobError;
use crate::event::{Action, CommitFailure, EndReason};
use crate::histogram::Histogram;
use crate::invariants::too_many_bad;
use crate::progress::readers_path;
use crate::saver::Write;
use crate::task::{RejectCount, Stage, TaskId};
use crate::tasks::Tasks;

impl Job {
    /// Makes the tasks of a stage ready that are not done.
    pub(super) fn begin(&mut self, stage: Stage) {
        let shards = self.plan.shards();
        if stage == Stage::Join {
            // a shard without rows gives no part: there is nothing to do
            let empty = |shard: &u32| self.progress.shards[*shard as usize].rows == 0;
            for index in (0..shards).filter(empty).collect::<Vec<_>>() {
                self.progress.skip(TaskId { stage, index });
            }
        }
        let count = self.plan.tasks(stage);
        let is_open = |index: &u32| !self.progress.is_done(TaskId { stage, index: *index });
        let mut order: Vec<u32> = (0..count).filter(is_open).collect();
        if stage == Stage::Join {
            // the customers first, as nobody knows how many they are, then the shards, the largest first
            let bytes = |index: u32| self.progress.shards.get(index as usize).map_or(u64::MAX, |size| size.bytes);
            order.sort_by_key(|&index| std::cmp::Reverse(bytes(index)));
        }
        self.tasks = Tasks::new(count, order, self.config.high_memory);
        self.times_ms = Histogram::default();
        self.too_small.next_stage(self.workers.usual());
        self.phase = Phase::Tasks(stage);
    }

    /// Does what can be done now: passes barriers, saves, grants, lets workers go.
    pub(super) fn go_on(&mut self, actions: &mut Vec<Action>) -> Result<(), JobError> {
        while self.ended().is_none() && self.pass_barrier(actions)? {}
        if self.ended().is_some() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        let hurry = self.stopping || self.is_stage_done();
        if let Some(record) = self.saver.next(&self.config, now_ms, hurry)? {
            actions.push(Action::Save { record });
        }
        self.write_again(actions)?;
        if self.ended().is_some() {
            return Ok(());
        }
        if self.stopping && self.saver.is_empty() && !matches!(self.phase, Phase::Commit(..)) {
            self.end(EndReason::Stopped, actions);
            return Ok(());
        }
        self.assign(actions)?;
        self.dismiss_drained(actions);
        Ok(())
    }

    fn is_stage_done(&self) -> bool {
        let stage = self.stage();
        self.progress.done(stage) == self.progress.tasks(stage)
    }

    /// Whether a stage was over and the next step has begun.
    fn pass_barrier(&mut self, actions: &mut Vec<Action>) -> Result<bool, JobError> {
        let Phase::Tasks(stage) = self.phase else { return Ok(false) };
        if !self.is_stage_done() || !self.saver.is_empty() || self.stopping {
            return Ok(false);
        }
        let now_ms = self.clock.now_ms();
        match stage {
            Stage::Consent => self.begin(Stage::ScanAccelerometer),
            Stage::ScanAccelerometer => {
                let path = readers_path(self.plan.context.run_id);
                let action = Action::WriteReaders { path, users: Arc::new(self.progress.readers.clone()) };
                actions.push(action.clone());
                self.phase = Phase::Readers(action, Write::new("writing the set of readers", &self.config, now_ms));
            }
            Stage::ScanStepTrainer => {
                self.check_bad_records()?;
                self.begin(Stage::Join);
            }
            Stage::Join => {
                let input = Arc::new(self.progress.take_commit());
                actions.push(Action::Commit { input: Arc::clone(&input) });
                self.phase = Phase::Commit(input, Write::new("committing", &self.config, now_ms));
            }
        }
        Ok(true)
    }

    fn check_bad_records(&self) -> Result<(), JobError> {
        let sum = |table| {
            let mut sum = LandingCounts::default();
            for of in self.progress.landing(table) {
                sum.add(&LandingCounts {
                    rows: of.kept + of.filtered + of.quarantined,
                    kept: of.kept,
                    filtered: of.filtered,
                    quarantined: of.quarantined,
                    ..LandingCounts::default()
                });
            }
            (table, sum)
        };
        let landing = LandingTable::ALL.into_iter().map(sum).collect();
        let damaged = |table| {
            let of_table =
                |(of, _, reject): &(LandingTable, &str, RejectCount)| *of == table && reject.reason == DAMAGED;
            self.rejects().find(of_table).map(|(_, object, _)| object.to_owned())
        };
        match too_many_bad(&landing, self.config.bad_records, damaged) {
            None => Ok(()),
            Some(bad) => Err(JobError::BadRecords(Box::new(bad))),
        }
    }

    /// Asks again for writes that were not answered. A coordinator that goes does not wait for them.
    fn write_again(&mut self, actions: &mut Vec<Action>) -> Result<(), JobError> {
        let now_ms = self.clock.now_ms();
        let gave_up = match &mut self.phase {
            Phase::Readers(action, write) => {
                if write.again(&self.config, now_ms)? {
                    actions.push(action.clone());
                }
                false
            }
            Phase::Commit(input, write) => {
                let again = write.again(&self.config, now_ms)?;
                if again && !self.stopping {
                    actions.push(Action::Commit { input: Arc::clone(input) });
                }
                again && self.stopping
            }
            _ => false,
        };
        if gave_up {
            self.end(EndReason::Stopped, actions);
        }
        Ok(())
    }

    pub(super) fn save_failed(
        &mut self,
        number: u64,
        message: String,
        actions: &mut Vec<Action>,
    ) -> Result<(), JobError> {
        if self.stopping {
            // what is not saved is done again by whoever resumes the run
            self.end(EndReason::Stopped, actions);
            return Ok(());
        }
        self.saver.failed(number, &self.config, self.clock.now_ms(), message)
    }

    pub(super) fn readers_written(&mut self) -> Result<(), JobError> {
        if matches!(self.phase, Phase::Readers(..)) {
            self.begin(Stage::ScanStepTrainer);
        }
        Ok(())
    }

    pub(super) fn readers_failed(&mut self, message: String) -> Result<(), JobError> {
        match &mut self.phase {
            Phase::Readers(_, write) => write.failed(&self.config, self.clock.now_ms(), message),
            _ => Ok(()),
        }
    }

    pub(super) fn commit_failed(
        &mut self,
        failure: CommitFailure,
        message: String,
        actions: &mut Vec<Action>,
    ) -> Result<(), JobError> {
        let Phase::Commit(_, write) = &mut self.phase else { return Ok(()) };
        match failure {
            CommitFailure::Conflict => Err(JobError::Conflict { message }),
            CommitFailure::Invariant => Err(JobError::Invariant { message }),
            CommitFailure::Landing => Err(JobError::Landing { message }),
            CommitFailure::Store if self.stopping => {
                self.end(EndReason::Stopped, actions);
                Ok(())
            }
            CommitFailure::Store => write.failed(&self.config, self.clock.now_ms(), message),
        }
    }
}
