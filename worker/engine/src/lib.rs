//! The engine: landing bytes in, Parquet bytes out. Pure and synchronous; rayon is its only way to run in parallel.
//!
//! [`decode`] turns bytes into records, [`scan`] filters and shards them with the help of the [`directory`] of trusted
//! customers, [`join`] puts a shard's rows in order and matches them, [`encode`] writes Parquet. The caller brings the
//! bytes and takes the parts; [`packed`] is the form in which rows wait and travel in between.

pub mod decode;
pub mod directory;
pub mod encode;
pub mod join;
pub mod packed;
pub mod rows;
pub mod scan;
