//! `stedi`, the command people type.

#![expect(clippy::print_stderr, reason = "this is the command line")]

mod allocator;
mod args;
mod command;
mod interrupt;
mod show;
mod text;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match command::execute(args.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("stedi: {error:#}");
            ExitCode::from(command::exit_code(&error))
        }
    }
}
