//! The commit record: one JSON object that says what all five tables are made of from now on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use crate::options::TableOptions;
use crate::report::LandingCounts;
use crate::{CuratedTable, LandingTable, RunId};

/// Version of everything a reader of old lakes must know: commit record, keys, part contents.
pub const FORMAT_VERSION: u32 = 1;

/// One commit. Sequence numbers start at 1 and have no gaps; the greatest one is the current state of the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Sequence number; the file name repeats it.
    pub seq: u64,
    /// The run that wrote the parts.
    pub run_id: RunId,
    /// Epoch ms of the commit.
    pub committed_at_ms: u64,
    /// What made this commit.
    pub operation: Operation,
    /// Options of the run.
    pub options: TableOptions,
    /// [`fingerprint`] of the landing objects the run read.
    pub inputs_fingerprint: String,
    /// Where landing was read if not in the lake: absolute paths or `s3://` URIs of folders, by table.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub landing_elsewhere: BTreeMap<LandingTable, Vec<String>>,
    /// What became of the landing records.
    pub landing: BTreeMap<LandingTable, LandingCounts>,
    /// The tables; all five are always there.
    pub tables: BTreeMap<CuratedTable, TableCommit>,
}

/// What made a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Operation {
    /// A run curated landing.
    Run,
    /// The tables went back to those of an earlier commit.
    Rollback {
        /// Sequence number of that commit.
        to_seq: u64,
    },
}

/// One table of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCommit {
    /// Sum of the parts' rows.
    pub rows: u64,
    /// Sum of the parts' bytes.
    pub bytes: u64,
    /// The parts, in order of their paths. A table without rows has none.
    pub parts: Vec<Part>,
}

impl TableCommit {
    /// The table made of `parts`.
    pub fn new(mut parts: Vec<Part>) -> Self {
        parts.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Self { rows: parts.iter().map(|p| p.rows).sum(), bytes: parts.iter().map(|p| p.bytes).sum(), parts }
    }
}

/// One immutable Parquet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Path below the lake.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// A landing object as far as sameness goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputVersion<'a> {
    /// The table it belongs to.
    pub table: LandingTable,
    /// Its key: relative to the lake, or a whole URI where landing lies elsewhere.
    pub key: &'a str,
    /// The store's ETag.
    pub etag: &'a str,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A fingerprint of landing: two xxHash64 (seeds 0 and 1) over table, key, ETag and size of every object in sorted
/// order, as 32 hexadecimal digits. Equal landing gives equal fingerprints, whatever order it was listed in.
pub fn fingerprint(mut inputs: Vec<InputVersion<'_>>) -> String {
    use std::hash::Hasher;
    inputs.sort_unstable();
    let mut hashes = [XxHash64::with_seed(0), XxHash64::with_seed(1)];
    for input in &inputs {
        for hash in &mut hashes {
            for text in [input.table.name(), input.key, input.etag] {
                hash.write(&(text.len() as u64).to_le_bytes());
                hash.write(text.as_bytes());
            }
            hash.write(&input.bytes.to_le_bytes());
        }
    }
    format!("{:016x}{:016x}", hashes[0].finish(), hashes[1].finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_depends_on_content_and_not_on_order() {
        let a = InputVersion { table: LandingTable::Customer, key: "a", etag: "1", bytes: 1 };
        let b = InputVersion { table: LandingTable::Customer, key: "b", etag: "1", bytes: 1 };
        let moved = InputVersion { table: LandingTable::Customer, key: "a1", etag: "", bytes: 1 };
        assert_eq!(fingerprint(vec![a.clone(), b.clone()]), fingerprint(vec![b.clone(), a.clone()]));
        assert_ne!(fingerprint(vec![a.clone()]), fingerprint(vec![b]));
        assert_ne!(fingerprint(vec![a]), fingerprint(vec![moved]));
    }
}
