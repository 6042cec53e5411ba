//! `stedi`, the command people type.

#![expect(clippy::print_stderr, reason = "this is the command line")]

mod allocator;
mod args;
mod command;
mod interrupt;
mod show;
mod text;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    // nothing is used after a panic
    match panic::catch_unwind(AssertUnwindSafe(|| command::execute(args.command))) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) => {
            eprintln!("stedi: {error:#}");
            ExitCode::from(command::exit_code(&error))
        }
        Err(_) => {
            eprintln!(
                "stedi: what is said above should not happen; unless the system lacks threads or memory, please report it. \
                 `stedi history` shows whether the run was committed, `stedi gc` removes what it left"
            );
            ExitCode::FAILURE
        }
    }
}
