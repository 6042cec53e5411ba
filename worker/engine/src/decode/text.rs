//! Escapes of JSON strings (RFC 8259, section 7).

use std::borrow::Cow;

/// Whether each surrogate that `escaped` writes as `\u....` has its other half. The escapes must be well formed.
pub(super) fn surrogates_pair(escaped: &[u8]) -> bool {
    let mut pos = 0;
    while let Some(found) = memchr::memchr(b'\\', &escaped[pos..]) {
        pos += found;
        match code_unit(&escaped[pos..]) {
            Some(0xD800..=0xDBFF) if matches!(code_unit(&escaped[pos + 6..]), Some(0xDC00..=0xDFFF)) => pos += 12,
            Some(0xD800..=0xDFFF) => return false,
            Some(_) => pos += 6,
            None => pos += 2,
        }
    }
    true
}

/// The text that `escaped` stands for. Its escapes must be well formed and its surrogates paired.
pub(super) fn unescape(escaped: &str) -> Cow<'_, str> {
    let mut rest = escaped;
    let mut text = String::new();
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let units = (code_unit(&rest.as_bytes()[at..]), rest.as_bytes().get(at + 6..).and_then(code_unit));
        let (letter, length) = match units {
            (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
                (char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12)
            }
            (Some(unit), _) => (char::from_u32(unit), 6),
            (None, _) => (rest.as_bytes().get(at + 1).map(|b| short_escape(*b)), 2),
        };
        text.push(letter.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = &rest[at + length..];
    }
    if text.is_empty() {
        return Cow::Borrowed(rest);
    }
    text.push_str(rest);
    Cow::Owned(text)
}

fn short_escape(letter: u8) -> char {
    match letter {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => char::from(other),
    }
}

/// The UTF-16 code unit of the `\u....` that `bytes` start with, if they do.
fn code_unit(bytes: &[u8]) -> Option<u32> {
    let hex = bytes.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    hex.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescape("plain"), "plain");
        assert_eq!(unescape(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(unescape(r"a\u00e9\u20ACb"), "aé€b");
        assert_eq!(unescape(r"\ud83d\ude00!"), "😀!");
        assert_eq!(unescape(r"\\ud83d"), r"\ud83d");
    }

    #[test]
    fn surrogates_need_their_other_half() {
        assert!(surrogates_pair(br"\ud83d\ude00\u0041\n"));
        assert!(surrogates_pair(br"\\ud83d"));
        for lone in [&br"\ud83d"[..], br"\ude00", br"\ude00\ud83d", br"\ud83dx", br"\ud83d\n", br"\ud83d\u0041"] {
            assert!(!surrogates_pair(lone), "{}", String::from_utf8_lossy(lone));
        }
    }
}
