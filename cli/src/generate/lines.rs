//! Writes records one a line and as fast as memory allows; the shapes of `clean` and `legacy` need no more.

use stedi_lake::Customer;

use super::record::{AccelerometerRow, Record, StepTrainerRow};
use super::shape::Shape;

/// Writes records in the style of the starter data. The text of the records must need no escapes.
pub(super) struct LineWriter {
    out: Vec<u8>,
    digits: itoa::Buffer,
    timestamp_key: &'static str,
    end: Phrase<4>,
    /// The end of a reading for each of the usual x, y and z.
    motions: Vec<Phrase<32>>,
    /// The user of the newest reading, and how a reading of that user starts.
    user: String,
    user_start: Phrase<96>,
    /// The serial number of the newest step reading, and how it is written.
    serial: String,
    serial_field: Phrase<64>,
}

/// Text that is written again and again, of at most `N` bytes. Copying all `N` takes a few instructions; to copy as many as
/// there are takes a call.
struct Phrase<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Phrase<N> {
    /// The text that `parts` make together; nothing that the model makes up is longer than `N`.
    fn new(parts: &[&str]) -> Self {
        let (mut bytes, mut length) = ([0; N], 0);
        for part in parts {
            bytes[length..length + part.len()].copy_from_slice(part.as_bytes());
            length += part.len();
        }
        Self { bytes, length }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.length;
        out.extend_from_slice(&self.bytes);
        out.truncate(end);
    }
}

/// The usual values of x, y and z, and how they are written.
const AXIS: [(f64, &str); 3] = [(-1.0, "-1.0"), (0.0, "0.0"), (1.0, "1.0")];

impl LineWriter {
    pub(super) fn new(shape: &Shape, capacity: usize) -> Self {
        let end = if shape.trailing_comma { "},\n" } else { "}\n" };
        let mut motions = Vec::with_capacity(27);
        for (_, x) in AXIS {
            for (_, y) in AXIS {
                motions.extend(AXIS.map(|(_, z)| Phrase::new(&[",\"x\":", x, ",\"y\":", y, ",\"z\":", z, end])));
            }
        }
        Self {
            out: Vec::with_capacity(capacity),
            digits: itoa::Buffer::new(),
            motions,
            user: String::new(),
            user_start: Phrase::new(&[]),
            serial: String::new(),
            serial_field: Phrase::new(&[]),
            timestamp_key: if shape.old_timestamp_key { "\",\"timeStamp\":" } else { "\",\"timestamp\":" },
            end: Phrase::new(&[end]),
        }
    }

    pub(super) fn write(&mut self, record: Record<'_>) {
        match record {
            Record::Customer(customer) => self.customer(customer),
            Record::Accelerometer(row) => self.accelerometer(&row),
            Record::StepTrainer(row) => self.step_trainer(&row),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn accelerometer(&mut self, row: &AccelerometerRow<&str>) {
        if self.user != row.user {
            row.user.clone_into(&mut self.user);
            self.user_start = Phrase::new(&["{\"user\":\"", row.user, self.timestamp_key]);
        }
        self.user_start.write(&mut self.out);
        self.integer(row.timestamp_ms);
        match (axis(row.x), axis(row.y), axis(row.z)) {
            (Some(x), Some(y), Some(z)) => self.motions[9 * x + 3 * y + z].write(&mut self.out),
            _ => self.unusual_motion(row),
        }
    }

    fn unusual_motion(&mut self, row: &AccelerometerRow<&str>) {
        for (key, value) in [(",\"x\":", row.x), (",\"y\":", row.y), (",\"z\":", row.z)] {
            if let Some(value) = value {
                self.text(key);
                self.text(&format!("{value:?}"));
            }
        }
        self.end.write(&mut self.out);
    }

    fn step_trainer(&mut self, row: &StepTrainerRow<&str>) {
        if self.serial != row.serial_number {
            row.serial_number.clone_into(&mut self.serial);
            self.serial_field = Phrase::new(&[",\"serialNumber\":\"", row.serial_number, "\""]);
        }
        self.text("{\"sensorReadingTime\":");
        self.integer(row.reading_time_ms);
        self.serial_field.write(&mut self.out);
        if let Some(distance) = row.distance {
            self.text(",\"distanceFromObject\":");
            self.integer(distance);
        }
        self.end.write(&mut self.out);
    }

    fn customer(&mut self, customer: &Customer) {
        let Customer { customer_name, email, phone, birth_day, serial_number, .. } = customer;
        let mut opening = "{\"";
        let texts = [
            ("customerName", customer_name.as_ref()),
            ("email", Some(email)),
            ("phone", phone.as_ref()),
            ("birthDay", birth_day.as_ref()),
            ("serialNumber", Some(serial_number)),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                for part in [opening, key, "\": \"", value, "\""] {
                    self.text(part);
                }
                opening = ", \"";
            }
        }
        let dates = [
            ("registrationDate", customer.registration_date),
            ("lastUpdateDate", customer.last_update_date),
            ("shareWithResearchAsOfDate", customer.share_with_research_as_of_date),
            ("shareWithPublicAsOfDate", customer.share_with_public_as_of_date),
            ("shareWithFriendsAsOfDate", customer.share_with_friends_as_of_date),
        ];
        for (key, value) in dates {
            if let Some(value) = value {
                for part in [", \"", key, "\": "] {
                    self.text(part);
                }
                self.integer(value);
            }
        }
        self.end.write(&mut self.out);
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn integer(&mut self, value: i64) {
        self.out.extend_from_slice(self.digits.format(value).as_bytes());
    }
}

/// The index of a value in [`AXIS`], without branches that depend on chance.
fn axis(value: Option<f64>) -> Option<usize> {
    let value = value?;
    let nearest = usize::from(value > -0.5) + usize::from(value > 0.5);
    (AXIS[nearest].0 == value).then_some(nearest)
}
