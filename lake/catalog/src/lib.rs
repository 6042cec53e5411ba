//! The catalog: what Athena and everybody else who asks Glue sees of a lake.
//!
//! The commit record is the truth, and a catalog a copy of it that can be made again at any time: [`publish_latest`] moves
//! the tables to the current commit, one compare-and-swap for each, in the order of their dependencies. What it does about
//! a table is decided in [`stedi_lake::catalog::publish`], anew before every attempt, from what the catalog says then; so
//! a publisher may die anywhere, and the next one goes on.
//!
//! [`Catalog`] is the port, [`Glue`] what implements it; [`Athena`] runs queries, and [`check`] says which.

pub mod athena;
pub mod check;
mod doctor;
mod error;
pub mod glue;
mod latest;
mod port;
mod publish;
mod status;

pub use athena::{Answer, Athena, AthenaError};
pub use doctor::{Look, look};
pub use error::{CatalogError, Reason};
pub use glue::Glue;
pub use latest::{PublishOptions, check_place, publish_latest};
pub use port::{Catalog, Found};
pub use publish::{Outcome, PublishError, Published, publish};
pub use status::{TableStatus, runs_shown, tables};
