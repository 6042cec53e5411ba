//! What the `stedi` command is made of.

#[cfg(feature = "glue")]
pub mod athena;
pub mod ddl;
pub mod gc;
pub mod generate;
pub mod rollback;
pub mod run;
#[cfg(feature = "sql")]
pub mod sql;
pub mod verify;
