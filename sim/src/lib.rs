//! Proves the engine right: an oracle that states the five tables in SQL, readers that check every promise of the
//! parts a run wrote, and sources of hard landing data. Used by tests only.

pub mod arbitrary;
pub mod engine;
pub mod generated;
pub mod golden;
pub mod landing;
pub mod oracle;
pub mod parts;
pub mod rows;
pub mod simulated;

pub use landing::Landing;
pub use oracle::{Curation, Oracle, Tables};
pub use rows::Rows;
