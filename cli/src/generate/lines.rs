//! Writes records one a line and as fast as memory allows; the shapes of `clean` and `legacy` need no more.

use stedi_lake::Customer;

use super::record::{AccelerometerRow, Record, StepTrainerRow};
use super::shape::Shape;

/// Writes records in the style of the starter data. The text of the records must need no escapes.
pub(super) struct LineWriter {
    out: Vec<u8>,
    digits: itoa::Buffer,
    timestamp_key: &'static str,
    end: &'static str,
}

impl LineWriter {
    pub(super) fn new(shape: &Shape, capacity: usize) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
            digits: itoa::Buffer::new(),
            timestamp_key: if shape.old_timestamp_key { "\",\"timeStamp\":" } else { "\",\"timestamp\":" },
            end: if shape.trailing_comma { "},\n" } else { "}\n" },
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
        self.text("{\"user\":\"");
        self.text(row.user);
        self.text(self.timestamp_key);
        self.integer(row.timestamp_ms);
        for (key, value) in [(",\"x\":", row.x), (",\"y\":", row.y), (",\"z\":", row.z)] {
            if let Some(value) = value {
                self.text(key);
                self.double(value);
            }
        }
        self.text(self.end);
    }

    fn step_trainer(&mut self, row: &StepTrainerRow<&str>) {
        self.text("{\"sensorReadingTime\":");
        self.integer(row.reading_time_ms);
        self.text(",\"serialNumber\":\"");
        self.text(row.serial_number);
        self.text("\"");
        if let Some(distance) = row.distance {
            self.text(",\"distanceFromObject\":");
            self.integer(distance);
        }
        self.text(self.end);
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
        self.text(self.end);
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn integer(&mut self, value: i64) {
        self.out.extend_from_slice(self.digits.format(value).as_bytes());
    }

    fn double(&mut self, value: f64) {
        if value == 1.0 {
            self.text("1.0");
        } else if value == 0.0 {
            self.text("0.0");
        } else if value == -1.0 {
            self.text("-1.0");
        } else {
            self.text(&format!("{value:?}"));
        }
    }
}
