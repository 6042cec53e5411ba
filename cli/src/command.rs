//! The commands: each opens the lake, lets the library decide and do, and prints what came of it.

mod catalog;
mod completions;
mod ddl;
mod demo;
mod gc;
mod generate;
mod history;
mod plan;
mod publish;
mod report;
mod rollback;
mod run;
mod sql;
mod tables;
mod verify;

use stedi::rollback::RollbackError;
use stedi::run::RunError;
use stedi_store::{CommitError, OpenError};

use crate::args::Command;
use crate::interrupt::INTERRUPTED;

/// The exit code of a command that did what it should.
const DONE: u8 = 0;

/// Of one that cannot be what was meant.
const USAGE: u8 = 2;

/// Executes a command and returns its exit code.
pub(crate) fn execute(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Demo(args) => demo::demo(&args),
        Command::Generate(args) => generate::generate(&args),
        Command::Run(args) => run::run(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Publish(args) => publish::publish(&args),
        Command::Tables(args) => tables::tables(&args),
        Command::History(args) => history::history(&args),
        Command::Report(args) => report::report(&args),
        Command::Rollback(args) => rollback::rollback(&args),
        Command::Gc(args) => gc::gc(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Ddl(args) => ddl::ddl(&args),
        Command::Sql(args) => sql::sql(&args),
        Command::Completions(args) => completions::completions(&args),
    }
}

/// A command was told to stop, and has.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// The exit code for an error, as scripts rely on it.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() {
        return INTERRUPTED;
    }
    if let Some(OpenError::UnknownScheme(_)) = error.downcast_ref::<OpenError>() {
        return USAGE;
    }
    if let Some(error) = error.downcast_ref::<RunError>() {
        return error.exit_code();
    }
    match error.downcast_ref::<RollbackError>() {
        Some(RollbackError::Commit(CommitError::Conflict { .. })) => 4,
        _ => 1,
    }
}

/// Waits for what the store does.
fn block_on<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}
