//! Landing as typed records, and as Arrow columns and JSON lines.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use stedi_lake::{Customer, LandingTable, table};

/// A reading of the phone app.
#[derive(Clone, Debug, PartialEq)]
pub struct AccelerometerReading {
    /// E-mail address of the customer.
    pub user: String,
    /// Epoch ms.
    pub timestamp: i64,
    /// Acceleration along each axis.
    pub xyz: [Option<f64>; 3],
}

/// A reading of the step trainer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReading {
    /// Epoch ms.
    pub sensor_reading_time: i64,
    /// Serial number of the step trainer.
    pub serial_number: String,
    /// Distance the sensor saw.
    pub distance: Option<i64>,
}

/// The readable records of the three landing tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Landing {
    /// customer_landing.
    pub customers: Vec<Customer>,
    /// accelerometer_landing.
    pub accelerometer: Vec<AccelerometerReading>,
    /// step_trainer_landing.
    pub step_trainer: Vec<StepReading>,
}

impl Landing {
    /// One landing table as columns, under the names and types of the catalog.
    pub fn batch(&self, of: LandingTable) -> RecordBatch {
        let columns = match of {
            LandingTable::Customer => self.customer_columns(),
            LandingTable::Accelerometer => self.accelerometer_columns(),
            LandingTable::StepTrainer => self.step_trainer_columns(),
        };
        RecordBatch::try_new(table::arrow_schema(of.columns()), columns).expect("columns are in catalog order")
    }

    fn customer_columns(&self) -> Vec<ArrayRef> {
        let text = |of: fn(&Customer) -> Option<&str>| -> ArrayRef {
            Arc::new(self.customers.iter().map(of).collect::<StringArray>())
        };
        let number = |of: fn(&Customer) -> Option<i64>| -> ArrayRef {
            Arc::new(self.customers.iter().map(of).collect::<Int64Array>())
        };
        vec![
            text(|c| c.customer_name.as_deref()),
            text(|c| Some(&c.email)),
            text(|c| c.phone.as_deref()),
            text(|c| c.birth_day.as_deref()),
            text(|c| Some(&c.serial_number)),
            number(|c| c.registration_date),
            number(|c| c.last_update_date),
            number(|c| c.share_with_research_as_of_date),
            number(|c| c.share_with_public_as_of_date),
            number(|c| c.share_with_friends_as_of_date),
        ]
    }

    fn accelerometer_columns(&self) -> Vec<ArrayRef> {
        let rows = &self.accelerometer;
        let axis = |i: usize| -> ArrayRef { Arc::new(rows.iter().map(|r| r.xyz[i]).collect::<Float64Array>()) };
        vec![
            Arc::new(rows.iter().map(|r| Some(&r.user)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|r| Some(r.timestamp)).collect::<Int64Array>()),
            axis(0),
            axis(1),
            axis(2),
        ]
    }

    fn step_trainer_columns(&self) -> Vec<ArrayRef> {
        let rows = &self.step_trainer;
        vec![
            Arc::new(rows.iter().map(|r| Some(r.sensor_reading_time)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|r| Some(&r.serial_number)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|r| r.distance).collect::<Int64Array>()),
        ]
    }

    /// Number of records of one landing table.
    pub fn rows(&self, of: LandingTable) -> usize {
        match of {
            LandingTable::Customer => self.customers.len(),
            LandingTable::Accelerometer => self.accelerometer.len(),
            LandingTable::StepTrainer => self.step_trainer.len(),
        }
    }

    /// Writes JSON lines below `lake`, each table in `objects` files with every `objects`-th record in the same one.
    /// A table without records gets empty files.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_json(&self, lake: &Path, objects: usize) -> io::Result<()> {
        for of in LandingTable::ALL {
            let folder = lake.join(of.path());
            fs::create_dir_all(&folder)?;
            let lines = self.json_lines(of);
            for object in 0..objects {
                let text: String = lines.iter().skip(object).step_by(objects).map(String::as_str).collect();
                fs::write(folder.join(format!("{}-{object}.json", of.name())), text)?;
            }
        }
        Ok(())
    }

    fn json_lines(&self, of: LandingTable) -> Vec<String> {
        match of {
            LandingTable::Customer => self.customers.iter().map(customer_json).collect(),
            LandingTable::Accelerometer => self.accelerometer.iter().map(accelerometer_json).collect(),
            LandingTable::StepTrainer => self.step_trainer.iter().map(step_json).collect(),
        }
    }
}

/// One JSON line; absent values are left out.
fn line(fields: impl IntoIterator<Item = (&'static str, Option<String>)>) -> String {
    let mut text = String::from("{");
    for (key, value) in fields {
        let Some(value) = value else { continue };
        let comma = if text.len() == 1 { "" } else { "," };
        write!(text, "{comma}\"{key}\":{value}").expect("a String takes every write");
    }
    text + "}\n"
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn customer_json(c: &Customer) -> String {
    let text = |value: &Option<Box<str>>| value.as_deref().map(quoted);
    let number = |value: Option<i64>| value.map(|n| n.to_string());
    line([
        ("customerName", text(&c.customer_name)),
        ("email", Some(quoted(&c.email))),
        ("phone", text(&c.phone)),
        ("birthDay", text(&c.birth_day)),
        ("serialNumber", Some(quoted(&c.serial_number))),
        ("registrationDate", number(c.registration_date)),
        ("lastUpdateDate", number(c.last_update_date)),
        ("shareWithResearchAsOfDate", number(c.share_with_research_as_of_date)),
        ("shareWithPublicAsOfDate", number(c.share_with_public_as_of_date)),
        ("shareWithFriendsAsOfDate", number(c.share_with_friends_as_of_date)),
    ])
}

fn accelerometer_json(r: &AccelerometerReading) -> String {
    let [x, y, z] = r.xyz.map(|value| value.map(|v| v.to_string()));
    line([("user", Some(quoted(&r.user))), ("timestamp", Some(r.timestamp.to_string())), ("x", x), ("y", y), ("z", z)])
}

fn step_json(r: &StepReading) -> String {
    line([
        ("sensorReadingTime", Some(r.sensor_reading_time.to_string())),
        ("serialNumber", Some(quoted(&r.serial_number))),
        ("distanceFromObject", r.distance.map(|d| d.to_string())),
    ])
}
