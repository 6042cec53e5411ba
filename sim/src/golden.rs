//! Cases written by hand: a small landing and the tables it must give, as text.
//!
//! ```text
//! case a later withdrawal wins
//! customer_landing
//!   email serialnumber lastupdatedate sharewithresearchasofdate
//!   a     1            10             10
//!   a     1            20             -
//! when any
//! customer_trusted
//!   email serialnumber lastupdatedate sharewithresearchasofdate
//!   a     1            10             10
//! ```
//!
//! `-` is NULL, as is every column that is not named. `when` starts what is expected under the options after it; an
//! option that is not named (`latest` or `any`, `customer` or `timestamp`, `all` readings or `dedupe`) may be either.
//! A table that is not named has no rows. Lines that start with `#` are comments.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::DataType;
use stedi_lake::{ConsentPolicy, CuratedTable, Customer, MatchMode};

use crate::landing::{AccelerometerReading, Landing, StepReading};
use crate::oracle::Curation;
use crate::rows::Rows;

/// A landing and what it must give.
#[derive(Debug)]
pub struct Case {
    /// What the case is about.
    pub name: String,
    /// The records.
    pub landing: Landing,
    /// What to expect under which options.
    pub expectations: Vec<Expectation>,
}

/// The five tables under some options.
#[derive(Debug)]
pub struct Expectation {
    /// The options.
    pub curations: Vec<Curation>,
    /// The tables.
    pub tables: BTreeMap<CuratedTable, Rows>,
}

/// A table as written: the names of its columns and the words of its rows.
#[derive(Debug, Default)]
struct Grid<'a> {
    columns: Vec<&'a str>,
    rows: Vec<Vec<&'a str>>,
}

/// Parses a file of cases.
///
/// # Panics
/// If the text is not as the module says.
pub fn parse(text: &str) -> Vec<Case> {
    let text: String = text.lines().filter(|l| !l.starts_with('#')).map(|l| format!("{l}\n")).collect();
    text.split("case ").skip(1).map(parse_case).collect()
}

fn parse_case(text: &str) -> Case {
    let (name, body) = text.split_once('\n').expect("a case has lines below its name");
    let mut parts = body.split("when ");
    let landing = grids(parts.next().unwrap_or_default());
    let expectations = parts
        .map(|part| {
            let (options, tables) = part.split_once('\n').expect("`when` ends its line");
            Expectation { curations: curations(options), tables: expected(grids(tables)) }
        })
        .collect();
    Case { name: name.to_owned(), landing: typed(landing), expectations }
}

fn grids(text: &str) -> BTreeMap<&str, Grid<'_>> {
    let mut grids: BTreeMap<&str, Grid<'_>> = BTreeMap::new();
    let mut table = "";
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            table = line.trim();
            assert!(grids.insert(table, Grid::default()).is_none(), "{table} is there twice");
            continue;
        }
        let grid = grids.get_mut(table).expect("rows follow the name of a table");
        if grid.columns.is_empty() {
            grid.columns = words;
        } else {
            assert_eq!(words.len(), grid.columns.len(), "a row of {table}: {line}");
            grid.rows.push(words);
        }
    }
    grids
}

fn curations(options: &str) -> Vec<Curation> {
    let words: Vec<&str> = options.split_whitespace().collect();
    let allows = |word: &str, other: &str| words.contains(&word) || !words.contains(&other);
    assert!(
        words.iter().all(|w| ["latest", "any", "customer", "timestamp", "all", "dedupe", "-"].contains(w)),
        "options {options}"
    );
    Curation::all()
        .filter(|c| match c.consent {
            ConsentPolicy::Latest => allows("latest", "any"),
            ConsentPolicy::Any => allows("any", "latest"),
        })
        .filter(|c| match c.match_mode {
            MatchMode::Customer => allows("customer", "timestamp"),
            MatchMode::Timestamp => allows("timestamp", "customer"),
        })
        .filter(|c| if c.dedupe { allows("dedupe", "all") } else { allows("all", "dedupe") })
        .collect()
}

