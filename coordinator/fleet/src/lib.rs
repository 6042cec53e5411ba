//! The coordinator's workers on Kubernetes.
//!
//! One elastic Indexed Job of workers, made, watched, scaled and taken away by the coordinator that they work for; a second
//! one with more memory, if a task needs it. Deciding and doing are apart: [`template`] says what is made, [`pod`] and
//! [`job`] what is seen, [`controller`] what follows from it, all without I/O; [`cluster`] asks the API server, and
//! [`fleet`] is the loop between them.
//!
//! Nothing here is asked whether the coordinator lives, and nothing here decides what the tables hold: a run whose fleet
//! cannot be scaled any more goes on with the workers that it has.

pub mod access;
pub mod certificates;
pub mod cluster;
pub mod controller;
pub mod error;
pub mod fleet;
pub mod job;
pub mod leftovers;
pub mod metrics;
pub mod names;
pub mod options;
pub mod pod;
pub mod scale;
pub mod story;
pub mod template;
mod watch;

pub use controller::{Need, PodLoad, Update};
pub use error::FleetError;
pub use fleet::{Ending, Fleet, Running};
pub use metrics::FleetMetrics;
pub use names::Pool;
pub use options::{FleetKind, FleetOptions, FleetSettings};
