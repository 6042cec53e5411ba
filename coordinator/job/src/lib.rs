//! The job as decisions: how landing is split and sharded, who does what when, and whether a run may commit.

pub mod error;
pub mod event;
pub mod histogram;
pub mod invariants;
pub mod plan;
pub mod progress;
pub mod task;
pub mod user_set;

pub use error::JobError;
pub use event::{Action, Epoch, Event, Lease, WorkerId};
pub use invariants::Violation;
pub use plan::{RunPlan, Split};
pub use progress::Progress;
pub use user_set::UserSet;
