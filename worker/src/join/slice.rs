//! Cuts a shard that does not fit in memory into slices of time.
//!
//! Readings match only at equal times, so that slices join independently. Where they are cut depends on how many rows
//! have which time and on the budget, never on the order in which rows arrived.

use stedi_engine::packed::{Chunk, ChunkWriter, PackRow, Unpacker};
use stedi_engine::scan::Shuffle as _;

use super::{Join, Rows};
use crate::WorkError;
use crate::scratch::{Scratch, ScratchError};
use crate::shuffle::{Lane, ShuffleStore};

/// Times are counted in so many bins of equal width; a bin that is too large is cut again by the next round.
const BINS: usize = 4096;

/// Bytes of a chunk while cutting.
const CHUNK_BYTES: usize = 16 << 10;

/// Cuts `rows` into about `count` slices of equal numbers of rows, ascending in time. `None` if all have one time.
pub(super) fn cut<'a>(rows: &Rows, count: usize, join: &Join<'a>) -> Result<Option<ShuffleStore<'a>>, WorkError> {
    let (readings, steps) = rows;
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    let mut widen = |time_ms: i64| {
        first = first.min(time_ms);
        last = last.max(time_ms);
    };
    visit_times(readings, join.scratch, &mut widen)?;
    visit_times(steps, join.scratch, &mut widen)?;
    if first >= last {
        return Ok(None);
    }
    let bins = Bins { first, width: first.abs_diff(last) / BINS as u64 + 1 };
    let mut sizes = vec![0_usize; BINS];
    visit_times(readings, join.scratch, |time_ms| sizes[bins.of(time_ms)] += 1)?;
    visit_times(steps, join.scratch, |time_ms| sizes[bins.of(time_ms)] += 1)?;
    let slice_of_bin = assign(&sizes, count.max(2));
    let slices = slice_of_bin.last().map_or(1, |last| last + 1);
    let mut store = ShuffleStore::new(slices, join.memory.slice_bytes / 4, join.scratch);
    let slice_of = |time_ms| slice_of_bin[bins.of(time_ms)];
    distribute(readings, slices, slice_of, join.scratch, |slice, chunk| store.put_readings(slice, chunk))?;
    distribute(steps, slices, slice_of, join.scratch, |slice, chunk| store.put_steps(slice, chunk))?;
    store.check()?;
    Ok(Some(store))
}

#[derive(Clone, Copy)]
struct Bins {
    first: i64,
    width: u64,
}

impl Bins {
    fn of(self, time_ms: i64) -> usize {
        usize::try_from(self.first.abs_diff(time_ms) / self.width).unwrap_or(usize::MAX)
    }
}

/// The slice of each bin: a new one begins when the last has its share of the rows.
fn assign(sizes: &[usize], count: usize) -> Vec<u32> {
    let share = sizes.iter().sum::<usize>().div_ceil(count);
    let mut slice = 0;
    let mut rows = 0;
    sizes
        .iter()
        .map(|&size| {
            if rows > 0 && size > 0 && rows + size > share {
                slice += 1;
                rows = 0;
            }
            rows += size;
            slice
        })
        .collect()
}

/// Calls `take` with the time of every row, epoch ms.
fn visit_times<T: PackRow>(lane: &Lane<T>, scratch: &Scratch, mut take: impl FnMut(i64)) -> Result<(), ScratchError> {
    let mut unpacker = Unpacker::default();
    lane.visit(scratch, |run| {
        unpacker.times_ms(&run)?.iter().copied().for_each(&mut take);
        Ok(())
    })
}

/// Puts every row into a chunk of its slice.
fn distribute<T: PackRow>(
    lane: &Lane<T>,
    slices: u32,
    slice_of: impl Fn(i64) -> u32,
    scratch: &Scratch,
    put: impl Fn(u32, Chunk<T>),
) -> Result<(), ScratchError> {
    let mut open: Vec<ChunkWriter<T>> = (0..slices).map(|_| ChunkWriter::default()).collect();
    let mut unpacker = Unpacker::default();
    let mut rows = Vec::new();
    lane.visit(scratch, |run| {
        rows.resize(run.rows, T::BLANK);
        unpacker.unpack(&run, &mut rows)?;
        for row in &rows {
            let slice = slice_of(row.time_ms());
            if let Some(full) = open[slice as usize].push(*row, CHUNK_BYTES) {
                put(slice, full);
            }
        }
        Ok(())
    })?;
    for (slice, mut writer) in (0..).zip(open) {
        let rest = writer.take();
        if rest.rows() > 0 {
            put(slice, rest);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_take_their_share_and_never_split_a_bin() {
        assert_eq!(assign(&[1, 1, 1, 1], 2), [0, 0, 1, 1]);
        assert_eq!(assign(&[9, 0, 0, 1], 5), [0, 0, 0, 1]);
        assert_eq!(assign(&[0, 0, 5], 3), [0, 0, 0]);
        let bins = Bins { first: i64::MIN, width: i64::MIN.abs_diff(i64::MAX) / BINS as u64 + 1 };
        assert_eq!(bins.of(i64::MIN), 0);
        assert!(bins.of(i64::MAX) < BINS);
    }
}
