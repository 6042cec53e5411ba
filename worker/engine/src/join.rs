//! From the rows of one shard, or of one slice of it, to its rows of the three reading tables.
//!
//! Rows arrive in any order; everything here ends in total orders, so the outcome depends on the set of rows alone.

mod group;
mod matches;
mod sort;

use parquet::errors::ParquetError;
use stedi_lake::{CuratedTable, MatchMode};

pub use group::{Grouped, GroupedBuilder, Row};
use matches::{Match, Matches};

use crate::directory::Directory;
use crate::encode::{self, EncodeError, PartStore};
use crate::encode::{Emit, TableEncoder, TableRows, columns};
use crate::rows::{Reading, StepReading};

/// Memory that one join leaves to the next: fresh memory costs more than filling it.
#[derive(Debug, Default)]
pub struct JoinSpace {
    /// For readings.
    pub readings: Vec<Reading>,
    /// For step readings.
    pub steps: Vec<StepReading>,
    matches: Vec<Match>,
}

/// The rows of one shard or slice: readings by user and time, step readings by serial and time.
#[derive(Debug)]
pub struct ShardRows {
    readings: Grouped<Reading>,
    steps: Grouped<StepReading>,
}

impl JoinSpace {
    /// Lets go of what is here, if it and the rows of a join that is to come would take more than `bytes`.
    pub fn keep_within(&mut self, bytes: usize, readings: usize, steps: usize) {
        let readings = self.readings.capacity().max(readings) * size_of::<Reading>();
        let steps = self.steps.capacity().max(steps) * size_of::<StepReading>();
        if readings + steps > bytes {
            *self = Self::default();
        }
    }

    /// Bytes of memory that it holds.
    pub fn memory_bytes(&self) -> usize {
        self.readings.capacity() * size_of::<Reading>()
            + self.steps.capacity() * size_of::<StepReading>()
            + self.matches.capacity() * size_of::<Match>()
    }
}

impl ShardRows {
    /// Sorts what the builders hold; `dedupe` drops exact duplicates.
    pub fn new(readings: GroupedBuilder<Reading>, steps: GroupedBuilder<StepReading>, dedupe: bool) -> Self {
        let mut readings = readings.finish(|a, b| a.order(b));
        let mut steps = steps.finish(|a, b| (a.time_ms, a.distance).cmp(&(b.time_ms, b.distance)));
        if dedupe {
            readings.dedup(Reading::same);
            steps.dedup(|a, b| a == b);
        }
        Self { readings, steps }
    }

    /// Writes this shard's rows of accelerometer_trusted: those of the users whose home it is.
    ///
    /// # Errors
    /// What `encoder` returns.
    pub fn write_readings<S: PartStore>(
        &self,
        directory: &Directory,
        encoder: &mut TableEncoder<'_, S>,
    ) -> Result<(), EncodeError> {
        let shard = encoder.shard();
        let groups = self.readings.ids().filter(|&user| directory.is_home(user, shard));
        let rows = group::RowRanges::new(&self.readings, groups);
        for ranges in rows.batches(encode::ROW_GROUP_ROWS) {
            let group = ReadingRows { directory, rows: self.readings.rows(), ranges };
            encoder.write(&group)?;
        }
        Ok(())
    }

    /// Writes this shard's rows of step_trainer_trusted.
    ///
    /// # Errors
    /// What `encoder` returns.
    pub fn write_steps<S: PartStore>(
        &self,
        directory: &Directory,
        encoder: &mut TableEncoder<'_, S>,
    ) -> Result<(), EncodeError> {
        let rows = group::RowRanges::new(&self.steps, self.steps.ids());
        for ranges in rows.batches(encode::ROW_GROUP_ROWS) {
            encoder.write(&StepRows { directory, rows: self.steps.rows(), ranges })?;
        }
        Ok(())
    }

    /// Writes this shard's rows of machine_learning_curated.
    ///
    /// # Errors
    /// What `encoder` returns.
    pub fn write_matches<S: PartStore>(
        &self,
        directory: &Directory,
        space: &mut JoinSpace,
        encoder: &mut TableEncoder<'_, S>,
    ) -> Result<(), EncodeError> {
        let mut matches = Matches::new(directory, &self.readings, &self.steps);
        let batch = &mut space.matches;
        while matches.next_rows(encode::ROW_GROUP_ROWS, batch) {
            encoder.write(&MatchRows {
                directory,
                readings: self.readings.rows(),
                steps: self.steps.rows(),
                matches: batch,
            })?;
        }
        Ok(())
    }

