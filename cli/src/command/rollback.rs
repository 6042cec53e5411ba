//! `stedi rollback`: back to the tables of an earlier commit.

use serde::Serialize;
use stedi::rollback::{Outcome, rollback as roll_back};
use stedi_lake::RunId;
use stedi_lake::commit::Operation;
use stedi_store::Lake;

use super::catalog::Target;
use super::{DONE, block_on, tables};
use crate::args::RollbackArgs;
use crate::text;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    status: &'static str,
    seq: u64,
    to_seq: Option<u64>,
    run_id: RunId,
}

pub(crate) fn rollback(args: &RollbackArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let catalog = Target::of(&lake, &args.catalog, args.flags)?;
    let outcome = block_on(roll_back(&lake, args.to.as_ref()))??;
    let (status, said, commit) = match &outcome {
        Outcome::RolledBack(commit) => ("committed", "rolled back", commit),
        Outcome::Unchanged(commit) => ("unchanged", "nothing to do: these are the current tables", commit),
    };
    if args.output.json {
        let to_seq = match commit.operation {
            Operation::Rollback { to_seq } => Some(to_seq),
            Operation::Run => None,
        };
        text::print_json(&Report { status, seq: commit.seq, to_seq, run_id: commit.run_id })?;
    } else {
        text::print(&format!("{}{said}\n", tables::describe(&lake, commit)))?;
    }
    if let Some(catalog) = catalog {
        catalog.publish_committed(&lake)?;
    }
    Ok(DONE)
}
