//! The integer encodings of Parquet pages: LEB128, RLE / bit-packing hybrid, and DELTA_BINARY_PACKED.
//!
//! Formats: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

/// Appends an unsigned LEB128 number.
pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a signed number: small ones of either sign are short.
pub(crate) fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

/// Bits that `max` needs.
pub(super) fn bit_width(max: u64) -> u32 {
    64 - max.leading_zeros()
}

/// Appends the low `width` bits of each value, least significant bit first, and fills the last byte with zeros.
fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let mut bits = 0_u64;
    let mut held = 0;
    for value in values {
        bits |= value << held;
        held += width;
        if held >= u64::BITS {
            out.extend_from_slice(&bits.to_le_bytes());
            held -= u64::BITS;
            bits = value.checked_shr(width - held).unwrap_or(0);
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held.div_ceil(8) as usize]);
}

/// Appends one bit-packed run of the hybrid encoding; its length is a multiple of 8 values, so that zeros may follow the
/// last one.
pub(super) fn bit_packed_run(values: impl ExactSizeIterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let groups = values.len().div_ceil(8);
    let padding = groups * 8 - values.len();
    varint((groups as u64) << 1 | 1, out);
    pack(values.chain(std::iter::repeat_n(0, padding)), width, out);
}

/// Appends one run of `count` equal values of the hybrid encoding.
pub(super) fn rle_run(value: u64, count: usize, width: u32, out: &mut Vec<u8>) {
    varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// Appends `values`, all of a page, as DELTA_BINARY_PACKED: blocks of 128 deltas in 4 miniblocks.
pub(super) fn delta_binary_packed(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINIBLOCK) as u64, out);
    varint(values.len() as u64, out);
    let Some((&first, rest)) = values.split_first() else {
        zigzag(0, out);
        return;
    };
    zigzag(first, out);
    let mut previous = first;
    let mut deltas = [0_i64; BLOCK];
    for block in rest.chunks(BLOCK) {
        for (delta, &value) in deltas.iter_mut().zip(block) {
            *delta = value.wrapping_sub(previous);
            previous = value;
        }
        delta_block(&deltas[..block.len()], out);
    }
}

fn delta_block(deltas: &[i64], out: &mut Vec<u8>) {
    let least = deltas.iter().copied().min().unwrap_or(0);
    zigzag(least, out);
    let mut above = [0_u64; BLOCK];
    for (above, delta) in above.iter_mut().zip(deltas) {
        *above = delta.wrapping_sub(least).cast_unsigned();
    }
    let widths_at = out.len();
    out.extend_from_slice(&[0; BLOCK / MINIBLOCK]);
    // a miniblock that is begun is packed whole; one without values has no bytes
    for (i, miniblock) in above.chunks(MINIBLOCK).take(deltas.len().div_ceil(MINIBLOCK)).enumerate() {
        let width = bit_width(miniblock.iter().fold(0, |all, v| all | v));
        out[widths_at + i] = width.to_le_bytes()[0];
        pack(miniblock.iter().copied(), width, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_format_is_reproduced() {
        // https://parquet.apache.org/docs/file-format/data-pages/encodings/: 0..=7 in 3 bits
        let mut out = Vec::new();
        bit_packed_run([0, 1, 2, 3, 4, 5, 6, 7].into_iter(), 3, &mut out);
        assert_eq!(out, [0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010]);
    }

    #[test]
    fn widths_up_to_64_bits_fill_whole_bytes() {
        for width in 1..=64 {
            let mut out = Vec::new();
            pack(std::iter::repeat_n(u64::MAX >> (64 - width), 32), width, &mut out);
            assert_eq!(out, vec![0xff; 4 * width as usize], "width {width}");
        }
    }
}
