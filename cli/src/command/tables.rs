//! `stedi tables`: what the current commit has made visible, and what a catalog shows of it.

use std::collections::BTreeMap;

use serde::Serialize;
use stedi::run::table_summaries;
use stedi_lake::commit::CommitRecord;
use stedi_lake::report::TableSummary;
use stedi_lake::{CuratedTable, RunId};
use stedi_store::{CommitLog, Lake};

use super::catalog::Comparison;
use super::run::tables_table;
use super::{DONE, block_on};
use crate::args::TablesArgs;
use crate::text;

/// What `--json` prints; `seq` and `run_id` are null while nothing was committed. `catalog` is there if one is named.
#[derive(Serialize)]
struct Tables {
    seq: Option<u64>,
    run_id: Option<RunId>,
    committed_at_ms: Option<u64>,
    tables: BTreeMap<CuratedTable, TableSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<Comparison>,
}

pub(crate) fn tables(args: &TablesArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let current = block_on(CommitLog::new(&lake).latest())??;
    let catalog = match (&current, args.catalog.published_to()) {
        (Some(commit), Some(database)) => Some(Comparison::of(&lake, commit, database)?),
        _ => None,
    };
    if args.output.json {
        text::print_json(&Tables {
            seq: current.as_ref().map(|commit| commit.seq),
            run_id: current.as_ref().map(|commit| commit.run_id),
            committed_at_ms: current.as_ref().map(|commit| commit.committed_at_ms),
            tables: current.as_ref().map(|commit| table_summaries(&lake, commit)).unwrap_or_default(),
            catalog,
        })?;
    } else if let Some(commit) = current {
        text::print(&describe(&lake, &commit))?;
        if let Some(catalog) = catalog {
            text::print(&format!("\n{}", catalog.describe(&lake)))?;
        }
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
