//! The guarantees that the commit record, the ledger and the listings can break.

use std::collections::{BTreeMap, BTreeSet};

use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, InputVersion, Operation, TableCommit, fingerprint};
use stedi_lake::layout;
use stedi_lake::report::{LandingCounts, LedgerEntry};
use stedi_lake::{CuratedTable, LandingTable, RunId};

use super::VerifyError;
use super::objects::Objects;
use super::report::{Findings, Rule};

/// The record itself: complete, and its sums right.
pub(crate) fn check_record(commit: &CommitRecord, findings: &mut Findings) {
    let mut whole = |table, detail: String| findings.add(Rule::CommitWhole, table, None, detail);
    if commit.format_version != FORMAT_VERSION {
        whole(None, format!("format version {}, not {FORMAT_VERSION}", commit.format_version));
    }
    for table in CuratedTable::ALL {
        let Some(listed) = commit.tables.get(&table) else {
            whole(Some(table), "the table is missing".to_owned());
            continue;
        };
        if *listed != TableCommit::new(listed.parts.clone()) {
            whole(Some(table), "sums or order are not those of the parts".to_owned());
        }
        if listed.parts.windows(2).any(|pair| pair[0].path == pair[1].path) {
            whole(Some(table), "a part is named twice".to_owned());
        }
        if listed.parts.iter().any(|part| layout::run_of_part(table, &part.path) != Some(commit.run_id)) {
            whole(Some(table), "a part lies outside the folder of the run".to_owned());
        }
    }
    for table in LandingTable::ALL {
        match commit.landing.get(&table) {
            Some(counts) if counts.balanced() => {}
            Some(_) => findings.add(Rule::LandingBalanced, None, None, table.name().to_owned()),
            None => findings.add(Rule::CommitWhole, None, None, format!("no counts of {}", table.name())),
        }
    }
}

/// A rollback against the commit it goes back to.
pub(crate) fn check_rollback(commit: &CommitRecord, target: Option<&CommitRecord>, findings: &mut Findings) {
    let Operation::Rollback { to_seq } = commit.operation else { return };
    let same = target.is_some_and(|target| {
        target.tables == commit.tables
            && target.landing == commit.landing
            && target.options == commit.options
            && target.run_id == commit.run_id
            && target.inputs_fingerprint == commit.inputs_fingerprint
    });
    if !same {
        findings.add(Rule::RollbackSame, None, None, format!("it goes back to commit {to_seq}"));
    }
}

/// The ledger against the record.
pub(crate) fn check_ledger(commit: &CommitRecord, ledger: &[LedgerEntry], findings: &mut Findings) {
    let mut sums: BTreeMap<LandingTable, LandingCounts> =
        LandingTable::ALL.into_iter().map(|table| (table, LandingCounts::default())).collect();
    for entry in ledger {
        sums.entry(entry.table).or_default().add(&entry.counts);
        if !entry.counts.balanced() {
            findings.add(Rule::LandingBalanced, None, Some(&entry.key), entry.table.name().to_owned());
        }
    }
    for (table, sum) in &sums {
        if commit.landing.get(table) != Some(sum) {
            findings.add(Rule::LedgerAgrees, None, None, table.name().to_owned());
        }
    }
    let versions = ledger.iter().map(|entry| InputVersion {
        table: entry.table,
        key: &entry.key,
        etag: &entry.etag,
        bytes: entry.counts.bytes,
    });
    if fingerprint(versions.collect()) != commit.inputs_fingerprint {
        findings.add(Rule::LedgerAgrees, None, None, "fingerprint of the landing objects".to_owned());
    }
}

/// What landing kept against what the tables hold.
pub(crate) fn check_kept(commit: &CommitRecord, findings: &mut Findings) {
    for (landing, table) in [
        (LandingTable::Customer, CuratedTable::CustomerTrusted),
        (LandingTable::Accelerometer, CuratedTable::AccelerometerTrusted),
        (LandingTable::StepTrainer, CuratedTable::StepTrainerTrusted),
    ] {
        let (Some(counts), Some(held)) = (commit.landing.get(&landing), commit.tables.get(&table)) else { continue };
        let drops = commit.options.dedupe && landing != LandingTable::Customer;
        if held.rows > counts.kept || (held.rows < counts.kept && !drops) {
            let detail = format!("{} kept, {} rows", counts.kept, held.rows);
            findings.add(Rule::KeptAgrees, Some(table), None, detail);
        }
    }
}

/// Every part is there, and nothing else in its folder. Whether all parts can be read.
pub(crate) fn check_listings(
    objects: &dyn Objects,
    commit: &CommitRecord,
    findings: &mut Findings,
) -> Result<bool, VerifyError> {
    let mut all_there = true;
    for table in CuratedTable::ALL {
        let folder = layout::table_run_dir(table, commit.run_id);
        let listed: BTreeMap<String, u64> = objects
            .list(&folder)
            .map_err(|source| VerifyError::Read { path: folder.clone(), source })?
            .into_iter()
            .map(|object| (object.path, object.bytes))
            .collect();
        let parts = commit.tables.get(&table).map_or(&[][..], |table| &table.parts);
        for part in parts {
            let detail = match listed.get(&part.path) {
                Some(&bytes) if bytes == part.bytes => continue,
                Some(bytes) => format!("the commit says {} bytes, the store {bytes}", part.bytes),
                None => "it is not there".to_owned(),
            };
            all_there = false;
            findings.add(Rule::PartExists, Some(table), Some(&part.path), detail);
        }
        let named: BTreeSet<&str> = parts.iter().map(|part| part.path.as_str()).collect();
        for path in listed.keys().filter(|path| !named.contains(path.as_str())) {
            findings.add(Rule::NothingElse, Some(table), Some(path), String::new());
        }
    }
    Ok(all_there)
}

/// The ledger of a run; `None` if it is gone.
pub(crate) fn read_ledger(objects: &dyn Objects, run: RunId) -> Result<Option<Vec<LedgerEntry>>, VerifyError> {
    let path = layout::ledger_path(run);
    let failed = |source| VerifyError::Read { path: path.clone(), source };
    let Some(listed) = objects.list(&layout::run_dir(run)).map_err(failed)?.into_iter().find(|o| o.path == path) else {
        return Ok(None);
    };
    let bytes = objects.read(&path, 0..listed.bytes).map_err(failed)?;
    bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<Vec<_>, _>>()
        .map(Some)
        .map_err(|source| VerifyError::Ledger { path, source })
}
