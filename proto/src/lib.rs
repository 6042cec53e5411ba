//! What goes over the wire between coordinator and workers, and its one conversion to and from domain types.
//!
//! [`wire`] is generated from `proto/stedi/v1/dispatch.proto`. Everything else of the project speaks [`FromWorker`] and
//! [`ToWorker`].

mod convert;
mod message;

pub use convert::WireError;
pub use message::{DismissReason, FromWorker, Register, Registered, ToWorker};

/// Messages, client and server as generated.
#[expect(clippy::allow_attributes_without_reason, reason = "generated")]
pub mod wire {
    tonic::include_proto!("stedi.v1");
}

/// The .proto file as descriptors, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dispatch.bin"));

/// Version of the protocol: counts up with every change that an older peer would misunderstand.
pub const PROTOCOL_VERSION: u32 = 2;

/// The largest message to a worker. A join task of 400,000 scan tasks' segments, 100 bytes each, needs 40 MiB; a consent
/// task of a million objects 150 MiB.
pub const TO_WORKER_BYTES_MAX: usize = 256 << 20;

/// The largest message to a coordinator. Counts of a million customer objects take 20 MiB, the ids of ten million readers
/// 50 MiB.
pub const TO_COORDINATOR_BYTES_MAX: usize = 64 << 20;
