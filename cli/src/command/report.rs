//! `stedi report`: what a run did and what it cost.

use anyhow::Context as _;
use stedi_job::report::{ShardReport, StageReport};
use stedi_lake::layout;
use stedi_lake::report::RequestCounts;
use stedi_run::{CostEstimate, Mode, RunReport};
use stedi_store::{CommitLog, Lake};

use super::run::closing;
use super::{DONE, block_on};
use crate::args::ReportArgs;
use crate::text::{self, Align, table};

pub(crate) fn report(args: &ReportArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let run = match args.run {
        Some(run) => run,
        None => match block_on(CommitLog::new(&lake).latest())?? {
            Some(commit) => commit.run_id,
            None => anyhow::bail!("nothing was ever committed to {}: `stedi run` does", lake.uri()),
        },
    };
    let path = layout::report_path(run);
    let bytes = block_on(lake.read(&path))?
        .with_context(|| format!("run {run} has no report: `stedi history` shows the runs that committed"))?;
    let report: RunReport = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is damaged, or of another version", lake.location(&path)))?;
    if args.output.json {
        text::print_json(&report)?;
    } else {
        text::print(&describe(&report))?;
    }
    Ok(DONE)
}

fn describe(report: &RunReport) -> String {
    let how = match report.mode {
        Mode::Embedded => "in one process",
        Mode::Distributed => "by a coordinator and workers",
    };
    let mut shown = format!("{}\n{}", closing(&report.summary), stages(&report.stages));
    shown += &failures(&report.stages);
    if let Some(shards) = &report.shards {
        shown += &format!("\n{}", describe_shards(shards));
    }
    let spilled: u64 = report.stages.iter().map(|stage| stage.cost.spilled_bytes).sum();
    shown += &format!(
        "\nexecuted {how} with {:.1} CPU seconds; {} did not fit in memory and went to scratch\n{}{}",
        report.cpu_seconds,
        text::bytes(spilled),
        describe_requests(&report.requests),
        describe_cost(&report.cost)
    );
    shown
}

/// The requests to the store; nothing if the lake is a folder.
fn describe_requests(requests: &RequestCounts) -> String {
    if requests.is_zero() {
        return String::new();
    }
    let RequestCounts { get, head, put, list, delete } = *requests;
    let counts = [(get, "GET"), (head, "HEAD"), (put, "PUT"), (list, "LIST"), (delete, "DELETE")];
    let counts = counts.map(|(count, name)| format!("{} {name}", text::count(count)));
    format!("requests to the store: {}\n", counts.join(", "))
}

fn stages(stages: &[StageReport]) -> String {
    use Align::{Left, Right};
    let columns = [
        ("stage", Left),
        ("tasks", Right),
        ("attempts", Right),
        ("failed", Right),
        ("seconds", Right),
        ("CPU seconds", Right),
        ("read", Right),
        ("written", Right),
        ("rows", Right),
    ];
    let row = |stage: &StageReport| {
        [
            stage.stage.name().to_owned(),
            text::count(stage.tasks.into()),
            text::count(stage.attempts),
            text::count(stage.failures.values().sum()),
            seconds(stage.elapsed_ms),
            seconds(stage.cost.cpu_ms),
            text::bytes(stage.cost.read_bytes),
            text::bytes(stage.cost.written_bytes),
            text::count(stage.cost.rows),
        ]
    };
    table(columns, &stages.iter().map(row).collect::<Vec<_>>())
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", text::count(ms / 1000), ms % 1000 / 100)
}

/// Why attempts failed; nothing if none did.
fn failures(stages: &[StageReport]) -> String {
    let lines = stages.iter().flat_map(|stage| {
        stage.failures.iter().map(|(class, &count)| {
            let attempts = text::number_of(count, "attempt", "attempts");
            format!("  {attempts} of {} failed: {class:?}\n", stage.stage.name())
        })
    });
    lines.collect()
}

fn describe_shards(shards: &ShardReport) -> String {
    let sizes = shards.histogram.iter().map(|&(bytes, count)| [text::bytes(bytes), text::count(count)]);
    format!(
        "{}, {} empty; the largest has {}, {:.1} times the median\n{}",
        text::number_of(shards.shards.into(), "shard", "shards"),
        text::count(shards.empty.into()),
        text::bytes(shards.bytes_max),
        shards.skew,
        table([("shards from", Align::Right), ("number", Align::Right)], &sizes.collect::<Vec<_>>()),
    )
}

fn describe_cost(cost: &CostEstimate) -> String {
    let per_tb = cost.usd_per_tb.map_or_else(String::new, |usd| format!(", {usd:.2} USD for each TB of landing"));
    let mut shown =
        format!("about {:.4} USD for CPU and {:.4} for requests{per_tb}, if\n", cost.cpu_usd, cost.requests_usd);
    for assumption in &cost.assumptions {
        shown += &format!("  - {assumption}\n");
    }
    shown
}
