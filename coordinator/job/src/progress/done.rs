//! What is done of a run, put together from the outputs of its tasks.

use std::collections::BTreeMap;

use stedi_lake::commit::Part;
use stedi_lake::report::DAMAGED;
use stedi_lake::{CuratedTable, LandingTable};

use super::segments::Segments;
use super::{CommitInput, Effort, ProgressRecord, TaskRecord};
use crate::plan::RunPlan;
use crate::task::{FailureClass, ObjectCounts, RejectCount, SegmentRef, Stage, TaskCost, TaskId, TaskOutput};
use crate::user_set::UserSet;

/// In place of an attempt: the task is not done.
const NOT_DONE: u32 = u32::MAX;
/// In place of an attempt: there was nothing to do.
const SKIPPED: u32 = u32::MAX - 1;

/// Objects and reasons for which it is kept where their bad records are; the others are only counted.
const REJECTS_MAX: usize = 4_096;

/// An output that cannot be one of its task.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the output of {task} does not fit the plan: {what}; are all processes of one version?")]
pub struct Mismatch {
    task: TaskId,
    what: &'static str,
}

/// Rows and bytes of one shard's shuffle segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSize {
    /// Bytes, of both kinds of readings.
    pub bytes: u64,
    /// Rows, of both kinds of readings.
    pub rows: u64,
}

/// What is done of a run. Each task counts once: its first output stays, later ones change nothing.
#[derive(Clone, Debug)]
pub struct Progress {
    winners: [Vec<u32>; 4],
    done: [u32; 4],
    pub(crate) costs: [TaskCost; 4],
    pub(crate) efforts: BTreeMap<Stage, Effort>,
    pub(crate) directory: Option<String>,
    pub(crate) readers: UserSet,
    readings: Segments,
    steps: Segments,
    pub(crate) shards: Vec<ShardSize>,
    landing: [Vec<ObjectCounts>; 3],
    parts: BTreeMap<CuratedTable, Vec<Part>>,
    rejects: BTreeMap<(LandingTable, u32, String), (u64, u64)>,
}

fn landing_position(table: LandingTable) -> usize {
    match table {
        LandingTable::Customer => 0,
        LandingTable::Accelerometer => 1,
        LandingTable::StepTrainer => 2,
    }
}

impl Progress {
    /// Nothing is done yet.
    pub fn new(plan: &RunPlan) -> Self {
        let counts = |table| {
            let objects = plan.landing(table).objects();
            objects.iter().zip(0..).map(|(_, object)| ObjectCounts { object, ..ObjectCounts::default() }).collect()
        };
        let segments = |stage| Segments::new(plan.tasks(stage), plan.shards());
        Self {
            winners: Stage::ALL.map(|stage| vec![NOT_DONE; plan.tasks(stage) as usize]),
            done: [0; 4],
            costs: [TaskCost::default(); 4],
            efforts: BTreeMap::new(),
            directory: None,
            readers: UserSet::default(),
            readings: segments(Stage::ScanAccelerometer),
            steps: segments(Stage::ScanStepTrainer),
            shards: vec![ShardSize::default(); plan.shards() as usize],
            landing: [LandingTable::Customer, LandingTable::Accelerometer, LandingTable::StepTrainer].map(counts),
            parts: CuratedTable::ALL.into_iter().map(|table| (table, Vec::new())).collect(),
            rejects: BTreeMap::new(),
        }
    }

    /// Takes a record that was saved, by whatever epoch. Records are to be given in the order of their names, so that
    /// what they build on comes first. A task that is in several counts as in the first.
    ///
    /// # Errors
    /// If the record is not one of this plan.
    pub fn add(&mut self, record: ProgressRecord) -> Result<(), Mismatch> {
        for (stage, effort) in record.efforts {
            self.efforts.entry(stage).or_default().add(&effort);
        }
        record.tasks.into_iter().try_for_each(|mut task| {
            self.check(task.attempt.task, &task.output)?;
            self.accept(&mut task);
            Ok(())
        })
    }

