//! `stedi rollback`: a new commit that names the parts of an earlier one.

use std::str::FromStr;

use stedi_lake::RunId;
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, Operation};
use stedi_run::gone_parts;
use stedi_store::{CommitError, CommitLog, Lake, LogError, StoreError};

use crate::run::now_ms;

/// The commit to go back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By its sequence number.
    Seq(u64),
    /// By its run.
    Run(RunId),
}

/// Text that names no commit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is neither the number nor the run of a commit, as `stedi history` prints them")]
pub struct TargetText(String);

impl FromStr for Target {
    type Err = TargetText;

    fn from_str(text: &str) -> Result<Self, TargetText> {
        // a run id can be all digits, and then it is no sequence number: it has more digits than one
        text.parse()
            .map(Self::Run)
            .or_else(|_| text.parse().map(Self::Seq))
            .map_err(|_: std::num::ParseIntError| TargetText(text.to_owned()))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seq(seq) => write!(f, "{seq}"),
            Self::Run(run) => run.fmt(f),
        }
    }
}

/// Why the lake did not go back.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is nothing to go back from.
    #[error("nothing was ever committed to {0}")]
    NoCommit(String),
    /// There is nothing to go back to.
    #[error("commit {0} is the first one: there is none before it")]
    NoneBefore(u64),
    /// No such commit.
    #[error("there is no commit {0}: `stedi history` shows all")]
    Unknown(Target),
    /// The tables cannot be had any more.
    #[error(
        "commit {seq} is gone: {missing} of its {parts} parts are missing or not whole, the first is {first}; choose a later one"
    )]
    PartsGone {
        /// The commit.
        seq: u64,
        /// Number of parts that are not there as they were.
        missing: usize,
        /// Number of parts.
        parts: usize,
        /// The path of the first of them.
        first: String,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The commit was not made, or it is not known.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// What became of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This commit was made.
    RolledBack(CommitRecord),
    /// These are the current tables already.
    Unchanged(CommitRecord),
}

/// Makes the tables those of commit `to`, or of the one before that whose tables are current: rolling back twice goes
/// back two commits.
///
/// # Errors
/// If there is no such commit, its parts are gone, or the commit is not made.
pub async fn rollback(lake: &Lake, to: Option<&Target>) -> Result<Outcome, RollbackError> {
    let log = CommitLog::new(lake);
    let commits = log.all().await?;
    let Some(current) = commits.last() else {
        return Err(RollbackError::NoCommit(lake.uri().to_owned()));
    };
    let target = choose(&commits, current, to)?;
    if target.tables == current.tables {
        return Ok(Outcome::Unchanged(current.clone()));
    }
    check_parts(lake, target).await?;
    let record = CommitRecord {
        format_version: FORMAT_VERSION,
        seq: current.seq + 1,
        committed_at_ms: now_ms(),
        operation: Operation::Rollback { to_seq: target.seq },
        ..target.clone()
    };
    log.commit(&record).await?;
    Ok(Outcome::RolledBack(record))
}

/// The run's commit to go back to: never a rollback, but the commit that it went back to.
fn choose<'a>(
    commits: &'a [CommitRecord],
    current: &'a CommitRecord,
    to: Option<&Target>,
) -> Result<&'a CommitRecord, RollbackError> {
    let by_seq = |seq| commits.iter().find(|commit| commit.seq == seq).ok_or(RollbackError::Unknown(Target::Seq(seq)));
    let origin = |mut commit: &'a CommitRecord| {
        // a rollback goes back to a commit before it, so this ends
        while let Operation::Rollback { to_seq } = commit.operation {
            commit = by_seq(to_seq.min(commit.seq - 1))?;
        }
        Ok(commit)
    };
    let named = match to {
        Some(Target::Seq(seq)) => by_seq(*seq)?,
        Some(target @ Target::Run(run)) => {
            commits.iter().find(|commit| commit.run_id == *run).ok_or_else(|| RollbackError::Unknown(target.clone()))?
        }
        None => {
            let shown = origin(current)?;
            let before = commits.iter().rev().find(|commit| commit.seq < shown.seq);
            before.ok_or(RollbackError::NoneBefore(shown.seq))?
        }
    };
    origin(named)
}

/// Refuses a commit whose parts are not all there with their sizes.
async fn check_parts(lake: &Lake, target: &CommitRecord) -> Result<(), RollbackError> {
    let gone = gone_parts(lake, target).await?;
    match gone.first() {
        None => Ok(()),
        Some(first) => Err(RollbackError::PartsGone {
            seq: target.seq,
            missing: gone.len(),
            parts: target.tables.values().map(|table| table.parts.len()).sum(),
            first: lake.location(&first.path),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stedi_lake::options::TableOptions;

    use super::*;

    /// A log: a run, or a rollback to a number.
    fn log(operations: &[Option<u64>]) -> Vec<CommitRecord> {
        let options = TableOptions::default();
        let mut commits: Vec<CommitRecord> = Vec::new();
        for (seq, to) in (1..).zip(operations) {
            let run_id = to.map_or(RunId::new(seq, 0), |to| commits.iter().find(|c| c.seq == to).unwrap().run_id);
            let operation = to.map_or(Operation::Run, |to_seq| Operation::Rollback { to_seq });
            commits.push(CommitRecord {
                format_version: FORMAT_VERSION,
                seq,
                run_id,
                committed_at_ms: seq,
                operation,
                options: options.clone(),
                inputs_fingerprint: String::new(),
                landing_elsewhere: BTreeMap::new(),
                landing: BTreeMap::new(),
                tables: BTreeMap::new(),
            });
        }
        commits
    }

    fn chosen(operations: &[Option<u64>], to: Option<&Target>) -> Result<u64, String> {
        let commits = log(operations);
        let current = commits.last().unwrap();
        choose(&commits, current, to).map(|commit| commit.seq).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_target_it_is_the_commit_before_the_one_whose_tables_are_current() {
        assert_eq!(chosen(&[None, None, None], None), Ok(2));
        assert_eq!(chosen(&[None, None, None, Some(2)], None), Ok(1), "again goes further back");
        assert_eq!(chosen(&[None, None, None, Some(1), None], None), Ok(1), "what was undone stays so");
        assert!(chosen(&[None], None).unwrap_err().contains("commit 1 is the first"));
        assert!(chosen(&[None, None, Some(1)], None).unwrap_err().contains("commit 1 is the first"));
    }

    #[test]
    fn a_target_that_is_a_rollback_stands_for_where_that_went() {
        assert_eq!(chosen(&[None, None, Some(1), None], Some(&Target::Seq(3))), Ok(1));
        assert_eq!(chosen(&[None, None, Some(1), Some(3), None], Some(&Target::Seq(4))), Ok(1));
        assert_eq!(chosen(&[None, None, Some(1)], Some(&Target::Run(RunId::new(1, 0)))), Ok(1));
        assert!(chosen(&[None], Some(&Target::Seq(7))).unwrap_err().contains("no commit 7"));
        assert!(chosen(&[None], Some(&Target::Run(RunId::new(9, 9)))).is_err());
    }

    #[test]
    fn a_target_is_a_number_or_a_run() {
        let run = RunId::new(1, 1);
        assert_eq!("12".parse(), Ok(Target::Seq(12)));
        assert_eq!(run.to_string().parse(), Ok(Target::Run(run)));
        assert!("yesterday".parse::<Target>().is_err());
    }
}
