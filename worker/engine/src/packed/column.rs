//! Columns of a run: differences to the least value, in as many bits as the greatest one needs.

use super::Damaged;
use crate::encode::pack::zigzag;

/// Up to so many bits a value and what is left of a byte before it fit into one word.
const BITS_MAX: u32 = 56;

/// Appends the column of `values`.
#[inline]
pub(super) fn put_column(values: &[i64], out: &mut Vec<u8>) {
    let (mut least, mut greatest) = (i64::MAX, i64::MIN);
    for &value in values {
        least = least.min(value);
        greatest = greatest.max(value);
    }
    let bits = match 64 - greatest.wrapping_sub(least).cast_unsigned().leading_zeros() {
        bits @ 0..=BITS_MAX => bits,
        _ => 64,
    };
    out.push(bits.to_le_bytes()[0]);
    zigzag(least, out);
    let differences = values.iter().map(|value| value.wrapping_sub(least).cast_unsigned());
    if bits > BITS_MAX {
        differences.for_each(|difference| out.extend_from_slice(&difference.to_le_bytes()));
    } else if bits > 0 {
        put_bits(differences, bits, out);
    }
}

#[inline]
fn put_bits(differences: impl ExactSizeIterator<Item = u64>, bits: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let end = start + packed_bytes(differences.len(), bits);
    // words are written whole, the last one over the end
    out.resize(end + 8, 0);
    let (mut at, mut held, mut word) = (start, 0, 0_u64);
    for difference in differences {
        word |= difference << held;
        out[at..at + 8].copy_from_slice(&word.to_le_bytes());
        held += bits;
        at += held as usize / 8;
        word >>= held & !7;
        held &= 7;
    }
    out.truncate(end);
}

fn packed_bytes(values: usize, bits: u32) -> usize {
    (values * bits as usize).div_ceil(8)
}

/// Takes the column of so many values off the start of `bytes`, in place of what is in `values`.
#[inline]
pub(super) fn take_column(bytes: &mut &[u8], count: usize, values: &mut Vec<i64>) -> Result<(), Damaged> {
    let (&bits, rest) = bytes.split_first().ok_or(Damaged)?;
    let bits = u32::from(bits);
    if bits > BITS_MAX && bits != 64 {
        return Err(Damaged);
    }
    *bytes = rest;
    let zigzag = take_varint(bytes)?;
    let least = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
    let (packed, rest) = bytes.split_at_checked(packed_bytes(count, bits)).ok_or(Damaged)?;
    values.clear();
    if bits == 0 {
        values.resize(count, least);
    } else if bytes.len() >= packed.len() + 8 {
        take_bits(bytes, bits, least, count, values);
    } else {
        // words are read whole, the last one over the end
        let mut padded = packed.to_vec();
        padded.extend_from_slice(&[0; 8]);
        take_bits(&padded, bits, least, count, values);
    }
    *bytes = rest;
    Ok(())
}

#[inline]
fn take_bits(bytes: &[u8], bits: u32, least: i64, count: usize, values: &mut Vec<i64>) {
    let mask = u64::MAX >> (64 - bits);
    values.extend((0..count).map(|i| {
        let bit = i * bits as usize;
        let word = bytes[bit / 8..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        least.wrapping_add((word >> (bit % 8) & mask).cast_signed())
    }));
}

/// Takes an unsigned LEB128 number off the start of `bytes`.
#[inline]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Damaged)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Damaged)
}
