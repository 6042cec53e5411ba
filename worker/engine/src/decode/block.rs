//! Many bytes at once, in plain 64-bit arithmetic ("SIMD within a register").

#[cfg(not(target_arch = "x86_64"))]
use first_stop_portable as first_stop;

#[cfg(target_arch = "x86_64")]
use super::sse2::first_stop;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The most that a [`Literal`] holds.
pub(super) const BYTES: usize = 32;
const WORDS: usize = BYTES / 8;

/// A short text that is looked for at a given place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    words: [u64; WORDS],
    masks: [u64; WORDS],
    len: usize,
}

impl Literal {
    /// # Panics
    ///
    /// If the text is longer than [`BYTES`].
    pub(super) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; BYTES];
        bytes[..text.len()].copy_from_slice(text);
        let mut mask = [0; BYTES];
        mask[..text.len()].fill(0xFF);
        Self { words: words(&bytes), masks: words(&mask), len: text.len() }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether the text is at `bytes[pos]`; `None` if that is too close to their end to tell.
    #[inline(always)]
    pub(super) fn is_at(&self, bytes: &[u8], pos: usize) -> Option<bool> {
        let differs = |i: usize| Some((word_at(bytes, pos + i * 8)? ^ self.words[i]) & self.masks[i]);
        let mut difference = differs(0)?;
        if self.len > 8 {
            difference |= differs(1)?;
            if self.len > 16 {
                difference |= differs(2)? | differs(3)?;
            }
        }
        Some(difference == 0)
    }
}

fn words(bytes: &[u8; BYTES]) -> [u64; WORDS] {
    let (chunks, _) = bytes.as_chunks::<8>();
    [0, 1, 2, 3].map(|i| u64::from_le_bytes(chunks[i]))
}

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

/// The index of the quote that ends the string, and whether the string is ASCII; `None` if something else stops it
/// first or the bytes end about there. Of a string that is not ASCII the index may be any.
#[inline(always)]
pub(super) fn text_stop(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut pos = start;
    loop {
        let block = bytes.get(pos..)?.first_chunk()?;
        if let Some(stop) = first_stop(block) {
            return match block[stop & 15] {
                b'"' => Some((pos + stop, true)),
                0x80.. => Some((pos + stop, false)),
                _ => None,
            };
        }
        pos += 16;
    }
}

/// The index of the first byte that is a quote, a backslash, a control character or not ASCII.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn first_stop_portable(block: &[u8; 16]) -> Option<usize> {
    let (words, _) = block.as_chunks::<8>();
    let stops = |i: usize| {
        let word = u64::from_le_bytes(words[i]);
        string_stops(word) | (word & HIGH)
    };
    let at = |stops: u64| (stops.trailing_zeros() / 8) as usize;
    match (stops(0), stops(1)) {
        (0, 0) => None,
        (0, high) => Some(8 + at(high)),
        (low, _) => Some(at(low)),
    }
}

#[inline(always)]
pub(super) fn word_at(bytes: &[u8], pos: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(pos..)?.first_chunk()?))
}

/// The high bit of each byte that ends a string's plain run. Bytes above the lowest set bit may be wrong.
#[inline(always)]
fn string_stops(word: u64) -> u64 {
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
            for at in 0..32 {
                let mut bytes = vec![b'a'; 48];
                bytes[at] = stop;
                bytes[(at + 1) % 48] = 0xFF;
                let expected = if stop < 0x20 || stop == b'"' || stop == b'\\' { at } else { 48 };
                assert_eq!(string_stop(&bytes, 0), expected, "{stop:#x} at {at}");
                bytes[(at + 1) % 48] = b'a';
                let expected = match stop {
                    b'"' => Some((at, true)),
                    0x80.. => Some((at, false)),
                    _ => None,
                };
                assert_eq!(text_stop(&bytes, 0), expected, "{stop:#x} at {at}");
            }
        }
    }

    #[test]
    fn the_portable_way_finds_the_same_stop() {
        for stop in 0..=255_u8 {
            for at in 0..16 {
                let mut block = [b'a'; 16];
                block[at] = stop;
                block[(at + 1) % 16] = b'"';
                assert_eq!(first_stop_portable(&block), first_stop(&block), "{stop:#x} at {at}");
            }
        }
    }

    #[test]
    fn a_literal_is_found_only_where_it_is() {
        let bytes: Vec<u8> = (0..80).collect();
        for len in 0..=BYTES {
            let literal = Literal::new(&bytes[3..3 + len]);
            assert_eq!(literal.is_at(&bytes, 3), Some(true));
            assert_eq!(literal.is_at(&bytes, 4), Some(len == 0));
            assert_eq!(literal.is_at(&bytes, 80 - 7), None);
            for wrong in 3..3 + len {
                let mut bytes = bytes.clone();
                bytes[wrong] ^= 0x40;
                assert_eq!(literal.is_at(&bytes, 3), Some(false), "byte {wrong}");
            }
        }
    }
}
