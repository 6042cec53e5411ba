//! A slow reader of landing objects that shares nothing with the engine or the generator: serde_json and rules of thumb.

use std::io::Read;

use serde_json::{Map, Value};
use stedi::generate::{AccelerometerRow, Canonical, StepTrainerRow};
use stedi_lake::{Customer, LandingTable};

/// Records of an object, and how many cannot be read.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) good: Canonical,
    pub(crate) bad: u64,
}

/// Decompresses by magic bytes.
pub(crate) fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if bytes.starts_with(b"\x1f\x8b") {
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    } else if bytes.starts_with(b"\x28\xb5\x2f\xfd") {
        out = zstd::decode_all(bytes).unwrap();
    } else {
        out.extend_from_slice(bytes);
    }
    out
}

/// Reads an object with one record a line.
pub(crate) fn read_lines(table: LandingTable, bytes: &[u8]) -> Records {
    let mut read = Records::default();
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for line in bytes.split(|b| *b == b'\n') {
        let line = line.trim_ascii();
        let line = line.strip_suffix(b",").unwrap_or(line);
        if !line.trim_ascii().is_empty() {
            read.add(table, serde_json::from_slice(line).ok().filter(|_| line.len() <= 16 << 20));
        }
    }
    read
}

/// Reads any other object; it may end inside a record.
pub(crate) fn read_stream(table: LandingTable, bytes: &[u8]) -> Records {
    let mut read = Records::default();
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut rest = bytes.trim_ascii();
    let array = rest.starts_with(b"[");
    if array {
        rest = rest[1..].trim_ascii();
    }
    while !(rest.is_empty() || array && rest == b"]") {
        let mut records = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
        let Some(Ok(record)) = records.next() else {
            read.bad += 1;
            break;
        };
        rest = rest[records.byte_offset()..].trim_ascii();
        rest = if array { rest.strip_prefix(b",").unwrap_or(rest) } else { rest }.trim_ascii();
        read.add(table, Some(record));
    }
    read
}

impl Records {
    fn add(&mut self, table: LandingTable, value: Option<Value>) {
        if value.and_then(|value| self.push(table, value)).is_none() {
            self.bad += 1;
        }
    }

    fn push(&mut self, table: LandingTable, value: Value) -> Option<()> {
        let Value::Object(members) = value else { return None };
        let members: Map<String, Value> = members.into_iter().map(|(k, v)| (k.to_ascii_lowercase(), v)).collect();
        let text = |key: &str| members.get(key)?.as_str().map(Box::<str>::from);
        let integer = |key: &str| integer(members.get(key)?);
        let double = |key: &str| double(members.get(key)?);
        match table {
            LandingTable::Customer => self.good.customers.push(Customer {
                customer_name: text("customername"),
                email: text("email")?,
                phone: text("phone"),
                birth_day: text("birthday"),
                serial_number: text("serialnumber")?,
                registration_date: integer("registrationdate"),
                last_update_date: integer("lastupdatedate"),
                share_with_research_as_of_date: integer("sharewithresearchasofdate"),
                share_with_public_as_of_date: integer("sharewithpublicasofdate"),
                share_with_friends_as_of_date: integer("sharewithfriendsasofdate"),
            }),
            LandingTable::Accelerometer => self.good.accelerometer.push(AccelerometerRow {
                user: text("user")?,
                timestamp_ms: integer("timestamp")?,
                x: double("x"),
                y: double("y"),
                z: double("z"),
            }),
            LandingTable::StepTrainer => self.good.step_trainer.push(StepTrainerRow {
                reading_time_ms: integer("sensorreadingtime")?,
                serial_number: text("serialnumber")?,
                distance: integer("distancefromobject"),
            }),
        }
        Some(())
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        // exact below 2^53, and no larger number comes with an exponent
        Value::Number(number) => number.as_i64().or_else(|| format!("{:.0}", number.as_f64()?).parse().ok()),
        _ => None,
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// Whether two readings are the same; serde_json reads doubles to the last digit but one.
pub(crate) fn same(a: &AccelerometerRow, b: &AccelerometerRow) -> bool {
    let close = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= a.abs() * 1e-14,
        _ => a == b,
    };
    (&a.user, a.timestamp_ms) == (&b.user, b.timestamp_ms) && close(a.x, b.x) && close(a.y, b.y) && close(a.z, b.z)
}
