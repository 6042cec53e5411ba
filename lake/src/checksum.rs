//! Sealed bytes: objects that workers exchange end in a checksum, so that damage is found whatever the store promises. Of
//! what is in scratch, the process that wrote it keeps the checksum.
//!
//! The seal is xxHash64 of the bytes before it, little endian. Its seed tells apart what must not be taken for each other.

use twox_hash::XxHash64;

/// Length of a seal.
pub const SEAL_BYTES: usize = 8;

/// What a seal holds: xxHash64 of `bytes`.
pub fn hash(bytes: &[u8], seed: u64) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

/// Puts a seal behind `bytes`.
pub fn seal(bytes: &mut Vec<u8>, seed: u64) {
    let hash = hash(bytes, seed);
    bytes.extend_from_slice(&hash.to_le_bytes());
}

/// The bytes before the seal, `None` if they are not those that were sealed with `seed`.
pub fn unseal(sealed: &[u8], seed: u64) -> Option<&[u8]> {
    let (bytes, sealed_hash) = sealed.split_last_chunk::<SEAL_BYTES>()?;
    (hash(bytes, seed) == u64::from_le_bytes(*sealed_hash)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_breaks_the_seal() {
        let mut sealed = b"some rows".to_vec();
        seal(&mut sealed, 7);
        assert_eq!(unseal(&sealed, 7), Some(b"some rows".as_slice()));
        assert_eq!(unseal(&sealed, 8), None);
        assert_eq!(unseal(&sealed[1..], 7), None);
        assert_eq!(unseal(&sealed[..4], 7), None);
        for i in 0..sealed.len() {
            sealed[i] ^= 4;
            assert_eq!(unseal(&sealed, 7), None, "byte {i}");
            sealed[i] ^= 4;
        }
    }
}
