//! `stedi completions`: scripts for shells.

use clap::CommandFactory as _;

use super::DONE;
use crate::args::{Args, CompletionsArgs};
use crate::text;

pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "stedi", &mut script);
    text::print(&String::from_utf8_lossy(&script))?;
    Ok(DONE)
}
