//! Both ends of a run, embedded or distributed: what it is told, what it reads, and the commit it ends in.

mod catalog;
mod commit;
mod error;
mod inputs;
pub mod options;
mod plan;
pub mod report;
pub mod size;
mod stage_clock;

use std::time::SystemTime;

use stedi_lake::RunId;

pub use catalog::{CatalogKind, CatalogOptions, PublishFlags, UnknownCatalog};
pub use commit::{Curated, Run, clean_up, gone_parts, table_summaries, unchanged};
pub use error::RunError;
pub use inputs::Inputs;
pub use options::{LandingOptions, RunConfig, RunOptions};
pub use plan::{Plan, PlannedLanding, plan, run_plan};
pub use report::{CostEstimate, Mode, RunReport};
pub use stage_clock::{SoFar, StageClock};

/// Epoch ms now.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The id of a run, or of any other writer, that starts now.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_run_id() -> Result<RunId, RunError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| RunError::Runtime(std::io::Error::other(error)))?;
    Ok(RunId::new(now_ms(), u128::from_le_bytes(random)))
}
