//! What the two sides say, in the words of the domain.

use stedi_job::event::{Epoch, Lease, RevokeReason};
use stedi_job::task::{FailureClass, RunContext, TaskCost, TaskOutput, Work};

/// A worker offers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the worker.
    pub protocol_version: u32,
    /// Version of its program.
    pub build_version: String,
    /// Its name.
    pub worker: String,
    /// How many tasks it executes at once.
    pub slots: u32,
    /// Memory for all of them together, in bytes.
    pub memory_bytes: u64,
    /// Name of the machine or pod, for people.
    pub host: String,
    /// Name of the Kubernetes pod; empty elsewhere.
    pub pod: String,
}

/// The worker is known now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// What the worker must know of the run.
    pub context: RunContext,
    /// How often the coordinator wants to hear from it, in milliseconds.
    pub heartbeat_interval_ms: u64,
    /// The coordinator's epoch.
    pub epoch: Epoch,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromWorker {
    /// The first message.
    Register(Register),
    /// The worker lives.
    Heartbeat {
        /// What it is executing.
        running: Vec<Lease>,
    },
    /// An attempt has come to its end.
    Done {
        /// Its lease.
        lease: Lease,
        /// What it has made.
        output: TaskOutput,
        /// What it cost.
        cost: TaskCost,
    },
    /// An attempt has failed.
    Failed {
        /// Its lease.
        lease: Lease,
        /// What kind of failure it is.
        class: FailureClass,
        /// What went wrong, for people.
        message: String,
    },
    /// An attempt was given up by a worker that drains.
    Returned {
        /// Its lease.
        lease: Lease,
    },
    /// The worker will take no more leases and go soon.
    Draining {
        /// Why, for people.
        why: String,
    },
}

/// Why a worker is to go: [`stedi_job::event::DismissReason`], and what a shell refuses before the job hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DismissReason {
    /// The run is committed.
    RunOver,
    /// The run has failed.
    RunFailed,
    /// It was draining, and holds nothing any more.
    Drained,
    /// It is not known, or not any more: register again.
    NotRegistered,
    /// The coordinator goes, and another one may come.
    CoordinatorGoes,
    /// The coordinator cannot use this worker, now or later.
    Refused,
}

/// What the coordinator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToWorker {
    /// The answer to [`FromWorker::Register`].
    Registered(Registered),
    /// A task to execute.
    Grant {
        /// The right to do so.
        lease: Lease,
        /// How long the worker may go on without hearing from the coordinator, in milliseconds.
        valid_ms: u64,
        /// Whether it is to take as little memory as it can.
        sparing: bool,
        /// What to do.
        work: Work,
    },
    /// A task not to be executed any longer.
    Revoke {
        /// Its lease.
        lease: Lease,
        /// Why.
        why: RevokeReason,
    },
    /// The last message.
    Dismiss {
        /// What it means.
        why: DismissReason,
        /// More about it, for people.
        message: String,
    },
}
