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

/// 0.0 to 9.9.
const TENTHS: [[f64; 10]; 10] = {
    let mut tenths = [[0.0; 10]; 10];
    let mut i = 0;
    while i < 100 {
        tenths[i / 10][i % 10] = i as f64 / 10.0;
        i += 1;
    }
    tenths
};

/// A number as the fast path reads it.
pub(super) struct Digits<T> {
    pub(super) value: T,
    /// Index of the first byte after the sign.
    pub(super) first: usize,
    /// Number of bytes from there on.
    pub(super) len: usize,
}

/// An integer without fraction and exponent, of at most 15 digits. What may stand behind it is for the caller to check.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], start: usize) -> Option<Digits<i64>> {
    let negative = *bytes.get(start)? == b'-';
    let first = start + usize::from(negative);
    let (mut magnitude, mut len) = leading_digits(word_at(bytes, first)?);
    if len == 8 {
        let (more, behind) = leading_digits(word_at(bytes, first + 8)?);
        if behind == 8 {
            return None;
        }
        magnitude = magnitude * POWERS_OF_TEN[behind] + more;
        len += behind;
    }
    if len == 0 || (len > 1) & (bytes[first] == b'0') {
        return None;
    }
    let sign = -i64::from(negative);
    Some(Digits { value: (magnitude.cast_signed() ^ sign) - sign, first, len })
}

/// A double such as `-1.0`, with a comma or a brace behind it, and the index after it.
#[inline(always)]
pub(super) fn tenths(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let negative = *bytes.get(start)? == b'-';
    let first = start + usize::from(negative);
    let [whole, point, tenths, behind] = *bytes.get(first..)?.first_chunk()?;
    let (whole, tenths) = (whole.wrapping_sub(b'0'), tenths.wrapping_sub(b'0'));
    let plain = (whole < 10) & (tenths < 10) & (point == b'.') & ((behind == b',') | (behind == b'}'));
    plain.then(|| (with_sign(negative, TENTHS[usize::from(whole)][usize::from(tenths)]), first + 3))
}

/// A double. What may stand behind it is for the caller to check.
#[inline(never)]
pub(super) fn double(bytes: &[u8], start: usize) -> Option<Digits<f64>> {
    short_decimal(bytes, start).or_else(|| long_decimal(bytes, start)).or_else(|| any_double(bytes, start))
}

/// A decimal that takes less than eight bytes without its sign.
#[inline(always)]
fn short_decimal(bytes: &[u8], start: usize) -> Option<Digits<f64>> {
    let negative = *bytes.get(start)? == b'-';
    let first = start + usize::from(negative);
    let word = word_at(bytes, first)?;
    let (values, others) = digit_values(word);
    let point = others.trailing_zeros() & !7;
    let rest = others & others.wrapping_sub(1);
    // not `&&`: what the first digit is cannot be predicted, that it is the only one can
    if others == 0 || point == 0 || (point > 8) & (word & 0xFF == u64::from(b'0')) {
        return None;
    }
    let behind = (word >> point) & 0xFF;
    if behind != u64::from(b'.') {
        let magnitude = decimal(negative, eight_digits(values << (64 - point)), 0);
        return (behind | 0x20 != u64::from(b'e')).then_some(Digits {
            value: magnitude,
            first,
            len: point as usize / 8,
        });
    }
    let end = rest.trailing_zeros() & !7;
    if rest == 0 || end - point == 8 || (word >> end) & 0xDF == u64::from(b'E') {
        return None;
    }
    let whole = (1 << point) - 1;
    let digits = (values & whole) | ((values >> 8) & !whole);
    let mantissa = eight_digits(digits << (72 - end));
    let places = (end - point) / 8 - 1;
    Some(Digits { value: decimal(negative, mantissa, places as usize), first, len: (end / 8) as usize })
}

