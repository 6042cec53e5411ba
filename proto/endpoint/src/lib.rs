//! What both processes of a distributed run have around the wire: TLS and who may be spoken to without it, probes and
//! metrics over HTTP, logs.

pub mod address;
pub mod http;
pub mod log;
pub mod tls;

pub use address::ClearTextError;
pub use http::{Health, HttpError};
pub use tls::{TlsError, TlsFiles};
