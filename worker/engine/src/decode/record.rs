//! One record, any way it may be written: the slow path, and the meaning that the fast path must keep.

use std::borrow::Cow;

use stedi_lake::{Customer, LandingTable};

use super::json::{self, Stop, Text, Value};
use super::{NULL_F64, NULL_I64, RecordSink, RejectReason, number, text};

pub(super) const COLUMNS_MAX: usize = 10;

/// The columns of a record, as values that lie in its bytes.
#[derive(Debug)]
pub(super) struct Fields {
    table: LandingTable,
    values: [Value; COLUMNS_MAX],
    lone_surrogate: bool,
}

impl Fields {
    pub(super) fn new(table: LandingTable) -> Self {
        Self { table, values: [Value::Null; COLUMNS_MAX], lone_surrogate: false }
    }

    /// Finds the values of the record that starts at `bytes[0]`, and the index after it.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        self.values = [Value::Null; COLUMNS_MAX];
        let (end, lone_surrogate) = json::members(bytes, |key, value, _, _| {
            if let Some(column) = column_of(self.table, bytes, key) {
                self.values[column] = value;
            }
        })?;
        self.lone_surrogate = lone_surrogate;
        Ok(end)
    }

    /// Hands the record over to `sink`, or says why not.
    pub(super) fn emit(&self, record: &[u8], sink: &mut impl RecordSink) -> Result<(), RejectReason> {
        let record = std::str::from_utf8(record).map_err(|_| RejectReason::InvalidUtf8)?;
        if self.lone_surrogate {
            return Err(RejectReason::InvalidUtf8);
        }
        let row = Row { record, fields: self };
        match self.table {
            LandingTable::Customer => sink.customer(row.customer()?),
            LandingTable::Accelerometer => {
                let user = row.required_text(0)?;
                let time = row.required_integer(1)?;
                let xyz = [2, 3, 4].map(|column| row.double(column).unwrap_or(NULL_F64));
                sink.accelerometer(user.as_bytes(), time, xyz);
            }
            LandingTable::StepTrainer => {
                let time = row.required_integer(0)?;
                let serial = row.required_text(1)?;
                sink.step_trainer(serial.as_bytes(), time, row.integer(2).unwrap_or(NULL_I64));
            }
        }
        Ok(())
    }
}

/// The column that a key names, in any letter case.
pub(super) fn column_of(table: LandingTable, bytes: &[u8], key: Text) -> Option<usize> {
    let raw = &bytes[key.start..key.end];
    let name = if key.escaped {
        // what is not UTF-8 will be refused whatever it is called
        Cow::Owned(text::unescape(std::str::from_utf8(raw).ok()?).into_owned().into_bytes())
    } else {
        Cow::Borrowed(raw)
    };
    table.columns().iter().position(|column| column.name.as_bytes().eq_ignore_ascii_case(&name))
}

/// A record that is UTF-8, with its values.
struct Row<'a> {
    record: &'a str,
    fields: &'a Fields,
}

impl<'a> Row<'a> {
    fn customer(&self) -> Result<Customer, RejectReason> {
        let optional = |column| self.text(column).map(Box::from);
        Ok(Customer {
            customer_name: optional(0),
            email: self.required_text(1)?.into(),
            phone: optional(2),
            birth_day: optional(3),
            serial_number: self.required_text(4)?.into(),
            registration_date: self.integer(5),
            last_update_date: self.integer(6),
            share_with_research_as_of_date: self.integer(7),
            share_with_public_as_of_date: self.integer(8),
            share_with_friends_as_of_date: self.integer(9),
        })
    }

    fn required_text(&self, column: usize) -> Result<Cow<'a, str>, RejectReason> {
        match self.text(column) {
            Some(text) if text.is_empty() => Err(RejectReason::MissingField(self.name(column))),
            Some(text) => Ok(text),
            None => Err(self.absent(column)),
        }
    }

    fn required_integer(&self, column: usize) -> Result<i64, RejectReason> {
        self.integer(column).ok_or_else(|| self.absent(column))
    }

    fn absent(&self, column: usize) -> RejectReason {
        match self.fields.values[column] {
            Value::Null => RejectReason::MissingField(self.name(column)),
            _ => RejectReason::WrongType(self.name(column)),
        }
    }

    fn name(&self, column: usize) -> &'static str {
        self.fields.table.columns()[column].name
    }

    fn text(&self, column: usize) -> Option<Cow<'a, str>> {
        match self.fields.values[column] {
            Value::Text(Text { start, end, escaped: false }) => Some(Cow::Borrowed(&self.record[start..end])),
            Value::Text(Text { start, end, escaped: true }) => Some(text::unescape(&self.record[start..end])),
            _ => None,
        }
    }

    fn integer(&self, column: usize) -> Option<i64> {
        self.number(column, number::integer)
    }

    fn double(&self, column: usize) -> Option<f64> {
        self.number(column, number::double)
    }

    fn number<T>(&self, column: usize, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        match self.fields.values[column] {
            Value::Number(start, end) => read(&self.record[start..end]),
            Value::Text(Text { start, end, .. }) => read(number::in_string(&text::unescape(&self.record[start..end]))?),
            Value::Null | Value::Other => None,
        }
    }
}
