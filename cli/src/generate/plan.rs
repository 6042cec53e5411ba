//! Which objects a landing consists of.

use stedi_lake::LandingTable;

use super::shape::{self, Shape};
use super::{GenerateConfig, Profile, people, readings};

/// Blocks of readings in an object: about 16 MiB.
const ACCELEROMETER_BLOCKS_MAX: u64 = 18_000;
const STEP_BLOCKS_MAX: u64 = 14_000;

/// Customers in an object: about 16 MiB.
const CUSTOMERS_MAX: u64 = 48_000;

/// A small landing still has this many objects of readings, as the starter data has.
const READINGS_OBJECTS_MIN: u64 = 8;

/// Epoch ms in the name of a table's first object; the next ones follow 47 ms apart.
const FIRST_NAME_MS: u64 = 1_691_348_231_425;

/// One object of a landing: where it lies and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSpec {
    /// The table it belongs to.
    pub table: LandingTable,
    /// Path below the lake.
    pub path: String,
    /// In which shape it delivers its records.
    pub shape: &'static Shape,
    /// Number within the table.
    pub(super) index: u64,
    /// Customers, or blocks of readings.
    pub(super) first: u64,
    pub(super) end: u64,
    /// Which versions of the customers.
    pub(super) lane: u64,
}

/// About how many bytes an object has before compression, a little more rather than less.
pub(super) fn bytes_estimate(spec: &ObjectSpec) -> usize {
    let item_bytes = match spec.table {
        LandingTable::Customer => 500,
        LandingTable::Accelerometer => 960,
        LandingTable::StepTrainer => 1_200,
    };
    usize::try_from((spec.end - spec.first) * item_bytes).expect("an object fits memory")
}

/// The objects of a landing, table by table, each in the order of its paths unless the profile is `messy`.
pub fn plan(config: &GenerateConfig) -> Vec<ObjectSpec> {
    let mut specs = Vec::new();
    let days = u64::from(config.days);
    let lanes = if config.profile == Profile::Clean { 1 } else { people::VERSION_LANES };
    split(config, LandingTable::Customer, config.customers, CUSTOMERS_MAX, lanes, &mut specs);
    let blocks = config.customers * days * readings::ACCELEROMETER_ROUNDS;
    split(config, LandingTable::Accelerometer, blocks, ACCELEROMETER_BLOCKS_MAX, 1, &mut specs);
    if config.oversized_record {
        specs.push(oversized(blocks));
    }
    let blocks = config.customers * days * readings::STEP_ROUNDS;
    split(config, LandingTable::StepTrainer, blocks, STEP_BLOCKS_MAX, 1, &mut specs);
    specs
}

/// Cuts `items` into even ranges of at most `items_max` and makes `lanes` objects of each.
fn split(
    config: &GenerateConfig,
    table: LandingTable,
    items: u64,
    items_max: u64,
    lanes: u64,
    specs: &mut Vec<ObjectSpec>,
) {
    let shapes = shapes(config.profile);
    let objects_min = match (config.profile, table) {
        (Profile::Messy, _) => shapes.len() as u64,
        (_, LandingTable::Customer) => 1,
        (_, LandingTable::Accelerometer | LandingTable::StepTrainer) => READINGS_OBJECTS_MIN,
    };
    let ranges = items.div_ceil(items_max).max(objects_min.div_ceil(lanes));
    let bound =
        |range: u64| u64::try_from(u128::from(items) * u128::from(range) / u128::from(ranges)).expect("at most items");
    for (index, shape) in (0..ranges * lanes).zip(shapes.iter().cycle()) {
        let (range, lane) = (index / lanes, index % lanes);
        specs.push(ObjectSpec {
            table,
            path: path(table, index, shape),
            shape,
            index,
            first: bound(range),
            end: bound(range + 1),
            lane,
        });
    }
}

/// An object that repeats a few readings and has one record that is too long.
fn oversized(blocks: u64) -> ObjectSpec {
    let table = LandingTable::Accelerometer;
    let path = format!("{}/too-long.json", table.path());
    ObjectSpec { table, path, shape: &shape::OVERSIZED, index: u64::MAX, first: 0, end: blocks.min(4), lane: 0 }
}

fn shapes(profile: Profile) -> &'static [Shape] {
    match profile {
        Profile::Clean => &shape::CLEAN,
        Profile::Legacy => &shape::LEGACY,
        Profile::Messy => &shape::MESSY,
    }
}

fn path(table: LandingTable, index: u64, shape: &Shape) -> String {
    let name = table.path().split('/').next().unwrap_or_default();
    let Shape { folder, prefix, suffix, .. } = shape;
    format!("{}/{folder}{prefix}{name}-{}{suffix}", table.path(), FIRST_NAME_MS + 47 * index)
}
