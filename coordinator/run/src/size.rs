//! Sizes as people write them.

/// Text that is no size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a size such as 512MiB, 2GiB or 1.5GB")]
pub struct SizeText(String);

/// The bytes of a size: a number and a unit, `KiB` being 1024 and `KB` 1000 bytes, in any letter case. `Ki` and `K` are
/// short for them, and a number alone is bytes.
///
/// # Errors
/// If it is none, or does not fit 64 bits.
pub fn parse_size(text: &str) -> Result<u64, SizeText> {
    let error = || SizeText(text.to_owned());
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let unit_bytes = unit_bytes(unit.trim()).ok_or_else(error)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| error())?;
    let bytes = whole.checked_mul(unit_bytes).ok_or_else(error)?;
    bytes.checked_add(fraction_bytes(fraction, unit_bytes).ok_or_else(error)?).ok_or_else(error)
}

/// What the digits behind the point are worth, rounded down; digits behind the ninth are worth nothing.
fn fraction_bytes(digits: &str, unit_bytes: u64) -> Option<u64> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value =
        digits.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |n: u128, b| n * 10 + u128::from(b - b'0'));
    u64::try_from(value * u128::from(unit_bytes) / 1_000_000_000).ok()
}

fn unit_bytes(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    let letters = unit.strip_suffix('b').unwrap_or(&unit);
    let (letter, base) = match letters.strip_suffix('i') {
        Some("") => return None,
        Some(letter) => (letter, 1024_u64),
        None => (letters, 1000),
    };
    let power = match letter {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    Some(base.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let sizes = [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("512MiB", 512 << 20),
            ("512 mib", 512 << 20),
            ("2Gi", 2 << 30),
            ("1GB", 1_000_000_000),
            ("1k", 1000),
            ("1.5GB", 1_500_000_000),
            ("0.5KiB", 512),
            ("3T", 3_000_000_000_000),
        ];
        for (text, bytes) in sizes {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "lots", "MiB", "-1", "1PiB", "1i", "1iB", "1..5M", "1.2.3M", "99999999999TiB", "1 2M", "1BiB"]
        {
            assert_eq!(parse_size(text), Err(SizeText(text.to_owned())), "{text}");
        }
    }
}
