//! The join stage: shard by shard, within the memory budget, from the shuffle to the parts; and the customers' parts beside
//! them.

pub(crate) mod gate;
mod slice;
pub(crate) mod spaces;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use stedi_engine::directory::Directory;
use stedi_engine::encode::TableEncoder;
use stedi_engine::join::{GroupedBuilder, JoinSpace, ShardRows};
use stedi_engine::packed::{PackRow, Unpacker};
use stedi_lake::CuratedTable;
use stedi_lake::options::TableOptions;

use crate::memory::MemoryPlan;
use crate::parts::LakeParts;
use crate::progress::Progress;
use crate::scratch::{Scratch, ScratchError};
use crate::shuffle::{Lane, Rows, ShuffleStore};
use crate::{WorkError, customers, threads};
use gate::Gate;
use slice::Key;
use spaces::Spaces;

/// Bytes that encoding takes for each row being joined: matches, and the encoded row group.
const ENCODE_BYTES_PER_ROW: usize = 24;

/// What every join needs.
#[derive(Clone, Copy, Debug)]
pub struct Join<'a> {
    /// The customers.
    pub directory: &'a Directory,
    /// Options of the run.
    pub options: &'a TableOptions,
    /// The budget.
    pub memory: &'a MemoryPlan,
    /// Takes the parts.
    pub parts: &'a LakeParts<'a>,
    /// Shows what is going on.
    pub progress: &'a Progress,
    /// Stops it, once true.
    pub cancel: &'a AtomicBool,
}

