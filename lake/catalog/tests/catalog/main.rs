//! The catalog: one conformance suite for every implementation of the port, and the publish protocol on a catalog in
//! memory that fails on request.
//!
//! `STEDI_CATALOG_ENDPOINT`, such as `http://127.0.0.1:4566`, names a server that speaks Glue and compares versions; the
//! suite is run on it as well then. `e2e/catalog` sets it, and so does CI.

#![allow(clippy::panic, clippy::print_stderr, reason = "the lint's leave for tests ends at their helper functions")]

mod conformance;
mod glue;
mod iam;
mod memory;
mod publish;
mod scene;
