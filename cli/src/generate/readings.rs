//! What the devices send: each customer has one session a day, delivered in rounds.
//!
//! A session is 30 step readings at a fixed interval; to each belong one to six accelerometer readings of that very
//! time, 2.78 on average. The rows of one customer in one round are a block, newest first; blocks are numbered by day,
//! then round, then customer, so that any range of blocks can be made by itself.

use super::people::{self, Person};
use super::random::{Purpose, Random, index, scaled};
use super::record::{AccelerometerRow, Record, StepTrainerRow};
use super::{GenerateConfig, Profile, odd};

/// Step readings of one customer in one day.
const STEPS: i64 = 30;

/// Rounds of accelerometer readings a day: about ten readings to a block.
pub(super) const ACCELEROMETER_ROUNDS: u64 = 8;

/// Rounds of step readings a day: ten readings to a block.
pub(super) const STEP_ROUNDS: u64 = 3;

/// One block in this many is of a user or serial number that nobody knows.
const BLOCKS_PER_STRANGER: u64 = 200;

/// The lowest of the three bits that each of six readings has.
const EACH_READING: u64 = 0o111_111;

/// The values of x, y and z that the starter data has.
const MOTIONS: [(f64, f64, f64); 18] = {
    let values = [-1.0, 0.0, 1.0];
    let mut motions = [(0.0, 0.0, 0.0); 18];
    let mut i = 0;
    while i < 18 {
        motions[i] = (values[i % 3], values[i / 3 % 3], values[i / 9]);
        i += 1;
    }
    motions
};

/// The readings of [`EACH_READING`] that a step has, by 10 bits of chance: 2.78 of them on average.
static READINGS: [u64; 1024] = {
    let mut readings = [0; 1024];
    let mut bits = 0;
    while bits < 1024 {
        let count = match bits {
            0..41 => 1,
            41..287 => 2,
            287..942 => 3,
            942..1003 => 4,
            1003..1016 => 5,
            _ => 6,
        };
        readings[bits] = EACH_READING & ((1 << (3 * count)) - 1);
        bits += 1;
    }
    readings
};

/// A step reading and its accelerometer readings, before anything is formatted.
struct Step {
    time_ms: i64,
    /// Bits: 0-9 number of accelerometer readings, 10-27 their rounds, 28-43 distance, 44-51 round, 52-62 serial number.
    word: u64,
    /// Bits: 0-53 motions, 54-62 delivered twice, 63 in which round.
    motions: u64,
}

impl Step {
    /// The accelerometer readings that `round` delivers: bit `3 * n` stands for the `n`th. Looks at all at once, as most
    /// rounds have none.
    fn readings_in(&self, round: u64) -> u64 {
        let differing = (self.word >> 10) ^ (round * EACH_READING);
        let other_round = differing | differing >> 1 | differing >> 2;
        !other_round & EACH_READING & READINGS[index(self.word & 1023)]
    }

    fn motion(&self, reading: u32) -> (f64, f64, f64) {
        MOTIONS[index(scaled(self.motions >> (9 * reading), 9, 18))]
    }

    fn distance(&self) -> i64 {
        201 + scaled(self.word >> 28, 16, 100).cast_signed()
    }

    fn round(&self) -> u64 {
        scaled(self.word >> 44, 8, STEP_ROUNDS)
    }

    fn serial<'s>(&self, serials: &'s [String]) -> &'s str {
        &serials[index(scaled(self.word >> 52, 11, serials.len() as u64))]
    }

    /// One reading in a hundred of the older devices comes twice; the second time in `round + late`.
    fn delivered_twice(&self, config: &GenerateConfig) -> Option<u64> {
        (config.profile != Profile::Clean && self.motions >> 54 & 511 < 5).then_some(self.motions >> 63)
    }
}

/// The steps of a customer's session on `day`, newest first.
fn session(config: &GenerateConfig, customer: u64, day: u64) -> impl Iterator<Item = Step> {
    let mut random = Random::new(config.seed, Purpose::Session, customer, day);
    let start_ms = people::day_start_ms(day) + random.ms_below(people::session_window_ms(config));
    let interval_ms = 2_000 + random.ms_below(2_200);
    (0..STEPS).rev().map(move |step| Step {
        time_ms: start_ms + step * interval_ms,
        word: random.word(),
        motions: random.word(),
    })
}

/// Yields the accelerometer readings of one block.
pub(super) fn accelerometer_block(config: &GenerateConfig, block: u64, each: &mut impl FnMut(Record<'_>)) {
    let (customer, round, day) = place(config, block, ACCELEROMETER_ROUNDS);
    let person = Person::new(config, customer);
    if person.silent() {
        return;
    }
    let mut strangers = Random::new(config.seed, Purpose::Stranger, block, 0);
    let strange = strangers.one_in(BLOCKS_PER_STRANGER);
    let user = if strange { people::stranger_email(&mut strangers) } else { person.email() };
    for step in session(config, customer, day) {
        let planned = step.readings_in(round);
        let again = match step.delivered_twice(config) {
            Some(late) => step.readings_in((round + ACCELEROMETER_ROUNDS - late) % ACCELEROMETER_ROUNDS),
            None => 0,
        };
        let mut left = planned | again;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let reading = bit.trailing_zeros() / 3;
            let (x, y, z) = step.motion(reading);
            let mut row = AccelerometerRow {
                user: user.as_str(),
                timestamp_ms: step.time_ms,
                x: Some(x),
                y: Some(y),
                z: Some(z),
            };
            if config.profile == Profile::Messy {
                let what = step.time_ms.cast_unsigned() << 3 | u64::from(reading);
                odd::accelerometer(&mut row, &mut Random::new(config.seed, Purpose::OddValues, customer, what));
            }
            for _ in 0..u8::from(planned & bit != 0) + u8::from(again & bit != 0) {
                each(Record::Accelerometer(row));
            }
        }
    }
}

/// Yields the step readings of one block.
pub(super) fn step_block(config: &GenerateConfig, block: u64, each: &mut impl FnMut(Record<'_>)) {
    let (customer, round, day) = place(config, block, STEP_ROUNDS);
    let mut strangers = Random::new(config.seed, Purpose::Stranger, block, 1);
    let strange = strangers.one_in(BLOCKS_PER_STRANGER);
    let serials = if strange { vec![people::uuid(&mut strangers)] } else { Person::new(config, customer).serials() };
    for step in session(config, customer, day) {
        let again = step.delivered_twice(config).map(|late| (step.round() + late) % STEP_ROUNDS);
        if step.round() != round && again != Some(round) {
            continue;
        }
        let mut row = StepTrainerRow {
            reading_time_ms: step.time_ms,
            serial_number: step.serial(&serials),
            distance: Some(step.distance()),
        };
        if config.profile == Profile::Messy {
            let what = step.time_ms.cast_unsigned() << 3 | 7;
            odd::step_trainer(&mut row, &mut Random::new(config.seed, Purpose::OddValues, customer, what));
        }
        for _ in 0..u8::from(step.round() == round) + u8::from(again == Some(round)) {
            each(Record::StepTrainer(row));
        }
    }
}

/// Customer, round and day of a block.
fn place(config: &GenerateConfig, block: u64, rounds: u64) -> (u64, u64, u64) {
    let delivery = block / config.customers;
    (block % config.customers, delivery % rounds, delivery / rounds)
}
