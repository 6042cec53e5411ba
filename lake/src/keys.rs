//! Which shard a row belongs to. Part names and part contents depend on these functions: changing one is a new
//! [format version](crate::commit::FORMAT_VERSION).

use twox_hash::XxHash64;

/// The shard of a serial number: xxHash64 of its bytes, seed 0, modulo `shards`.
///
/// # Panics
/// If `shards` is 0.
pub fn shard_of_serial(serial: &[u8], shards: u32) -> u32 {
    reduce(XxHash64::oneshot(0, serial), shards)
}

/// The shard of a reading's time, for `--match timestamp`: the finaliser of MurmurHash3 (fmix64), modulo `shards`.
///
/// # Panics
/// If `shards` is 0.
#[inline]
pub fn shard_of_time(time_ms: i64, shards: u32) -> u32 {
    let mut hash = time_ms.cast_unsigned();
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    reduce(hash ^ (hash >> 33), shards)
}

#[inline]
fn reduce(hash: u64, shards: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the remainder of a u32 fits a u32")]
    let shard = (hash % u64::from(shards)) as u32;
    shard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_never_change() {
        assert_eq!(XxHash64::oneshot(0, b""), 0xef46_db37_51d8_e999);
        assert_eq!(shard_of_serial(b"50f7b4f3-7af5-4b07-a421-7b902c8d2b7c", 1 << 20), 454_122);
        assert_eq!(shard_of_time(1_655_564_444_103, 1 << 20), 979_005);
    }
}
