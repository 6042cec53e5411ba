//! How the landing objects become splits, tasks and shards.

use std::ops::Range;

mod run_plan;

pub use run_plan::{
    LandingPlan, PlanError, PlanObject, RunPlan, StageTasks, TASK_BYTES, TaskSizes, table_task_bytes, task_bytes,
};

/// Landing bytes of a shard while there are few shards: its rows, sorted, fit in memory at once, and many workers have
/// something to do.
const SHARD_BYTES_MIN: u64 = 256 << 20;

/// Landing bytes of a shard at most by default: a table that takes a thirtieth of landing has parts of the target size then.
/// Joining one writes three times its packed rows to scratch. These are a fifth of landing where they are the most (readings
/// of random values without steps), and a worker of the chart has 10 GiB for its two slots.
const SHARD_BYTES_MAX: u64 = 8 << 30;

/// From so many shards on, shards grow before they become more.
const SHARDS_WANTED: u64 = 64;

/// The greatest number of shards; part names have five digits for it.
pub const SHARDS_MAX: u32 = 99_999;

/// How much larger JSON is than its gzip or zstd file, about: readings compress well.
const COMPRESSION_RATIO: u64 = 10;

/// The number of shards for landing objects of these names and sizes, unless `--shards` says otherwise.
///
/// Depends on landing alone, so that the same landing gives the same parts on any machine.
pub fn shard_count<'a>(objects: impl Iterator<Item = (&'a str, u64)>) -> u32 {
    let bytes: u64 = objects
        .map(|(key, bytes)| if is_compressed_name(key) { bytes.saturating_mul(COMPRESSION_RATIO) } else { bytes })
        .sum();
    let shard_bytes = (bytes / SHARDS_WANTED).clamp(SHARD_BYTES_MIN, SHARD_BYTES_MAX);
    u32::try_from(bytes.div_ceil(shard_bytes)).unwrap_or(SHARDS_MAX).clamp(1, SHARDS_MAX)
}

fn is_compressed_name(key: &str) -> bool {
    [".gz", ".gzip", ".zst", ".zstd"].iter().any(|end| key.ends_with(end))
}

/// A byte range of a landing object: the records that start in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Position of the object in the list of landing objects.
    pub object: usize,
    /// Bytes of the object. To `u64::MAX` where the object cannot be split.
    pub bytes: Range<u64>,
}

/// The splits of one object of `object_bytes` bytes, `split_bytes` each, the last one up to half as much more.
///
/// # Panics
/// If `split_bytes` is 0.
pub fn splits(object: usize, object_bytes: u64, splittable: bool, split_bytes: u64) -> Vec<Split> {
    if !splittable || object_bytes < split_bytes + split_bytes / 2 {
        return vec![Split { object, bytes: 0..u64::MAX }];
    }
    let count = (object_bytes + split_bytes / 2) / split_bytes;
    (0..count)
        .map(|i| {
            let end = if i + 1 == count { u64::MAX } else { (i + 1) * split_bytes };
            Split { object, bytes: i * split_bytes..end }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards_of(bytes: u64) -> u32 {
        shard_count([("a.json", bytes)].into_iter())
    }

    #[test]
    fn shards_follow_landing() {
        assert_eq!(shards_of(0), 1);
        assert_eq!(shards_of(1 << 30), 4);
        assert_eq!(shards_of(16 << 30), 64);
        assert_eq!(shards_of(64 << 30), 64);
        assert_eq!(shards_of(1 << 40), 128);
        assert_eq!(shards_of(u64::MAX), SHARDS_MAX);
        assert_eq!(shard_count([("a.json.gz", 1 << 30)].into_iter()), 40);
    }

    #[test]
    fn splits_cover_an_object_without_gap_or_overlap() {
        for bytes in [0, 1, 99, 149, 150, 151, 249, 250, 1000] {
            let splits = splits(3, bytes, true, 100);
            assert_eq!(splits.first().map(|s| s.bytes.start), Some(0));
            assert_eq!(splits.last().map(|s| s.bytes.end), Some(u64::MAX));
            assert!(splits.windows(2).all(|w| w[0].bytes.end == w[1].bytes.start), "{splits:?}");
            assert!(splits.iter().all(|s| s.object == 3 && s.bytes.start < bytes.max(1)));
        }
        assert_eq!(splits(0, 1000, false, 100).len(), 1);
        assert_eq!(splits(0, 1000, true, 100).len(), 10);
    }
}
