//! `stedi`, the command people type.
fn main() {}
