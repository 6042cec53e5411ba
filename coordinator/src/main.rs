//! `stedi-coordinator`: serves one run to workers over gRPC, commits it, and exits.
//!
//! [`serve::serve`] is a run from top to bottom. What happens in between is decided by the state machine of `stedi_job`;
//! [`drive`] tells it events and performs its actions, in one loop, in one place.

mod args;
mod crew;
mod doctor;
mod drive;
mod effects;
mod epoch;
mod error;
mod metrics;
mod plan;
mod publish;
mod serve;
mod service;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let Args { command } = Args::parse();
    stedi_endpoint::log::start();
    let done = match command {
        Command::Run(args) => run(&args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => examine(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(error::exit_code(&error))
        }
    }
}

fn examine(args: &args::DoctorCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let healthy = runtime.block_on(doctor::doctor(args))?;
    runtime.shutdown_background();
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(args: &args::RunCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let summary = runtime.block_on(serve::serve(args))?;
    // what still waits for a worker or the store has nothing to say any more
    runtime.shutdown_background();
    if args.json {
        let line = serde_json::to_string(&summary)? + "\n";
        std::io::stdout()
            .write_all(line.as_bytes())
            .with_context(|| format!("run {} is committed; failed to write to standard output", summary.run_id))?;
    }
    Ok(())
}
