//! A second reader of the customer landing, plain and slow on purpose: it shares nothing with the engine's decoder, so
//! that a fault of one is seen by the other.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use flate2::bufread::MultiGzDecoder;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::consent::{Cell, CustomerRow};
use super::objects::{Objects, ReadFailed};

/// A longer record is quarantined by the run, and counted as unreadable here.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// How many records an object has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordCounts {
    pub(crate) readable: u64,
    pub(crate) unreadable: u64,
}

/// Where reading goes on after bytes that are no record. Which rule an object goes by depends on its first bytes; this
/// reader does not decide that a second time, the caller tries both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A record never spans lines: at the next `{` that starts a line, blanks and commas aside.
    Lines,
    /// Behind the byte that is wrong, at the next `{` that starts a line, blanks, commas and `[` aside, or that only
    /// white space and commas part from a `}`.
    Stream,
}

/// Shows every readable customer record of a landing object to `each`.
pub(crate) fn read_customers(
    objects: &dyn Objects,
    key: &str,
    bytes: u64,
    layout: Layout,
    each: impl FnMut(CustomerRow),
) -> io::Result<RecordCounts> {
    let magic = objects.read_landing(key, 0..bytes.min(4))?;
    let raw = io::BufReader::with_capacity(1 << 20, ObjectStream { objects, key, left: 0..bytes });
    if magic.starts_with(&[0x1f, 0x8b]) {
        read_records(MultiGzDecoder::new(raw), layout, each)
    } else if matches!(magic[..], [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
        read_records(zstd::stream::read::Decoder::with_buffer(raw)?, layout, each)
    } else {
        read_records(raw, layout, each)
    }
}

struct ObjectStream<'a> {
    objects: &'a dyn Objects,
    key: &'a str,
    left: Range<u64>,
}

impl Read for ObjectStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.left.end.min(self.left.start.saturating_add(buffer.len() as u64));
        if end == self.left.start {
            return Ok(0);
        }
        let failed = |error| io::Error::other(ReadFailed(error));
        let bytes = self.objects.read_landing(self.key, self.left.start..end).map_err(failed)?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        self.left.start += length as u64;
        Ok(length)
    }
}

/// Bytes that are read and not yet used.
struct Window<R> {
    source: R,
    held: Vec<u8>,
    used: usize,
    ended: bool,
    /// Whether the source broke off: damaged compression.
    broken: bool,
}

impl<R: Read> Window<R> {
    fn rest(&self) -> &[u8] {
        &self.held[self.used..]
    }

    /// Reads about as much again as is held; sets `ended` when there is nothing more.
    fn fill(&mut self) -> io::Result<()> {
        self.held.drain(..self.used);
        self.used = 0;
        let wanted = self.held.len().max(1 << 20);
        let start = self.held.len();
        self.held.resize(start + wanted, 0);
        let mut length = start;
        while length < self.held.len() && !self.ended {
            match self.source.read(&mut self.held[length..]) {
                Ok(0) => self.ended = true,
                Ok(n) => length += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_damage(&error) => (self.ended, self.broken) = (true, true),
                Err(error) => return Err(error),
            }
        }
        self.held.truncate(length);
        Ok(())
    }

    /// Moves on from `from` bytes behind here, over bytes that are no record.
    fn skip(&mut self, mut rule: Skip, from: usize) -> io::Result<()> {
        self.used += from;
        loop {
            match rule.find(self.rest()) {
                Some(found) => {
                    self.used += found;
                    return Ok(());
                }
                None => self.used = self.held.len(),
            }
            if self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

/// A search for the place where reading goes on.
enum Skip {
    /// A line's end.
    Line,
    /// A `{` that starts a line; whether only blanks and commas stand between the last newline and here.
    Sync(bool),
    /// As [`Layout::Stream`]; whether the line is clean so far, and whether a `}` came last.
    Resync(bool, bool),
}

impl Skip {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|&byte| match self {
            Self::Line => byte == b'\n',
            Self::Sync(at_start) => {
                let found = byte == b'{' && *at_start;
                *at_start = byte == b'\n' || (*at_start && matches!(byte, b' ' | b'\t' | b'\r' | b','));
                found
            }
            Self::Resync(clean, closed) => {
                let found = byte == b'{' && (*clean || *closed);
                let blank = matches!(byte, b' ' | b'\t' | b'\r' | b',');
                *closed = byte == b'}' || (*closed && (blank || byte == b'\n'));
                *clean = byte == b'\n' || (*clean && (blank || byte == b'['));
                found
            }
        })
    }

    /// The rule of a stream behind the bytes `before`, which begin a bad record.
    fn resync(before: &[u8]) -> Self {
        let line = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let clean = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b',' | b'[');
        Self::Resync(line.len() < before.len() && line.iter().all(clean), false)
    }
}

/// Whether there is a `{` in `record` that starts a line.
fn spans_frames(record: &[u8]) -> bool {
    Skip::Sync(false).find(record).is_some()
}

/// Index of the byte that is wrong.
fn error_index(bytes: &[u8], error: &serde_json::Error) -> usize {
    let newlines = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index + 1);
    let line_start = std::iter::once(0).chain(newlines).nth(error.line().saturating_sub(1)).unwrap_or(0);
    (line_start + error.column()).saturating_sub(1).min(bytes.len())
}

/// Damaged or cut-off compression, as opposed to a store that fails.
fn is_damage(error: &io::Error) -> bool {
    !error.get_ref().is_some_and(|source| source.is::<ReadFailed>())
}

