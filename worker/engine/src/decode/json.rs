//! JSON as far as finding where things end: strings, numbers, nested values. Nothing here recurses or allocates.

use super::{block, text};

/// Deepest nesting that is read, the record itself included.
pub(super) const DEPTH_MAX: u32 = 128;

/// Why a value does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes end before it does.
    Incomplete,
    /// The byte at this index cannot stand there.
    Malformed(usize),
}

/// A string, as the bytes between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Index of the first byte after the opening quote.
    pub(super) start: usize,
    /// Index of the closing quote.
    pub(super) end: usize,
    /// Whether there are escapes to resolve.
    pub(super) escaped: bool,
}

/// What is remembered of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `null`.
    Null,
    /// A string.
    Text(Text),
    /// A number, from its first byte to the byte after its last.
    Number(usize, usize),
    /// `true`, `false`, an object or an array.
    Other,
}

/// Calls `member(key, value, value_start, value_end)` for each member of the object that starts at `bytes[0]`.
///
/// Returns the index after its closing brace, and whether any string in it has an escaped surrogate without its
/// other half, which no UTF-8 text can hold.
pub(super) fn members(bytes: &[u8], mut member: impl FnMut(Text, Value, usize, usize)) -> Result<(usize, bool), Stop> {
    debug_assert_eq!(bytes.first(), Some(&b'{'));
    let mut lone_surrogate = false;
    let mut pos = skip_whitespace(bytes, 1);
    if byte(bytes, pos)? == b'}' {
        return Ok((pos + 1, false));
    }
    loop {
        let (key, start) = key(bytes, pos, &mut lone_surrogate)?;
        let (value, end) = value(bytes, start, &mut lone_surrogate)?;
        member(key, value, start, end);
        pos = skip_whitespace(bytes, end);
        match byte(bytes, pos)? {
            b',' => pos = skip_whitespace(bytes, pos + 1),
            b'}' => return Ok((pos + 1, lone_surrogate)),
            _ => return Err(Stop::Malformed(pos)),
        }
    }
}

/// The value at `start`, nested or not, and the index after it.
pub(super) fn value(bytes: &[u8], start: usize, lone_surrogate: &mut bool) -> Result<(Value, usize), Stop> {
    match byte(bytes, start)? {
        b'{' | b'[' => Ok((Value::Other, skip_nested(bytes, start, lone_surrogate)?)),
        _ => scalar(bytes, start, lone_surrogate),
    }
}

fn scalar(bytes: &[u8], start: usize, lone_surrogate: &mut bool) -> Result<(Value, usize), Stop> {
    match byte(bytes, start)? {
        b'"' => {
            let text = string(bytes, start + 1, lone_surrogate)?;
            Ok((Value::Text(text), text.end + 1))
        }
        b'-' | b'0'..=b'9' => {
            let end = number(bytes, start)?;
            Ok((Value::Number(start, end), end))
        }
        b'n' => Ok((Value::Null, word(bytes, start, b"null")?)),
        b't' => Ok((Value::Other, word(bytes, start, b"true")?)),
        b'f' => Ok((Value::Other, word(bytes, start, b"false")?)),
        _ => Err(Stop::Malformed(start)),
    }
}

/// The objects and arrays that are open inside the record; one bit each, set for an object.
struct Open {
    objects: u128,
    depth: u32,
}

