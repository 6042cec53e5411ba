//! The only source of chance: numbers that follow from the seed and from what they are for.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use twox_hash::XxHash64;

/// What a sequence of numbers decides. The discriminants never change: generated landing depends on them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Person = 1,
    Serial = 2,
    Versions = 3,
    Session = 4,
    Stranger = 5,
    OddValues = 6,
    Writing = 7,
}

/// A sequence of numbers: xoshiro256++ from a hash of seed, purpose and two indexes, the same on every machine.
pub(super) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(super) fn new(seed: u64, purpose: Purpose, a: u64, b: u64) -> Self {
        let mut key = [0; 24];
        for (bytes, word) in key.chunks_exact_mut(8).zip([purpose as u64, a, b]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Self(Xoshiro256PlusPlus::seed_from_u64(XxHash64::oneshot(seed, &key)))
    }

    pub(super) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, which is not 0; the bias of a multiplication in place of a division does not matter here.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let scaled = (u128::from(self.word()) * u128::from(end)) >> 64;
        u64::try_from(scaled).expect("less than end")
    }

    /// [`Self::below`] as a duration or offset in milliseconds.
    pub(super) fn ms_below(&mut self, end: u64) -> i64 {
        self.below(end).cast_signed()
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[index(self.below(choices.len() as u64))]
    }
}

/// Scales the low `width` bits of `word` down to a number below `end`.
pub(super) fn scaled(word: u64, width: u32, end: u64) -> u64 {
    let bits = word & ((1 << width) - 1);
    (bits * end) >> width
}

/// A small number as an index.
pub(super) fn index(n: u64) -> usize {
    usize::try_from(n).expect("an index of something in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_never_change() {
        let mut random = Random::new(7, Purpose::Session, 1, 2);
        assert_eq!([random.word(), random.word()], [13_606_247_535_741_710_825, 14_068_768_313_756_875_203]);
        assert_eq!(Random::new(7, Purpose::Session, 1, 2).below(1000), 737);
    }

    #[test]
    fn numbers_below_an_end_reach_all_of_it() {
        let mut random = Random::new(0, Purpose::Person, 0, 0);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[index(random.below(10))] = true;
        }
        assert_eq!(seen, [true; 10]);
    }
}