fn read_records(source: impl Read, layout: Layout, mut each: impl FnMut(CustomerRow)) -> io::Result<RecordCounts> {
    let mut counts = RecordCounts::default();
    let mut window = Window { source, held: Vec::new(), used: 0, ended: false, broken: false };
    window.fill()?;
    if window.rest().starts_with(b"\xef\xbb\xbf") {
        window.used += 3;
    }
    loop {
        let between = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']');
        window.used += window.rest().iter().take_while(|b| between(b)).count();
        let Some(&first) = window.rest().first() else {
            if window.ended {
                counts.unreadable += u64::from(window.broken);
                return Ok(counts);
            }
            window.fill()?;
            continue;
        };
        if first != b'{' {
            counts.unreadable += 1;
            window.skip(if layout == Layout::Lines { Skip::Line } else { Skip::resync(&[]) }, 0)?;
            continue;
        }
        let rest = window.rest();
        let mut records = serde_json::Deserializer::from_slice(rest).into_iter::<Fields>();
        let read = records.next();
        let length = records.byte_offset();
        let bad_at = match read {
            Some(Ok(_)) if layout == Layout::Lines && spans_frames(&rest[..length]) => 1,
            Some(Ok(fields)) => {
                match fields.into_row().filter(|_| length <= RECORD_BYTES_MAX) {
                    Some(row) => {
                        counts.readable += 1;
                        each(row);
                    }
                    None => counts.unreadable += 1,
                }
                window.used += length;
                continue;
            }
            Some(Err(error)) if error.is_eof() && !window.ended && rest.len() <= RECORD_BYTES_MAX => {
                window.fill()?;
                continue;
            }
            Some(Err(error)) if !error.is_eof() => error_index(rest, &error),
            Some(Err(_)) | None => rest.len(),
        };
        counts.unreadable += 1;
        match layout {
            Layout::Lines => window.skip(Skip::Sync(false), 1)?,
            Layout::Stream => window.skip(Skip::resync(&rest[..bad_at]), bad_at)?,
        }
    }
}

/// The values of one record, by column; the last one where a key comes twice.
struct Fields([Value; 10]);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a customer record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let columns = stedi_lake::LandingTable::Customer.columns();
        let mut values = [const { Value::Null }; 10];
        while let Some(key) = map.next_key::<String>()? {
            match columns.iter().position(|column| column.json.eq_ignore_ascii_case(&key)) {
                Some(column) => values[column] = map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Fields(values))
    }
}

impl Fields {
    /// `None` if the e-mail or the serial number is missing or empty.
    fn into_row(self) -> Option<CustomerRow> {
        let row = CustomerRow(self.0.map(|value| match value {
            Value::String(text) => Cell::Text(text.into()),
            Value::Number(number) => number_cell(&number),
            _ => Cell::Null,
        }));
        row.typed().filter(|row| !row.email().is_empty() && !row.serial().is_empty())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the value is whole and in range")]
pub(super) fn number_cell(number: &serde_json::Number) -> Cell {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match (number.as_i64(), number.as_f64()) {
        (Some(value), _) => Cell::Int(value),
        (None, Some(value)) if value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value) => Cell::Int(value as i64),
        _ => Cell::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serials(layout: Layout, text: &str) -> (Vec<String>, u64) {
        let mut serials = Vec::new();
        let counts = read_records(text.as_bytes(), layout, |row| serials.push(row.serial().to_owned()));
        let counts = counts.expect("memory does not fail");
        assert_eq!(counts.readable, serials.len() as u64);
        (serials, counts.unreadable)
    }

    fn record(serial: &str) -> String {
        format!(r#"{{"email":"e","serialNumber":"{serial}"}}"#)
    }

    fn owned(serials: &[&str]) -> Vec<String> {
        serials.iter().map(|&serial| serial.to_owned()).collect()
    }

    #[test]
    fn all_shapes_are_read() {
        let (a, b, c) = (record("a"), record("b"), record("c"));
        for text in [
            format!("\u{feff}{a},\r\n\r\n{b}\n{c}"),
            format!("[{a},{b},{c}]"),
            format!("{a}{b}{c}"),
            format!("[\n  {a},\n  {b},\n{c}\n]\n"),
            [&a, &b, &c].map(|r| r.replace(',', ",\n  ")).concat(),
        ] {
            assert_eq!(serials(Layout::Stream, &text), (owned(&["a", "b", "c"]), 0), "{text}");
        }
    }

    #[test]
    fn the_next_line_is_read_after_a_cut() {
        let (a, b) = (record("a"), record("b"));
        for cut in [1, 9, 12, a.len() - 1] {
            let text = format!("{}\n ,{b}", &a[..cut]);
            assert_eq!(serials(Layout::Lines, &text), (owned(&["b"]), 1), "{text}");
            assert_eq!(serials(Layout::Stream, &text), (owned(&["b"]), 1), "{text}");
        }
    }

    #[test]
    fn the_layouts_differ_in_what_a_fault_takes_along() {
        let text = format!("{}tru{}{}\nx{}\n{}", record("a"), record("b"), record("c"), record("d"), record("e"));
        assert_eq!(serials(Layout::Lines, &text), (owned(&["a", "e"]), 2));
        assert_eq!(serials(Layout::Stream, &text), (owned(&["a", "c", "e"]), 2));
    }

    #[test]
    fn a_record_without_its_keys_is_unreadable() {
        let text = r#"{"email":"","serialNumber":"s"} {"email":7,"serialNumber":"s"} {"serialNumber":"s"}"#;
        assert_eq!(serials(Layout::Stream, text), (vec![], 3));
    }
}