impl Open {
    fn push(&mut self, object: bool) -> bool {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        self.depth < DEPTH_MAX
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn close(&self) -> u8 {
        if self.in_object() { b'}' } else { b']' }
    }
}

fn skip_nested(bytes: &[u8], start: usize, lone_surrogate: &mut bool) -> Result<usize, Stop> {
    let mut open = Open { objects: 0, depth: 0 };
    let mut pos = start;
    loop {
        let first = byte(bytes, pos)?;
        if matches!(first, b'{' | b'[') {
            if !open.push(first == b'{') {
                return Err(Stop::Malformed(pos));
            }
            pos = skip_whitespace(bytes, pos + 1);
            if byte(bytes, pos)? != open.close() {
                if open.in_object() {
                    pos = key(bytes, pos, lone_surrogate)?.1;
                }
                continue;
            }
        } else {
            pos = scalar(bytes, pos, lone_surrogate)?.1;
        }
        // a value is over, or an empty object or array is about to be
        loop {
            if open.depth == 0 {
                return Ok(pos);
            }
            pos = skip_whitespace(bytes, pos);
            let next = byte(bytes, pos)?;
            if next == open.close() {
                open.pop();
                pos += 1;
            } else if next == b',' {
                pos = skip_whitespace(bytes, pos + 1);
                if open.in_object() {
                    pos = key(bytes, pos, lone_surrogate)?.1;
                }
                break;
            } else {
                return Err(Stop::Malformed(pos));
            }
        }
    }
}

/// A key at `pos` and the index of its value.
fn key(bytes: &[u8], pos: usize, lone_surrogate: &mut bool) -> Result<(Text, usize), Stop> {
    if byte(bytes, pos)? != b'"' {
        return Err(Stop::Malformed(pos));
    }
    let key = string(bytes, pos + 1, lone_surrogate)?;
    let colon = skip_whitespace(bytes, key.end + 1);
    if byte(bytes, colon)? != b':' {
        return Err(Stop::Malformed(colon));
    }
    Ok((key, skip_whitespace(bytes, colon + 1)))
}

/// The string whose first byte after the quote is at `start`. Whether it is UTF-8 is not looked at.
fn string(bytes: &[u8], start: usize, lone_surrogate: &mut bool) -> Result<Text, Stop> {
    let mut escaped = false;
    let mut unicode_escape = false;
    let mut pos = start;
    loop {
        pos = block::string_stop(bytes, pos);
        match byte(bytes, pos)? {
            b'"' => break,
            b'\\' => {
                escaped = true;
                unicode_escape |= bytes.get(pos + 1) == Some(&b'u');
                pos = escape(bytes, pos)?;
            }
            _ => return Err(Stop::Malformed(pos)),
        }
    }
    *lone_surrogate |= unicode_escape && !text::surrogates_pair(&bytes[start..pos]);
    Ok(Text { start, end: pos, escaped })
}

/// The index after the escape whose backslash is at `pos`.
fn escape(bytes: &[u8], pos: usize) -> Result<usize, Stop> {
    match byte(bytes, pos + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(pos + 2),
        b'u' => {
            for digit in pos + 2..pos + 6 {
                if !byte(bytes, digit)?.is_ascii_hexdigit() {
                    return Err(Stop::Malformed(digit));
                }
            }
            Ok(pos + 6)
        }
        _ => Err(Stop::Malformed(pos + 1)),
    }
}

/// The index after the number at `start`. A number that ends with the bytes is taken as it is.
pub(super) fn number(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let mut pos = start + usize::from(byte(bytes, start)? == b'-');
    pos = if byte(bytes, pos)? == b'0' { pos + 1 } else { digits(bytes, pos)? };
    if bytes.get(pos) == Some(&b'.') {
        pos = digits(bytes, pos + 1)?;
    }
    if matches!(bytes.get(pos), Some(b'e' | b'E')) {
        let signed = matches!(bytes.get(pos + 1), Some(b'+' | b'-'));
        pos = digits(bytes, pos + 1 + usize::from(signed))?;
    }
    Ok(pos)
}

/// The index after one digit or more.
fn digits(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    if !byte(bytes, start)?.is_ascii_digit() {
        return Err(Stop::Malformed(start));
    }
    Ok(start + bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count())
}

fn word(bytes: &[u8], start: usize, word: &[u8]) -> Result<usize, Stop> {
    for (pos, expected) in (start..).zip(word) {
        if byte(bytes, pos)? != *expected {
            return Err(Stop::Malformed(pos));
        }
    }
    Ok(start + word.len())
}

fn skip_whitespace(bytes: &[u8], mut pos: usize) -> usize {
    while matches!(bytes.get(pos), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        pos += 1;
    }
    pos
}

fn byte(bytes: &[u8], pos: usize) -> Result<u8, Stop> {
    bytes.get(pos).copied().ok_or(Stop::Incomplete)
}
