//! `stedi verify --athena`: whether readers see the commit, and nobody who did not consent.
//!
//! Athena counts; what it counts is compared with the commit record. Landing is compared only as far as it can be: Athena
//! reads what is there now, one JSON object a line, where a run has read what was there then, in every layout it knows.
//! `docs/athena.md` says what follows from that.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use stedi_catalog::check::{Check, Subject, checks};
use stedi_catalog::{Athena, AthenaError, CatalogError, Glue, PublishError, TableStatus, check_place, tables};
use stedi_lake::catalog::{LakeTable, s3_definition};
use stedi_lake::commit::CommitRecord;
use stedi_lake::{LandingTable, RunId};
use stedi_run::{Inputs, RunConfig, RunError};
use stedi_store::{CommitLog, Lake, LandingObject, LogError};

use crate::verify::report::VerifyStatus;

mod shape;

/// Landing objects whose beginning is looked at to explain a difference.
const LOOKED_AT: usize = 1000;

/// How much of each.
const LOOK_BYTES: u64 = 64 << 10;

/// Why Athena could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AthenaCheckError {
    /// Not a lake that Athena could read.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The catalog does not say what it shows.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Athena does not answer.
    #[error(transparent)]
    Athena(#[from] AthenaError),
}

/// What came of one query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The table.
    pub table: &'static str,
    /// `rows` or `strangers`.
    pub counts: &'static str,
    /// The query.
    pub sql: String,
    /// The number it must give.
    pub expected: u64,
    /// The number it gave; none if it failed or was not asked.
    pub found: Option<u64>,
    /// Bytes it scanned.
    pub scanned_bytes: u64,
    /// What it means.
    pub status: CheckStatus,
    /// Why it is not as it should be, or says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What the result of a query means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Holds,
    /// It says nothing, because Athena reads something else than the run has read.
    Unchecked,
    /// Not as it should be.
    Broken,
}

/// The outcome of all queries; `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AthenaReport {
    /// The commit.
    pub seq: u64,
    /// The run that wrote its parts.
    pub run_id: RunId,
    /// How it ended.
    pub status: VerifyStatus,
    /// The queries, in the order they were asked.
    pub checks: Vec<CheckReport>,
    /// Bytes that all of them scanned.
    pub scanned_bytes: u64,
}

/// What is known of landing, beside its counts.
#[derive(Clone, Debug, Default)]
struct Landing {
    /// Why Athena cannot be expected to read what the run has read, by table.
    differs: BTreeMap<LandingTable, String>,
}

