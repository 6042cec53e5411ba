//! The virtual lake: landing rows, what tasks make of them, and what is durable.

use std::collections::{BTreeMap, BTreeSet};

use stedi_job::progress::{CommitInput, ProgressRecord};
use stedi_job::task::{ObjectCounts, ObjectSplit, Segment, SegmentRef, Stage, TaskId, TaskOutput, Work};
use stedi_job::{Lease, RunPlan};
use stedi_lake::commit::Part;
use stedi_lake::{CuratedTable, LandingTable};

use crate::rng::mix;

/// A row begins every so many bytes of an object.
pub(crate) const ROW_BYTES: u64 = 16 << 20;
pub(crate) const USERS: u32 = 50;

/// What is durable, and what attempts have made.
#[derive(Default)]
pub(crate) struct Lake {
    pub(crate) progress: BTreeMap<(u32, u64), ProgressRecord>,
    pub(crate) saved: BTreeSet<TaskId>,
    pub(crate) readers: Option<Vec<u32>>,
    pub(crate) commits: Vec<CommitInput>,
    pub(crate) finished: BTreeMap<Lease, TaskOutput>,
    shuffles: BTreeMap<String, Vec<(Segment, Vec<u64>)>>,
    parts: BTreeMap<String, Vec<u64>>,
}

fn table_number(stage: Stage) -> u64 {
    stage as u64
}

fn is_kept(row: u64) -> bool {
    !mix(row ^ 1).is_multiple_of(8)
}

fn shard_of(row: u64, shards: u32) -> u32 {
    // the last shard gets nothing: one that needs no task
    (mix(row ^ 2) % u64::from(shards - 1).max(1)) as u32
}

fn user_of(row: u64) -> u32 {
    (mix(row ^ 3) % u64::from(USERS)) as u32
}

fn rows_of(stage: Stage, split: &ObjectSplit) -> Vec<u64> {
    let end = split.range.end.min(split.object_bytes);
    (split.range.start.div_ceil(ROW_BYTES)..end.div_ceil(ROW_BYTES))
        .map(|k| table_number(stage) << 48 | u64::from(split.object) << 24 | k)
        .collect()
}

/// All kept rows of a stage's landing.
pub(crate) fn landing_rows(plan: &RunPlan, stage: Stage) -> Vec<u64> {
    let table = stage.landing().expect("a stage that reads landing");
    let objects = plan.landing(table).objects();
    let mut rows: Vec<u64> = objects
        .iter()
        .zip(0u64..)
        .flat_map(|(object, i)| (0..object.bytes.div_ceil(ROW_BYTES)).map(move |k| (i, k)))
        .map(|(i, k)| table_number(stage) << 48 | i << 24 | k)
        .filter(|row| is_kept(*row))
        .collect();
    rows.sort_unstable();
    rows
}

pub(crate) fn all_readers(plan: &RunPlan) -> Vec<u32> {
    let users: BTreeSet<u32> = landing_rows(plan, Stage::ScanAccelerometer).into_iter().map(user_of).collect();
    users.into_iter().collect()
}

fn counts_of(stage: Stage, splits: &[ObjectSplit]) -> Vec<ObjectCounts> {
    let count = |split: &ObjectSplit| {
        let rows = rows_of(stage, split);
        let kept = rows.iter().filter(|row| is_kept(**row)).count() as u64;
        ObjectCounts { object: split.object, kept, filtered: rows.len() as u64 - kept, quarantined: 0 }
    };
    splits.iter().map(count).collect()
}

impl Lake {
    /// Does what a worker does for a lease.
    pub(crate) fn execute(&mut self, plan: &RunPlan, lease: Lease, work: &Work) -> TaskOutput {
        let stage = lease.attempt.task.stage;
        let output = match work {
            Work::Consent { splits } => TaskOutput::Consent {
                directory: format!("directory/{}", lease.attempt),
                users: USERS,
                directory_memory_bytes: 1,
                counts: counts_of(stage, splits),
                rejects: Vec::new(),
            },
            Work::ScanAccelerometer { splits, directory } => {
                self.check_directory(directory);
                self.scan(plan, lease, splits)
            }
            Work::ScanStepTrainer { splits, directory, .. } => {
                self.check_directory(directory);
                assert!(self.readers.is_some(), "{stage:?} needs the readers");
                self.scan(plan, lease, splits)
            }
            Work::JoinShard { shard, directory, readings, steps } => {
                self.check_directory(directory);
                let tables =
                    [(CuratedTable::AccelerometerTrusted, readings), (CuratedTable::StepTrainerTrusted, steps)];
                TaskOutput::Parts(tables.map(|(table, refs)| (table, self.join(table, *shard, refs))).to_vec())
            }
            Work::WriteCustomers { directory, .. } => {
                self.check_directory(directory);
                let rows = self.readers.as_ref().expect("readers are written").iter().map(|u| u64::from(*u)).collect();
                let part = self.write_part("customers".to_owned(), rows);
                TaskOutput::Parts(vec![(CuratedTable::CustomersCurated, part)])
            }
        };
        self.finished.insert(lease, output.clone());
        output
    }

    fn check_directory(&self, directory: &str) {
        let is = |o: &TaskOutput| matches!(o, TaskOutput::Consent { directory: made, .. } if made == directory);
        assert!(self.finished.values().any(is), "nobody made {directory:?}");
    }

