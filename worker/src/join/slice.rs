//! Cuts a shard that does not fit in memory into slices of time.
//!
//! Readings match only at equal times, so that slices join independently. Where they are cut depends on how many rows
//! have which time and on the budget, never on the order in which rows arrived.

use stedi_engine::rows::{Reading, StepReading};
use stedi_engine::scan::Shuffle;

use super::{Join, Rows};
use crate::WorkError;
use crate::shuffle::ShuffleStore;

/// Times are counted in so many bins of equal width; a bin that is too large is cut again by the next round.
const BINS: usize = 4096;

/// Rows of a chunk while cutting.
const CHUNK_ROWS: usize = 1024;

/// Cuts `rows` into about `count` slices of equal numbers of rows, ascending in time. `None` if all have one time.
pub(super) fn cut<'a>(rows: &Rows, count: usize, join: &Join<'a>) -> Result<Option<ShuffleStore<'a>>, WorkError> {
    let (readings, steps) = rows;
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    let mut widen = |time_ms: i64| {
        first = first.min(time_ms);
        last = last.max(time_ms);
    };
    readings.visit_times(join.scratch, &mut widen)?;
    steps.visit_times(join.scratch, &mut widen)?;
    if first >= last {
        return Ok(None);
    }
    let bins = Bins { first, width: first.abs_diff(last) / BINS as u64 + 1 };
    let mut sizes = vec![0_usize; BINS];
    readings.visit_times(join.scratch, |time_ms| sizes[bins.of(time_ms)] += 1)?;
    steps.visit_times(join.scratch, |time_ms| sizes[bins.of(time_ms)] += 1)?;
    let slice_of_bin = assign(&sizes, count.max(2));
    let slices = slice_of_bin.last().map_or(1, |last| last + 1);
    let mut store = ShuffleStore::new(slices, join.memory.slice_bytes / 4, join.scratch);
    distribute(rows, &mut store, |time_ms| slice_of_bin[bins.of(time_ms)], join)?;
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

fn distribute(
    (readings, steps): &Rows,
    store: &mut ShuffleStore<'_>,
    slice_of: impl Fn(i64) -> u32,
    join: &Join<'_>,
) -> Result<(), WorkError> {
    let slices = store.shards() as usize;
    let mut open: Vec<Vec<Reading>> = vec![Vec::new(); slices];
    readings.visit(join.scratch, |row| {
        let slice = slice_of(row.time_ms);
        let rows = &mut open[slice as usize];
        rows.push(*row);
        if rows.len() == CHUNK_ROWS {
            store.put_readings(slice, std::mem::take(rows));
        }
    })?;
    (0..).zip(open).filter(|(_, rows)| !rows.is_empty()).for_each(|(slice, rows)| store.put_readings(slice, rows));
    let mut open: Vec<Vec<StepReading>> = vec![Vec::new(); slices];
    steps.visit(join.scratch, |row| {
        let slice = slice_of(row.time_ms);
        let rows = &mut open[slice as usize];
        rows.push(*row);
        if rows.len() == CHUNK_ROWS {
            store.put_steps(slice, std::mem::take(rows));
        }
    })?;
    (0..).zip(open).filter(|(_, rows)| !rows.is_empty()).for_each(|(slice, rows)| store.put_steps(slice, rows));
    Ok(store.check()?)
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
