//! Writes records in any [`Shape`], faults included.

use std::collections::BTreeMap;

use super::LandingObject;
use super::fault;
use super::fields::{self, Field, Value};
use super::manifest::Fault;
use super::random::Random;
use super::record::Record;
use super::shape::{Content, Framing, Shape};

/// Good records before the first fault of an object, and at least between two faults: they are never neighbours, as a
/// reader may take what follows a bad record for a part of it.
const RECORDS_BETWEEN_FAULTS_MIN: u64 = 3;

/// Good records between two faults, at most.
const RECORDS_BETWEEN_FAULTS_MAX: u64 = 60;

/// A record longer than this is not read.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// Writes the records of one object.
pub(super) struct MessyWriter {
    shape: &'static Shape,
    random: Random,
    out: Vec<u8>,
    /// Good records.
    rows: u64,
    bad: BTreeMap<Fault, u64>,
    /// Good records still to come before the next fault.
    rows_before_fault: u64,
    next_fault: u64,
    /// Whether nothing has been written but a byte-order mark.
    empty: bool,
    /// The newest good record, if the object is to end inside another one.
    newest: Vec<u8>,
}

impl MessyWriter {
    pub(super) fn new(shape: &'static Shape, mut random: Random) -> Self {
        Self {
            shape,
            out: if shape.byte_order_mark { "\u{feff}".into() } else { Vec::new() },
            rows: 0,
            bad: BTreeMap::new(),
            rows_before_fault: RECORDS_BETWEEN_FAULTS_MIN,
            next_fault: random.below(5),
            empty: true,
            newest: Vec::new(),
            random,
        }
    }

    /// Writes a good record, and a bad one like it before it when it is time.
    pub(super) fn write(&mut self, record: Record<'_>) {
        let fields = fields::fields(record, self.shape, &mut self.random);
        if self.shape.faults && self.rows_before_fault == 0 {
            self.write_fault(&fields);
            let more = RECORDS_BETWEEN_FAULTS_MAX - RECORDS_BETWEEN_FAULTS_MIN;
            self.rows_before_fault = RECORDS_BETWEEN_FAULTS_MIN + self.random.below(more);
        }
        if self.shape.content == Content::Oversized && self.rows == 1 {
            self.write_too_long(&fields);
        }
        let json = self.json(&fields);
        self.write_next(&json);
        self.rows += 1;
        self.rows_before_fault = self.rows_before_fault.saturating_sub(1);
        if self.shape.cut_off {
            self.newest = json;
        }
    }

    /// Ends the object.
    pub(super) fn finish(mut self) -> LandingObject {
        if self.shape.cut_off && self.rows > 0 {
            let mut record = std::mem::take(&mut self.newest);
            fault::cut(&mut record, &mut self.random);
            self.write_next(&record);
            self.count(Fault::CutOff);
        } else {
            self.close();
        }
        LandingObject { bytes: self.out, rows: self.rows, bad: self.bad }
    }

    fn close(&mut self) {
        match self.shape.framing {
            Framing::Array(_) if self.empty => self.text("[]"),
            _ if self.empty => {}
            Framing::Array(_) => self.text("]"),
            Framing::Lines => {
                if self.shape.trailing_comma {
                    self.text(",");
                }
                if !self.shape.unterminated {
                    self.end_line();
                }
            }
            Framing::Concatenated(between) => self.text(between),
        }
    }

    fn write_fault(&mut self, fields: &[Field<'_>]) {
        let fault = fault::kind(self.next_fault, self.shape);
        self.next_fault += 1;
        let record = match fault {
            Fault::Garbage => fault::garbage(&mut self.random).into(),
            Fault::CutOff => {
                let mut json = self.json(fields);
                fault::cut(&mut json, &mut self.random);
                json
            }
            _ => {
                let mut fields = fields.to_vec();
                fault::break_field(&mut fields, fault, &mut self.random);
                self.json(&fields)
            }
        };
        self.write_next(&record);
        self.count(fault);
    }

    fn write_too_long(&mut self, fields: &[Field<'_>]) {
        let padding = "x".repeat(RECORD_BYTES_MAX);
        let mut fields = fields.to_vec();
        fields.push(Field { key: "padding", value: Value::Text(&padding), required: false, text: true });
        let json = self.json(&fields);
        self.write_next(&json);
        self.count(Fault::TooLong);
    }

    fn count(&mut self, fault: Fault) {
        *self.bad.entry(fault).or_default() += 1;
    }

    /// Writes what parts a record from the one before it, and the record.
    fn write_next(&mut self, record: &[u8]) {
        match (self.shape.framing, self.empty) {
            (Framing::Lines, true) => {}
            (Framing::Lines, false) => {
                if self.shape.trailing_comma {
                    self.text(",");
                }
                self.space();
                self.end_line();
            }
            (Framing::Array(_), true) => self.text("["),
            (Framing::Array(between) | Framing::Concatenated(between), false) => self.text(between),
            (Framing::Concatenated(_), true) => {}
        }
        if self.shape.framing == Framing::Lines && self.shape.blank_lines && self.random.one_in(5) {
            let blank = self.random.pick(&["", " ", "\t  "]);
            self.text(blank);
            self.end_line();
        }
        self.space();
        self.out.extend_from_slice(record);
        self.empty = false;
    }

    /// The object in the style of the shape, from brace to brace.
    fn json(&mut self, fields: &[Field<'_>]) -> Vec<u8> {
        let start = self.out.len();
        self.text("{");
        for (i, field) in fields.iter().enumerate() {
            if i > 0 {
                self.text(",");
            }
            if self.shape.pretty {
                self.end_line();
                self.text("  ");
            }
            self.space();
            fields::write_key(&mut self.out, field.key, self.shape.key_case, &mut self.random);
            self.space();
            self.text(if self.shape.pretty { ": " } else { ":" });
            self.space();
            fields::write_value(&mut self.out, field.value, self.shape, &mut self.random);
            self.space();
        }
        if self.shape.pretty {
            self.end_line();
        }
        self.text("}");
        self.out.split_off(start)
    }

    fn space(&mut self) {
        if self.shape.spaces {
            let space = self.random.pick(&["", "", " ", "  ", "\t"]);
            self.text(space);
        }
    }

    fn end_line(&mut self) {
        self.text(if self.shape.crlf { "\r\n" } else { "\n" });
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}
