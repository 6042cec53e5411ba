//! Commits and definitions to publish.

use std::collections::BTreeMap;

use stedi_lake::RunId;
use stedi_lake::catalog::publish::{Mark, Policy};
use stedi_lake::catalog::{LakeTable, TableDefinition, s3_definition};
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, Operation};
use stedi_lake::options::TableOptions;

/// Where the lake is.
pub(crate) const LAKE: &str = "s3://bucket/team/lake";

/// A commit with this sequence number.
pub(crate) fn commit(seq: u64) -> CommitRecord {
    CommitRecord {
        format_version: FORMAT_VERSION,
        seq,
        run_id: RunId::new(seq, 1),
        committed_at_ms: seq,
        operation: Operation::Run,
        options: TableOptions::default(),
        inputs_fingerprint: String::new(),
        landing_elsewhere: BTreeMap::new(),
        landing: BTreeMap::new(),
        tables: BTreeMap::new(),
    }
}

/// The mark of that commit.
pub(crate) fn mark(seq: u64) -> Mark {
    Mark { lake: LAKE.to_owned(), run_id: commit(seq).run_id, seq }
}

/// The definition of a table as that commit has it.
pub(crate) fn definition(table: LakeTable, seq: u64) -> TableDefinition {
    s3_definition(table, LAKE, &commit(seq)).expect("its landing is in the lake")
}

/// What a publisher is told who knows the log up to this commit.
pub(crate) fn up_to(last_seq: u64) -> Policy {
    Policy { last_seq, ..Policy::default() }
}
