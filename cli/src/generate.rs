//! Landing data out of nothing: as much as you like, and always the same for the same configuration.
//!
//! Everything but [`generate`] is pure. Records are made in typed form ([`records`]) and then written in the shape that
//! the [plan] gives their object, so that [`canonical`] knows what a reader must find without reading any JSON.
//! The same configuration gives the same bytes on every machine; those of compressed objects depend on the version of
//! the compression library too.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stedi_lake::LandingTable;

mod deliver;
mod fault;
mod fields;
mod lines;
mod manifest;
mod messy;
mod odd;
mod packing;
mod people;
mod plan;
mod random;
mod readings;
mod record;
mod shape;

pub use deliver::{GenerateError, generate};
pub use manifest::{Fault, GenerateReport, LandingTotals, MANIFEST_PATH, Manifest, ManifestObject};
pub use plan::{ObjectSpec, plan};
pub use record::{AccelerometerRow, Canonical, Record, StepTrainerRow};
pub use shape::Shape;

use lines::LineWriter;
use messy::MessyWriter;
use random::{Purpose, Random};
use shape::Content;

/// The greatest number of customers.
pub const CUSTOMERS_MAX: u64 = 1_000_000_000;

/// The greatest number of days.
pub const DAYS_MAX: u64 = 36_500;

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateConfig {
    /// Number of customers, 1 to [`CUSTOMERS_MAX`].
    pub customers: u64,
    /// Days of readings, 1 to [`DAYS_MAX`]: about 83 accelerometer and 30 step readings for each customer and day.
    pub days: u32,
    /// Another seed gives other data of the same kind.
    pub seed: u64,
    /// What the data is like.
    pub profile: Profile,
    /// One more object, with a record that is longer than 16 MiB.
    pub oversized_record: bool,
}

impl GenerateConfig {
    /// One day of the profile's usual number of customers, with seed 0.
    pub fn new(profile: Profile) -> Self {
        Self { customers: profile.usual_customers(), days: 1, seed: 0, profile, oversized_record: false }
    }
}

impl Default for GenerateConfig {
    fn default() -> Self {
        Self::new(Profile::default())
    }
}

/// What generated data is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Like the public starter data: one record a customer, one serial number each, no duplicates.
    #[default]
    Clean,
    /// Like older data: few serial numbers for many customers, many versions of each, duplicates, trailing commas.
    Legacy,
    /// The data of `legacy` with odd values, in every shape and with every fault that a reader must survive.
    Messy,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Clean, Self::Legacy, Self::Messy];

    /// The profile's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Legacy => "legacy",
            Self::Messy => "messy",
        }
    }

    /// The number of customers where none is given.
    pub fn usual_customers(self) -> u64 {
        match self {
            Self::Clean | Self::Messy => 1_000,
            Self::Legacy => 609,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Text that names no profile.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no profile: use clean, legacy or messy")]
pub struct ProfileText(String);

impl FromStr for Profile {
    type Err = ProfileText;

    fn from_str(text: &str) -> Result<Self, ProfileText> {
        Self::ALL.into_iter().find(|p| p.name() == text).ok_or_else(|| ProfileText(text.to_owned()))
    }
}

/// The bytes of one object and what a reader must find in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LandingObject {
    /// What the store gets.
    pub bytes: Vec<u8>,
    /// Good records.
    pub rows: u64,
    /// Records that cannot be read, by reason.
    pub bad: BTreeMap<Fault, u64>,
}

/// Makes one object of the [plan] of the same configuration.
pub fn object(config: &GenerateConfig, spec: &ObjectSpec) -> LandingObject {
    let plain = config.profile != Profile::Messy && spec.shape.content == Content::Records;
    let mut object = if plain { plain_object(config, spec) } else { messy_object(config, spec) };
    object.bytes = packing::pack(object.bytes, spec.shape.packing);
    object
}

fn plain_object(config: &GenerateConfig, spec: &ObjectSpec) -> LandingObject {
    let mut rows = 0;
    let mut writer = LineWriter::new(spec.shape, plan::bytes_estimate(spec));
    all_records(config, spec, &mut |record| {
        writer.write(record);
        rows += 1;
    });
    LandingObject { bytes: writer.finish(), rows, bad: BTreeMap::new() }
}

fn messy_object(config: &GenerateConfig, spec: &ObjectSpec) -> LandingObject {
    if let Content::Only(text) = spec.shape.content {
        return LandingObject { bytes: text.as_bytes().to_vec(), ..LandingObject::default() };
    }
    let random = Random::new(config.seed, Purpose::Writing, spec.table as u64, spec.index);
    let mut writer = MessyWriter::new(spec.shape, random);
    all_records(config, spec, &mut |record| writer.write(record));
    let mut object = writer.finish();
    if spec.shape.skipped() {
        object.rows = 0;
    }
    object
}

/// Yields the good records of one object of the [plan] of the same configuration, in the order of its bytes.
pub fn records(config: &GenerateConfig, spec: &ObjectSpec, each: &mut impl FnMut(Record<'_>)) {
    if spec.shape.skipped() {
        return;
    }
    all_records(config, spec, each);
}

/// The records of the model for this object, whether a reader may see them or not.
fn all_records(config: &GenerateConfig, spec: &ObjectSpec, each: &mut impl FnMut(Record<'_>)) {
    for item in spec.first..spec.end {
        match spec.table {
            LandingTable::Customer => {
                people::records(config, item, spec.lane, &mut |customer| each(Record::Customer(customer)));
            }
            LandingTable::Accelerometer => readings::accelerometer_block(config, item, each),
            LandingTable::StepTrainer => readings::step_block(config, item, each),
        }
    }
}

/// All good records of the landing that `config` describes.
pub fn canonical(config: &GenerateConfig) -> Canonical {
    let mut all = Canonical::default();
    for spec in plan(config) {
        records(config, &spec, &mut |record| all.push(record));
    }
    all
}
