//! What the `stedi` command is made of.

pub mod generate;
pub mod verify;
