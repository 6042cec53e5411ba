//! Breaks records so that each is exactly one that cannot be read.

use super::fields::{self, Field, Value};
use super::manifest::Fault;
use super::random::{Random, index};
use super::shape::{Framing, Shape};

/// Faults that leave a JSON object: they show in every framing.
const IN_ANY_FRAMING: [Fault; 2] = [Fault::MissingField, Fault::WrongType];

/// Faults among lines.
const IN_LINES: [Fault; 5] = [Fault::CutOff, Fault::BadUtf8, Fault::MissingField, Fault::WrongType, Fault::Garbage];

const GARBAGE: [&str; 6] = [
    "this is not JSON",
    "<html><body>503 Service Unavailable</body></html>",
    "user,timestamp,x,y,z",
    "12345",
    "null",
    "\"a string, but no record\"",
];

const NOT_UTF8: [&[u8]; 5] = [
    b"\"\xff\xfe.invalid@test.com\"",
    b"\"Zo\xeb.latin1@test.com\"",
    b"\"overlong\xc0\xaf@test.com\"",
    b"\"surrogate\xed\xa0\x80@test.com\"",
    b"\"cut\xe2\x82\"",
];

/// The kind of the `number`th fault of an object.
pub(super) fn kind(number: u64, shape: &Shape) -> Fault {
    let kinds: &[Fault] = if shape.framing == Framing::Lines { &IN_LINES } else { &IN_ANY_FRAMING };
    kinds[index(number % kinds.len() as u64)]
}

/// What makes no record on a line of its own.
pub(super) fn garbage(random: &mut Random) -> &'static str {
    random.pick(&GARBAGE)
}

/// Breaks a required field; what is left is still an object.
pub(super) fn break_field(fields: &mut Vec<Field<'_>>, fault: Fault, random: &mut Random) {
    let text_only = fault == Fault::BadUtf8;
    let candidates: Vec<usize> =
        (0..fields.len()).filter(|&i| fields[i].required && (fields[i].text || !text_only)).collect();
    let at = random.pick(&candidates);
    match fault {
        Fault::BadUtf8 => fields[at].value = Value::Bytes(random.pick(&NOT_UTF8)),
        Fault::WrongType => fields[at].value = fields::wrong_type(fields[at].text, random),
        Fault::MissingField if random.one_in(3) => fields[at].value = Value::Json("null"),
        _ => {
            fields.remove(at);
        }
    }
}

/// Cuts the JSON object `record` somewhere in the second half, its last brace at least, and between characters.
pub(super) fn cut(record: &mut Vec<u8>, random: &mut Random) {
    let half = record.len() / 2;
    let mut length = half + index(random.below((record.len() - half) as u64));
    while record[length] & 0xc0 == 0x80 {
        length -= 1;
    }
    record.truncate(length);
}
