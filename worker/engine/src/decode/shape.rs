//! The fast path: records that look like one before, but for their values.
//!
//! Producers write millions of records with the same keys in the same order with the same spaces. A [`Shape`] is what
//! is the same: the text between the values, and the kind of each value. A record of a known shape is read in one pass
//! of word compares and digit arithmetic; anything unexpected in it leaves the record to the slow path ([`super::record`]),
//! which defines the meaning and from whose records shapes are learned.

use stedi_lake::table::ColumnType;
use stedi_lake::{Customer, LandingTable};

use super::block::{self, Literal};
use super::json::{self, Text, Value};
use super::record::{COLUMNS_MAX, column_of};
use super::{NULL_F64, NULL_I64, RecordSink, digits};

/// As many as customers with and without each of three dates, the optional fields that come and go.
const SHAPES_MAX: usize = 8;
const STEPS_MAX: usize = 40;

/// The shapes seen last, the most recent one first.
#[derive(Debug)]
pub(super) struct Shapes {
    table: LandingTable,
    #[expect(clippy::vec_box, reason = "shapes change places, and they are large")]
    shapes: Vec<Box<Shape>>,
    /// Records since the last one of a known shape.
    misses: u32,
    enabled: bool,
}

impl Shapes {
    pub(super) fn new(table: LandingTable) -> Self {
        Self { table, shapes: Vec::new(), misses: 0, enabled: true }
    }

    pub(super) fn disable(&mut self) {
        self.enabled = false;
    }

    /// Reads the record at `bytes[start]` if it is valid, of a known shape and at most
    /// `bytes_max` long; the index after it.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        start: usize,
        bytes_max: usize,
        sink: &mut impl RecordSink,
    ) -> Option<usize> {
        let newest = self.shapes.first_mut()?;
        if let Some(end) = newest.read(bytes, start, bytes_max, self.table, sink) {
            self.misses = 0;
            return Some(end);
        }
        self.read_older(bytes, start, bytes_max, sink)
    }

    #[inline(never)]
    fn read_older(
        &mut self,
        bytes: &[u8],
        start: usize,
        bytes_max: usize,
        sink: &mut impl RecordSink,
    ) -> Option<usize> {
        for older in 1..self.shapes.len() {
            if let Some(end) = self.shapes[older].read(bytes, start, bytes_max, self.table, sink) {
                self.misses = 0;
                self.shapes.swap(0, older);
                return Some(end);
            }
        }
        None
    }

    /// Learns the shape of a record that the slow path has accepted.
    pub(super) fn learn(&mut self, record: &[u8]) {
        self.misses = self.misses.saturating_add(1);
        // records that are all different are not worth the trouble
        if !self.enabled || !(self.misses < 8 || self.misses.is_power_of_two()) {
            return;
        }
        let Some(shape) = Shape::of(self.table, record) else { return };
        if self.shapes.iter().any(|known| known.is(&shape)) {
            return;
        }
        self.shapes.truncate(SHAPES_MAX - 1);
        self.shapes.insert(0, Box::new(shape));
    }
}

/// What records have in common.
#[derive(Debug)]
struct Shape {
    steps: Vec<Step>,
    /// Whether there is a value, for each column.
    present: [bool; COLUMNS_MAX],
    /// The values of the record that is being read, as far as they are present.
    values: Values,
}

/// Some text and the value behind it.
#[derive(Debug)]
struct Step {
    literal: Literal,
    value: Kind,
    width: Width,
}

/// How long a value was the last time.
///
/// Where a value begins depends on how long all values before it are, and finding that out takes some 20 cycles each. A
/// correct guess lets the processor go ahead and check later. The length is held twice so that the compiler does not see
/// that the guess is what it would have to wait for.
#[derive(Debug, Default)]
struct Width {
    expected: usize,
    guess: usize,
}

impl Width {
    #[inline(always)]
    fn end(&mut self, start: usize, len: usize) -> usize {
        if len == self.expected {
            return start + self.guess;
        }
        (self.expected, self.guess) = (len, len);
        start + len
    }
}

