//! The end of a run: invariants, ledger, commit, and what is cleaned up when there is none.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use stedi_job::invariants;
use stedi_job::task::ObjectCounts;
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, Operation, Part, TableCommit};
use stedi_lake::options::{BadRecordLimit, TableOptions};
use stedi_lake::report::{DAMAGED, LandingCounts, LedgerEntry, RunStatus, RunSummary, TableSummary};
use stedi_lake::{CuratedTable, LandingTable, RunId, layout};
use stedi_store::{CommitLog, Lake, StoreError, fault};
use stedi_worker::quarantine::{QuarantineSummary, RejectPlace};

use crate::{Inputs, RunError, RunReport, now_ms};

/// A run's fixed circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where it writes.
    pub lake: &'a Lake,
    /// Its id.
    pub id: RunId,
    /// What it reads.
    pub inputs: &'a Inputs,
    /// What decides the bytes of its parts.
    pub options: &'a TableOptions,
}

/// What the stages of a run have produced.
#[derive(Clone, Debug, Default)]
pub struct Curated {
    /// What became of the records of each landing object; an object may be there more than once.
    pub counts: BTreeMap<LandingTable, Vec<ObjectCounts>>,
    /// The parts that were written.
    pub parts: Vec<(CuratedTable, Part)>,
}

impl Run<'_> {
    /// Refuses a run whose landing has too many records that cannot be read; `quarantined` is what is said of them.
    ///
    /// # Errors
    /// [`RunError::TooManyBad`].
    pub fn refuse_too_many_bad(
        &self,
        counts: &BTreeMap<LandingTable, Vec<ObjectCounts>>,
        limit: BadRecordLimit,
        quarantined: impl FnOnce() -> QuarantineSummary,
    ) -> Result<(), RunError> {
        let ledger = self.inputs.ledger(counts);
        let summary = quarantined();
        let damaged = |table| {
            let is_it = |place: &&RejectPlace| place.table == table && place.reason == DAMAGED;
            summary.places.iter().find(is_it).map(|place| place.object.clone())
        };
        match invariants::too_many_bad(&landing_counts(&ledger), limit, damaged) {
            Some(bad) => Err(RunError::TooManyBad {
                bad: Box::new(bad),
                quarantine: format!("{}/quarantine", self.lake.location(&layout::run_dir(self.id))),
                summary: Box::new(summary),
            }),
            None => Ok(()),
        }
    }

    /// Checks what the stages produced, writes the ledger, and gives the record that [`Self::commit`] takes.
    ///
    /// # Errors
    /// If landing has no records where there must be some, a guarantee does not hold, or the store fails; nothing is visible
    /// then.
    pub async fn prepare(&self, curated: Curated, seq: u64) -> Result<CommitRecord, RunError> {
        let ledger = self.inputs.ledger(&curated.counts);
        invariants::check_ledger(&ledger)?;
        let landing = landing_counts(&ledger);
        let rows = |table| landing.get(&table).map_or(0, |counts| counts.rows);
        if rows(LandingTable::Customer) == 0 {
            return Err(RunError::NoLanding(self.lake.location(LandingTable::Customer.path())));
        }
        self.inputs.refuse_empty(|table| rows(table) > 0)?;
        let written: Vec<Part> = curated.parts.iter().map(|(_, part)| part.clone()).collect();
        let tables = tables_of(curated.parts);
        invariants::check_rows(&landing, &tables, self.options.dedupe)?;
        self.lake.sync_all(written.iter().map(|part| part.path.clone()).collect()).await?;
        invariants::check_listing(&written, &self.listed_parts().await?)?;
        fault::point("before_ledger");
        self.lake.put_new(&layout::ledger_path(self.id), json_lines(&ledger)).await?;
        Ok(CommitRecord {
            format_version: FORMAT_VERSION,
            seq,
            run_id: self.id,
            committed_at_ms: now_ms(),
            operation: Operation::Run,
            options: self.options.clone(),
            inputs_fingerprint: self.inputs.fingerprint().to_owned(),
            landing_elsewhere: self.inputs.elsewhere().clone(),
            landing,
            tables,
        })
    }

    /// Commits: from here on the tables are those of `record`.
    ///
    /// # Errors
    /// If the commit was not made, or it is not known.
    pub async fn commit(&self, record: &CommitRecord, started: Instant) -> Result<RunSummary, RunError> {
        fault::point("before_commit");
        CommitLog::new(self.lake).commit(record).await?;
        fault::point("committed");
        Ok(self.summary(record, started))
    }

    /// What is said of this run's commit.
    pub fn summary(&self, record: &CommitRecord, started: Instant) -> RunSummary {
        RunSummary {
            run_id: self.id,
            status: RunStatus::Committed,
            seconds: started.elapsed().as_secs_f64(),
            landing: record.landing.clone(),
            tables: table_summaries(self.lake, record),
        }
    }

    /// Writes the report of a run that is committed. The commit stands: a report that cannot be written is no reason to
    /// call the run failed.
    pub async fn report(&self, report: &RunReport) {
        let text = serde_json::to_vec_pretty(report).expect("a report has no map with keys other than names");
        let _ = self.lake.put_new(&layout::report_path(self.id), Bytes::from(text)).await;
        let _ = self.lake.remove_empty_folders(&layout::run_dir(self.id)).await;
    }

    async fn listed_parts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut listed = BTreeMap::new();
        for table in CuratedTable::ALL {
            let objects = self.lake.list(&layout::table_run_dir(table, self.id)).await?;
            listed.extend(objects.into_iter().map(|object| (object.path, object.bytes)));
        }
        Ok(listed)
    }
}

/// The parts of a commit that are not there as they were.
///
/// # Errors
/// If the store cannot list them.
pub async fn gone_parts<'c>(lake: &Lake, commit: &'c CommitRecord) -> Result<Vec<&'c Part>, StoreError> {
    let mut listed = BTreeMap::new();
    for &table in commit.tables.keys() {
        let objects = lake.list(&layout::table_run_dir(table, commit.run_id)).await?;
        listed.extend(objects.into_iter().map(|object| (object.path, object.bytes)));
    }
    let parts = commit.tables.values().flat_map(|table| &table.parts);
    Ok(parts.filter(|part| listed.get(&part.path) != Some(&part.bytes)).collect())
}

/// What is said of a run that has nothing to do, because `current` was made of the same landing with the same options.
pub fn unchanged(lake: &Lake, current: &CommitRecord, started: Instant) -> RunSummary {
    RunSummary {
        run_id: current.run_id,
        status: RunStatus::Unchanged,
        seconds: started.elapsed().as_secs_f64(),
        landing: current.landing.clone(),
        tables: table_summaries(lake, current),
    }
}

/// The counts of each landing table.
fn landing_counts(ledger: &[LedgerEntry]) -> BTreeMap<LandingTable, LandingCounts> {
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
pub async fn clean_up(lake: &Lake, run: RunId, keep_quarantine: bool) {
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
