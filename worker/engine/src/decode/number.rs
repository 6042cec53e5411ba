//! Numbers as text to `i64` and `f64`, exactly.

use super::json;

/// The text as a JSON number, spaces around it aside; strings may hold numbers.
pub(super) fn in_string(text: &str) -> Option<&str> {
    let text = text.trim_ascii();
    (json::number(text.as_bytes(), 0) == Ok(text.len())).then_some(text)
}

/// The integer that a JSON number stands for: `1655`, `1655.0` and `1.655e3` are the same. `None` if it is not
/// integral or does not fit.
pub(super) fn integer(number: &str) -> Option<i64> {
    let (negative, magnitude) = match number.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, number),
    };
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
    if significant == 0 {
        return Some(0);
    }
    // more digits than an i64 has, whatever the exponent's own digits say
    let exponent: i64 = exponent.parse().ok()?;
    let scale = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let zeros = usize::try_from(scale.unsigned_abs()).ok()?;
    if scale < 0 {
        let kept = digits.len().checked_sub(zeros)?;
        if digits.split_off(kept).bytes().any(|digit| digit != b'0') {
            return None;
        }
    } else if zeros < 20 {
        digits.extend(std::iter::repeat_n('0', zeros));
    } else {
        return None;
    }
    if negative {
        digits.insert(0, '-');
    }
    digits.parse().ok()
}

/// The double nearest to a JSON number, `None` if that is infinite.
pub(super) fn double(number: &str) -> Option<f64> {
    number.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integral_numbers_are_integers_however_written() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("-0.0e5", 0),
            ("0e99999999999999999999", 0),
            ("1655564444103", 1_655_564_444_103),
            ("1.655e12", 1_655_000_000_000),
            ("1.655E+12", 1_655_000_000_000),
            ("1655.0", 1655),
            ("165500e-2", 1655),
            ("-1000000000000000000000e-3", -1_000_000_000_000_000_000),
            ("0.0000000000000000000000001e25", 1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_not() {
        for text in ["0.5", "1e-1", "1655.1", "9223372036854775808", "1e19", "1e20", "1e99999999999999999999", "15e-99"]
        {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn strings_hold_numbers_only_if_nothing_else() {
        assert_eq!(in_string(" 1.5 "), Some("1.5"));
        for text in ["", " ", "1.", "+1", "01", "1 2", "0x10", "NaN", "-", "1e"] {
            assert_eq!(in_string(text), None, "{text}");
        }
    }
}