/// What to expect, and the slot of [`Values`] that it goes to.
///
/// Each kind is a bit that is tested by itself. Of an enum's match the compiler makes an indirect jump, and one of those
/// is mispredicted in about every record: that took a third of all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    bit: u8,
    slot: u8,
}

impl Kind {
    /// No value: the literal goes on, or it is the last.
    const NOTHING: Self = Self { bit: 0, slot: 0 };
    /// Any value, of a key that is not ours.
    const SKIPPED: Self = Self { bit: 1, slot: 0 };

    /// The bytes up to the next quote.
    fn text(slot: u8) -> Self {
        Self { bit: 2, slot }
    }

    fn integer(slot: u8) -> Self {
        Self { bit: 4, slot }
    }

    fn double(slot: u8) -> Self {
        Self { bit: 8, slot }
    }

    #[inline(always)]
    fn is_like(self, other: Self) -> bool {
        self.bit & other.bit != 0
    }
}

/// The values of a record: strings as ranges of its bytes, numbers as bits; each column's slot is its place among the
/// table's columns of that kind.
#[derive(Debug, Default)]
struct Values {
    texts: [(usize, usize); 5],
    numbers: [u64; 5],
}

impl Shape {
    /// The shape of a record, if it is one that the fast path can read.
    fn of(table: LandingTable, record: &[u8]) -> Option<Self> {
        let mut shape = Self { steps: Vec::new(), present: [false; COLUMNS_MAX], values: Values::default() };
        let mut supported = true;
        let mut seen = [false; COLUMNS_MAX];
        let mut literal_start = 0;
        let (end, _) = json::members(record, |key, value, start, end| {
            let kind = match column_of(table, record, key) {
                None => Some((Kind::SKIPPED, start, end)),
                Some(column) => {
                    supported &= !std::mem::replace(&mut seen[column], true);
                    if value == Value::Null {
                        return;
                    }
                    shape.present[column] = true;
                    column_step(table, column, record, value)
                }
            };
            let Some((kind, start, end)) = kind else {
                supported = false;
                return;
            };
            shape.push(&record[literal_start..start], kind);
            literal_start = end;
        })
        .ok()?;
        shape.push(&record[literal_start..end], Kind::NOTHING);
        (supported && shape.steps.len() <= STEPS_MAX).then_some(shape)
    }

    /// Whether `other` reads the same records.
    fn is(&self, other: &Self) -> bool {
        let key = |step: &Step| (step.literal.clone(), step.value);
        self.steps.iter().map(key).eq(other.steps.iter().map(key))
    }

    fn push(&mut self, mut literal: &[u8], value: Kind) {
        while literal.len() > block::BYTES {
            let (head, rest) = literal.split_at(block::BYTES);
            self.steps.push(Step { literal: Literal::new(head), value: Kind::NOTHING, width: Width::default() });
            literal = rest;
        }
        self.steps.push(Step { literal: Literal::new(literal), value, width: Width::default() });
    }

    #[inline(always)]
    fn read(
        &mut self,
        bytes: &[u8],
        start: usize,
        bytes_max: usize,
        table: LandingTable,
        sink: &mut impl RecordSink,
    ) -> Option<usize> {
        let end = self.find(bytes, start).filter(|end| end - start <= bytes_max)?;
        self.emit(bytes, table, sink)?;
        Some(end)
    }

    /// Finds the values of the record at `bytes[start]`, and the index after it.
    #[inline(always)]
    fn find(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let mut pos = start;
        for step in &mut self.steps {
            if !step.literal.is_at(bytes, pos)? {
                return None;
            }
            pos += step.literal.len();
            let slot = usize::from(step.value.slot);
            if step.value.is_like(Kind::double(0)) {
                let value;
                (value, pos) = match digits::tenths(bytes, pos) {
                    Some(tenths) => tenths,
                    None => {
                        let digits = digits::double(bytes, pos)?;
                        (digits.value, step.width.end(digits.first, digits.len))
                    }
                };
                self.values.numbers[slot] = value.to_bits();
            } else if step.value.is_like(Kind::text(0)) {
                let end = text_end(bytes, pos)?;
                self.values.texts[slot] = (pos, end);
                pos = step.width.end(pos, end - pos);
            } else if step.value.is_like(Kind::integer(0)) {
                let digits = digits::integer(bytes, pos)?;
                self.values.numbers[slot] = digits.value.cast_unsigned();
                pos = step.width.end(digits.first, digits.len);
            } else if step.value.is_like(Kind::SKIPPED) {
                pos = skipped_end(bytes, pos)?;
            }
        }
        Some(pos)
    }

