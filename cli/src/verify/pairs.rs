//! machine_learning_curated against the trusted readings: the join, worked out a second time.
//!
//! The run joins by shard; this cuts by time instead. A slice holds all readings whose time hashes to it, and as many
//! slices are taken as it needs for the readings of one to fit in the memory given. Within a slice the readings are
//! sorted by owner and time and merged pair by pair. Counts are exact; a reading's values (distance, or x, y and z)
//! are compared by 64-bit hash, and whole tables by the sum of 128-bit hashes of their rows.

use stedi_lake::{CuratedTable, MatchMode};

use super::VerifyError;
use super::parts::TableParts;
use super::people::{LastLookup, People};
use super::report::{Findings, Rule};
use super::rows::{Rows, mix};

/// Column numbers of the tables of readings.
mod column {
    pub(super) const ACCELEROMETER_USER: usize = 0;
    pub(super) const ACCELEROMETER_TIME: usize = 1;
    pub(super) const ACCELEROMETER_VALUES: [usize; 3] = [2, 3, 4];
    pub(super) const STEP_TIME: usize = 0;
    pub(super) const STEP_SERIAL: usize = 1;
    pub(super) const STEP_VALUES: [usize; 1] = [2];
    pub(super) const PAIR_SERIAL: usize = 0;
    pub(super) const PAIR_STEP_TIME: usize = 1;
    pub(super) const PAIR_STEP_VALUES: [usize; 1] = [2];
    pub(super) const PAIR_USER: usize = 3;
    pub(super) const PAIR_TIME: usize = 4;
    pub(super) const PAIR_VALUES: [usize; 3] = [5, 6, 7];
}

/// A reading: who (person or trainer), when, and a hash of what. Sorts in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
struct Reading {
    who: u32,
    time_ms: i64,
    values: u64,
}

/// How many rows, and the sum of their hashes: equal for equal multisets, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Multiset {
    rows: u64,
    sum: u128,
}

impl Multiset {
    fn add(&mut self, trainer: u32, step: u64, person: u32, reading: u64, time_ms: i64) {
        let words = [u64::from(trainer) << 32 | u64::from(person), time_ms.cast_unsigned(), step, reading];
        let lane = |seed: u64| u128::from(words.iter().fold(seed, |hash, &word| mix(hash, word)));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(lane(1) << 64 | lane(2));
    }
}

/// The three tables of readings and how they are joined.
#[derive(Clone, Copy)]
pub(crate) struct Join<'a> {
    pub(crate) people: &'a People,
    pub(crate) match_mode: MatchMode,
    pub(crate) dedupe: bool,
    pub(crate) readings: TableParts<'a>,
    pub(crate) steps: TableParts<'a>,
    pub(crate) pairs: TableParts<'a>,
    /// Memory for the readings of a slice.
    pub(crate) slice_bytes: u64,
}

