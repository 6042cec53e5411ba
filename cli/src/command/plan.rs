//! `stedi plan`: a run without running.

use stedi::run::{Plan, plan as plan_run};
use stedi_store::Lake;

use super::{DONE, block_on};
use crate::args::PlanCommand;
use crate::text::{self, Align, table};

pub(crate) fn plan(args: &PlanCommand) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let plan = block_on(plan_run(&lake, &args.options.config()))??;
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
        "{}\n{} of serial numbers; consent {}, match {}, dedupe {on_off}, compression {}\n{outcome}\n",
        table(columns, &rows),
        text::number_of(plan.shards.into(), "shard", "shards"),
        options.consent,
        options.match_mode,
        options.compression,
    )
}