    #[inline(always)]
    fn emit(&self, bytes: &[u8], table: LandingTable, sink: &mut impl RecordSink) -> Option<()> {
        let text = |slot: usize| {
            let (start, end) = self.values.texts[slot];
            &bytes[start..end]
        };
        let integer = |slot: usize| self.values.numbers[slot].cast_signed();
        match table {
            LandingTable::Accelerometer => {
                let double = |column: usize| match self.present[column] {
                    true => f64::from_bits(self.values.numbers[column - 1]),
                    false => NULL_F64,
                };
                let user = Some(text(0)).filter(|user| !user.is_empty())?;
                sink.accelerometer(user, integer(0), [double(2), double(3), double(4)]);
            }
            LandingTable::StepTrainer => {
                let serial = Some(text(0)).filter(|serial| !serial.is_empty())?;
                sink.step_trainer(serial, integer(0), if self.present[2] { integer(1) } else { NULL_I64 });
            }
            LandingTable::Customer => sink.customer(self.customer(bytes)?),
        }
        Some(())
    }

    #[inline(never)]
    fn customer(&self, bytes: &[u8]) -> Option<Customer> {
        let required = |column: usize| {
            let (start, end) = self.values.texts[column];
            std::str::from_utf8(&bytes[start..end]).ok().map(Box::<str>::from)
        };
        let text = |column| if self.present[column] { required(column).map(Some) } else { Some(None) };
        let integer = |column: usize| self.present[column].then(|| self.values.numbers[column - 5].cast_signed());
        Some(Customer {
            customer_name: text(0)?,
            email: required(1).filter(|email| !email.is_empty())?,
            phone: text(2)?,
            birth_day: text(3)?,
            serial_number: required(4).filter(|serial| !serial.is_empty())?,
            registration_date: integer(5),
            last_update_date: integer(6),
            share_with_research_as_of_date: integer(7),
            share_with_public_as_of_date: integer(8),
            share_with_friends_as_of_date: integer(9),
        })
    }
}

/// How to read a column's value, and the bytes that are the value. Strings leave their quotes to the literals around
/// them, and so do numbers in strings.
fn column_step(table: LandingTable, column: usize, record: &[u8], value: Value) -> Option<(Kind, usize, usize)> {
    let columns = table.columns();
    let is_text = columns[column].ty == ColumnType::String;
    let before = columns[..column].iter().filter(|other| (other.ty == ColumnType::String) == is_text).count();
    let slot = u8::try_from(before).ok()?;
    let number = match columns[column].ty {
        ColumnType::BigInt => Kind::integer(slot),
        ColumnType::Double => Kind::double(slot),
        ColumnType::String => {
            let Value::Text(Text { start, end, .. }) = value else { return None };
            return Some((Kind::text(slot), start, end));
        }
    };
    match value {
        Value::Number(start, end) => Some((number, start, end)),
        Value::Text(Text { start, end, .. }) if json::number(record, start) == Ok(end) => Some((number, start, end)),
        _ => None,
    }
}

/// The index of the quote that ends the string, if nothing in it needs a closer look than whether it is UTF-8.
#[inline(always)]
fn text_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (end, ascii) = block::text_stop(bytes, start)?;
    if ascii { Some(end) } else { text_end_unicode(bytes, start) }
}

#[cold]
fn text_end_unicode(bytes: &[u8], start: usize) -> Option<usize> {
    let end = block::string_stop(bytes, start);
    (*bytes.get(end)? == b'"' && std::str::from_utf8(&bytes[start..end]).is_ok()).then_some(end)
}

#[inline(never)]
fn skipped_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut lone_surrogate = false;
    let (_, end) = json::value(bytes, start, &mut lone_surrogate).ok()?;
    (!lone_surrogate && std::str::from_utf8(&bytes[start..end]).is_ok()).then_some(end)
}
