//! The join stage: shard by shard, within the memory budget, from the shuffle to the parts.

pub(crate) mod gate;
mod slice;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use stedi_engine::directory::Directory;
use stedi_engine::encode::TableEncoder;
use stedi_engine::join::{GroupedBuilder, JoinSpace, ShardRows};
use stedi_engine::packed::{PackRow, Unpacker};
use stedi_engine::rows::{Reading, StepReading};
use stedi_lake::CuratedTable;
use stedi_lake::options::TableOptions;

use crate::WorkError;
use crate::memory::MemoryPlan;
use crate::parts::LakeParts;
use crate::progress::Progress;
use crate::scratch::{Scratch, ScratchError};
use crate::shuffle::{Lane, ShuffleStore};
use gate::Gate;

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
    /// Where spilled rows are, and where a shard that is too large is cut into slices.
    pub scratch: &'a Scratch,
    /// Takes the parts.
    pub parts: &'a LakeParts<'a>,
    /// Shows what is going on.
    pub progress: &'a Progress,
    /// Stops it, once true.
    pub cancel: &'a AtomicBool,
}

/// Joins all shards of `shuffle` and writes their parts; `pool` does the computing.
///
/// # Errors
/// If a part cannot be written, the scratch cannot be used, or the run is cancelled.
pub fn join(join: &Join<'_>, shuffle: &ShuffleStore<'_>, pool: &rayon::ThreadPool) -> Result<(), WorkError> {
    let gate = Gate::new(join.memory.join_bytes);
    let mut shards: Vec<u32> = (0..shuffle.shards()).collect();
    // the largest first, so that none is left alone at the end
    shards.sort_by_key(|&shard| {
        let (readings, steps) = shuffle.rows(shard);
        std::cmp::Reverse(readings + steps)
    });
    join.progress.shards_total.store(shards.len() as u64, Ordering::Relaxed);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let drive = || -> Result<(), WorkError> {
        let mut space = JoinSpace::default();
        while !stop.load(Ordering::Relaxed) {
            let Some(&shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            join.check_cancelled()?;
            let (readings, steps) = shuffle.rows(shard);
            let need = join.need(readings, steps).min(join.memory.slice_bytes);
            let _admitted = gate.enter(need, join.cancel).ok_or(WorkError::Cancelled)?;
            pool.install(|| join.shard(shard, shuffle.take(shard), &mut space))?;
            join.progress.shards_done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    // drivers wait at the gate and pool threads never do: a pool thread that waits for a part of its own work may take
    // up another shard's
    std::thread::scope(|scope| {
        let drivers: Vec<_> = (0..join.memory.threads)
            .map(|_| {
                scope.spawn(|| {
                    let outcome = drive();
                    stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
                    outcome
                })
            })
            .collect();
        drivers
            .into_iter()
            .map(|d| d.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .fold(Ok(()), Result::and)
    })
}

/// The rows of one shard.
pub(crate) type Rows = (Lane<Reading>, Lane<StepReading>);

/// The encoders of one shard; slices of a shard follow each other in them.
struct Encoders<'a> {
    readings: TableEncoder<'a, LakeParts<'a>>,
    steps: TableEncoder<'a, LakeParts<'a>>,
    matches: TableEncoder<'a, LakeParts<'a>>,
}

impl<'a> Join<'a> {
    fn check_cancelled(&self) -> Result<(), WorkError> {
        if self.cancel.load(Ordering::Relaxed) { Err(WorkError::Cancelled) } else { Ok(()) }
    }

    /// Bytes of memory that joining so many rows at once takes.
    pub(crate) fn need(&self, readings: usize, steps: usize) -> usize {
        ShardRows::memory_bytes(self.directory, readings, steps) + ENCODE_BYTES_PER_ROW * (readings + steps)
    }

    /// Joins one shard and writes its parts.
    pub(crate) fn shard(&self, shard: u32, rows: Rows, space: &mut JoinSpace) -> Result<(), WorkError> {
        let encoder = |table| TableEncoder::new(self.parts, table, shard, self.options.compression);
        let mut encoders = Encoders {
            readings: encoder(CuratedTable::AccelerometerTrusted),
            steps: encoder(CuratedTable::StepTrainerTrusted),
            matches: encoder(CuratedTable::MachineLearningCurated),
        };
        self.shard_or_slices(rows, space, &mut encoders)
    }

    /// Joins the rows at once if they fit, else slice by slice.
    fn shard_or_slices(&self, rows: Rows, space: &mut JoinSpace, encoders: &mut Encoders<'a>) -> Result<(), WorkError> {
        self.check_cancelled()?;
        let need = self.need(rows.0.rows(), rows.1.rows());
        if need <= self.memory.slice_bytes {
            return self.slice(rows, space, encoders);
        }
        match slice::cut(&rows, need.div_ceil(self.memory.slice_bytes), self)? {
            Some(slices) => {
                for slice in 0..slices.shards() {
                    self.shard_or_slices(slices.take(slice), space, encoders)?;
                }
                Ok(())
            }
            // all rows are of one millisecond
            None => self.slice(rows, space, encoders),
        }
    }

    fn slice(
        &self,
        (readings, steps): Rows,
        space: &mut JoinSpace,
        encoders: &mut Encoders<'a>,
    ) -> Result<(), WorkError> {
        let directory = self.directory;
        let readings = group(readings, directory.user_count(), &mut space.readings, self.scratch)?;
        let steps = group(steps, directory.serial_count(), &mut space.steps, self.scratch)?;
        self.check_cancelled()?;
        let rows = ShardRows::new(readings, steps, self.options.dedupe);
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
