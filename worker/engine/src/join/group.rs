//! Rows put together by id and sorted within each id: a counting sort, then small sorts.

use std::cmp::Ordering;
use std::ops::Range;

use super::sort::{Space, sort};
use crate::rows::{Reading, StepReading};

/// A row that belongs to a dense id.
pub trait Row: Copy + Send + Sync {
    /// Fills space that a real row is about to take.
    const BLANK: Self;

    /// The id.
    fn id(&self) -> u32;

    /// Epoch ms.
    fn time_ms(&self) -> i64;
}

impl Row for Reading {
    const BLANK: Self = Self { time_ms: 0, xyz: [0.0; 3], user: 0 };

    #[inline]
    fn id(&self) -> u32 {
        self.user
    }

    #[inline]
    fn time_ms(&self) -> i64 {
        self.time_ms
    }
}

impl Row for StepReading {
    const BLANK: Self = Self { time_ms: 0, distance: 0, serial: 0 };

    #[inline]
    fn id(&self) -> u32 {
        self.serial
    }

    #[inline]
    fn time_ms(&self) -> i64 {
        self.time_ms
    }
}

/// Groups rows that come in chunks, in two passes over the same chunks: [`count`](Self::count) all, then
/// [`place`](Self::place) all. The chunks need not be in memory at once.
#[derive(Debug)]
pub struct GroupedBuilder<T> {
    /// While counting: rows of id `i` at `i + 2`. While placing: where the next row of id `i` goes, at `i + 1`.
    /// At the end: where the rows of id `i` start, at `i`.
    starts: Vec<u32>,
    rows: Vec<T>,
    total: usize,
}

impl<T: Row> GroupedBuilder<T> {
    /// A builder for ids below `id_count`, which puts the rows into `space` instead of new memory as far as it goes.
    pub fn new(id_count: usize, mut space: Vec<T>) -> Self {
        space.clear();
        Self { starts: vec![0; id_count + 2], rows: space, total: 0 }
    }

    /// First pass: counts rows of this id.
    #[inline]
    pub fn count(&mut self, id: u32, rows: usize) {
        self.total += rows;
        #[expect(clippy::cast_possible_truncation, reason = "make_room refuses what does not fit")]
        let rows = rows as u32;
        let counted = &mut self.starts[id as usize + 2];
        *counted = counted.wrapping_add(rows);
    }

    /// Second pass: the room for rows of this id that were counted.
    ///
    /// # Panics
    /// If they were not counted, or there are 2^32 rows or more.
    #[inline]
    pub fn place(&mut self, id: u32, rows: usize) -> &mut [T] {
        if self.rows.is_empty() {
            self.make_room();
        }
        let next = &mut self.starts[id as usize + 1];
        let start = *next as usize;
        let room = &mut self.rows[start..start + rows];
        #[expect(clippy::cast_possible_truncation, reason = "make_room checked that all rows fit")]
        let end = (start + rows) as u32;
        *next = end;
        room
    }

    fn make_room(&mut self) {
        assert!(u32::try_from(self.total).is_ok(), "2^32 rows or more in one slice");
        for i in 1..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
        if self.rows.capacity() < self.total {
            // growing would hold the old memory beside the new
            self.rows = Vec::new();
            self.rows.reserve_exact(self.total);
        }
        self.rows.resize(self.total, T::BLANK);
    }

    /// Sorts the rows of each id by `order`, which must begin with the time.
    pub(crate) fn finish(mut self, order: impl Fn(&T, &T) -> Ordering + Sync) -> Grouped<T> {
        self.starts.pop();
        let mut grouped = Grouped { starts: self.starts, rows: self.rows };
        let count = grouped.starts.len() - 1;
        sort_groups(&grouped.starts, 0..count, &mut grouped.rows, &order);
        grouped
    }
}

/// Below so many rows a task of its own costs more than it saves.
const ROWS_PER_TASK: usize = 1 << 15;

fn sort_groups<T: Row>(
    starts: &[u32],
    ids: Range<usize>,
    rows: &mut [T],
    order: &(impl Fn(&T, &T) -> Ordering + Sync),
) {
    if rows.is_empty() {
        return;
    }
    let base = starts[ids.start] as usize;
    if ids.len() == 1 || rows.len() < ROWS_PER_TASK {
        let mut space = Space::default();
        for id in ids {
            sort(&mut rows[starts[id] as usize - base..starts[id + 1] as usize - base], order, &mut space);
        }
        return;
    }
    let middle = ids.start + ids.len() / 2;
    let (left, right) = rows.split_at_mut(starts[middle] as usize - base);
    rayon::join(
        || sort_groups(starts, ids.start..middle, left, order),
        || sort_groups(starts, middle..ids.end, right, order),
    );
}