/// Joins all shards of `shuffle` and writes their parts, and the two tables of customers, where `has_reading` tells which
/// users have readings; `pool` does the computing.
///
/// # Errors
/// If a part cannot be written, the scratch cannot be used, or the run is cancelled.
pub fn join(
    join: &Join<'_>,
    has_reading: &[bool],
    shuffle: &ShuffleStore<'_>,
    pool: &rayon::ThreadPool,
) -> Result<(), WorkError> {
    let gate = Gate::new(join.memory.join_bytes);
    let spaces = Spaces::default();
    let mut shards: Vec<u32> = (0..shuffle.shards()).collect();
    // the largest first, so that none is left alone at the end
    shards.sort_by_key(|&shard| {
        let (readings, steps) = shuffle.rows(shard);
        std::cmp::Reverse(readings + steps)
    });
    join.progress.shards_total.store(shards.len() as u64, Ordering::Relaxed);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let customers_begun = AtomicBool::new(false);
    let drive = || -> Result<(), WorkError> {
        if !customers_begun.swap(true, Ordering::Relaxed) {
            // they are encoded by one thread, and the others need not wait
            let _admitted = gate.enter(join.directory.memory_bytes(), join.cancel).ok_or(WorkError::Cancelled)?;
            let compression = join.options.compression;
            pool.install(|| customers::write(join.directory, has_reading, compression, join.parts))
                .map_err(WorkError::Encode)?;
        }
        while !stop.load(Ordering::Relaxed) {
            let Some(&shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            join.check_cancelled()?;
            let (readings, steps) = shuffle.rows(shard);
            let need = join.need(readings, steps);
            let admitted = gate.enter(need, join.cancel).ok_or(WorkError::Cancelled)?;
            let mut space = spaces.take(need, admitted.left());
            pool.install(|| join.shard(shard, shuffle.take(shard), &mut space))?;
            spaces.put_back(space);
            join.progress.shards_done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    // drivers wait at the gate and pool threads never do: a pool thread that waits for a part of its own work may take
    // up another shard's
    threads::share(join.memory.threads, &stop, drive).map(|_| ())
}

/// The encoders of one shard; slices of a shard follow each other in them.
struct Encoders<'a> {
    readings: TableEncoder<'a, LakeParts<'a>>,
    steps: TableEncoder<'a, LakeParts<'a>>,
    matches: TableEncoder<'a, LakeParts<'a>>,
}

impl<'a> Join<'a> {
    /// Bytes of memory for one step reading.
    const STEP_BYTES: usize = ShardRows::STEP_BYTES + ENCODE_BYTES_PER_ROW;

    /// Bytes of memory for one reading.
    fn reading_bytes(&self) -> usize {
        ShardRows::reading_bytes(self.options.match_mode) + ENCODE_BYTES_PER_ROW
    }

    fn row_bytes(&self, rows: &Rows<'_>) -> usize {
        rows.readings.rows() * self.reading_bytes() + rows.steps.rows() * Self::STEP_BYTES
    }

    /// Bytes of memory for rows that are joined at once: what the index of customers leaves of a slice, but a quarter of it
    /// in any case.
    fn room(&self) -> usize {
        let slice_bytes = self.memory.slice_bytes;
        slice_bytes.saturating_sub(ShardRows::index_bytes(self.directory)).max(slice_bytes / 4)
    }

    fn fits(&self, rows: &Rows<'_>) -> bool {
        self.row_bytes(rows) <= self.room()
    }

    /// Bytes of memory that joining a shard of so many rows takes.
    pub(crate) fn need(&self, readings: usize, steps: usize) -> usize {
        let rows = readings * self.reading_bytes() + steps * Self::STEP_BYTES;
        let index = ShardRows::index_bytes(self.directory);
        if rows <= self.room() {
            return rows + index;
        }
        self.room() + index + self.memory.waiting_bytes
    }

    fn check_one_time(&self, rows: &Rows<'_>) -> Result<(), WorkError> {
        let count = rows.readings.rows() + rows.steps.rows();
        Ok(self.memory.check_one_time(count, self.row_bytes(rows))?)
    }

    fn check_cancelled(&self) -> Result<(), WorkError> {
        if self.cancel.load(Ordering::Relaxed) { Err(WorkError::Cancelled) } else { Ok(()) }
    }

    /// Joins one shard and writes its parts.
    pub(crate) fn shard(&self, shard: u32, rows: Rows<'_>, space: &mut JoinSpace) -> Result<(), WorkError> {
        let encoder = |table| TableEncoder::new(self.parts, table, shard, self.options.compression);
        let mut encoders = Encoders {
            readings: encoder(CuratedTable::AccelerometerTrusted),
            steps: encoder(CuratedTable::StepTrainerTrusted),
            matches: encoder(CuratedTable::MachineLearningCurated),
        };
        if self.fits(&rows) {
            self.at_once(rows, space, &mut encoders)
        } else {
            self.sliced(rows, space, &mut encoders)
        }
    }

    fn at_once(&self, rows: Rows<'_>, space: &mut JoinSpace, encoders: &mut Encoders<'a>) -> Result<(), WorkError> {
        let directory = self.directory;
        let rows = self.sorted(rows, space)?;
        rows.write_matches(directory, space, &mut encoders.matches)?;
        encoders.matches.end_part()?;
        self.check_cancelled()?;
        rows.write_readings(directory, &mut encoders.readings)?;
        encoders.readings.end_part()?;
        self.check_cancelled()?;
        rows.write_steps(directory, &mut encoders.steps)?;
        encoders.steps.end_part()?;
        rows.leave(space);
        Ok(())
    }

    /// Goes through the rows twice: in the order of accelerometer_trusted, and in that of the other two tables.
    fn sliced(&self, rows: Rows<'_>, space: &mut JoinSpace, encoders: &mut Encoders<'a>) -> Result<(), WorkError> {
        if !self.sliced_readings(&rows, space, &mut encoders.readings)? {
            // all rows are of one millisecond
            self.check_one_time(&rows)?;
            return self.at_once(rows, space, encoders);
        }
        let directory = self.directory;
        self.each_slice(rows, Key::Serial, &mut |rows| {
            let rows = self.sorted(rows, space)?;
            rows.write_matches(directory, space, &mut encoders.matches)?;
            self.check_cancelled()?;
            rows.write_steps(directory, &mut encoders.steps)?;
            rows.leave(space);
            Ok(())
        })?;
        encoders.matches.end_part()?;
        encoders.steps.end_part()?;
        Ok(())
    }

    /// False if the rows cannot be cut.
    fn sliced_readings(
        &self,
        rows: &Rows<'_>,
        space: &mut JoinSpace,
        encoder: &mut TableEncoder<'a, LakeParts<'a>>,
    ) -> Result<bool, WorkError> {
        let scratch = rows.scratch.further();
        let Some((users, key)) = self.cut(rows, Key::User { shard: encoder.shard() }, &scratch)? else {
            return Ok(false);
        };
        for slice in 0..users.shards() {
            self.each_slice(users.take(slice), key, &mut |rows| {
                let rows = self.sorted(rows, space)?;
                rows.write_readings(self.directory, encoder)?;
                rows.leave(space);
                Ok(())
            })?;
        }
        encoder.end_part()?;
        Ok(true)
    }

    fn sorted(&self, rows: Rows<'_>, space: &mut JoinSpace) -> Result<ShardRows, WorkError> {
        let Rows { readings, steps, scratch } = rows;
        space.keep_within(self.room(), readings.rows(), steps.rows());
        let readings = group(readings, self.directory.user_count(), &mut space.readings, scratch)?;
        let steps = group(steps, self.directory.serial_count(), &mut space.steps, scratch)?;
        self.check_cancelled()?;
        Ok(ShardRows::new(readings, steps, self.options.dedupe))
    }
}

fn group<T: PackRow>(
    lane: Lane<T>,
    id_count: usize,
    space: &mut Vec<T>,
    scratch: &Scratch,
) -> Result<GroupedBuilder<T>, ScratchError> {
    let mut builder = GroupedBuilder::new(id_count, std::mem::take(space));
    lane.visit(scratch, |run| {
        builder.count(run.id, run.rows);
        Ok(())
    })?;
    let mut unpacker = Unpacker::default();
    lane.visit(scratch, |run| unpacker.unpack(&run, builder.place(run.id, run.rows)))?;
    Ok(builder)
}