impl Join<'_> {
    /// Checks every row of machine_learning_curated and that none is missing.
    pub(crate) fn check(self, findings: &mut Findings) -> Result<(), VerifyError> {
        let rows: u64 = self.readings.parts.iter().chain(self.steps.parts).map(|part| part.rows).sum();
        let slices = (rows * size_of::<Reading>() as u64).div_ceil(self.slice_bytes.max(1)).max(1);
        for slice in 0..slices {
            self.check_slice(|time_ms| mix(0, time_ms.cast_unsigned()) % slices == slice, findings)?;
        }
        Ok(())
    }

    fn check_slice(self, in_slice: impl Fn(i64) -> bool + Sync, findings: &mut Findings) -> Result<(), VerifyError> {
        let mut readings = self.load_readings(&in_slice)?;
        let mut steps = self.load_steps(&in_slice)?;
        readings.sort_unstable();
        steps.sort_unstable();
        if self.dedupe {
            no_duplicates(CuratedTable::AccelerometerTrusted, &readings, findings);
            no_duplicates(CuratedTable::StepTrainerTrusted, &steps, findings);
        }
        let found = self.check_pairs(&in_slice, &readings, &steps, findings)?;
        let pairs_exact = |detail: String, findings: &mut Findings| {
            findings.add(Rule::PairsExact, Some(CuratedTable::MachineLearningCurated), None, detail);
        };
        let wanted = match self.match_mode {
            MatchMode::Customer => self.pairs_of_owners(&readings, &steps, found.rows),
            MatchMode::Timestamp => pairs_of_times(&mut readings, &mut steps, found.rows),
        };
        if wanted.rows != found.rows {
            pairs_exact(format!("{} rows, {} matching pairs", found.rows, wanted.rows), findings);
        } else if wanted.sum != found.sum {
            pairs_exact("as many rows as matching pairs, but other ones".to_owned(), findings);
        }
        Ok(())
    }

    fn load_readings(self, in_slice: &(impl Fn(i64) -> bool + Sync)) -> Result<Vec<Reading>, VerifyError> {
        self.readings
            .read(|(kept, last): &mut (Vec<Reading>, LastLookup), _, _, rows| {
                for row in 0..rows.len {
                    let time_ms = rows.int(column::ACCELEROMETER_TIME, row).unwrap_or(0);
                    let user = rows.text(column::ACCELEROMETER_USER, row);
                    if in_slice(time_ms)
                        && let Some(who) = last.number(user, |email| self.people.person(email))
                    {
                        kept.push(Reading { who, time_ms, values: rows.hash(&column::ACCELEROMETER_VALUES, row) });
                    }
                }
            })
            .map(concat)
    }

    fn load_steps(self, in_slice: &(impl Fn(i64) -> bool + Sync)) -> Result<Vec<Reading>, VerifyError> {
        self.steps
            .read(|(kept, last): &mut (Vec<Reading>, LastLookup), _, _, rows| {
                for row in 0..rows.len {
                    let time_ms = rows.int(column::STEP_TIME, row).unwrap_or(0);
                    let serial = rows.text(column::STEP_SERIAL, row);
                    if in_slice(time_ms)
                        && let Some(who) = last.number(serial, |serial| self.people.trainer(serial))
                    {
                        kept.push(Reading { who, time_ms, values: rows.hash(&column::STEP_VALUES, row) });
                    }
                }
            })
            .map(concat)
    }

    /// Looks both readings of every row up; returns what rows there are.
    fn check_pairs(
        self,
        in_slice: &(impl Fn(i64) -> bool + Sync),
        readings: &[Reading],
        steps: &[Reading],
        findings: &mut Findings,
    ) -> Result<Multiset, VerifyError> {
        #[derive(Default)]
        struct State {
            found: Findings,
            rows: Multiset,
            user: LastLookup,
            serial: LastLookup,
        }
        let table = CuratedTable::MachineLearningCurated;
        let check = |state: &mut State, path: &str, first: u64, rows: &Rows| {
            for row in 0..rows.len {
                let time_ms = rows.int(column::PAIR_STEP_TIME, row).unwrap_or(0);
                if !in_slice(time_ms) {
                    continue;
                }
                let reading_time_ms = rows.int(column::PAIR_TIME, row).unwrap_or(0);
                let person = state.user.number(rows.text(column::PAIR_USER, row), |e| self.people.person(e));
                let trainer = state.serial.number(rows.text(column::PAIR_SERIAL, row), |s| self.people.trainer(s));
                let reading = Reading {
                    who: person.unwrap_or(u32::MAX),
                    time_ms: reading_time_ms,
                    values: rows.hash(&column::PAIR_VALUES, row),
                };
                let step = Reading {
                    who: trainer.unwrap_or(u32::MAX),
                    time_ms,
                    values: rows.hash(&column::PAIR_STEP_VALUES, row),
                };
                if steps.binary_search(&step).is_err() {
                    state.found.row(Rule::StepExists, table, path, first + row as u64);
                }
                // a reading of another time is in another slice; Rule::SameTime has told of it
                if reading_time_ms == time_ms && readings.binary_search(&reading).is_err() {
                    state.found.row(Rule::ReadingExists, table, path, first + row as u64);
                }
                state.rows.add(step.who, step.values, reading.who, reading.values, time_ms);
            }
        };
        let mut total = Multiset::default();
        for state in self.pairs.read(check)? {
            findings.merge(state.found);
            total.rows += state.rows.rows;
            total.sum = total.sum.wrapping_add(state.rows.sum);
        }
        Ok(total)
    }

    /// Every step reading with every reading of the same time of every owner.
    fn pairs_of_owners(self, readings: &[Reading], steps: &[Reading], rows: u64) -> Multiset {
        let of =
            |all: &[Reading], who: u32| all.partition_point(|r| r.who < who)..all.partition_point(|r| r.who <= who);
        let mut count = 0;
        let mut pairs = Multiset::default();
        for counting in [true, false] {
            for &(trainer, person) in &self.people.owners {
                let (steps, readings) = (&steps[of(steps, trainer)], &readings[of(readings, person)]);
                merge_times(steps, readings, |steps, readings| {
                    if counting {
                        count += steps.len() as u64 * readings.len() as u64;
                    } else {
                        add_product(&mut pairs, steps, readings);
                    }
                });
            }
            if count != rows {
                return Multiset { rows: count, sum: 0 };
            }
        }
        pairs
    }
}

/// Every step reading with every reading of the same time.
fn pairs_of_times(readings: &mut [Reading], steps: &mut [Reading], rows: u64) -> Multiset {
    readings.sort_unstable_by_key(|r| r.time_ms);
    steps.sort_unstable_by_key(|r| r.time_ms);
    let mut count = 0;
    merge_times(steps, readings, |steps, readings| count += steps.len() as u64 * readings.len() as u64);
    let mut pairs = Multiset { rows: count, sum: 0 };
    if count == rows {
        pairs.rows = 0;
        merge_times(steps, readings, |steps, readings| add_product(&mut pairs, steps, readings));
    }
    pairs
}

/// Shows the readings of each time that both sides have; both are sorted by time.
fn merge_times(steps: &[Reading], readings: &[Reading], mut both: impl FnMut(&[Reading], &[Reading])) {
    let mut readings = readings.chunk_by(|a, b| a.time_ms == b.time_ms).peekable();
    for steps in steps.chunk_by(|a, b| a.time_ms == b.time_ms) {
        while readings.next_if(|readings| readings[0].time_ms < steps[0].time_ms).is_some() {}
        if let Some(readings) = readings.next_if(|readings| readings[0].time_ms == steps[0].time_ms) {
            both(steps, readings);
        }
    }
}

fn add_product(pairs: &mut Multiset, steps: &[Reading], readings: &[Reading]) {
    for step in steps {
        for reading in readings {
            pairs.add(step.who, step.values, reading.who, reading.values, step.time_ms);
        }
    }
}

fn no_duplicates(table: CuratedTable, readings: &[Reading], findings: &mut Findings) {
    let twice = readings.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if twice > 0 {
        findings.add(Rule::NoDuplicates, Some(table), None, format!("{twice} rows"));
    }
}

fn concat<T>(parts: Vec<(Vec<Reading>, T)>) -> Vec<Reading> {
    let mut all = Vec::with_capacity(parts.iter().map(|(kept, _)| kept.len()).sum());
    for (kept, _) in parts {
        all.extend(kept);
    }
    all
}
