//! Why a coordinator ends without a commit.

use stedi_catalog::PublishError;
use stedi_endpoint::{ClearTextError, HttpError, TlsError};
use stedi_fleet::FleetError;
use stedi_job::JobError;
use stedi_job::task::FailureClass;
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

/// The exit code of an error that is there again however often the coordinator is started: `EX_CONFIG` of `sysexits.h`.
const LASTING: u8 = 78;

impl ServeError {
    /// Whether a coordinator that is started again with the same environment, and resumes the run, would only say the same.
    /// What is not sure to last is tried again: a landing object that has changed makes another plan, credentials may have
    /// been renewed, and lost workers may have been their nodes' fault.
    fn lasts(&self) -> bool {
        match self {
            // landing is what it was, until somebody brings it back
            Self::Run(RunError::Emptied { .. } | RunError::NoLanding(_)) => true,
            Self::Job(error) => job_error_lasts(error),
            Self::Fleet(error) => error.lasts(),
            Self::ClearText(_) | Self::Tls(_) => true,
            _ => false,
        }
    }
}

fn job_error_lasts(error: &JobError) -> bool {
    match error {
        // it was waited for longer than anybody wanted, or a worker has said that it is so for good
        JobError::Fleet { .. } => true,
        // the plan and the sizes of workers are those of the try before
        JobError::OutOfMemory { .. } => true,
        // the same, found out by reading it to its end
        JobError::Landing { .. } => true,
        JobError::Task { class, .. } => *class == FailureClass::Permanent,
        _ => false,
    }
}

/// The exit code for an error, as scripts and the chart's `podFailurePolicy` rely on it.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ServeError>() {
        Some(error) if error.lasts() => LASTING,
        Some(ServeError::Run(error)) => error.exit_code(),
        Some(ServeError::Job(JobError::BadRecords(_))) => 3,
        Some(ServeError::Job(JobError::Conflict { .. } | JobError::Fenced { .. })) => 4,
        Some(ServeError::Job(JobError::Invariant { .. })) => 5,
        Some(ServeError::Fleet(error)) if error.is_usage() => 2,
        Some(ServeError::Stopped) => 143,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use stedi_fleet::FleetError;
    use stedi_job::invariants::TooManyBad;
    use stedi_job::task::{Stage, TaskId};
    use stedi_lake::LandingTable;
    use stedi_lake::report::LandingCounts;

    use super::*;

    fn code(error: JobError) -> u8 {
        exit_code(&ServeError::from(error).into())
    }

    fn task_failed(class: FailureClass) -> JobError {
        let task = TaskId { stage: Stage::Join, index: 3 };
        JobError::Task { task, worker: "w".to_owned(), class, message: "why".to_owned() }
    }

    #[test]
    fn what_another_start_cannot_change_has_a_code_of_its_own() {
        let task = TaskId { stage: Stage::Join, index: 3 };
        assert_eq!(code(JobError::Fleet { message: "no worker has started: its image cannot be had".to_owned() }), 78);
        assert_eq!(
            code(JobError::OutOfMemory { task, shard: Some(3), memory_bytes: 1 << 30, message: "killed".to_owned() }),
            78
        );
        assert_eq!(code(task_failed(FailureClass::Permanent)), 78);
        let refused = FleetError::Refused { verb: "create", resource: "jobs n-w".to_owned(), message: "no".to_owned() };
        assert_eq!(exit_code(&ServeError::from(refused).into()), 78);
        // landing that has become empty, whether of objects or of records
        for error in [
            RunError::NoLanding("lake/customer/landing".to_owned()),
            RunError::Emptied { table: LandingTable::Accelerometer, before: 9 },
        ] {
            assert_eq!(exit_code(&ServeError::from(error).into()), 78);
        }
        assert_eq!(code(JobError::Landing { message: "no records".to_owned() }), 78);
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let why = || "why".to_owned();
        // landing that changed is listed anew, and makes another plan
        assert_eq!(code(task_failed(FailureClass::BadInput)), 1);
        // credentials that have expired may have been renewed
        assert_eq!(code(JobError::Refused { message: why() }), 1);
        assert_eq!(code(JobError::Store { what: "progress", failures: 9, message: why() }), 1);
        // what is done is kept, and the next try has a deadline of its own
        assert_eq!(code(JobError::Deadline { deadline_ms: 1 }), 1);
        let no_workers = JobError::NoWorkers { waited_ms: 1, stage: "join", tasks_left: 1, last_losses: Vec::new() };
        assert_eq!(code(no_workers), 1);
        let resource = || "jobs".to_owned();
        let slow = FleetError::Transient { verb: "list", resource: resource(), message: why() };
        assert_eq!(exit_code(&ServeError::from(slow).into()), 1);
        // a quota that is full says the same as a right that is missing
        let forbidden =
            FleetError::Forbidden { verb: "create", resource: resource(), namespace: "n".to_owned(), message: why() };
        assert_eq!(exit_code(&ServeError::from(forbidden).into()), 1);
    }

    #[test]
    fn outcomes_that_scripts_know_keep_their_codes() {
        let (limit, message) = ("0.1%".to_owned(), || "m".to_owned());
        let counts = LandingCounts { rows: 9, quarantined: 9, ..LandingCounts::default() };
        let bad = TooManyBad { table: LandingTable::Customer, counts, limit, damaged: None };
        assert_eq!(code(JobError::BadRecords(Box::new(bad))), 3);
        assert_eq!(code(JobError::Conflict { message: message() }), 4);
        assert_eq!(code(JobError::Fenced { by: 2 }), 4);
        assert_eq!(code(JobError::Invariant { message: message() }), 5);
        assert_eq!(exit_code(&ServeError::from(FleetError::NoWorkerContainer).into()), 2);
        assert_eq!(exit_code(&ServeError::Stopped.into()), 143);
        assert_eq!(exit_code(&anyhow::anyhow!("whatever")), 1);
    }
}
