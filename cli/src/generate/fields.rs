//! A record as JSON members in a messy style.

use stedi_lake::Customer;

use super::random::{Random, index};
use super::record::{AccelerometerRow, Record, StepTrainerRow};
use super::shape::{KeyCase, Shape};

/// Integers up to here are doubles too, so that a reader may take a number with an exponent for one.
const EXPONENT_INTEGER_MAX: u64 = 1 << 53;

/// Unknown fields, and traps in them: known keys one level down, braces, quotes, and a name that only begins right.
const EXTRA_FIELDS: [(&str, &str); 12] = [
    ("firmware", "\"2.1.0\""),
    ("battery", "0.87"),
    ("ok", "true"),
    ("note", "null"),
    ("meta", "{\"user\":\"inner@test.com\",\"timestamp\":1,\"email\":\"inner@test.com\",\"serialNumber\":\"inner\"}"),
    ("path", "[[1,[2,{\"a\":[]}]],\"]}\",{}]"),
    ("log", "\"}{ \\\"user\\\": \\\"quoted@test.com\\\" },\\n{[\\\\\""),
    ("users", "[\"a@test.com\",\"b@test.com\"]"),
    ("xy", "-1E+30"),
    ("k\\\"ey\\\\", "\"\\ud83d\\ude00 \u{fc}\""),
    ("", "\"\""),
    ("deep", "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":[{\"g\":\"}\"}]}}}}}}"),
];

const NOT_TEXT: [&str; 5] = ["{\"v\":\"a\"}", "[\"a\"]", "true", "8015551212", "[]"];

const NOT_A_NUMBER: [&str; 6] = ["\"abc\"", "\"\"", "false", "{\"v\":1}", "[1]", "\"2022-06-18T15:00:00Z\""];

/// The value of a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Integer(i64),
    Double(f64),
    /// Valid JSON as it is.
    Json(&'static str),
    /// Any bytes as they are.
    Bytes(&'static [u8]),
}

/// A member of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) key: &'static str,
    pub(super) value: Value<'a>,
    pub(super) required: bool,
    /// Whether [`Value::Text`] is what the field wants.
    pub(super) text: bool,
}

/// JSON of a wrong type for `field`.
pub(super) fn wrong_type(text: bool, random: &mut Random) -> Value<'static> {
    Value::Json(if text { random.pick(&NOT_TEXT) } else { random.pick(&NOT_A_NUMBER) })
}

/// The members of `record` in the order in which they are written, known and unknown.
pub(super) fn fields<'a>(record: Record<'a>, shape: &Shape, random: &mut Random) -> Vec<Field<'a>> {
    let known: Vec<(&'static str, Option<Value<'a>>, bool, bool)> = match record {
        Record::Customer(customer) => customer_fields(customer),
        Record::Accelerometer(AccelerometerRow { user, timestamp_ms, x, y, z }) => {
            let timestamp = if shape.old_timestamp_key { "timeStamp" } else { "timestamp" };
            vec![
                ("user", Some(Value::Text(user)), true, true),
                (timestamp, Some(Value::Integer(timestamp_ms)), true, false),
                ("x", x.map(Value::Double), false, false),
                ("y", y.map(Value::Double), false, false),
                ("z", z.map(Value::Double), false, false),
            ]
        }
        Record::StepTrainer(StepTrainerRow { reading_time_ms, serial_number, distance }) => vec![
            ("sensorReadingTime", Some(Value::Integer(reading_time_ms)), true, false),
            ("serialNumber", Some(Value::Text(serial_number)), true, true),
            ("distanceFromObject", distance.map(Value::Integer), false, false),
        ],
    };
    let mut fields = Vec::with_capacity(known.len() + 2);
    for (key, value, required, text) in known {
        if let Some(value) = value.or_else(|| absent(text, shape, random)) {
            fields.push(Field { key, value, required, text });
        }
    }
    if shape.extra_fields {
        for _ in 0..random.below(4) {
            let (key, json) = random.pick(&EXTRA_FIELDS);
            let at = index(random.below(fields.len() as u64 + 1));
            fields.insert(at, Field { key, value: Value::Json(json), required: false, text: false });
        }
    }
    if shape.shuffled_keys {
        for last in (1..fields.len()).rev() {
            fields.swap(last, index(random.below(last as u64 + 1)));
        }
    }
    fields
}

