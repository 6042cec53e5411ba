//! Landing records in typed form: what is written is what [`canonical`](super::canonical) says.

use stedi_lake::Customer;

/// An accelerometer reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccelerometerRow<S = Box<str>> {
    /// E-mail address of the customer.
    pub user: S,
    /// Epoch ms.
    pub timestamp_ms: i64,
    /// Acceleration along x.
    pub x: Option<f64>,
    /// Acceleration along y.
    pub y: Option<f64>,
    /// Acceleration along z.
    pub z: Option<f64>,
}

/// A step trainer reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepTrainerRow<S = Box<str>> {
    /// Epoch ms.
    pub reading_time_ms: i64,
    /// Serial number of the step trainer.
    pub serial_number: S,
    /// Distance the sensor saw.
    pub distance: Option<i64>,
}

/// A good record of any landing table, borrowed from the model that made it.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// Of customer_landing.
    Customer(&'a Customer),
    /// Of accelerometer_landing.
    Accelerometer(AccelerometerRow<&'a str>),
    /// Of step_trainer_landing.
    StepTrainer(StepTrainerRow<&'a str>),
}

/// All good records of a landing, each table in the order in which its objects hold them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Canonical {
    /// Records of customer_landing.
    pub customers: Vec<Customer>,
    /// Records of accelerometer_landing.
    pub accelerometer: Vec<AccelerometerRow>,
    /// Records of step_trainer_landing.
    pub step_trainer: Vec<StepTrainerRow>,
}

impl Canonical {
    /// Adds a copy of `record`.
    pub fn push(&mut self, record: Record<'_>) {
        match record {
            Record::Customer(customer) => self.customers.push(customer.clone()),
            Record::Accelerometer(AccelerometerRow { user, timestamp_ms, x, y, z }) => {
                self.accelerometer.push(AccelerometerRow { user: user.into(), timestamp_ms, x, y, z });
            }
            Record::StepTrainer(StepTrainerRow { reading_time_ms, serial_number, distance }) => {
                self.step_trainer.push(StepTrainerRow {
                    reading_time_ms,
                    serial_number: serial_number.into(),
                    distance,
                });
            }
        }
    }
}
