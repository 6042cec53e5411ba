//! `stedi history`: all commits, newest first.

use std::collections::BTreeMap;

use serde::Serialize;
use stedi_lake::commit::{CommitRecord, Operation};
use stedi_lake::options::TableOptions;
use stedi_lake::{CuratedTable, RunId};
use stedi_store::{CommitLog, Lake};

use super::{DONE, block_on};
use crate::args::ShowArgs;
use crate::text::{self, Align, table};

/// What `--json` prints: commit records without their parts.
#[derive(Serialize)]
struct History<'a> {
    commits: Vec<Commit<'a>>,
}

#[derive(Serialize)]
struct Commit<'a> {
    seq: u64,
    run_id: RunId,
    committed_at_ms: u64,
    operation: &'a Operation,
    options: &'a TableOptions,
    tables: BTreeMap<CuratedTable, Size>,
}

#[derive(Serialize)]
struct Size {
    rows: u64,
    parts: u64,
    bytes: u64,
}

pub(crate) fn history(args: &ShowArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let mut commits = block_on(CommitLog::new(&lake).all())??;
    commits.reverse();
    if args.output.json {
        text::print_json(&History { commits: commits.iter().map(summary).collect() })?;
    } else if commits.is_empty() {
        text::print(&format!("nothing was ever committed: `stedi run --lake {}` does\n", lake.uri()))?;
    } else {
        text::print(&describe(&commits))?;
    }
    Ok(DONE)
}

fn summary(commit: &CommitRecord) -> Commit<'_> {
    let CommitRecord { seq, run_id, committed_at_ms, operation, options, tables, .. } = commit;
    let size = |(table, of): (&CuratedTable, &stedi_lake::commit::TableCommit)| {
        (*table, Size { rows: of.rows, parts: of.parts.len() as u64, bytes: of.bytes })
    };
    let tables = tables.iter().map(size).collect();
    Commit { seq: *seq, run_id: *run_id, committed_at_ms: *committed_at_ms, operation, options, tables }
}

fn describe(commits: &[CommitRecord]) -> String {
    use Align::{Left, Right};
    let columns = [
        ("commit", Right),
        ("committed at", Left),
        ("run", Left),
        ("what", Left),
        ("consent", Left),
        ("match", Left),
        ("rows", Right),
        ("size", Right),
    ];
    let row = |commit: &CommitRecord| {
        let what = match commit.operation {
            Operation::Run => "run".to_owned(),
            Operation::Rollback { to_seq } => format!("rollback to {to_seq}"),
        };
        [
            commit.seq.to_string(),
            text::time(commit.committed_at_ms),
            commit.run_id.to_string(),
            what,
            commit.options.consent.to_string(),
            commit.options.match_mode.to_string(),
            text::count(commit.tables.values().map(|table| table.rows).sum()),
            text::bytes(commit.tables.values().map(|table| table.bytes).sum()),
        ]
    };
    table(columns, &commits.iter().map(row).collect::<Vec<_>>())
}
