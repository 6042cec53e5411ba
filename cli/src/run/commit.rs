//! The end of a run: invariants, ledger, commit, and what is cleaned up when there is none.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use stedi_job::invariants;
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, Operation, Part, TableCommit};
use stedi_lake::report::{LandingCounts, LedgerEntry, RunStatus, RunSummary, TableSummary};
use stedi_lake::{CuratedTable, LandingTable, RunId, layout};
use stedi_store::{CommitLog, Lake, StoreError};
use stedi_worker::{WorkError, fault};

use super::{Curated, Job, RunError, now_ms};

impl Job<'_> {
    /// Checks what the stages produced and commits it as number `seq`.
    pub(super) async fn commit(&self, curated: Curated, seq: u64, started: Instant) -> Result<RunSummary, RunError> {
        let ledger = self.inputs.ledger(&curated.counts);
        invariants::check_ledger(&ledger)?;
        let landing = landing_counts(&ledger);
        let written: Vec<Part> = curated.parts.iter().map(|(_, part)| part.clone()).collect();
        let tables = tables_of(curated.parts);
        invariants::check_rows(&landing, &tables, self.options.dedupe)?;
        self.lake.sync_all(written.iter().map(|part| part.path.clone()).collect()).await?;
        invariants::check_listing(&written, &self.listed_parts().await?)?;
        fault::point("before_ledger");
        self.lake.put_new(&layout::ledger_path(self.run), json_lines(&ledger)).await?;
        let record = CommitRecord {
            format_version: FORMAT_VERSION,
            seq,
            run_id: self.run,
            committed_at_ms: now_ms(),
            operation: Operation::Run,
            options: self.options.clone(),
            inputs_fingerprint: self.inputs.fingerprint().to_owned(),
            landing,
            tables,
        };
        if self.progress.is_cancelled() {
            return Err(WorkError::Cancelled.into());
        }
        fault::point("before_commit");
        CommitLog::new(self.lake).commit(&record).await?;
        fault::point("committed");
        let summary = RunSummary {
            run_id: self.run,
            status: RunStatus::Committed,
            seconds: started.elapsed().as_secs_f64(),
            landing: record.landing.clone(),
            tables: table_summaries(self.lake, &record),
        };
        // the commit stands: a report that cannot be written is no reason to call the run failed
        let report = serde_json::to_vec_pretty(&summary).expect("a summary has no map with keys other than names");
        let _ = self.lake.put_new(&layout::report_path(self.run), Bytes::from(report)).await;
        let _ = self.lake.remove_empty_folders(&layout::run_dir(self.run)).await;
        Ok(summary)
    }

    async fn listed_parts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut listed = BTreeMap::new();
        for table in CuratedTable::ALL {
            let objects = self.lake.list(&layout::table_run_dir(table, self.run)).await?;
            listed.extend(objects.into_iter().map(|object| (object.path, object.bytes)));
        }
        Ok(listed)
    }
}

/// The counts of each landing table.
pub(super) fn landing_counts(ledger: &[LedgerEntry]) -> BTreeMap<LandingTable, LandingCounts> {
    let mut landing = BTreeMap::from(LandingTable::ALL.map(|table| (table, LandingCounts::default())));
    for entry in ledger {
        landing.entry(entry.table).or_default().add(&entry.counts);
    }
    landing
}

fn tables_of(parts: Vec<(CuratedTable, Part)>) -> BTreeMap<CuratedTable, TableCommit> {
    let mut by_table = BTreeMap::from(CuratedTable::ALL.map(|table| (table, Vec::new())));
    for (table, part) in parts {
        by_table.entry(table).or_default().push(part);
    }
    by_table.into_iter().map(|(table, parts)| (table, TableCommit::new(parts))).collect()
}

fn json_lines(ledger: &[LedgerEntry]) -> Bytes {
    let mut lines = Vec::new();
    for entry in ledger {
        serde_json::to_writer(&mut lines, entry).expect("a Vec takes everything");
        lines.push(b'\n');
    }
    lines.into()
}

/// The tables of a commit as reports show them.
pub fn table_summaries(lake: &Lake, record: &CommitRecord) -> BTreeMap<CuratedTable, TableSummary> {
    let summary = |(table, commit): (&CuratedTable, &TableCommit)| {
        let location = lake.location(&layout::table_run_dir(*table, record.run_id));
        let parts = commit.parts.len() as u64;
        (*table, TableSummary { rows: commit.rows, parts, bytes: commit.bytes, location })
    };
    record.tables.iter().map(summary).collect()
}

/// Removes what a run that did not commit has written, as far as the store lets it: `gc` gets the rest.
pub(super) async fn clean_up(lake: &Lake, run: RunId, keep_quarantine: bool) {
    let run_dir = layout::run_dir(run);
    let folders = CuratedTable::ALL.iter().map(|table| layout::table_run_dir(*table, run)).chain([run_dir.clone()]);
    for folder in folders {
        let Ok(objects) = lake.list(&folder).await else { continue };
        let quarantined = |path: &str| path.starts_with(&format!("{run_dir}/quarantine/"));
        let paths = objects.into_iter().map(|object| object.path);
        let _ =
            lake.delete_all(&paths.filter(|path| !(keep_quarantine && quarantined(path))).collect::<Vec<_>>()).await;
        let _ = lake.remove_empty_folders(&folder).await;
    }
}
