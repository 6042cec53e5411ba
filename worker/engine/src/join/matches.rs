//! The time join: step readings with the accelerometer readings of the same time.

use std::ops::Range;

use stedi_lake::MatchMode;

use super::group::Grouped;
use crate::directory::Directory;
use crate::rows::{Reading, StepReading};

/// One row of machine_learning_curated: positions in the shard's step readings and readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) step: u32,
    pub(crate) reading: u32,
}

/// The readings a serial may match, sorted by time, user, x, y, z.
#[derive(Debug)]
enum Candidates {
    /// Readings that lie side by side.
    Range(Range<usize>),
    /// Positions of readings.
    Index(Vec<u32>),
}

impl Candidates {
    fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::Index(index) => index.len(),
        }
    }

    #[inline]
    fn at(&self, i: usize) -> usize {
        match self {
            Self::Range(range) => range.start + i,
            Self::Index(index) => index[i] as usize,
        }
    }
}

/// Yields the matches of a shard in the order serial, time, user, distance, x, y, z.
#[derive(Debug)]
pub(crate) struct Matches<'a> {
    directory: &'a Directory,
    readings: &'a Grouped<Reading>,
    steps: &'a Grouped<StepReading>,
    serials: Vec<u32>,
    next_serial: usize,
    candidates: Candidates,
    cursor: Cursor,
}

/// Where the join stands within a serial. All positions of readings are positions in the candidates.
#[derive(Debug, Default)]
struct Cursor {
    /// Step readings of the serial that are still to come, from the current time on.
    steps: Range<usize>,
    /// Candidates of the current time that are still to come, from the current user on.
    same_time: Range<usize>,
    /// Step readings of the current time.
    same_time_steps: Range<usize>,
    /// Candidates of the current time and user.
    run: Range<usize>,
    /// Step readings of the current time and distance. They are equal: a candidate is paired with all of them before
    /// the next candidate comes, so that rows stay in order.
    equal_steps: Range<usize>,
    /// The next pair of candidate and step reading within `run` x `equal_steps`.
    reading: usize,
    step: usize,
}

impl<'a> Matches<'a> {
    pub(crate) fn new(
        directory: &'a Directory,
        readings: &'a Grouped<Reading>,
        steps: &'a Grouped<StepReading>,
    ) -> Self {
        let candidates = match directory.match_mode() {
            MatchMode::Customer => Candidates::Range(0..0),
            MatchMode::Timestamp => index_by_time(readings, std::iter::once(0..readings.rows().len())),
        };
        Self {
            directory,
            readings,
            steps,
            serials: steps.ids().collect(),
            next_serial: 0,
            candidates,
            cursor: Cursor::default(),
        }
    }

    /// Replaces the content of `batch` by the next matches, `rows_max` unless there are fewer left; false at the end.
    pub(crate) fn next_rows(&mut self, rows_max: usize, batch: &mut Vec<Match>) -> bool {
        batch.clear();
        while batch.len() < rows_max {
            self.take_pairs(rows_max, batch);
            if batch.len() < rows_max && !self.next_run() && !self.next_time() && !self.open_serial() {
                break;
            }
        }
        !batch.is_empty()
    }

    /// The pairs of the current time and user: by distance, then by reading.
    fn take_pairs(&mut self, rows_max: usize, batch: &mut Vec<Match>) {
        let cursor = &mut self.cursor;
        loop {
            while cursor.reading < cursor.run.end {
                while cursor.step < cursor.equal_steps.end {
                    if batch.len() == rows_max {
                        return;
                    }
                    let reading = self.candidates.at(cursor.reading);
                    #[expect(clippy::cast_possible_truncation, reason = "a slice holds less than 2^32 rows")]
                    batch.push(Match { step: cursor.step as u32, reading: reading as u32 });
                    cursor.step += 1;
                }
                cursor.step = cursor.equal_steps.start;
                cursor.reading += 1;
            }
            let Range { start, end } = cursor.equal_steps.end..cursor.same_time_steps.end;
            if start == end {
                return;
            }
            let steps = self.steps.rows();
            let equal_end = (start..end).find(|&i| steps[i] != steps[start]).unwrap_or(end);
            cursor.equal_steps = start..equal_end;
            cursor.step = start;
            cursor.reading = cursor.run.start;
        }
    }

    fn candidate(&self, i: usize) -> &Reading {
        &self.readings.rows()[self.candidates.at(i)]
    }

    /// Goes to the next user of the current time.
    fn next_run(&mut self) -> bool {
        let Range { start, end } = self.cursor.same_time;
        if start == end {
            return false;
        }
        let user = self.candidate(start).user;
        let run_end = (start..end).find(|&i| self.candidate(i).user != user).unwrap_or(end);
        let cursor = &mut self.cursor;
        cursor.run = start..run_end;
        cursor.same_time.start = run_end;
        let first_step = cursor.same_time_steps.start;
        cursor.equal_steps = first_step..first_step;
        cursor.reading = run_end;
        true
    }

    /// Goes to the next time at which the serial has a step reading and a candidate.
    fn next_time(&mut self) -> bool {
        let steps = self.steps.rows();
        while !self.cursor.steps.is_empty() {
            let Range { start, end } = self.cursor.steps;
            let time_ms = steps[start].time_ms;
            let step_end = (start..end).find(|&i| steps[i].time_ms != time_ms).unwrap_or(end);
            let first = self.seek(self.cursor.same_time.end, |candidate| candidate < time_ms);
            let last = self.seek(first, |candidate| candidate <= time_ms);
            let cursor = &mut self.cursor;
            cursor.steps.start = step_end;
            cursor.same_time = first..last;
            if first < last {
                cursor.same_time_steps = start..step_end;
                return self.next_run();
            }
        }
        false
    }

    /// The first candidate from `from` on whose time is not `before` what is sought: a few steps, then a binary search.
    #[inline]
    fn seek(&self, from: usize, before: impl Fn(i64) -> bool) -> usize {
        let len = self.candidates.len();
        let near = len.min(from + 16);
        if let Some(found) = (from..near).find(|&i| !before(self.candidate(i).time_ms)) {
            return found;
        }
        let (mut low, mut high) = (near, len);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.candidate(middle).time_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn open_serial(&mut self) -> bool {
        let Some(&serial) = self.serials.get(self.next_serial) else { return false };
        self.next_serial += 1;
        if self.directory.match_mode() == MatchMode::Customer {
            self.candidates = match self.directory.owners(serial) {
                [user] => Candidates::Range(self.readings.range(*user)),
                users => index_by_time(self.readings, users.iter().map(|&user| self.readings.range(user))),
            };
        }
        self.cursor = Cursor { steps: self.steps.range(serial), ..Cursor::default() };
        true
    }
}

fn index_by_time(readings: &Grouped<Reading>, ranges: impl Iterator<Item = Range<usize>>) -> Candidates {
    let rows = readings.rows();
    #[expect(clippy::cast_possible_truncation, reason = "a slice holds less than 2^32 rows")]
    let mut index: Vec<u32> = ranges.flatten().map(|i| i as u32).collect();
    index.sort_unstable_by(|&a, &b| {
        let (a, b) = (&rows[a as usize], &rows[b as usize]);
        (a.time_ms, a.user).cmp(&(b.time_ms, b.user)).then_with(|| a.value_order(b))
    });
    Candidates::Index(index)
}
