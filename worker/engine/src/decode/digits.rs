//! Numbers of the common kinds, eight digits at a time. What they accept, [`super::number`] reads alike.

use super::block::word_at;
use super::{json, number};

const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < 20 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Doubles hold these exactly.
const EXACT_POWERS_OF_TEN: [f64; 17] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16];

/// An integer without fraction and exponent, of at most 16 digits, and the index after it. What may stand behind it is
/// for the caller to check.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], start: usize) -> Option<(i64, usize)> {
    let negative = *bytes.get(start)? == b'-';
    let first = start + usize::from(negative);
    let (mut magnitude, mut count) = leading_digits(word_at(bytes, first)?);
    if count == 8 {
        let (more, behind) = leading_digits(word_at(bytes, first + 8)?);
        if behind == 8 {
            return None;
        }
        magnitude = magnitude * POWERS_OF_TEN[behind] + more;
        count += behind;
    }
    if count == 0 || (count > 1 && bytes[first] == b'0') {
        return None;
    }
    let magnitude = magnitude.cast_signed();
    Some((if negative { -magnitude } else { magnitude }, first + count))
}

/// A double and the index after it. What may stand behind it is for the caller to check.
#[inline(always)]
pub(super) fn double(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    short_decimal(bytes, start).or_else(|| any_double(bytes, start))
}

/// A decimal with less than 8 digits before the point and less than 9 behind it: its digits fit 2^53, so that one
/// division rounds it correctly (Clinger 1990, "How to read floating point numbers accurately").
#[inline(always)]
fn short_decimal(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let negative = *bytes.get(start)? == b'-';
    let first = start + usize::from(negative);
    let (mut mantissa, whole) = leading_digits(word_at(bytes, first)?);
    if whole == 0 || whole == 8 || (whole > 1 && bytes[first] == b'0') {
        return None;
    }
    let mut end = first + whole;
    let mut divisor = 1.0;
    if bytes[end] == b'.' {
        let (fraction, count) = leading_digits(word_at(bytes, end + 1)?);
        if count == 0 || count == 8 {
            return None;
        }
        mantissa = mantissa * POWERS_OF_TEN[count] + fraction;
        divisor = EXACT_POWERS_OF_TEN[count];
        end += 1 + count;
    }
    if matches!(bytes[end], b'e' | b'E') {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "it is less than 10^15")]
    let magnitude = mantissa as f64 / divisor;
    Some((if negative { -magnitude } else { magnitude }, end))
}

#[inline(never)]
fn any_double(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let end = json::number(bytes, start).ok()?;
    let text = std::str::from_utf8(&bytes[start..end]).ok()?;
    Some((number::double(text)?, end))
}

/// The number that the digits at the start of `word` make, and how many there are.
#[inline(always)]
fn leading_digits(word: u64) -> (u64, usize) {
    // a byte keeps its high bit clear in both terms only if it was a digit; the lowest other byte tells
    let values = word ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let bits = others.trailing_zeros();
    // shifted up, the digits end with the word and have zeros before them
    let values = if bits < 8 { 0 } else { values << ((64 - (bits & !7)) & 63) };
    (eight_digits(values), (bits / 8) as usize)
}

/// Pairs of digits, of two digits, of four digits are added up side by side (Lemire 2022, "Parsing series of integers
/// with SIMD").
#[inline(always)]
fn eight_digits(values: u64) -> u64 {
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_up_to_any_other_byte() {
        for stop in (0..=255_u8).filter(|b| !b.is_ascii_digit()) {
            for count in 0..=8 {
                let mut bytes = *b"98765432";
                bytes[count..].fill(stop);
                let expected = "98765432"[..count].parse().unwrap_or(0);
                assert_eq!(leading_digits(u64::from_le_bytes(bytes)), (expected, count), "{stop:#x}");
                if count < 7 {
                    bytes[count + 1..].fill(b'7');
                    assert_eq!(leading_digits(u64::from_le_bytes(bytes)), (expected, count), "{stop:#x}");
                }
            }
        }
    }

    #[test]
    fn integers_are_those_of_the_slow_path() {
        for text in ["0", "-0", "7", "-12345678", "123456789", "1655564444103", "-999999999999999"] {
            let bytes = format!("{text},                ");
            assert_eq!(integer(bytes.as_bytes(), 0), number::integer(text).map(|n| (n, text.len())), "{text}");
        }
        for text in ["", "-", "01", "-00", "+1", "12345678901234567", "x"] {
            assert_eq!(integer(format!("{text},                ").as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn doubles_are_those_of_the_slow_path() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "1.0",
            "-1.5",
            "0.0384660",
            "1234567.1234567",
            "12345678.5",
            "0.12345678",
            "0.1234567890123456",
            "1e-5",
            "-1.5E3",
            "0.000000000000000000000000001",
            "123456789012345678901234567890",
        ] {
            let (double, end) = double(format!("{text},                ").as_bytes(), 0).unwrap();
            assert_eq!((double.to_bits(), end), (number::double(text).unwrap().to_bits(), text.len()), "{text}");
        }
        for text in ["", "-", ".5", "1.", "01.5", "1e", "1e999", "NaN"] {
            assert_eq!(
                double(format!("{text},                ").as_bytes(), 0).filter(|(_, end)| *end == text.len()),
                None,
                "{text}"
            );
        }
    }
}
