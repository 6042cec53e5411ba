//! Slices of time. Readings match only at equal times, so that these join independently.

use stedi_engine::packed::{PackRow, Unpacker};

use super::{SLICES_MAX, Slices, assign};
use crate::WorkError;
use crate::join::Join;
use crate::scratch::{Scratch, ScratchError};
use crate::shuffle::{Lane, Rows, ShuffleStore};

/// Times are counted in so many bins of equal width; a bin that is too large is cut again by the next round.
const BINS: usize = 4096;

impl Join<'_> {
    /// Cuts `rows` by time, ascending. `None` if all have one time.
    pub(super) fn cut_by_time<'s>(
        &self,
        rows: &Rows<'_>,
        scratch: &'s Scratch,
    ) -> Result<Option<ShuffleStore<'s>>, WorkError> {
        let Rows { readings, steps, scratch: from } = rows;
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        let mut widen = |time_ms: i64| {
            first = first.min(time_ms);
            last = last.max(time_ms);
        };
        visit_times(readings, from, &mut widen)?;
        visit_times(steps, from, &mut widen)?;
        if first >= last {
            return Ok(None);
        }
        let bins = Bins { first, width: first.abs_diff(last) / BINS as u64 + 1 };
        let mut sizes = vec![0_usize; BINS];
        visit_times(readings, from, |time_ms| sizes[bins.of(time_ms)] += self.reading_bytes())?;
        visit_times(steps, from, |time_ms| sizes[bins.of(time_ms)] += Self::STEP_BYTES)?;
        let total = sizes.iter().sum::<usize>();
        // slices of about one size, and never all in one
        let count = total.div_ceil(self.room()).clamp(2, SLICES_MAX);
        let slice_of_bin = assign(&sizes, total.div_ceil(count));
        let mut store = self.store(slice_of_bin.last().map_or(1, |last| last + 1), scratch);
        let slice_of = |time_ms| slice_of_bin[bins.of(time_ms)];
        distribute(readings, from, slice_of, Slices::of_readings(&store))?;
        distribute(steps, from, slice_of, Slices::of_steps(&store))?;
        store.check()?;
        Ok(Some(store))
    }
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

/// Calls `take` with the time of every row, epoch ms.
fn visit_times<T: PackRow>(lane: &Lane<T>, scratch: &Scratch, mut take: impl FnMut(i64)) -> Result<(), ScratchError> {
    let mut unpacker = Unpacker::default();
    lane.visit(scratch, |run| {
        unpacker.times_ms(&run)?.iter().copied().for_each(&mut take);
        Ok(())
    })
}

/// Puts every row into the slice of its time.
fn distribute<T: PackRow>(
    lane: &Lane<T>,
    scratch: &Scratch,
    slice_of: impl Fn(i64) -> u32,
    mut slices: Slices<'_, '_, T>,
) -> Result<(), ScratchError> {
    let mut unpacker = Unpacker::default();
    let mut rows = Vec::new();
    lane.visit(scratch, |run| {
        rows.resize(run.rows, T::BLANK);
        unpacker.unpack(&run, &mut rows)?;
        rows.iter().for_each(|row| slices.push(slice_of(row.time_ms()), *row));
        Ok(())
    })?;
    slices.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_bin() {
        let bins = Bins { first: i64::MIN, width: i64::MIN.abs_diff(i64::MAX) / BINS as u64 + 1 };
        assert_eq!(bins.of(i64::MIN), 0);
        assert!(bins.of(i64::MAX) < BINS);
    }
}
