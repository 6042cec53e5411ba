//! `stedi tables`: what the current commit has made visible.

use std::collections::BTreeMap;

use serde::Serialize;
use stedi::run::table_summaries;
use stedi_lake::commit::CommitRecord;
use stedi_lake::report::TableSummary;
use stedi_lake::{CuratedTable, RunId};
use stedi_store::{CommitLog, Lake};

use super::run::tables_table;
use super::{DONE, block_on};
use crate::args::ShowArgs;
use crate::text;

/// What `--json` prints; `seq` and `run_id` are null while nothing was committed.
#[derive(Serialize)]
struct Tables {
    seq: Option<u64>,
    run_id: Option<RunId>,
    committed_at_ms: Option<u64>,
    tables: BTreeMap<CuratedTable, TableSummary>,
}

pub(crate) fn tables(args: &ShowArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let current = block_on(CommitLog::new(&lake).latest())??;
    if args.output.json {
        text::print_json(&Tables {
            seq: current.as_ref().map(|commit| commit.seq),
            run_id: current.as_ref().map(|commit| commit.run_id),
            committed_at_ms: current.as_ref().map(|commit| commit.committed_at_ms),
            tables: current.as_ref().map(|commit| table_summaries(&lake, commit)).unwrap_or_default(),
        })?;
    } else if let Some(commit) = current {
        text::print(&describe(&lake, &commit))?;
    } else {
        text::print(&format!("no tables yet: `stedi run --lake {}` makes them\n", lake.uri()))?;
    }
    Ok(DONE)
}

pub(crate) fn describe(lake: &Lake, commit: &CommitRecord) -> String {
    let CommitRecord { seq, run_id, committed_at_ms, .. } = commit;
    let when = text::time(*committed_at_ms);
    format!("{}\ncommit {seq} of {when}, run {run_id}\n", tables_table(&table_summaries(lake, commit)))
}
