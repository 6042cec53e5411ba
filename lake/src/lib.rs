//! The lake as data: what the tables are, who consents, where objects lie and what a commit says.
//!
//! Nothing here reads a file, a clock or a random number; the crates above do that and pass values in.

pub mod catalog;
pub mod checksum;
pub mod commit;
pub mod consent;
pub mod customer;
pub mod keys;
pub mod layout;
pub mod options;
pub mod report;
pub mod run_id;
pub mod table;

pub use customer::Customer;
pub use options::{ConsentPolicy, MatchMode};
pub use run_id::RunId;
pub use table::{CuratedTable, LandingTable};
