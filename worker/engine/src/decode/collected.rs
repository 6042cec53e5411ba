//! A sink that keeps everything: for tests and small inputs.

use stedi_lake::Customer;

use super::{RecordSink, Reject, RejectReason};

/// Everything a decoder said, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Collected {
    /// Customer records.
    pub customers: Vec<Customer>,
    /// Accelerometer readings.
    pub accelerometer: Vec<AccelerometerReading>,
    /// Step trainer readings.
    pub step_trainer: Vec<StepTrainerReading>,
    /// Records that cannot be read.
    pub rejects: Vec<CollectedReject>,
}

/// An accelerometer reading.
#[derive(Clone, Debug)]
pub struct AccelerometerReading {
    /// E-mail address of the customer.
    pub user: String,
    /// Epoch ms.
    pub timestamp_ms: i64,
    /// Acceleration; NaN where it is missing.
    pub xyz: [f64; 3],
}

/// Equal if the doubles are equal bit by bit: a missing value equals a missing one, 0.0 does not equal -0.0.
impl PartialEq for AccelerometerReading {
    fn eq(&self, other: &Self) -> bool {
        let key = |reading: &Self| (reading.timestamp_ms, reading.xyz.map(f64::to_bits));
        self.user == other.user && key(self) == key(other)
    }
}

/// A step trainer reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTrainerReading {
    /// Serial number of the step trainer.
    pub serial: String,
    /// Epoch ms.
    pub sensor_reading_time_ms: i64,
    /// Distance, [`super::NULL_I64`] if it is missing.
    pub distance: i64,
}

/// A [`Reject`] with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedReject {
    /// Where it starts, in bytes of the object.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Why it cannot be read.
    pub reason: RejectReason,
    /// Its bytes, or the first part of them.
    pub raw: Vec<u8>,
}

impl RecordSink for Collected {
    fn customer(&mut self, record: Customer) {
        self.customers.push(record);
    }

    fn accelerometer(&mut self, user: &[u8], timestamp_ms: i64, xyz: [f64; 3]) {
        let user = String::from_utf8(user.to_vec()).expect("the decoder hands over UTF-8");
        self.accelerometer.push(AccelerometerReading { user, timestamp_ms, xyz });
    }

    fn step_trainer(&mut self, serial: &[u8], sensor_reading_time_ms: i64, distance: i64) {
        let serial = String::from_utf8(serial.to_vec()).expect("the decoder hands over UTF-8");
        self.step_trainer.push(StepTrainerReading { serial, sensor_reading_time_ms, distance });
    }

    fn reject(&mut self, reject: Reject<'_>) {
        let Reject { offset, bytes, reason, raw } = reject;
        self.rejects.push(CollectedReject { offset, bytes, reason, raw: raw.to_vec() });
    }
}
