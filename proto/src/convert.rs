//! Wire to domain and back. Domain to wire always works; what comes from the wire is checked: a field that must be there
//! and is not, or an enum value that this version does not know, is an error and never a default.

mod names;
mod run;
mod task;

use stedi_job::event::{Epoch, Lease};

use crate::message::{FromWorker, Register, Registered, ToWorker};
use crate::wire;

/// A message that this version cannot understand.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("message without {0}")]
    Missing(&'static str),
    /// An enum has a value that is not known.
    #[error("unknown value {value} of {name}")]
    Unknown {
        /// The enum.
        name: &'static str,
        /// What was sent.
        value: i32,
    },
    /// A run id that is none.
    #[error(transparent)]
    RunId(#[from] stedi_lake::run_id::RunIdText),
}

/// The value of a field that must be there.
fn required<W, D: TryFrom<W, Error = WireError>>(field: Option<W>, name: &'static str) -> Result<D, WireError> {
    field.ok_or(WireError::Missing(name))?.try_into()
}

/// Converts each element.
fn each<W, D: From<W>>(items: Vec<W>) -> Vec<D> {
    items.into_iter().map(Into::into).collect()
}

/// Converts each element, checking.
fn try_each<W, D: TryFrom<W, Error = WireError>>(items: Vec<W>) -> Result<Vec<D>, WireError> {
    items.into_iter().map(TryInto::try_into).collect()
}

impl From<Lease> for wire::Lease {
    fn from(lease: Lease) -> Self {
        Self { attempt: Some(lease.attempt.into()), epoch: lease.epoch.0 }
    }
}

impl TryFrom<wire::Lease> for Lease {
    type Error = WireError;

    fn try_from(lease: wire::Lease) -> Result<Self, WireError> {
        let attempt = required(lease.attempt, "lease.attempt")?;
        Ok(Self { attempt, epoch: Epoch(lease.epoch) })
    }
}

impl From<Register> for wire::Register {
    fn from(from: Register) -> Self {
        let Register { protocol_version, build_version, worker, slots, memory_bytes, host, pod } = from;
        Self { protocol_version, build_version, worker, slots, memory_bytes, host, pod }
    }
}

impl From<wire::Register> for Register {
    fn from(from: wire::Register) -> Self {
        let wire::Register { protocol_version, build_version, worker, slots, memory_bytes, host, pod } = from;
        Self { protocol_version, build_version, worker, slots, memory_bytes, host, pod }
    }
}

impl From<FromWorker> for wire::WorkerMessage {
    fn from(message: FromWorker) -> Self {
        use wire::worker_message::Message;
        let message = match message {
            FromWorker::Register(register) => Message::Register(register.into()),
            FromWorker::Heartbeat { running } => Message::Heartbeat(wire::Heartbeat { running: each(running) }),
            FromWorker::Done { lease, output, cost } => Message::Done(wire::Done {
                lease: Some(lease.into()),
                output: Some(output.into()),
                cost: Some(cost.into()),
            }),
            FromWorker::Failed { lease, class, message } => {
                Message::Failed(wire::Failed { lease: Some(lease.into()), class: names::to_wire(class), message })
            }
            FromWorker::Returned { lease } => Message::Returned(wire::Returned { lease: Some(lease.into()) }),
            FromWorker::Draining { why } => Message::Draining(wire::Draining { why }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::WorkerMessage> for FromWorker {
    type Error = WireError;

    fn try_from(message: wire::WorkerMessage) -> Result<Self, WireError> {
        use wire::worker_message::Message;
        Ok(match message.message.ok_or(WireError::Missing("a message of a worker"))? {
            Message::Register(register) => Self::Register(register.into()),
            Message::Heartbeat(heartbeat) => Self::Heartbeat { running: try_each(heartbeat.running)? },
            Message::Done(done) => Self::Done {
                lease: required(done.lease, "done.lease")?,
                output: required(done.output, "done.output")?,
                cost: required(done.cost, "done.cost")?,
            },
            Message::Failed(failed) => Self::Failed {
                lease: required(failed.lease, "failed.lease")?,
                class: names::from_wire(failed.class)?,
                message: failed.message,
            },
            Message::Returned(returned) => Self::Returned { lease: required(returned.lease, "returned.lease")? },
            Message::Draining(draining) => Self::Draining { why: draining.why },
        })
    }
}

impl From<ToWorker> for wire::CoordinatorMessage {
    fn from(message: ToWorker) -> Self {
        use wire::coordinator_message::Message;
        let message = match message {
            ToWorker::Registered(Registered { context, heartbeat_interval_ms, epoch }) => {
                let context = Some(context.into());
                Message::Registered(wire::Registered { context, heartbeat_interval_ms, epoch: epoch.0 })
            }
            ToWorker::Grant { lease, valid_ms, sparing, work } => {
                Message::Grant(wire::Grant { lease: Some(lease.into()), valid_ms, sparing, work: Some(work.into()) })
            }
            ToWorker::Revoke { lease, why } => {
                Message::Revoke(wire::Revoke { lease: Some(lease.into()), why: names::to_wire(why) })
            }
            ToWorker::Dismiss { why, message } => Message::Dismiss(wire::Dismiss { why: names::to_wire(why), message }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<wire::CoordinatorMessage> for ToWorker {
    type Error = WireError;

    fn try_from(message: wire::CoordinatorMessage) -> Result<Self, WireError> {
        use wire::coordinator_message::Message;
        Ok(match message.message.ok_or(WireError::Missing("a message of the coordinator"))? {
            Message::Registered(registered) => Self::Registered(Registered {
                context: required(registered.context, "registered.context")?,
                heartbeat_interval_ms: registered.heartbeat_interval_ms,
                epoch: Epoch(registered.epoch),
            }),
            Message::Grant(grant) => Self::Grant {
                lease: required(grant.lease, "grant.lease")?,
                valid_ms: grant.valid_ms,
                sparing: grant.sparing,
                work: required(grant.work, "grant.work")?,
            },
            Message::Revoke(revoke) => {
                Self::Revoke { lease: required(revoke.lease, "revoke.lease")?, why: names::from_wire(revoke.why)? }
            }
            Message::Dismiss(dismiss) => {
                Self::Dismiss { why: names::from_wire(dismiss.why)?, message: dismiss.message }
            }
        })
    }
}
