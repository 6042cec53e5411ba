//! `stedi-worker`: takes leases from a coordinator until it is told that the run is over.
//!
//! Two parts that never wait for each other: the session, on the async runtime, speaks with the coordinator; attempts,
//! on threads of their own, compute. A worker whose stream breaks has lost its leases: it cancels what it runs,
//! connects again and starts anew. Whatever a cancelled attempt still writes has a name of its own, or is byte for byte
//! what the next attempt writes.

mod args;
mod attempts;
mod connection;
mod exit;
mod metrics;
mod session;
mod work;

use std::process::ExitCode;

use clap::Parser as _;

use crate::exit::Exit;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // where it goes to says clap, and if it cannot be printed there is nobody to tell
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::RunOver };
            return exit.into();
        }
    };
    stedi_endpoint::log::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "failed to start");
            return Exit::System.into();
        }
    };
    let exit = runtime.block_on(work::work(args));
    // attempts that have not noticed yet that they are cancelled end with the process
    runtime.shutdown_background();
    exit.into()
}
