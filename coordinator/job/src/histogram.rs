//! Counts of sizes and times by magnitude: eight steps to a doubling.

/// A histogram of numbers. It holds each to within an eighth, in constant memory.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

const STEPS: u64 = 8;
const BUCKETS: usize = 8 * 63;

#[expect(clippy::cast_possible_truncation, reason = "less than BUCKETS")]
fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let octave = u64::from(value.ilog2()) - 3;
    ((octave + 1) * STEPS + (value >> octave) - STEPS) as usize
}

/// The smallest number of a bucket.
fn lowest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    (STEPS + bucket % STEPS) << (bucket / STEPS - 1)
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Adds a number.
    pub fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// How many numbers there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The greatest number; 0 if there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The median, up to an eighth too small; `None` if there is no number.
    pub fn median(&self) -> Option<u64> {
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below * 2 >= self.total.max(1)
        })?;
        (self.total > 0).then(|| lowest(found))
    }

    /// How many numbers have `2^i <= number < 2^(i+1)`, for each i that occurs; 0 counts as 1.
    pub fn by_doubling(&self) -> Vec<(u64, u64)> {
        let mut found: Vec<(u64, u64)> = Vec::new();
        for (i, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let from = 1 << lowest(i).max(1).ilog2();
            match found.last_mut() {
                Some((last, sum)) if *last == from => *sum += count,
                _ => found.push((from, count)),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fall_into_buckets_that_begin_below_them() {
        for value in (0..70).chain([1 << 20, (1 << 20) + 1, u64::MAX / 3, u64::MAX]) {
            let low = lowest(bucket(value));
            assert!(low <= value && value - low <= value / 8, "{value} in {low}");
            assert_eq!(bucket(low), bucket(value));
        }
        assert_eq!(bucket(u64::MAX) + 1, BUCKETS - 8);
    }

    #[test]
    fn the_median_is_that_of_the_numbers() {
        let mut times = Histogram::default();
        assert_eq!(times.median(), None);
        for time in [1, 2, 3, 1000, 5] {
            times.add(time);
        }
        assert_eq!(times.median(), Some(3));
        assert_eq!((times.max(), times.total()), (1000, 5));
        assert_eq!(times.by_doubling(), [(1, 1), (2, 2), (4, 1), (512, 1)]);
    }
}
