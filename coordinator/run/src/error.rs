//! Why a run did not commit.

use stedi_job::Violation;
use stedi_job::invariants::TooManyBad;
use stedi_lake::LandingTable;
use stedi_store::{CommitError, ElsewhereError, LogError, ProbeError, StoreError};
use stedi_worker::WorkError;
use stedi_worker::memory::TooLittleMemory;
use stedi_worker::quarantine::QuarantineSummary;

/// Why a run did not commit.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system has no threads or no random numbers for us.
    #[error("failed to start")]
    Runtime(#[source] std::io::Error),
    /// The store does not create objects only if absent.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The commit log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Landing outside the lake cannot be listed.
    #[error(transparent)]
    Elsewhere(#[from] ElsewhereError),
    /// There is nothing to curate.
    #[error(
        "no landing objects under {0}: put customer JSON there, or say with --customer-landing where it is, or make some with `stedi generate`"
    )]
    NoLanding(String),
    /// A landing table has no records any more.
    #[error(
        "no records in {}, of which the current commit has read {before}: nothing was committed; see where they went, or \
         commit tables without them with --allow-empty", table.name()
    )]
    Emptied {
        /// The landing table.
        table: LandingTable,
        /// Records that the current commit has read of it.
        before: u64,
    },
    /// `--memory` is too little to begin with.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
    /// A stage failed.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// More bad records than allowed.
    #[error("{bad}: nothing was committed; what could not be read is in {quarantine}")]
    TooManyBad {
        /// What is bad.
        bad: Box<TooManyBad>,
        /// Folder of the quarantine.
        quarantine: String,
        /// What is in it.
        summary: Box<QuarantineSummary>,
    },
    /// The commit was not made, or it is not known.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Something that must hold does not.
    #[error("nothing was committed, because a guarantee does not hold; please report this")]
    Violation(#[from] Violation),
}

impl RunError {
    /// The exit code of a process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Memory(TooLittleMemory::S3 { .. }) => 2,
            Self::TooManyBad { .. } => 3,
            Self::Commit(CommitError::Conflict { .. }) => 4,
            Self::Violation(_) => 5,
            Self::Work(WorkError::Cancelled) => 130,
            _ => 1,
        }
    }

    /// Whether the commit may have been made in spite of the error.
    pub fn may_be_committed(&self) -> bool {
        matches!(self, Self::Commit(CommitError::Unknown { .. }))
    }
}
