//! The set of users that have readings, as the object from which workers of the later stages learn it.
//!
//! One bit a user id, lowest bit first, behind the number of users (four bytes, little endian), and a
//! [seal](stedi_lake::checksum).

use stedi_lake::checksum;

/// Tells this object from other sealed ones.
const SEED: u64 = 0x7265_6164_6572_7331;

/// Bytes that are not the set of readers of this run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadersError {
    /// The seal is broken.
    #[error("the set of users that have readings is damaged")]
    Damaged,
    /// It was made for another directory.
    #[error("the set of users that have readings is of {found} users, the directory of {wanted}")]
    OtherDirectory {
        /// Users of the set.
        found: u64,
        /// Users of the directory.
        wanted: u64,
    },
}

/// The object for these user ids, in any order, of `users` users.
///
/// # Panics
/// If an id is not below `users`.
pub fn encode_readers(readers: &[u32], users: u32) -> Vec<u8> {
    let mut bytes = users.to_le_bytes().to_vec();
    bytes.resize(4 + users.div_ceil(8) as usize, 0);
    for &user in readers {
        assert!(user < users, "user {user} of {users}");
        bytes[4 + user as usize / 8] |= 1 << (user % 8);
    }
    checksum::seal(&mut bytes, SEED);
    bytes
}

/// Whether each user id below `users` is in the set.
///
/// # Errors
/// If the bytes are damaged or of another number of users.
pub fn decode_readers(bytes: &[u8], users: usize) -> Result<Vec<bool>, ReadersError> {
    let open = checksum::unseal(bytes, SEED).ok_or(ReadersError::Damaged)?;
    let (count, bits) = open.split_first_chunk::<4>().ok_or(ReadersError::Damaged)?;
    let found = u32::from_le_bytes(*count) as usize;
    if found != users {
        return Err(ReadersError::OtherDirectory { found: found as u64, wanted: users as u64 });
    }
    if bits.len() != users.div_ceil(8) {
        return Err(ReadersError::Damaged);
    }
    Ok((0..users).map(|user| bits[user / 8] >> (user % 8) & 1 == 1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_back() {
        for users in [0, 1, 7, 8, 9, 100_u32] {
            let readers: Vec<u32> = (0..users).filter(|user| user % 3 != 1).collect();
            let back = decode_readers(&encode_readers(&readers, users), users as usize).expect("whole");
            let ids: Vec<u32> = (0..).zip(back).filter(|(_, has)| *has).map(|(user, _)| user).collect();
            assert_eq!(ids, readers);
        }
        assert_eq!(encode_readers(&[9, 0], 10), encode_readers(&[0, 9], 10));
    }

    #[test]
    fn what_is_not_the_set_is_refused() {
        let mut bytes = encode_readers(&[3], 10);
        assert_eq!(decode_readers(&bytes, 11), Err(ReadersError::OtherDirectory { found: 10, wanted: 11 }));
        assert_eq!(decode_readers(&bytes[..5], 10), Err(ReadersError::Damaged));
        bytes[4] ^= 1;
        assert_eq!(decode_readers(&bytes, 10), Err(ReadersError::Damaged));
    }
}
