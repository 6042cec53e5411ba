//! Cuts a shard that does not fit in memory into slices.
//!
//! A part is sorted by user or by serial, then by time. So rows are cut by user or by serial first, and by time only where
//! one of them alone does not fit: then slices follow each other in the order of the rows, and share parts. Where they are
//! cut depends on how many rows have which id and which time and on the budget, never on the order in which rows arrived.

mod by_id;
mod by_time;
mod same_time;

use stedi_engine::packed::{Chunk, ChunkWriter, PackRow, Run};
use stedi_engine::rows::{Reading, StepReading};
use stedi_engine::scan::Shuffle as _;

use super::Join;
use crate::WorkError;
use crate::scratch::{Scratch, ScratchError};
use crate::shuffle::{Lane, Rows, ShuffleStore};

/// Slices of one cut, about: each has an open chunk. A slice that is still too large is cut again.
const SLICES_MAX: usize = 64;

/// Bytes of a chunk while cutting.
const CHUNK_BYTES: usize = 16 << 10;

/// What rows are cut by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The user of a reading. Readings whose home is another shard are left out, and step readings.
    User {
        /// The shard that is cut.
        shard: u32,
    },
    /// The serial of a step reading, with all readings that match it.
    Serial,
    /// The time.
    Time,
}

impl Join<'_> {
    /// Calls `write` with slices of `rows` that fit in memory, ascending in `key`, then in time.
    pub(super) fn each_slice(
        &self,
        rows: Rows<'_>,
        key: Key,
        write: &mut dyn FnMut(Rows<'_>) -> Result<(), WorkError>,
    ) -> Result<(), WorkError> {
        self.check_cancelled()?;
        if self.fits(&rows) {
            return write(rows);
        }
        let scratch = rows.scratch.further();
        match self.cut(&rows, key, &scratch)? {
            Some((slices, key)) => {
                drop(rows);
                (0..slices.shards()).try_for_each(|slice| self.each_slice(slices.take(slice), key, write))
            }
            // all rows are of one millisecond, and of one user or serial
            None => {
                self.check_one_time(&rows)?;
                write(rows)
            }
        }
    }

    /// Cuts `rows` by `key`, or by time where that is of no use; tells what the slices are to be cut by, should they be too
    /// large. `None` if there is nothing to cut by.
    pub(super) fn cut<'s>(
        &self,
        rows: &Rows<'_>,
        key: Key,
        scratch: &'s Scratch,
    ) -> Result<Option<(ShuffleStore<'s>, Key)>, WorkError> {
        let by_key = match key {
            Key::User { shard } => self.cut_by_user(rows, shard, scratch)?,
            Key::Serial => self.cut_by_serial(rows, scratch)?,
            Key::Time => None,
        };
        Ok(match by_key {
            Some(slices) => Some((slices, key)),
            None => self.cut_by_time(rows, scratch)?.map(|slices| (slices, Key::Time)),
        })
    }

    /// A store for so many slices. Slices of slices have one of their own, while the first is still there: up to four.
    fn store<'s>(&self, slices: u32, scratch: &'s Scratch) -> ShuffleStore<'s> {
        ShuffleStore::new(slices, self.memory.waiting_bytes / 4, scratch)
    }
}

/// The slice of each place: a new one begins where the last would get larger than `limit`.
fn assign(sizes: &[usize], limit: usize) -> Vec<u32> {
    let mut slice = 0;
    let mut filled = 0;
    sizes
        .iter()
        .map(|&size| {
            if filled > 0 && size > 0 && filled + size > limit {
                slice += 1;
                filled = 0;
            }
            filled += size;
            slice
        })
        .collect()
}

/// Open chunks of all slices, for one kind of rows.
struct Slices<'a, 's, T> {
    store: &'a ShuffleStore<'s>,
    put: fn(&ShuffleStore<'s>, u32, Chunk<T>),
    open: Vec<ChunkWriter<T>>,
}

impl<'a, 's> Slices<'a, 's, Reading> {
    fn of_readings(store: &'a ShuffleStore<'s>) -> Self {
        Self::new(store, ShuffleStore::put_readings)
    }
}

impl<'a, 's> Slices<'a, 's, StepReading> {
    fn of_steps(store: &'a ShuffleStore<'s>) -> Self {
        Self::new(store, ShuffleStore::put_steps)
    }
}

impl<'a, 's, T: PackRow> Slices<'a, 's, T> {
    fn new(store: &'a ShuffleStore<'s>, put: fn(&ShuffleStore<'s>, u32, Chunk<T>)) -> Self {
        Self { store, put, open: (0..store.shards()).map(|_| ChunkWriter::default()).collect() }
    }

    fn push(&mut self, slice: u32, row: T) {
        if let Some(full) = self.open[slice as usize].push(row, CHUNK_BYTES) {
            (self.put)(self.store, slice, full);
        }
    }

    fn push_run(&mut self, slice: u32, run: &Run<'_, T>) {
        if let Some(full) = self.open[slice as usize].push_run(run, CHUNK_BYTES) {
            (self.put)(self.store, slice, full);
        }
    }

    /// Hands over the chunks that are not full.
    fn finish(self) {
        for (slice, mut writer) in (0..).zip(self.open) {
            let rest = writer.take();
            if rest.rows() > 0 {
                (self.put)(self.store, slice, rest);
            }
        }
    }
}

/// Calls `take` with each run of `lane`.
fn visit<T: PackRow>(lane: &Lane<T>, scratch: &Scratch, mut take: impl FnMut(&Run<'_, T>)) -> Result<(), ScratchError> {
    lane.visit(scratch, |run| {
        take(&run);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_take_what_fits_and_at_least_one_place() {
        assert_eq!(assign(&[1, 1, 1, 1], 2), [0, 0, 1, 1]);
        assert_eq!(assign(&[9, 0, 0, 1], 5), [0, 0, 0, 1]);
        assert_eq!(assign(&[0, 0, 5], 3), [0, 0, 0]);
        assert_eq!(assign(&[2, 3, 1], 5), [0, 0, 1]);
    }
}
