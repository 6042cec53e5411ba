//! The job as decisions: how landing is split and sharded, who does what when, and whether a run may commit.

mod clock;
pub mod config;
pub mod error;
pub mod event;
pub mod failure;
pub mod fleet_size;
pub mod histogram;
pub mod invariants;
pub mod job;
pub mod plan;
pub mod progress;
pub mod readers;
pub mod report;
mod saver;
pub mod task;
mod tasks;
mod too_small;
pub mod user_set;
mod workers;

pub use config::JobConfig;
pub use error::JobError;
pub use event::{Action, Epoch, Event, Lease, WorkerId};
pub use invariants::Violation;
pub use job::Job;
pub use plan::{RunPlan, Split};
pub use progress::Progress;
pub use user_set::UserSet;