    fn scan(&mut self, plan: &RunPlan, lease: Lease, splits: &[ObjectSplit]) -> TaskOutput {
        let stage = lease.attempt.task.stage;
        let rows: Vec<u64> = splits.iter().flat_map(|s| rows_of(stage, s)).filter(|row| is_kept(*row)).collect();
        let mut by_shard: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for &row in &rows {
            by_shard.entry(shard_of(row, plan.shards())).or_default().push(row);
        }
        let mut offset = 0;
        let mut file = Vec::new();
        for (shard, rows) in by_shard {
            let segment = Segment { shard, offset, bytes: 10 * rows.len() as u64, rows: rows.len() as u64 };
            offset += segment.bytes;
            file.push((segment, rows));
        }
        let segments: Vec<Segment> = file.iter().map(|(segment, _)| segment.clone()).collect();
        let path = format!("shuffle/{}", lease.attempt);
        let shuffle = (!segments.is_empty()).then(|| path.clone());
        let old = self.shuffles.insert(path, file);
        assert!(old.is_none(), "attempt {} was executed twice", lease.attempt);
        let users: BTreeSet<u32> = match stage {
            Stage::ScanAccelerometer => rows.iter().map(|row| user_of(*row)).collect(),
            _ => BTreeSet::new(),
        };
        let readers = users.into_iter().collect();
        TaskOutput::Scan { shuffle, segments, readers, counts: counts_of(stage, splits), rejects: Vec::new() }
    }

    fn join(&mut self, table: CuratedTable, shard: u32, refs: &[SegmentRef]) -> Part {
        let mut rows = Vec::new();
        for part in refs {
            let file = self.shuffles.get(&*part.path).expect("the shuffle file is there");
            let found = file.iter().find(|(s, _)| s.offset == part.offset).expect("the segment is there");
            assert_eq!((found.0.shard, found.0.bytes, found.0.rows), (shard, part.bytes, part.rows));
            rows.extend(&found.1);
        }
        self.write_part(format!("{}-{shard}", table.name()), rows)
    }

    /// Parts are the same whoever writes them.
    fn write_part(&mut self, path: String, mut rows: Vec<u64>) -> Part {
        rows.sort_unstable();
        let part = Part { path: path.clone(), rows: rows.len() as u64, bytes: 10 * rows.len() as u64 };
        let there = self.parts.entry(path).or_insert_with(|| rows.clone());
        assert_eq!(*there, rows, "a part differs from the one that is there");
        part
    }

    /// Creates a progress record unless it is there.
    pub(crate) fn save(&mut self, record: &ProgressRecord) {
        let there = self.progress.entry((record.epoch.0, record.number)).or_insert_with(|| record.clone());
        assert_eq!(there, record, "two records of one name");
        self.saved.extend(record.tasks.iter().map(|task| task.attempt.task));
    }

    /// Creates the set of readers unless it is there.
    pub(crate) fn write_readers(&mut self, plan: &RunPlan, users: Vec<u32>) {
        assert_eq!(users, all_readers(plan), "the set of readers is not that of landing");
        self.readers = Some(users);
    }

    /// Commits, unless there is a commit; checks that every row is in it once.
    pub(crate) fn commit(&mut self, plan: &RunPlan, input: &CommitInput) {
        let stages = [
            (CuratedTable::AccelerometerTrusted, Stage::ScanAccelerometer),
            (CuratedTable::StepTrainerTrusted, Stage::ScanStepTrainer),
        ];
        for (table, stage) in stages {
            let parts = &input.tables[&table];
            let mut rows: Vec<u64> = parts.iter().flat_map(|part| self.parts[&part.path].clone()).collect();
            rows.sort_unstable();
            assert_eq!(rows, landing_rows(plan, stage), "{}", table.name());
        }
        assert_eq!(input.tables.len(), 5);
        assert_eq!(input.tables[&CuratedTable::CustomersCurated].len(), 1);
        for table in LandingTable::ALL {
            let (objects, counts) = (plan.landing(table).objects(), &input.landing[&table]);
            assert_eq!(objects.len(), counts.len());
            for (object, of) in objects.iter().zip(counts) {
                let rows = of.kept + of.filtered + of.quarantined;
                assert_eq!(rows, object.bytes.div_ceil(ROW_BYTES), "rows of object {} of {}", of.object, table.name());
            }
        }
        for stage in Stage::ALL {
            let open = |index: &u32| !self.saved.contains(&TaskId { stage, index: *index });
            let empty = |shard: &u32| stage == Stage::Join && *shard < plan.shards() && self.is_empty(plan, *shard);
            let missing: Vec<u32> = (0..plan.tasks(stage)).filter(open).filter(|index| !empty(index)).collect();
            assert!(missing.is_empty(), "committed without {stage:?} {missing:?}");
        }
        if self.commits.is_empty() {
            self.commits.push(input.clone());
        }
    }

    fn is_empty(&self, plan: &RunPlan, shard: u32) -> bool {
        [Stage::ScanAccelerometer, Stage::ScanStepTrainer]
            .into_iter()
            .all(|stage| landing_rows(plan, stage).into_iter().all(|row| shard_of(row, plan.shards()) != shard))
    }
}