fn customer_fields(customer: &Customer) -> Vec<(&'static str, Option<Value<'_>>, bool, bool)> {
    fn text(value: &Option<Box<str>>) -> Option<Value<'_>> {
        value.as_deref().map(Value::Text)
    }
    let date = |value: Option<i64>| value.map(Value::Integer);
    vec![
        ("customerName", text(&customer.customer_name), false, true),
        ("email", Some(Value::Text(&customer.email)), true, true),
        ("phone", text(&customer.phone), false, true),
        ("birthDay", text(&customer.birth_day), false, true),
        ("serialNumber", Some(Value::Text(&customer.serial_number)), true, true),
        ("registrationDate", date(customer.registration_date), false, false),
        ("lastUpdateDate", date(customer.last_update_date), false, false),
        ("shareWithResearchAsOfDate", date(customer.share_with_research_as_of_date), false, false),
        ("shareWithPublicAsOfDate", date(customer.share_with_public_as_of_date), false, false),
        ("shareWithFriendsAsOfDate", date(customer.share_with_friends_as_of_date), false, false),
    ]
}

/// What stands for a value that is not there; often nothing.
fn absent(text: bool, shape: &Shape, random: &mut Random) -> Option<Value<'static>> {
    match random.below(4) {
        0 => Some(Value::Json("null")),
        1 if shape.wrong_types => Some(wrong_type(text, random)),
        _ => None,
    }
}

/// Appends a key with its quotes.
pub(super) fn write_key(out: &mut Vec<u8>, key: &str, case: KeyCase, random: &mut Random) {
    out.push(b'"');
    for letter in key.bytes() {
        out.push(match case {
            KeyCase::AsWritten => letter,
            // an escape must stay one
            _ if key.contains('\\') => letter,
            KeyCase::Upper => letter.to_ascii_uppercase(),
            KeyCase::Lower => letter.to_ascii_lowercase(),
            KeyCase::Mixed if random.one_in(2) => letter.to_ascii_uppercase(),
            KeyCase::Mixed => letter.to_ascii_lowercase(),
        });
    }
    out.push(b'"');
}

/// Appends a value.
pub(super) fn write_value(out: &mut Vec<u8>, value: Value<'_>, shape: &Shape, random: &mut Random) {
    match value {
        Value::Text(text) => write_text(out, text, shape, random),
        Value::Json(json) => out.extend_from_slice(json.as_bytes()),
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
        Value::Integer(value) => {
            let small = value.unsigned_abs() <= EXPONENT_INTEGER_MAX;
            write_number(out, &value.to_string(), small.then(|| exponent_text(value)), shape, random);
        }
        Value::Double(value) => {
            let short = shape.short_doubles && value.fract() == 0.0 && value.abs() < 1e6;
            let plain = if short { format!("{value}") } else { format!("{value:?}") };
            write_number(out, &plain, Some(format!("{value:e}")), shape, random);
        }
    }
}

fn write_number(out: &mut Vec<u8>, plain: &str, exponent: Option<String>, shape: &Shape, random: &mut Random) {
    if shape.number_strings && random.one_in(2) {
        out.push(b'"');
        out.extend_from_slice(plain.as_bytes());
        out.push(b'"');
        return;
    }
    match exponent {
        Some(exponent) if shape.exponents && random.one_in(2) => {
            let sign = if exponent.contains("e-") { "e" } else { random.pick(&["e", "E", "e+", "E+"]) };
            out.extend_from_slice(exponent.replacen('e', sign, 1).as_bytes());
        }
        _ => out.extend_from_slice(plain.as_bytes()),
    }
}

/// An integer in scientific notation, exactly.
fn exponent_text(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let fraction = rest.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{fraction}e{}", rest.len())
}

fn write_text(out: &mut Vec<u8>, text: &str, shape: &Shape, random: &mut Random) {
    out.push(b'"');
    for letter in text.chars() {
        let short = match letter {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\t' => Some("\\t"),
            '/' if shape.escapes => Some("\\/"),
            _ => None,
        };
        match short {
            _ if letter < ' ' && short.is_none() => write_escape(out, letter, random),
            _ if shape.escapes && (!letter.is_ascii() || random.one_in(4)) && random.one_in(2) => {
                write_escape(out, letter, random);
            }
            Some(short) => out.extend_from_slice(short.as_bytes()),
            None => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// `\u` and four hex digits, as a surrogate pair where one is needed.
fn write_escape(out: &mut Vec<u8>, letter: char, random: &mut Random) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        let text = if random.one_in(2) { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
        out.extend_from_slice(text.as_bytes());
    }
}
