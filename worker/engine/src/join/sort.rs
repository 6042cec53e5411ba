//! Sorting the rows of one id: by keys of 8 bytes that hold time and place. Moving whole rows about took half as long again.

use std::cmp::Ordering;

use super::group::Row;

/// Bits of a key that tell which row it is of; the others are its time, counted from the earliest of its group. Larger
/// groups are sorted as they are: keys and copies of them would take more memory than the rows have.
const PLACE_BITS: u32 = 18;

/// Fewer rows are sorted as they are.
const ROWS_MIN: usize = 24;

/// Memory of a sort, to be used again by the next one.
#[derive(Debug)]
pub(super) struct Space<T> {
    keys: Vec<u64>,
    rows: Vec<T>,
}

impl<T> Default for Space<T> {
    fn default() -> Self {
        Self { keys: Vec::new(), rows: Vec::new() }
    }
}

/// Sorts `rows` by `order`, which must begin with the time.
pub(super) fn sort<T: Row>(rows: &mut [T], order: &impl Fn(&T, &T) -> Ordering, space: &mut Space<T>) {
    if rows.len() < ROWS_MIN || !space.take_keys(rows) {
        rows.sort_unstable_by(order);
        return;
    }
    let Space { keys, rows: sorted } = space;
    // whole groups often arrive in order, ascending or descending, which this sort detects
    keys.sort_unstable();
    sorted.clear();
    let place = |key: u64| (key & ((1 << PLACE_BITS) - 1)) as usize;
    sorted.extend(keys.iter().map(|&key| rows[place(key)]));
    rows.copy_from_slice(sorted);
    for tied in rows.chunk_by_mut(|a, b| a.time_ms() == b.time_ms()).filter(|tied| tied.len() > 1) {
        tied.sort_unstable_by(order);
    }
}

impl<T: Row> Space<T> {
    /// Makes the keys of `rows`; false if places or times are too many for them.
    fn take_keys(&mut self, rows: &[T]) -> bool {
        let earliest_ms = rows.iter().map(T::time_ms).min().unwrap_or_default();
        let latest_ms = rows.iter().map(T::time_ms).max().unwrap_or_default();
        if rows.len() > 1 << PLACE_BITS || latest_ms.abs_diff(earliest_ms) >> (u64::BITS - PLACE_BITS) != 0 {
            return false;
        }
        self.keys.clear();
        let key = |(place, row): (u64, &T)| row.time_ms().abs_diff(earliest_ms) << PLACE_BITS | place;
        self.keys.extend((0..).zip(rows).map(key));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::StepReading;

    #[test]
    fn keys_sort_as_the_order_does() {
        let mut space = Space::default();
        let order = |a: &StepReading, b: &StepReading| (a.time_ms, a.distance).cmp(&(b.time_ms, b.distance));
        let far = i64::MAX - 7;
        for (count, first_ms, step_ms) in [
            (0, 0, 1),
            (5, 9, -3),
            (24, -8, 5),
            (400, 1_655_581_613_004, -977),
            (300, -far, far / 128),
            (64, i64::MIN, 0),
        ] {
            // every time comes three times, in another order of distances
            let row = |n: i64| StepReading {
                time_ms: first_ms.wrapping_add(n * 7919 % 100 / 3 * step_ms),
                distance: n * 31 % 17,
                serial: 0,
            };
            let mut rows: Vec<_> = (0..count).map(row).collect();
            let mut expected = rows.clone();
            expected.sort_by(order);
            sort(&mut rows, &order, &mut space);
            assert_eq!(rows, expected, "{count} rows from {first_ms}");
        }
    }
}
