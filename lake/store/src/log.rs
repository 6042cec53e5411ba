//! The log of commits: `_stedi/log/<20 digits>.json`, each created once. The greatest number is the lake's state.

use bytes::Bytes;
use serde::Deserialize;
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION};
use stedi_lake::{RunId, layout};

use crate::error::StoreError;
use crate::lake::{Lake, PutNew};

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is not what it should be.
    #[error("commit record {object} is damaged: restore it from a backup; later commits build on it")]
    Damaged {
        /// The record.
        object: String,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// A record says it is another one.
    #[error("commit record {object} says that it is number {seq}: it was renamed or copied; restore the log")]
    Misnamed {
        /// The record.
        object: String,
        /// The number inside.
        seq: u64,
    },
    /// A record was written by a newer version of this program.
    #[error(
        "commit record {object} has format version {version}, this program knows up to {FORMAT_VERSION}: use a newer one"
    )]
    TooNew {
        /// The record.
        object: String,
        /// Its version.
        version: u32,
    },
}

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else made this commit.
    #[error("run {by} committed number {seq} first, so nothing was committed: run again to build on that commit")]
    Conflict {
        /// The number.
        seq: u64,
        /// The run that has it.
        by: RunId,
    },
    /// The store failed, and the log shows that nothing was committed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known whether the commit was made.
    #[error("commit {seq} may or may not have been made: look at `stedi history` before running again")]
    Unknown {
        /// The number.
        seq: u64,
        /// Why the log could not be read back.
        source: LogError,
    },
}

/// The log of a lake's commits.
#[derive(Clone, Copy, Debug)]
pub struct CommitLog<'a> {
    lake: &'a Lake,
}

impl<'a> CommitLog<'a> {
    /// The log of `lake`.
    pub fn new(lake: &'a Lake) -> Self {
        Self { lake }
    }

    /// The current commit; none if nothing was ever committed.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn latest(&self) -> Result<Option<CommitRecord>, LogError> {
        match self.seqs().await?.last() {
            Some(&seq) => self.read(seq).await.map(Some),
            None => Ok(None),
        }
    }

    /// All commits, oldest first.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn all(&self) -> Result<Vec<CommitRecord>, LogError> {
        let mut records = Vec::new();
        for seq in self.seqs().await? {
            records.push(self.read(seq).await?);
        }
        Ok(records)
    }

    /// Commit number `seq`.
    ///
    /// # Errors
    /// If it is not there, or cannot be read.
    pub async fn read(&self, seq: u64) -> Result<CommitRecord, LogError> {
        let path = layout::commit_path(seq);
        let bytes = self.lake.read(&path).await?;
        parse(seq, &bytes, || self.lake.location(&path))
    }

    /// Makes the commit `record`. That it was made already, by this very record, is success: the first answer was lost.
    ///
    /// The parts that it names must be [synced](Lake::sync_all) before.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] if another run has that number.
    pub async fn commit(&self, record: &CommitRecord) -> Result<(), CommitError> {
        let text = serde_json::to_vec_pretty(record).expect("a record has no map with keys other than names");
        match self.lake.put_new(&layout::commit_path(record.seq), Bytes::from(text)).await {
            Ok(PutNew::Created) => Ok(()),
            Ok(PutNew::Exists) => settle(record, None, self.read(record.seq).await),
            Err(error) => settle(record, Some(error), self.read(record.seq).await),
        }
    }

    async fn seqs(&self) -> Result<Vec<u64>, LogError> {
        let objects = self.lake.list(layout::LOG).await?;
        let name = |path: &str| path.strip_prefix(layout::LOG)?.strip_prefix('/').and_then(layout::commit_seq);
        // the listing is sorted, and so are numbers of 20 digits
        Ok(objects.iter().filter_map(|object| name(&object.path)).collect())
    }
}

/// What is under a commit's number decides, not what the store said: the answer to a write may be lost or late.
fn settle(
    record: &CommitRecord,
    put_error: Option<StoreError>,
    found: Result<CommitRecord, LogError>,
) -> Result<(), CommitError> {
    let seq = record.seq;
    match (found, put_error) {
        (Ok(found), _) if found == *record => Ok(()),
        (Ok(found), _) => Err(CommitError::Conflict { seq, by: found.run_id }),
        (Err(LogError::Store(StoreError::NotFound { .. })), Some(error)) => Err(error.into()),
        (Err(source), _) => Err(CommitError::Unknown { seq, source }),
    }
}

fn parse(seq: u64, bytes: &[u8], object: impl Fn() -> String) -> Result<CommitRecord, LogError> {
    /// What every format version has.
    #[derive(Deserialize)]
    struct Version {
        format_version: u32,
    }
    let damaged = |source| LogError::Damaged { object: object(), source };
    let version = serde_json::from_slice::<Version>(bytes).map_err(damaged)?.format_version;
    if version > FORMAT_VERSION {
        return Err(LogError::TooNew { object: object(), version });
    }
    let record: CommitRecord = serde_json::from_slice(bytes).map_err(damaged)?;
    if record.seq != seq {
        return Err(LogError::Misnamed { object: object(), seq: record.seq });
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stedi_lake::commit::Operation;
    use stedi_lake::options::TableOptions;

    use super::*;
    use crate::error::Action;

    fn record(run: u128) -> CommitRecord {
        CommitRecord {
            format_version: FORMAT_VERSION,
            seq: 7,
            run_id: RunId::new(1, run),
            committed_at_ms: 1,
            operation: Operation::Run,
            options: TableOptions::default(),
            inputs_fingerprint: String::new(),
            landing_elsewhere: BTreeMap::new(),
            landing: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    fn failed(kind: std::io::ErrorKind) -> StoreError {
        StoreError::of_io(Action::Write, "record", kind.into())
    }

    #[test]
    fn what_the_log_holds_decides_whatever_the_store_said() {
        use std::io::ErrorKind::{NotFound, StorageFull, TimedOut};
        let mine = record(1);
        assert!(settle(&mine, None, Ok(record(1))).is_ok());
        assert!(settle(&mine, Some(failed(TimedOut)), Ok(record(1))).is_ok());
        let settled = settle(&mine, Some(failed(TimedOut)), Ok(record(2)));
        assert!(matches!(settled, Err(CommitError::Conflict { seq: 7, by }) if by == RunId::new(1, 2)));
        let settled = settle(&mine, Some(failed(StorageFull)), Err(failed(NotFound).into()));
        assert!(matches!(settled, Err(CommitError::Store(StoreError::DiskFull { .. }))));
        let settled = settle(&mine, Some(failed(TimedOut)), Err(failed(TimedOut).into()));
        assert!(matches!(settled, Err(CommitError::Unknown { seq: 7, .. })));
        // the store says that it is there, and then that it is not
        let settled = settle(&mine, None, Err(failed(NotFound).into()));
        assert!(matches!(settled, Err(CommitError::Unknown { .. })));
    }
}