/// Asks Athena about the current commit of `lake`.
///
/// # Errors
/// If there is no commit, or the log, the catalog or Athena do not answer. That a query fails is no error but a finding.
pub async fn verify(lake: &Lake, glue: &Glue, athena: &Athena) -> Result<AthenaReport, AthenaCheckError> {
    check_place(lake)?;
    let commit = CommitLog::new(lake).latest().await?;
    let commit = commit.ok_or_else(|| PublishError::NoCommit(lake.uri().to_owned()))?;
    let shown: BTreeMap<_, _> = tables(glue, lake.uri(), &commit).await?.into_iter().collect();
    let inputs = Inputs::list(lake, &landing_of(&commit)).await;
    let mut landing = Landing::default();
    let mut reports = Vec::new();
    for check in checks(&commit) {
        let skipped = match (&check.table, shown.get(&check.table)) {
            (LakeTable::Landing(table), _) if s3_definition(check.table, lake.uri(), &commit).is_err() => {
                let why = "the run read it from a place, or places, that no table of Athena has".to_owned();
                landing.differs.insert(*table, why.clone());
                Some((CheckStatus::Unchecked, why))
            }
            (_, Some(TableStatus::Missing)) => {
                Some((CheckStatus::Broken, "the catalog has no such table: `stedi publish` makes it".to_owned()))
            }
            _ => None,
        };
        if let Some((status, why)) = skipped {
            reports.push(report(&check, None, 0, status, Some(why)));
            continue;
        }
        let (found, scanned_bytes, failure) = match athena.query(&check.sql).await {
            Ok(answer) => {
                let number = answer.rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
                (number, answer.scanned_bytes, None)
            }
            Err(error @ AthenaError::Failed { .. }) => (None, 0, Some(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        if let (LakeTable::Landing(table), false) = (check.table, found == Some(check.expected)) {
            landing.explain(table, &commit, inputs.as_ref()).await;
        }
        let (status, why) = judge(&check, found, &landing, shown.get(&check.table));
        reports.push(report(
            &check,
            found,
            scanned_bytes,
            status,
            why.into_iter().chain(failure).reduce(|a, b| a + "; " + &b),
        ));
    }
    Ok(AthenaReport::new(&commit, reports))
}

/// The landing that a run has read, wherever it was.
fn landing_of(commit: &CommitRecord) -> RunConfig {
    RunConfig { landing: commit.landing_elsewhere.clone(), ..RunConfig::default() }
}

impl Landing {
    /// Looks why Athena counts other records than the run did.
    async fn explain(&mut self, table: LandingTable, commit: &CommitRecord, inputs: Result<&Inputs, &RunError>) {
        let why = match inputs {
            Err(error) => Some(format!("landing cannot be listed: {error}")),
            Ok(inputs) if inputs.fingerprint() != commit.inputs_fingerprint => {
                Some("landing has changed since the run".to_owned())
            }
            Ok(inputs) => odd_shapes(inputs.objects(table)).await,
        };
        self.differs.extend(why.map(|why| (table, why)));
    }
}

/// The objects that Athena's SerDe reads as something else than records, if there are any.
async fn odd_shapes(objects: &[LandingObject]) -> Option<String> {
    let mut first = None;
    let mut odd = 0_u64;
    for object in objects.iter().take(LOOKED_AT) {
        let range = 0..object.bytes.min(LOOK_BYTES);
        let read = object_store::ObjectStoreExt::get_range(&object.store, &object.path, range).await;
        // one that cannot be read explains nothing
        let Ok(bytes) = read else { continue };
        if let Some(shape) = shape::odd(&object.key, &bytes) {
            odd += 1;
            first.get_or_insert_with(|| format!("{} {shape}", object.key));
        }
    }
    let first = first?;
    Some(format!(
        "{odd} of its objects are not one JSON object a line, and Athena reads nothing else; the first is {first}"
    ))
}

/// What a number means.
fn judge(
    check: &Check,
    found: Option<u64>,
    landing: &Landing,
    shown: Option<&TableStatus>,
) -> (CheckStatus, Option<String>) {
    if found == Some(check.expected) {
        // nobody is a stranger to a landing that is not the run's
        return match (check.subject, landing.differs.get(&LandingTable::Customer)) {
            (Subject::Strangers, Some(why)) => (CheckStatus::Unchecked, Some(format!("customer_landing: {why}"))),
            _ => (CheckStatus::Holds, None),
        };
    }
    let excuse = match (check.subject, check.table) {
        (Subject::Rows, LakeTable::Landing(table)) => landing.differs.get(&table).cloned(),
        (Subject::Rows, LakeTable::Curated(_)) => None,
        (Subject::Strangers, _) => {
            landing.differs.get(&LandingTable::Customer).map(|why| format!("customer_landing: {why}"))
        }
    };
    match (excuse, shown) {
        (Some(why), _) => (CheckStatus::Unchecked, Some(why)),
        (None, Some(TableStatus::Current { .. }) | None) => (CheckStatus::Broken, None),
        (None, Some(_)) => {
            let why = "the catalog does not show this commit: `stedi tables --catalog` compares, `stedi publish` mends";
            (CheckStatus::Broken, Some(why.to_owned()))
        }
    }
}

fn report(
    check: &Check,
    found: Option<u64>,
    scanned_bytes: u64,
    status: CheckStatus,
    why: Option<String>,
) -> CheckReport {
    let counts = match check.subject {
        Subject::Rows => "rows",
        Subject::Strangers => "strangers",
    };
    let Check { table, sql, expected, .. } = check.clone();
    CheckReport { table: table.name(), counts, sql, expected, found, scanned_bytes, status, why }
}

impl AthenaReport {
    fn new(commit: &CommitRecord, checks: Vec<CheckReport>) -> Self {
        let any = |status| checks.iter().any(|check| check.status == status);
        let status = match (any(CheckStatus::Broken), any(CheckStatus::Unchecked)) {
            (true, _) => VerifyStatus::Broken,
            (false, true) => VerifyStatus::Incomplete,
            (false, false) => VerifyStatus::Verified,
        };
        let scanned_bytes = checks.iter().map(|check| check.scanned_bytes).sum();
        Self { seq: commit.seq, run_id: commit.run_id, status, checks, scanned_bytes }
    }

    /// The exit code of the command.
    pub fn exit_code(&self) -> u8 {
        self.status.exit_code()
    }
}

impl fmt::Display for AthenaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "commit {} (run {}), as Athena sees it", self.seq, self.run_id)?;
        for check in &self.checks {
            let status = match check.status {
                CheckStatus::Holds => "ok",
                CheckStatus::Unchecked => "unchecked",
                CheckStatus::Broken => "BROKEN",
            };
            let found = check.found.map_or_else(|| "-".to_owned(), |found| found.to_string());
            writeln!(f, "\n{}", check.sql)?;
            write!(f, "{status:<9}  {} of {}: {found}, ", check.counts, check.table)?;
            write!(f, "expected {}; {} bytes scanned", check.expected, check.scanned_bytes)?;
            match &check.why {
                Some(why) => writeln!(f, "; {why}")?,
                None => writeln!(f)?,
            }
        }
        let number = |status| self.checks.iter().filter(|check| check.status == status).count();
        writeln!(
            f,
            "\n{} checks hold, {} say nothing, {} are BROKEN; {} bytes scanned",
            number(CheckStatus::Holds),
            number(CheckStatus::Unchecked),
            number(CheckStatus::Broken),
            self.scanned_bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use stedi_lake::CuratedTable;

    use super::*;

    const CUSTOMERS: LakeTable = LakeTable::Landing(LandingTable::Customer);
    const TRUSTED: LakeTable = LakeTable::Curated(CuratedTable::CustomerTrusted);

    fn judged(subject: Subject, table: LakeTable, found: u64, landing_differs: bool) -> CheckStatus {
        let check = Check { subject, table, sql: String::new(), expected: 0 };
        let mut landing = Landing::default();
        if landing_differs {
            landing.differs.insert(LandingTable::Customer, "it has changed".to_owned());
        }
        let current = TableStatus::Current { location: String::new() };
        judge(&check, Some(found), &landing, Some(&current)).0
    }

    #[test]
    fn a_difference_is_broken_unless_landing_explains_it() {
        assert_eq!(judged(Subject::Rows, CUSTOMERS, 0, false), CheckStatus::Holds);
        assert_eq!(judged(Subject::Rows, CUSTOMERS, 1, false), CheckStatus::Broken);
        assert_eq!(judged(Subject::Rows, CUSTOMERS, 1, true), CheckStatus::Unchecked);
        assert_eq!(judged(Subject::Rows, TRUSTED, 1, true), CheckStatus::Broken, "parts do not depend on landing");
    }

    #[test]
    fn strangers_can_be_known_only_from_the_landing_that_the_run_has_read() {
        assert_eq!(judged(Subject::Strangers, TRUSTED, 0, false), CheckStatus::Holds);
        assert_eq!(judged(Subject::Strangers, TRUSTED, 1, false), CheckStatus::Broken);
        assert_eq!(judged(Subject::Strangers, TRUSTED, 1, true), CheckStatus::Unchecked);
        assert_eq!(judged(Subject::Strangers, TRUSTED, 0, true), CheckStatus::Unchecked);
    }

    #[test]
    fn a_table_that_shows_another_commit_is_told_how_to_be_mended() {
        let check = Check { subject: Subject::Rows, table: TRUSTED, sql: String::new(), expected: 1 };
        let behind = TableStatus::Behind { location: String::new(), shows: None };
        let (status, why) = judge(&check, Some(0), &Landing::default(), Some(&behind));
        assert_eq!(status, CheckStatus::Broken);
        assert!(why.is_some_and(|why| why.contains("`stedi publish`")));
    }
}
