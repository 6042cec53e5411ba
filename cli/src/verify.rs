//! `stedi verify`: the guarantees of a commit, recomputed from its published parts.
//!
//! Nothing here is shared with the join: consent is worked out a second time from the customer landing (by a second
//! reader), and machine_learning_curated from the trusted tables, by time slices. `docs/verify.md` says which
//! guarantees are exact and which rest on hashes.

use std::io;

use stedi_lake::LandingTable;
use stedi_lake::commit::{CommitRecord, Operation};
use stedi_lake::report::LedgerEntry;
use stedi_store::{CommitLog, Lake, LogError, StoreError};

mod consent;
mod lake_objects;
mod landing;
pub mod objects;
mod pairs;
mod parts;
mod people;
mod record;
pub mod report;
mod rows;
mod tables;

use consent::Consent;
use objects::Objects;
use report::{Findings, Rule, VerifyReport, VerifyStatus};

/// Why a lake could not be verified. A broken guarantee is not an error: the report tells of it.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The system has no threads for us.
    #[error("failed to start")]
    Runtime(#[source] io::Error),
    /// There is nothing to verify.
    #[error("the lake {0} has no commit yet: make one with `stedi run`")]
    NoCommit(String),
    /// The commit is not there or cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed.
    #[error("cannot read `{path}`: try again, or check that the lake may be read")]
    Read {
        /// The object or folder.
        path: String,
        /// What the store said.
        #[source]
        source: io::Error,
    },
    /// The ledger is damaged.
    #[error("`{path}` is not a ledger: restore it, or run again with --force and verify the new commit")]
    Ledger {
        /// The ledger.
        path: String,
        /// Where it stops being one.
        #[source]
        source: serde_json::Error,
    },
    /// A part was good when it was read first.
    #[error("`{path}` changed while it was verified: something else writes to the lake")]
    Changed {
        /// The part.
        path: String,
    },
}

/// Memory, about, that the readings of one slice of the join may take.
pub const SLICE_BYTES: u64 = 256 << 20;

/// Verifies commit `seq` of `lake`, or the current one. Blocking: not for the threads of an async runtime.
///
/// # Errors
/// If there is no such commit, the store fails, or the ledger is damaged.
pub fn verify(lake: &Lake, seq: Option<u64>) -> Result<VerifyReport, VerifyError> {
    let objects = lake_objects::LakeObjects::new(lake).map_err(VerifyError::Runtime)?;
    let log = CommitLog::new(lake);
    let commit = match seq {
        Some(seq) => objects.wait(log.read(seq))?,
        None => objects.wait(log.latest())?.ok_or_else(|| VerifyError::NoCommit(lake.uri().to_owned()))?,
    };
    let target = match commit.operation {
        Operation::Run => None,
        Operation::Rollback { to_seq } => match objects.wait(log.read(to_seq)) {
            Ok(target) => Some(target),
            Err(LogError::Store(StoreError::NotFound { .. })) => None,
            Err(error) => return Err(error.into()),
        },
    };
    verify_commit(&objects, &commit, target.as_ref(), SLICE_BYTES)
}

/// Verifies `commit`. `rollback_target` is the commit that a rollback goes back to, if `commit` is one and it exists.
///
/// The join is worked out again in slices whose readings take at most `slice_bytes` ([`SLICE_BYTES`]); smaller slices
/// read the parts more often.
///
/// # Errors
/// If the store fails, or the ledger is damaged.
pub fn verify_commit(
    objects: &dyn Objects,
    commit: &CommitRecord,
    rollback_target: Option<&CommitRecord>,
    slice_bytes: u64,
) -> Result<VerifyReport, VerifyError> {
    Verification { objects, commit, slice_bytes }.run(rollback_target)
}

/// One verification.
#[derive(Clone, Copy)]
struct Verification<'a> {
    objects: &'a dyn Objects,
    commit: &'a CommitRecord,
    slice_bytes: u64,
}

/// What a verification has to say besides findings.
#[derive(Debug, Default)]
struct Remarks {
    records: landing::RecordCounts,
    unchecked: Vec<String>,
    notes: Vec<String>,
}

