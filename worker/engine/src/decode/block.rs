//! Many bytes at once, in plain 64-bit arithmetic ("SIMD within a register").

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The index of the first byte from `start` on that a string cannot simply contain: a quote, a backslash or a control
/// character; the number of bytes if there is none.
pub(super) fn string_stop(bytes: &[u8], start: usize) -> usize {
    let mut pos = start;
    while let Some(word) = word_at(bytes, pos) {
        let stops = string_stops(word);
        if stops != 0 {
            return pos + (stops.trailing_zeros() / 8) as usize;
        }
        pos += 8;
    }
    let stop = |b: &u8| *b < 0x20 || matches!(b, b'"' | b'\\');
    bytes[pos.min(bytes.len())..].iter().position(stop).map_or(bytes.len(), |found| pos + found)
}

pub(super) fn word_at(bytes: &[u8], pos: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(pos..)?.first_chunk()?))
}

/// The high bit of each byte that ends a string's plain run. Bytes above the lowest set bit may be wrong.
pub(super) fn string_stops(word: u64) -> u64 {
    let zero_byte = |w: u64| w.wrapping_sub(LOW) & !w;
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    (control | zero_byte(word ^ (LOW * b'"' as u64)) | zero_byte(word ^ (LOW * b'\\' as u64))) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_stops_where_it_stops_byte_by_byte() {
        for stop in 0..=255_u8 {
            for at in 0..20 {
                let mut bytes = vec![b'a'; 24];
                bytes[at] = stop;
                bytes[(at + 1) % 24] = 0xFF;
                let expected = if stop < 0x20 || stop == b'"' || stop == b'\\' { at } else { 24 };
                assert_eq!(string_stop(&bytes, 0), expected, "{stop:#x} at {at}");
            }
        }
    }
}
