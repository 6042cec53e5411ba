//! The engine: landing bytes in, Parquet bytes out. Pure and synchronous.

pub mod decode;