impl Verification<'_> {
    fn run(self, rollback_target: Option<&CommitRecord>) -> Result<VerifyReport, VerifyError> {
        let mut findings = Findings::default();
        let mut remarks = Remarks::default();
        record::check_record(self.commit, &mut findings);
        record::check_rollback(self.commit, rollback_target, &mut findings);
        record::check_kept(self.commit, &mut findings);
        let consent = match record::read_ledger(self.objects, self.commit.run_id)? {
            Some(ledger) => {
                record::check_ledger(self.commit, &ledger, &mut findings);
                self.consent_of_landing(&ledger, &mut findings, &mut remarks)?
            }
            None => {
                remarks.unchecked.push(format!(
                    "{}, {}: the run's ledger is gone",
                    Rule::LedgerAgrees,
                    Rule::LandingRereads
                ));
                None
            }
        };
        if consent.is_none() {
            let text = "the customer landing is not what the run read, so consent cannot be worked out again";
            remarks.unchecked.push(format!("{}, {}: {text}", Rule::TrustedExact, Rule::Consent));
        }
        if record::check_listings(self.objects, self.commit, &mut findings)? {
            self.check_tables(consent.as_ref(), &mut findings, &mut remarks)?;
        } else {
            remarks.unchecked.push("whatever is in the tables: parts are missing".to_owned());
        }
        Ok(self.report(findings, remarks))
    }

    /// Consent as the customer landing of the run has it; `None` if landing is no longer the same.
    fn consent_of_landing(
        self,
        ledger: &[LedgerEntry],
        findings: &mut Findings,
        remarks: &mut Remarks,
    ) -> Result<Option<Consent>, VerifyError> {
        let mut records = Vec::new();
        let mut same_landing = true;
        let mut touched = 0;
        for entry in ledger.iter().filter(|entry| entry.table == LandingTable::Customer) {
            let failed = |source| VerifyError::Read { path: entry.key.clone(), source };
            match self.objects.landing(&entry.key).map_err(failed)? {
                Some(now) if now.bytes == entry.counts.bytes => touched += u64::from(now.etag != entry.etag),
                _ => {
                    same_landing = false;
                    continue;
                }
            }
            let counts = self.reread(entry, &mut records, findings).map_err(failed)?;
            remarks.records.readable += counts.readable;
            remarks.records.unreadable += counts.unreadable;
        }
        if touched > 0 {
            let text =
                "customer landing objects have another ETag than the run read, but the same size: taken as unchanged";
            remarks.notes.push(format!("{touched} {text}"));
        }
        Ok(same_landing.then(|| Consent::of(self.commit.options.consent, records)))
    }

    /// Reads a customer landing object a second time. The rule for bad bytes that gives as many records as the run found
    /// is the one it went by.
    fn reread(
        self,
        entry: &LedgerEntry,
        records: &mut Vec<consent::CustomerRow>,
        findings: &mut Findings,
    ) -> io::Result<landing::RecordCounts> {
        let wanted = entry.counts.rows - entry.counts.quarantined.min(entry.counts.rows);
        let before = records.len();
        let mut read = |layout| {
            records.truncate(before);
            landing::read_customers(self.objects, &entry.key, entry.counts.bytes, layout, |row| records.push(row))
        };
        let mut counts = read(landing::Layout::Lines)?;
        if counts.readable != wanted {
            counts = read(landing::Layout::Stream)?;
        }
        if counts.readable != wanted {
            let detail = format!("the run read {wanted} records, the second reader {}", counts.readable);
            findings.add(Rule::LandingRereads, None, Some(&entry.key), detail);
        }
        Ok(counts)
    }

    fn check_tables(
        self,
        consent: Option<&Consent>,
        findings: &mut Findings,
        remarks: &mut Remarks,
    ) -> Result<(), VerifyError> {
        let tables = tables::Tables { objects: self.objects, commit: self.commit };
        let trusted = tables.check_trusted(consent, findings)?;
        let curated = tables.check_curated(&trusted, consent, findings)?;
        let people = people::People::new(&trusted, &curated, consent);
        let has_reading = tables.check_readings(&people, findings)?;
        tables::check_curated_complete(&trusted, &curated, &people, &has_reading, findings);
        drop((trusted, curated));
        tables.check_steps(&people, findings)?;
        tables.check_pairs(&people, findings)?;
        if findings.any(&[Rule::PartReadable, Rule::Schema]) {
            remarks.unchecked.push(format!("{}: parts cannot be read", Rule::PairsExact));
            return Ok(());
        }
        let join = pairs::Join {
            people: &people,
            match_mode: self.commit.options.match_mode,
            dedupe: self.commit.options.dedupe,
            readings: tables.parts(stedi_lake::CuratedTable::AccelerometerTrusted),
            steps: tables.parts(stedi_lake::CuratedTable::StepTrainerTrusted),
            pairs: tables.parts(stedi_lake::CuratedTable::MachineLearningCurated),
            slice_bytes: self.slice_bytes,
        };
        join.check(findings)
    }

    fn report(self, findings: Findings, remarks: Remarks) -> VerifyReport {
        let broken = findings.into_vec();
        let status = match (broken.is_empty(), remarks.unchecked.is_empty()) {
            (false, _) => VerifyStatus::Broken,
            (true, false) => VerifyStatus::Incomplete,
            (true, true) => VerifyStatus::Verified,
        };
        let tables = self.commit.tables.values();
        VerifyReport {
            seq: self.commit.seq,
            run_id: self.commit.run_id,
            status,
            parts: tables.clone().map(|table| table.parts.len() as u64).sum(),
            rows: tables.map(|table| table.rows).sum(),
            customer_records: remarks.records.readable,
            customer_records_unreadable: remarks.records.unreadable,
            broken,
            unchecked: remarks.unchecked,
            notes: remarks.notes,
        }
    }
}
