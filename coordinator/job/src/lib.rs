//! The job as decisions: how landing is split and sharded, and whether a run may commit.

pub mod invariants;
pub mod plan;
pub mod readers;
pub mod task;

pub use invariants::Violation;
pub use plan::Split;
