//! The scan stages: landing splits to one shuffle file.

use std::collections::BTreeMap;

use stedi_engine::packed::PackRow;
use stedi_engine::rows::{Reading, StepReading};
use stedi_engine::scan::ScanCounts;
use stedi_job::Split;
use stedi_job::task::{ObjectCounts, ObjectSplit, RejectCount, TaskOutput};
use stedi_lake::{LandingTable, layout};
use stedi_store::LandingObject;

use super::shared::SharedDirectory;
use super::shuffle_file::ShuffleFile;
use super::{Attempt, Executor, TaskError};
use crate::WorkError;
use crate::quarantine::{QuarantineStore, RejectPlace};
use crate::read::LandingReader;
use crate::scan::{self, Scan, ScanPlan};

/// What a task reads of landing.
pub(super) struct Landing {
    table: LandingTable,
    objects: Vec<LandingObject>,
    /// The plan's number of each object, ascending.
    numbers: Vec<u32>,
    plan: ScanPlan,
}

impl Landing {
    /// What became of each object's records, under the plan's numbers; adds the rows to the cost.
    pub(super) fn counts(&self, attempt: &mut Attempt<'_>, counts: Vec<ScanCounts>) -> Vec<ObjectCounts> {
        let counts = self.numbers.iter().zip(counts);
        let counts = counts.map(|(&object, ScanCounts { kept, filtered, quarantined })| {
            attempt.cost.rows += kept + filtered + quarantined;
            ObjectCounts { object, kept, filtered, quarantined }
        });
        counts.collect()
    }

    /// What could not be read, under the plan's numbers.
    fn rejects(&self, places: Vec<RejectPlace>) -> Vec<RejectCount> {
        let number = |key: &str| self.objects.iter().position(|object| object.key == key).map(|at| self.numbers[at]);
        let named = places.into_iter().filter_map(|place| {
            let RejectPlace { object, reason, records, first_offset, .. } = place;
            Some(RejectCount { object: number(&object)?, reason, records, first_offset })
        });
        named.collect()
    }
}

impl Executor {
    pub(super) fn landing(
        &self,
        attempt: &Attempt<'_>,
        table: LandingTable,
        splits: &[ObjectSplit],
    ) -> Result<Landing, TaskError> {
        let mut by_number: BTreeMap<u32, LandingObject> = BTreeMap::new();
        for ObjectSplit { object, key, etag, object_bytes, .. } in splits {
            if !by_number.contains_key(object) {
                let opened = self.lake(attempt).landing_object(table, key, etag, *object_bytes);
                by_number.insert(*object, self.runtime.block_on(opened)?);
            }
        }
        let (numbers, objects): (Vec<u32>, Vec<LandingObject>) = by_number.into_iter().unzip();
        let of_object = |split: &ObjectSplit| {
            let object = numbers.partition_point(|number| *number < split.object);
            Split { object, bytes: split.range.clone() }
        };
        let plan = ScanPlan::of_splits(splits.iter().map(of_object).collect(), &objects);
        Ok(Landing { table, objects, numbers, plan })
    }

    /// Runs `body` with a scan of `landing` and accounts for the bytes it reads; tells what could not be read, too.
    pub(super) fn with_scan<T>(
        &self,
        attempt: &mut Attempt<'_>,
        landing: &Landing,
        threads: usize,
        body: impl FnOnce(&Scan<'_>) -> Result<T, WorkError>,
    ) -> Result<(T, Vec<RejectCount>), TaskError> {
        let reader = LandingReader::new(self.runtime.clone()).within(&attempt.budget);
        let quarantine =
            QuarantineStore::of_task(self.lake(attempt), self.context.run_id, attempt.id.task, &self.runtime);
        let scan = Scan {
            table: landing.table,
            objects: &landing.objects,
            plan: &landing.plan,
            reader: &reader,
            quarantine: &quarantine,
            progress: &self.progress,
            cancel: attempt.cancel,
            threads,
        };
        let outcome = body(&scan);
        attempt.cost.read_bytes += reader.bytes_read();
        Ok((outcome?, landing.rejects(quarantine.summary().places)))
    }

    /// Scans accelerometer readings, or step readings of `curated` serial ids.
    pub(super) fn scan(
        &self,
        attempt: &mut Attempt<'_>,
        table: LandingTable,
        splits: &[ObjectSplit],
        directory: &SharedDirectory,
        curated: Option<&[bool]>,
    ) -> Result<TaskOutput, TaskError> {
        let landing = self.landing(attempt, table, splits)?;
        let memory = self.memory(attempt, directory)?;
        let customers = &directory.customers;
        match curated {
            None => {
                let shuffle = self.shuffle_file::<Reading>(attempt, memory.shuffle_bytes);
                let ((has_reading, counts), rejects) = self.with_scan(attempt, &landing, 1, |scan| {
                    scan::readings(scan, customers, &shuffle, memory.chunk_bytes)
                })?;
                let readers = (0..).zip(has_reading).filter(|(_, has)| *has).map(|(user, _)| user).collect();
                let counts = landing.counts(attempt, counts);
                self.finish_scan(attempt, shuffle, readers, (counts, rejects))
            }
            Some(curated) => {
                let shuffle = self.shuffle_file::<StepReading>(attempt, memory.shuffle_bytes);
                let (counts, rejects) = self.with_scan(attempt, &landing, 1, |scan| {
                    scan::steps(scan, customers, curated, &shuffle, memory.chunk_bytes)
                })?;
                let counts = landing.counts(attempt, counts);
                self.finish_scan(attempt, shuffle, Vec::new(), (counts, rejects))
            }
        }
    }

    fn shuffle_file<T: PackRow>(&self, attempt: &Attempt<'_>, shuffle_bytes: usize) -> ShuffleFile<'_, T> {
        let path = layout::shuffle_path(self.context.run_id, &attempt.id.to_string());
        ShuffleFile::new(self.lake(attempt), path, self.context.options.shards, shuffle_bytes / self.slots)
    }

    fn finish_scan<T: PackRow>(
        &self,
        attempt: &mut Attempt<'_>,
        shuffle: ShuffleFile<'_, T>,
        readers: Vec<u32>,
        (counts, rejects): (Vec<ObjectCounts>, Vec<RejectCount>),
    ) -> Result<TaskOutput, TaskError> {
        let path = shuffle.path().to_owned();
        let written = shuffle.finish(attempt.cancel)?;
        if written.is_taken {
            return Err(self.taken(&path));
        }
        attempt.cost.written_bytes += written.bytes;
        let shuffle = (written.bytes > 0).then_some(path);
        Ok(TaskOutput::Scan { shuffle, segments: written.segments, readers, counts, rejects })
    }
}