    /// Leaves the memory of the rows in `space`.
    pub fn leave(self, space: &mut JoinSpace) {
        space.readings = self.readings.into_space();
        space.steps = self.steps.into_space();
    }

    /// Bytes of memory that one reading takes in a join, without the encoder.
    pub fn reading_bytes(match_mode: MatchMode) -> usize {
        let index = match match_mode {
            MatchMode::Customer => 0,
            // the index of readings by time
            MatchMode::Timestamp => size_of::<u32>(),
        };
        size_of::<Reading>() + index
    }

    /// Bytes of memory that one step reading takes in a join, without the encoder.
    pub const STEP_BYTES: usize = size_of::<StepReading>();

    /// Bytes of memory that a join takes beside its rows.
    pub fn index_bytes(directory: &Directory) -> usize {
        size_of::<u32>() * (directory.user_count() + directory.serial_count())
    }
}

/// Rows of accelerometer_trusted.
struct ReadingRows<'a> {
    directory: &'a Directory,
    rows: &'a [Reading],
    ranges: Vec<std::ops::Range<usize>>,
}

impl TableRows for ReadingRows<'_> {
    fn table(&self) -> CuratedTable {
        CuratedTable::AccelerometerTrusted
    }

    fn rows(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    fn emit_column(&self, column: usize, emit: Emit<'_>) -> Result<(), ParquetError> {
        let rows = self.ranges.iter().flat_map(|range| &self.rows[range.clone()]);
        match column {
            0 => columns::text(rows.map(|r| r.user), |id| self.directory.email(id), emit),
            1 => columns::time(rows.map(|r| r.time_ms), emit),
            _ => columns::double(rows.map(|r| r.xyz[column - 2]), emit),
        }
    }
}

/// Rows of step_trainer_trusted.
struct StepRows<'a> {
    directory: &'a Directory,
    rows: &'a [StepReading],
    ranges: Vec<std::ops::Range<usize>>,
}

impl TableRows for StepRows<'_> {
    fn table(&self) -> CuratedTable {
        CuratedTable::StepTrainerTrusted
    }

    fn rows(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    fn emit_column(&self, column: usize, emit: Emit<'_>) -> Result<(), ParquetError> {
        let rows = self.ranges.iter().flat_map(|range| &self.rows[range.clone()]);
        match column {
            0 => columns::time(rows.map(|r| r.time_ms), emit),
            1 => columns::text(rows.map(|r| r.serial), |id| self.directory.serial_number(id), emit),
            _ => columns::bigint(rows.map(|r| r.distance), emit),
        }
    }
}

/// Rows of machine_learning_curated.
struct MatchRows<'a> {
    directory: &'a Directory,
    readings: &'a [Reading],
    steps: &'a [StepReading],
    matches: &'a [Match],
}

impl MatchRows<'_> {
    fn steps(&self) -> impl Iterator<Item = &StepReading> {
        self.matches.iter().map(|m| &self.steps[m.step as usize])
    }

    fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.matches.iter().map(|m| &self.readings[m.reading as usize])
    }
}

impl TableRows for MatchRows<'_> {
    fn table(&self) -> CuratedTable {
        CuratedTable::MachineLearningCurated
    }

    fn rows(&self) -> usize {
        self.matches.len()
    }

    fn emit_column(&self, column: usize, emit: Emit<'_>) -> Result<(), ParquetError> {
        match column {
            0 => columns::text(self.steps().map(|s| s.serial), |id| self.directory.serial_number(id), emit),
            1 => columns::time(self.steps().map(|s| s.time_ms), emit),
            2 => columns::bigint(self.steps().map(|s| s.distance), emit),
            3 => columns::text(self.readings().map(|r| r.user), |id| self.directory.email(id), emit),
            4 => columns::time(self.readings().map(|r| r.time_ms), emit),
            _ => columns::double(self.readings().map(|r| r.xyz[column - 5]), emit),
        }
    }
}
