//! What a run did, in numbers: the ledger, the landing funnel and the object that `--json` prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CuratedTable, LandingTable, RunId};

/// What became of the records of a landing table or of one landing object: `rows = kept + filtered + quarantined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandingCounts {
    /// Number of landing objects.
    pub objects: u64,
    /// Their size as stored, compressed or not.
    pub bytes: u64,
    /// Records found, readable or not.
    pub rows: u64,
    /// Records whose data went on: consenting customers, readings of trusted customers.
    pub kept: u64,
    /// Readable records that were left out: no consent, or nobody's reading.
    pub filtered: u64,
    /// Records that could not be read.
    pub quarantined: u64,
}

/// The reason of a reject that stands for all records behind it in its object, however many they were: its compression is
/// damaged or cut off.
pub const DAMAGED: &str = "damaged compression";

impl LandingCounts {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.rows += other.rows;
        self.kept += other.kept;
        self.filtered += other.filtered;
        self.quarantined += other.quarantined;
    }

    /// Whether every record is accounted for.
    pub fn balanced(&self) -> bool {
        self.rows == self.kept + self.filtered + self.quarantined
    }
}

/// Requests to an object store, by what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Reads of objects.
    pub get: u64,
    /// Questions about objects.
    pub head: u64,
    /// Writes: objects, and the beginnings, parts and ends of uploads.
    pub put: u64,
    /// Pages of listings.
    pub list: u64,
    /// Deletions, and uploads given up; S3 does not charge for them.
    pub delete: u64,
}

impl RequestCounts {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.get = self.get.saturating_add(other.get);
        self.head = self.head.saturating_add(other.head);
        self.put = self.put.saturating_add(other.put);
        self.list = self.list.saturating_add(other.list);
        self.delete = self.delete.saturating_add(other.delete);
    }

    /// What was counted since the counts were `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            get: self.get.saturating_sub(earlier.get),
            head: self.head.saturating_sub(earlier.head),
            put: self.put.saturating_sub(earlier.put),
            list: self.list.saturating_sub(earlier.list),
            delete: self.delete.saturating_sub(earlier.delete),
        }
    }

    /// Whether there was none.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// One line of a run's ledger: a landing object and what became of its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The landing table.
    pub table: LandingTable,
    /// Key relative to the lake, or a whole URI where landing lies elsewhere.
    pub key: String,
    /// The store's ETag.
    pub etag: String,
    /// What became of the records; `objects` is 1.
    #[serde(flatten)]
    pub counts: LandingCounts,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// New tables are visible.
    Committed,
    /// Landing and options are those of the current commit: nothing was done.
    Unchanged,
}

/// One table of the run report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSummary {
    /// Number of rows.
    pub rows: u64,
    /// Number of parts.
    pub parts: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// URI of the folder that holds the parts.
    pub location: String,
}

/// The object that `stedi run --json` prints; outside scripts rely on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The run that wrote the tables; that of the current commit if nothing was done.
    pub run_id: RunId,
    /// How the run ended.
    pub status: RunStatus,
    /// Wall time of this command.
    pub seconds: f64,
    /// What became of the landing records.
    pub landing: BTreeMap<LandingTable, LandingCounts>,
    /// The tables as they are now.
    pub tables: BTreeMap<CuratedTable, TableSummary>,
}
