//! `stedi run`, and what it says at its end.

use std::collections::BTreeMap;

use anyhow::Context as _;
use stedi::run::{RunConfig, RunError, RunOutcome, run as curate};
use stedi_lake::report::{LandingCounts, LedgerEntry, RunStatus, RunSummary, TableSummary};
use stedi_lake::{CuratedTable, LandingTable, layout};
use stedi_store::Lake;
use stedi_worker::quarantine::QuarantineSummary;

use super::catalog::Target;
use super::{DONE, block_on};
use crate::allocator;
use crate::args::RunCommand;
use crate::show::Show;
use crate::text::{self, Align, table};

/// Objects and reasons that are named when there are too many bad records.
const BAD_PLACES_SHOWN: usize = 20;

/// Landing objects with bad records that are named.
const BAD_OBJECTS_SHOWN: usize = 5;

pub(crate) fn run(args: &RunCommand) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let catalog = Target::of(&lake, &args.catalog, args.flags)?;
    if let Some(catalog) = &catalog {
        catalog.finish_interrupted(&lake);
    }
    let outcome = run_watched(&lake, &args.config(), Show::new(args.quiet))?;
    let told = if args.output.json {
        text::print_json(&outcome.summary)
    } else if !args.quiet {
        text::print(&closing(&outcome.summary))
    } else {
        Ok(())
    };
    if !args.quiet {
        eprint!("{}", quarantined(&lake, &outcome)?);
    }
    if let Some(catalog) = catalog {
        // also if there was nothing to do: the run that committed may have died before it published
        catalog.publish_committed(&lake)?;
    }
    told.with_context(|| format!("run {} is committed, and `stedi report` shows it", outcome.summary.run_id))?;
    Ok(DONE)
}

/// Runs with progress on standard error; what could not be read is told even if that is why the run failed.
pub(crate) fn run_watched(lake: &Lake, config: &RunConfig, show: Show) -> anyhow::Result<RunOutcome> {
    allocator::set_budget(config.memory_bytes);
    let result = show.watch(|progress| curate(lake, config, progress))?;
    if let Err(RunError::TooManyBad { summary, .. }) = &result
        && show != Show::Nothing
    {
        eprint!("{}{}", reasons(summary), places(summary));
    }
    Ok(result?)
}

/// Landing, the tables and how the run ended.
pub(crate) fn closing(summary: &RunSummary) -> String {
    let ended = match summary.status {
        RunStatus::Committed => format!("run {} committed in {:.1} s", summary.run_id, summary.seconds),
        RunStatus::Unchanged => format!(
            "nothing to do: landing and options are those of the current commit, by run {} (--force runs anyway)",
            summary.run_id
        ),
    };
    format!("{}\n{}\n{ended}\n", landing_table(&summary.landing), tables_table(&summary.tables))
}

fn landing_table(landing: &BTreeMap<LandingTable, LandingCounts>) -> String {
    use Align::{Left, Right};
    let columns = [
        ("landing", Left),
        ("objects", Right),
        ("size", Right),
        ("rows", Right),
        ("kept", Right),
        ("filtered", Right),
        ("quarantined", Right),
    ];
    let row = |(table, counts): (&LandingTable, &LandingCounts)| {
        let LandingCounts { objects, bytes, rows, kept, filtered, quarantined } = *counts;
        let counts = [rows, kept, filtered, quarantined].map(text::count);
        let [rows, kept, filtered, quarantined] = counts;
        [table.name().to_owned(), text::count(objects), text::bytes(bytes), rows, kept, filtered, quarantined]
    };
    table(columns, &landing.iter().map(row).collect::<Vec<_>>())
}

pub(crate) fn tables_table(tables: &BTreeMap<CuratedTable, TableSummary>) -> String {
    use Align::{Left, Right};
    let columns = [("table", Left), ("rows", Right), ("parts", Right), ("size", Right), ("location", Left)];
    let row = |(table, summary): (&CuratedTable, &TableSummary)| {
        let TableSummary { rows, parts, bytes, location } = summary;
        [table.name().to_owned(), text::count(*rows), text::count(*parts), text::bytes(*bytes), location.clone()]
    };
    table(columns, &tables.iter().map(row).collect::<Vec<_>>())
}

/// How many records could not be read, why, in which objects, and where they are; nothing if all could.
fn quarantined(lake: &Lake, outcome: &RunOutcome) -> anyhow::Result<String> {
    let total: u64 = outcome.summary.landing.values().map(|counts| counts.quarantined).sum();
    if total == 0 {
        return Ok(String::new());
    }
    let run = outcome.summary.run_id;
    let mut text = format!("{} could not be read:\n", text::number_of(total, "record", "records"));
    text += &reasons(&outcome.quarantine);
    let ledger = block_on(lake.read(&layout::ledger_path(run)))??;
    let mut bad: Vec<LedgerEntry> = Vec::new();
    for line in ledger.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let entry: LedgerEntry = serde_json::from_slice(line)?;
        if entry.counts.quarantined > 0 {
            bad.push(entry);
        }
    }
    bad.sort_by(|a, b| b.counts.quarantined.cmp(&a.counts.quarantined).then_with(|| a.key.cmp(&b.key)));
    for entry in bad.iter().take(BAD_OBJECTS_SHOWN) {
        text += &format!("  {:>10}  in {}\n", text::count(entry.counts.quarantined), entry.key);
    }
    if bad.len() > BAD_OBJECTS_SHOWN {
        text += &format!("              and in {} more objects\n", text::count((bad.len() - BAD_OBJECTS_SHOWN) as u64));
    }
    text += &format!("They are in {}/quarantine/*.parquet\n", lake.location(&layout::run_dir(run)));
    Ok(text)
}

/// Where the records are that could not be read, of as many objects as anybody reads.
fn places(summary: &QuarantineSummary) -> String {
    let mut text = String::new();
    for place in summary.places.iter().take(BAD_PLACES_SHOWN) {
        text += &format!("  {place}\n");
    }
    if summary.places.len() > BAD_PLACES_SHOWN {
        text += "  and more\n";
    }
    text
}

fn reasons(summary: &QuarantineSummary) -> String {
    let line = |(table, reason, count): &(LandingTable, String, u64)| {
        format!("  {:>10}  of {}: {reason}\n", text::count(*count), table.name())
    };
    summary.reasons.iter().map(line).collect()
}
