//! Generated landing: always the same, as its profile says, and exactly what its model says when somebody else reads it.

#![allow(clippy::unwrap_used, reason = "the lint's leave for tests ends at their helper functions")]

mod profiles;
mod reader;
mod same;
mod shapes;

use stedi::generate::{GenerateConfig, Profile};

fn small(profile: Profile, customers: u64) -> GenerateConfig {
    GenerateConfig { customers, ..GenerateConfig::new(profile) }
}