/// A decimal of at most 15 digits.
fn long_decimal(bytes: &[u8], start: usize) -> Option<Digits<f64>> {
    let negative = *bytes.get(start)? == b'-';
    let first = start + usize::from(negative);
    let (mut mantissa, whole) = leading_digits(word_at(bytes, first)?);
    if whole == 0 || whole == 8 || (whole > 1) & (bytes[first] == b'0') {
        return None;
    }
    let mut end = first + whole;
    let mut places = 0;
    if bytes[end] == b'.' {
        let (fraction, count) = leading_digits(word_at(bytes, end + 1)?);
        mantissa = mantissa * POWERS_OF_TEN[count] + fraction;
        places = count;
        if count == 8 {
            let (fraction, more) = leading_digits(word_at(bytes, end + 9)?);
            mantissa = mantissa * POWERS_OF_TEN[more] + fraction;
            places += more;
        }
        if places == 0 || whole + places > 15 {
            return None;
        }
        end += 1 + places;
    }
    if *bytes.get(end)? | 0x20 == b'e' {
        return None;
    }
    Some(Digits { value: decimal(negative, mantissa, places), first, len: end - first })
}

/// `mantissa` / 10^`places`. A mantissa below 2^53 and the power of ten are exact, so that one division rounds correctly
/// (Clinger 1990, "How to read floating point numbers accurately").
#[inline(always)]
fn decimal(negative: bool, mantissa: u64, places: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is less than 10^15")]
    let magnitude = mantissa.cast_signed() as f64 / EXACT_POWERS_OF_TEN[places];
    with_sign(negative, magnitude)
}

#[inline(always)]
fn with_sign(negative: bool, magnitude: f64) -> f64 {
    f64::from_bits(magnitude.to_bits() | u64::from(negative) << 63)
}

#[cold]
fn any_double(bytes: &[u8], start: usize) -> Option<Digits<f64>> {
    let end = json::number(bytes, start).ok()?;
    let text = std::str::from_utf8(&bytes[start..end]).ok()?;
    Some(Digits { value: number::double(text)?, first: start, len: end - start })
}

/// The number that the digits at the start of `word` make, and how many there are.
#[inline(always)]
fn leading_digits(word: u64) -> (u64, usize) {
    let (values, others) = digit_values(word);
    let bits = others.trailing_zeros() & !7;
    // shifted up, the digits end with the word and have zeros before them
    let values = if bits == 0 { 0 } else { values << (64 - bits) };
    (eight_digits(values), (bits / 8) as usize)
}

/// The value of each byte that is a digit, and the high bit of each that is not, as far as to the first that is not
/// ASCII.
#[inline(always)]
fn digit_values(word: u64) -> (u64, u64) {
    let values = word ^ 0x3030_3030_3030_3030;
    (values, (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080)
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

    /// Bits and length of what is read at the start of `text`, with room behind it.
    fn read<T>(
        text: &str,
        read: impl Fn(&[u8], usize) -> Option<Digits<T>>,
        bits: impl Fn(T) -> u64,
    ) -> Option<(u64, usize)> {
        let digits = read(format!("{text},                ").as_bytes(), 0)?;
        Some((bits(digits.value), digits.first + digits.len))
    }

    #[test]
    fn integers_are_those_of_the_slow_path() {
        for text in ["0", "-0", "7", "-12345678", "123456789", "1655564444103", "-999999999999999"] {
            let expected = number::integer(text).map(|n| (n.cast_unsigned(), text.len()));
            assert_eq!(read(text, integer, i64::cast_unsigned), expected, "{text}");
        }
        for text in ["", "-", "01", "-00", "+1", "1234567890123456", "x"] {
            assert_eq!(read(text, integer, i64::cast_unsigned), None, "{text}");
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
            "1234567.12345678",
            "1234567.123456789",
            "12345678.5",
            "0.12345678",
            "-0.12345678901234",
            "0.123456789012345",
            "0.1234567890123456",
            "9999999.99999999",
            "1e-5",
            "-1.5E3",
            "0.000000000000000000000000001",
            "123456789012345678901234567890",
        ] {
            let expected = number::double(text).map(|x| (x.to_bits(), text.len()));
            assert_eq!(read(text, double, f64::to_bits), expected, "{text}");
        }
        for text in ["", "-", ".5", "1.", "01.5", "1e", "1e999", "NaN"] {
            let whole = read(text, double, f64::to_bits).filter(|(_, end)| *end == text.len());
            assert_eq!(whole, None, "{text}");
        }
    }
}