/// Rows by id, sorted within each id.
#[derive(Debug)]
pub struct Grouped<T> {
    starts: Vec<u32>,
    rows: Vec<T>,
}

impl<T: Row> Grouped<T> {
    /// The memory of the rows, to be used again.
    pub(crate) fn into_space(self) -> Vec<T> {
        self.rows
    }

    /// All rows, in order of id, then of the sort.
    pub(crate) fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Where the rows of `id` are.
    #[inline]
    pub(crate) fn range(&self, id: u32) -> Range<usize> {
        self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize
    }

    /// The ids that have rows, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        (0..).zip(self.starts.windows(2)).filter(|(_, w)| w[0] < w[1]).map(|(id, _)| id)
    }

    /// Keeps the first of each run of rows that are the `same`.
    pub(crate) fn dedup(&mut self, same: impl Fn(&T, &T) -> bool) {
        let mut kept = 0;
        let mut start = 0;
        for id in 0..self.starts.len() - 1 {
            let end = self.starts[id + 1] as usize;
            let group = kept;
            for row in start..end {
                if kept == group || !same(&self.rows[kept - 1], &self.rows[row]) {
                    self.rows[kept] = self.rows[row];
                    kept += 1;
                }
            }
            start = end;
            #[expect(clippy::cast_possible_truncation, reason = "place checked that all rows fit u32")]
            let kept_u32 = kept as u32;
            self.starts[id + 1] = kept_u32;
        }
        self.rows.truncate(kept);
    }
}

/// Row ranges of chosen ids, joined where they touch.
pub(crate) struct RowRanges(Vec<Range<usize>>);

impl RowRanges {
    pub(crate) fn new<T: Row>(grouped: &Grouped<T>, ids: impl Iterator<Item = u32>) -> Self {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for id in ids {
            let range = grouped.range(id);
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        Self(ranges)
    }

    /// The ranges cut into batches of exactly `rows_max` rows, the last one fewer.
    pub(crate) fn batches(self, rows_max: usize) -> Vec<Vec<Range<usize>>> {
        let mut batches = Vec::new();
        let mut batch: Vec<Range<usize>> = Vec::new();
        let mut room = rows_max;
        for mut range in self.0 {
            while !range.is_empty() {
                let taken = range.start..range.end.min(range.start + room);
                room -= taken.len();
                range.start = taken.end;
                batch.push(taken);
                if room == 0 {
                    batches.push(std::mem::take(&mut batch));
                    room = rows_max;
                }
            }
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(serial: u32, time_ms: i64) -> StepReading {
        StepReading { time_ms, distance: 0, serial }
    }

    fn grouped(chunks: &[&[StepReading]]) -> Grouped<StepReading> {
        let mut builder = GroupedBuilder::new(4, vec![step(9, 9); 3]);
        chunks.iter().copied().flatten().for_each(|row| builder.count(row.id(), 1));
        chunks.iter().copied().flatten().for_each(|row| builder.place(row.id(), 1)[0] = *row);
        builder.finish(|a, b| a.time_ms.cmp(&b.time_ms))
    }

    #[test]
    fn rows_are_grouped_sorted_and_deduplicated() {
        let mut rows = grouped(&[&[step(3, 5), step(1, 9)], &[step(3, 2), step(1, 9), step(3, 5)]]);
        assert_eq!(rows.rows(), [step(1, 9), step(1, 9), step(3, 2), step(3, 5), step(3, 5)]);
        assert_eq!(rows.ids().collect::<Vec<_>>(), [1, 3]);
        rows.dedup(|a, b| a == b);
        assert_eq!(rows.rows(), [step(1, 9), step(3, 2), step(3, 5)]);
        assert_eq!((rows.range(1), rows.range(2), rows.range(3)), (0..1, 1..1, 1..3));
        assert_eq!(grouped(&[]).rows(), []);
    }

    #[test]
    fn batches_have_the_exact_size_across_gaps() {
        let rows = grouped(&[&[step(0, 1), step(0, 2), step(0, 3), step(1, 1), step(3, 1), step(3, 2)]]);
        let batches = RowRanges::new(&rows, [0, 3].into_iter()).batches(2);
        assert_eq!(batches.concat(), [0..2, 2..3, 4..5, 5..6]);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
    }
}