impl<'a> Grid<'a> {
    /// The value of a column in a row; NULL if the column is not named.
    fn value(&self, row: &[&'a str], column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| *name == column)?;
        Some(row[at]).filter(|word| *word != "-")
    }

    fn number(&self, row: &[&str], column: &str) -> Option<i64> {
        self.value(row, column).map(|word| word.parse().expect("an integer"))
    }

    fn double(&self, row: &[&str], column: &str) -> Option<f64> {
        self.value(row, column).map(|word| word.parse().expect("a number"))
    }

    fn required(&self, row: &[&'a str], column: &str) -> &'a str {
        self.value(row, column).expect("a required value")
    }

    fn customer(&self, row: &[&str]) -> Customer {
        let text = |column| self.value(row, column).map(Box::from);
        Customer {
            customer_name: text("customername"),
            email: self.required(row, "email").into(),
            phone: text("phone"),
            birth_day: text("birthday"),
            serial_number: self.required(row, "serialnumber").into(),
            registration_date: self.number(row, "registrationdate"),
            last_update_date: self.number(row, "lastupdatedate"),
            share_with_research_as_of_date: self.number(row, "sharewithresearchasofdate"),
            share_with_public_as_of_date: self.number(row, "sharewithpublicasofdate"),
            share_with_friends_as_of_date: self.number(row, "sharewithfriendsasofdate"),
        }
    }

    fn accelerometer(&self, row: &[&str]) -> AccelerometerReading {
        AccelerometerReading {
            user: self.required(row, "user").into(),
            timestamp: self.number(row, "timestamp").expect("a time"),
            xyz: ["x", "y", "z"].map(|axis| self.double(row, axis)),
        }
    }

    fn step(&self, row: &[&str]) -> StepReading {
        StepReading {
            sensor_reading_time: self.number(row, "sensorreadingtime").expect("a time"),
            serial_number: self.required(row, "serialnumber").into(),
            distance: self.number(row, "distancefromobject"),
        }
    }

    fn batch(&self, table: CuratedTable) -> RecordBatch {
        let schema = table.arrow_schema();
        for name in &self.columns {
            assert!(schema.field_with_name(name).is_ok(), "{} has no column {name}", table.name());
        }
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            let name = field.name();
            let rows = self.rows.iter();
            match field.data_type() {
                DataType::Int64 => Arc::new(rows.map(|row| self.number(row, name)).collect::<Int64Array>()),
                DataType::Float64 => Arc::new(rows.map(|row| self.double(row, name)).collect::<Float64Array>()),
                _ => Arc::new(rows.map(|row| self.value(row, name)).collect::<StringArray>()),
            }
        });
        let columns = columns.collect();
        RecordBatch::try_new(schema, columns).expect("required columns are named")
    }
}

fn typed(mut grids: BTreeMap<&str, Grid<'_>>) -> Landing {
    let mut take = |name| grids.remove(name).unwrap_or_default();
    let (customers, accelerometer, step_trainer) =
        (take("customer_landing"), take("accelerometer_landing"), take("step_trainer_landing"));
    assert!(grids.is_empty(), "unknown landing tables {:?}", grids.keys());
    Landing {
        customers: customers.rows.iter().map(|row| customers.customer(row)).collect(),
        accelerometer: accelerometer.rows.iter().map(|row| accelerometer.accelerometer(row)).collect(),
        step_trainer: step_trainer.rows.iter().map(|row| step_trainer.step(row)).collect(),
    }
}

fn expected(mut grids: BTreeMap<&str, Grid<'_>>) -> BTreeMap<CuratedTable, Rows> {
    let tables = CuratedTable::ALL
        .into_iter()
        .map(|table| {
            let grid = grids.remove(table.name()).unwrap_or_default();
            (table, Rows::new(table, &[grid.batch(table)]))
        })
        .collect();
    assert!(grids.is_empty(), "unknown tables {:?}", grids.keys());
    tables
}