    /// The attempt whose output counts, if the task is done.
    pub fn winner(&self, task: TaskId) -> Option<u32> {
        let winner = *self.winners[task.stage as usize].get(task.index as usize)?;
        (winner != NOT_DONE && winner != SKIPPED).then_some(winner)
    }

    /// Whether a task is done or need not be.
    pub fn is_done(&self, task: TaskId) -> bool {
        self.winners[task.stage as usize].get(task.index as usize).is_some_and(|&winner| winner != NOT_DONE)
    }

    /// Number of tasks of a stage that are done or need not be.
    pub fn done(&self, stage: Stage) -> u32 {
        self.done[stage as usize]
    }

    /// Number of tasks of a stage.
    #[expect(clippy::cast_possible_truncation, reason = "tasks are numbered with 32 bits")]
    pub fn tasks(&self, stage: Stage) -> u32 {
        self.winners[stage as usize].len() as u32
    }

    /// Attempts that have failed so far, by stage and class: also those that were lost with their worker.
    pub fn failures(&self) -> impl Iterator<Item = (Stage, FailureClass, u64)> + '_ {
        let of_stage = |(stage, effort): (&Stage, &'_ Effort)| {
            let stage = *stage;
            effort.failures.iter().map(move |(class, count)| (stage, *class, *count)).collect::<Vec<_>>()
        };
        self.efforts.iter().flat_map(of_stage)
    }

    /// What became of the records of each landing object so far, in the plan's order.
    pub fn landing(&self, table: LandingTable) -> &[ObjectCounts] {
        &self.landing[landing_position(table)]
    }

    /// Says that a task has nothing to do.
    pub(crate) fn skip(&mut self, task: TaskId) {
        self.finish(task, SKIPPED);
    }

    fn finish(&mut self, task: TaskId, winner: u32) {
        let slot = &mut self.winners[task.stage as usize][task.index as usize];
        if *slot == NOT_DONE {
            *slot = winner;
            self.done[task.stage as usize] += 1;
        }
    }

    /// The segments of one shard: accelerometer readings and step readings.
    pub(crate) fn segments(&self, shard: u32) -> (Vec<SegmentRef>, Vec<SegmentRef>) {
        (self.readings.of_shard(shard), self.steps.of_shard(shard))
    }

    /// Takes what is to be committed out.
    pub(crate) fn take_commit(&mut self) -> CommitInput {
        let [customer, accelerometer, step_trainer] = std::mem::take(&mut self.landing);
        CommitInput {
            tables: std::mem::take(&mut self.parts),
            landing: BTreeMap::from([
                (LandingTable::Customer, customer),
                (LandingTable::Accelerometer, accelerometer),
                (LandingTable::StepTrainer, step_trainer),
            ]),
        }
    }

    /// Whether `output` can be one of `task`.
    pub(crate) fn check(&self, task: TaskId, output: &TaskOutput) -> Result<(), Mismatch> {
        let mismatch = |what| Err(Mismatch { task, what });
        if task.index >= self.tasks(task.stage) {
            return mismatch("there is no such task");
        }
        let (counts, rejects, segments, readers) = match (task.stage, output) {
            (Stage::Join, TaskOutput::Parts(_)) => return Ok(()),
            (Stage::Consent, TaskOutput::Consent { counts, rejects, .. }) => (counts, rejects, &[][..], &[][..]),
            (Stage::ScanAccelerometer, TaskOutput::Scan { segments, readers, counts, rejects, .. }) => {
                (counts, rejects, &segments[..], &readers[..])
            }
            (Stage::ScanStepTrainer, TaskOutput::Scan { segments, counts, rejects, .. }) => {
                (counts, rejects, &segments[..], &[][..])
            }
            _ => return mismatch("it is that of another stage"),
        };
        let objects = task.stage.landing().map_or(0, |table| self.landing(table).len());
        let mut counted = counts.iter().map(|of| of.object).chain(rejects.iter().map(|of| of.object));
        if counted.any(|object| object as usize >= objects) {
            return mismatch("it counts an unknown object");
        }
        if segments.iter().any(|segment| segment.shard as usize >= self.shards.len()) {
            return mismatch("it has rows of an unknown shard");
        }
        if let TaskOutput::Scan { shuffle: None, segments, .. } = output
            && !segments.is_empty()
        {
            return mismatch("it has rows but no file");
        }
        if readers.iter().any(|&user| user >= self.readers.users()) {
            return mismatch("it has readings of an unknown user");
        }
        Ok(())
    }

    /// Takes the output of a task, which [`Progress::check`] has accepted; `false` if the task was done already. Leaves
    /// in it only those readers that are new: so all records together hold each user about once.
    pub(crate) fn accept(&mut self, record: &mut TaskRecord) -> bool {
        let task = record.attempt.task;
        // the same whichever attempt it is, and what a second one leaves out rests on the first
        if let (Stage::ScanAccelerometer, TaskOutput::Scan { readers, .. }) = (task.stage, &mut record.output) {
            readers.retain(|&user| self.readers.insert(user));
        }
        if self.is_done(task) {
            return false;
        }
        self.finish(task, record.attempt.attempt);
        self.costs[task.stage as usize].add(&record.cost);
        match &record.output {
            TaskOutput::Consent { directory, users, counts, rejects, .. } => {
                self.directory = Some(directory.clone());
                self.readers = UserSet::new(*users);
                self.count(LandingTable::Customer, counts);
                self.name_rejects(LandingTable::Customer, rejects);
            }
            TaskOutput::Scan { shuffle, segments, counts, rejects, .. } => {
                let (table, index) = match task.stage {
                    Stage::ScanAccelerometer => (LandingTable::Accelerometer, &mut self.readings),
                    _ => (LandingTable::StepTrainer, &mut self.steps),
                };
                if let Some(file) = shuffle {
                    index.add(task.index, file, segments);
                }
                if self.done[task.stage as usize] as usize == self.winners[task.stage as usize].len() {
                    index.sort_in();
                }
                for segment in segments {
                    let size = &mut self.shards[segment.shard as usize];
                    size.bytes = size.bytes.saturating_add(segment.bytes);
                    size.rows = size.rows.saturating_add(segment.rows);
                }
                self.count(table, counts);
                self.name_rejects(table, rejects);
            }
            TaskOutput::Parts(parts) => {
                for (table, part) in parts {
                    self.parts.entry(*table).or_default().push(part.clone());
                }
            }
        }
        true
    }

    /// Why records could not be read: of each landing table, object and reason how many, and where the first one starts.
    /// Of the first few thousand of them only.
    pub fn rejects(&self) -> impl Iterator<Item = (LandingTable, RejectCount)> + '_ {
        self.rejects.iter().map(|((table, object, reason), &(records, first_offset))| {
            (*table, RejectCount { object: *object, reason: reason.clone(), records, first_offset })
        })
    }

    fn name_rejects(&mut self, table: LandingTable, rejects: &[RejectCount]) {
        for RejectCount { object, reason, records, first_offset } in rejects {
            let key = (table, *object, reason.clone());
            if self.rejects.len() >= REJECTS_MAX && reason != DAMAGED && !self.rejects.contains_key(&key) {
                continue;
            }
            let (sum, first) = self.rejects.entry(key).or_insert((0, u64::MAX));
            *sum = sum.saturating_add(*records);
            *first = (*first).min(*first_offset);
        }
    }

    fn count(&mut self, table: LandingTable, counts: &[ObjectCounts]) {
        let sums = &mut self.landing[landing_position(table)];
        for of in counts {
            let sum = &mut sums[of.object as usize];
            sum.kept = sum.kept.saturating_add(of.kept);
            sum.filtered = sum.filtered.saturating_add(of.filtered);
            sum.quarantined = sum.quarantined.saturating_add(of.quarantined);
        }
    }
}
