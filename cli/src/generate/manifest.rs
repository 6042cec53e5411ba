//! What was generated: the report, and the manifest that tests check counts against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stedi_lake::LandingTable;

use super::plan::ObjectSpec;
use super::{GenerateConfig, LandingObject};

/// Path of the manifest below the lake.
pub const MANIFEST_PATH: &str = "_generate/manifest.json";

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The record ends too early.
    CutOff,
    /// A string is not UTF-8.
    BadUtf8,
    /// A required field is absent or null.
    MissingField,
    /// A required field has a value of another type.
    WrongType,
    /// A line that is no record at all.
    Garbage,
    /// The record is longer than 16 MiB.
    TooLong,
}

/// Objects, bytes and records, of a landing table or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandingTotals {
    /// Number of objects, those that a run skips included.
    pub objects: u64,
    /// Bytes of these objects.
    pub bytes: u64,
    /// Good records.
    pub rows: u64,
    /// Records that cannot be read.
    pub bad: u64,
}

/// What [`generate`](super::generate) made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateReport {
    /// Number of objects.
    pub objects: u64,
    /// Bytes of all objects.
    pub bytes: u64,
    /// The landing tables.
    pub tables: BTreeMap<LandingTable, LandingTotals>,
}

/// The object at [`MANIFEST_PATH`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What was asked for.
    pub config: GenerateConfig,
    /// The landing tables.
    pub tables: BTreeMap<LandingTable, LandingTotals>,
    /// The objects, in the order of the plan.
    pub objects: Vec<ManifestObject>,
}

/// One object of a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestObject {
    /// Path below the lake.
    pub key: String,
    /// The table it belongs to.
    pub table: LandingTable,
    /// Name of its shape.
    pub shape: String,
    /// Hidden or without records: a run reads nothing from it.
    pub skipped: bool,
    /// Its size.
    pub bytes: u64,
    /// Good records.
    pub rows: u64,
    /// Records that cannot be read, by reason.
    pub bad: BTreeMap<Fault, u64>,
}

impl ManifestObject {
    /// The entry of `object`, which was made from `spec`.
    pub fn new(spec: &ObjectSpec, object: &LandingObject) -> Self {
        Self {
            key: spec.path.clone(),
            table: spec.table,
            shape: spec.shape.name.to_owned(),
            skipped: spec.shape.skipped(),
            bytes: object.bytes.len() as u64,
            rows: object.rows,
            bad: object.bad.clone(),
        }
    }
}

impl Manifest {
    /// The manifest of a landing that consists of `objects`.
    pub fn new(config: &GenerateConfig, objects: Vec<ManifestObject>) -> Self {
        let mut tables: BTreeMap<_, LandingTotals> =
            LandingTable::ALL.map(|table| (table, LandingTotals::default())).into();
        for object in &objects {
            let totals = tables.entry(object.table).or_default();
            totals.objects += 1;
            totals.bytes += object.bytes;
            totals.rows += object.rows;
            totals.bad += object.bad.values().sum::<u64>();
        }
        Self { config: config.clone(), tables, objects }
    }

    /// The sums alone.
    pub fn report(&self) -> GenerateReport {
        GenerateReport {
            objects: self.tables.values().map(|t| t.objects).sum(),
            bytes: self.tables.values().map(|t| t.bytes).sum(),
            tables: self.tables.clone(),
        }
    }
}
