//! Why a coordinator ends without a commit.

use stedi_catalog::PublishError;
use stedi_endpoint::{ClearTextError, HttpError, TlsError};
use stedi_fleet::FleetError;
use stedi_job::JobError;
use stedi_job::progress::Mismatch;
use stedi_run::RunError;
use stedi_store::{LogError, OpenError, ProbeError, StoreError};
use stedi_worker::read::ReadError;

/// Why a coordinator ends without a commit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Landing(#[from] ReadError),
    #[error("failed to encode the plan")]
    Encode(#[source] serde_json::Error),
    #[error("progress record {object} is damaged: start a new run with --force")]
    Progress { object: String, source: serde_json::Error },
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    #[error(transparent)]
    ClearText(#[from] ClearTextError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("failed to listen on {address} (--listen): choose another address")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("failed to start")]
    Start(#[source] std::io::Error),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Catalog(Box<PublishError>),
    #[error(
        "the commit stands, but the catalog's database {database} does not show it, or not with all tables: mend what \
         follows, then run again, or `stedi publish --lake {lake} --catalog glue --database {database}`"
    )]
    Publish { database: String, lake: String, source: Box<PublishError> },
    #[error("stopped by SIGTERM; what is done is kept: run again to resume")]
    Stopped,
}

impl From<StoreError> for ServeError {
    fn from(error: StoreError) -> Self {
        Self::Run(error.into())
    }
}

impl From<LogError> for ServeError {
    fn from(error: LogError) -> Self {
        Self::Run(error.into())
    }
}

impl From<ProbeError> for ServeError {
    fn from(error: ProbeError) -> Self {
        Self::Run(error.into())
    }
}

/// The exit code for an error, as scripts rely on it.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ServeError>() {
        Some(ServeError::Run(error)) => error.exit_code(),
        Some(ServeError::Job(JobError::BadRecords(_))) => 3,
        Some(ServeError::Job(JobError::Conflict { .. } | JobError::Fenced { .. })) => 4,
        Some(ServeError::Job(JobError::Invariant { .. })) => 5,
        Some(ServeError::Fleet(error)) if error.is_usage() => 2,
        Some(ServeError::Stopped) => 143,
        _ => 1,
    }
}
