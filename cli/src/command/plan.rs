//! `stedi plan`: a run without running.

use stedi::run::{Plan, plan as plan_run};
use stedi_job::plan::StageTasks;
use stedi_store::Lake;

use super::DONE;
use crate::args::PlanCommand;
use crate::text::{self, Align, table};

pub(crate) fn plan(args: &PlanCommand) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let plan = plan_run(&lake, &args.options.config(), &runtime)?;
    if args.output.json {
        text::print_json(&plan)?;
    } else {
        text::print(&describe(&plan))?;
    }
    Ok(DONE)
}

fn describe(plan: &Plan) -> String {
    let rows: Vec<_> = plan
        .landing
        .iter()
        .map(|(table, landing)| [table.name().to_owned(), text::count(landing.objects), text::bytes(landing.bytes)])
        .collect();
    let columns = [("landing", Align::Left), ("objects", Align::Right), ("size", Align::Right)];
    let options = &plan.options;
    let on_off = if options.dedupe { "on" } else { "off" };
    let outcome = match (plan.unchanged, plan.current_seq) {
        (true, Some(seq)) => format!("nothing to do: commit {seq} was made of this landing with these options"),
        (_, Some(seq)) => format!("a run would replace all five tables and make commit {}", seq.saturating_add(1)),
        (_, None) => "a run would make the five tables and commit 1".to_owned(),
    };
    format!(
        "{}\n{}\n{} of serial numbers; consent {}, match {}, dedupe {on_off}, compression {}\n{outcome}\n",
        table(columns, &rows),
        tasks(&plan.tasks),
        text::number_of(plan.shards.into(), "shard", "shards"),
        options.consent,
        options.match_mode,
        options.compression,
    )
}

/// The tasks that a coordinator would give to workers.
fn tasks(stages: &[StageTasks]) -> String {
    use Align::{Left, Right};
    let columns = [
        ("with workers", Left),
        ("tasks", Right),
        ("splits", Right),
        ("smallest", Right),
        ("median", Right),
        ("largest", Right),
    ];
    let row = |of: &StageTasks| {
        let [min, median, max] = match &of.task_bytes {
            Some(sizes) => [sizes.min, sizes.median, sizes.max].map(text::bytes),
            None => [(); 3].map(|()| "-".to_owned()),
        };
        let splits = if of.splits == 0 { "-".to_owned() } else { text::count(of.splits) };
        [of.stage.name().to_owned(), text::count(of.tasks.into()), splits, min, median, max]
    };
    table(columns, &stages.iter().map(row).collect::<Vec<_>>())
}
