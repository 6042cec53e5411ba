//! `stedi generate`: landing out of nothing.

use stedi::generate::{GenerateConfig, GenerateError, GenerateReport, generate as generate_landing};
use stedi_store::Lake;

use super::{DONE, block_on};
use crate::args::GenerateArgs;
use crate::text::{self, Align, table};

pub(crate) fn generate(args: &GenerateArgs) -> anyhow::Result<u8> {
    let lake = Lake::create(&args.lake.uri)?;
    let report = into_lake(args.config(), &lake)??;
    if args.output.json {
        text::print_json(&report)?;
    } else {
        text::print(&format!("{}\nin {}\n", describe(&report), lake.uri()))?;
    }
    Ok(DONE)
}

pub(crate) fn into_lake(config: GenerateConfig, lake: &Lake) -> anyhow::Result<Result<GenerateReport, GenerateError>> {
    block_on(generate_landing(config, lake.store().as_ref(), &lake.path("")))
}

pub(crate) fn describe(report: &GenerateReport) -> String {
    use Align::{Left, Right};
    let columns = [("landing", Left), ("objects", Right), ("size", Right), ("rows", Right), ("bad", Right)];
    let rows: Vec<_> = report
        .tables
        .iter()
        .map(|(table, totals)| {
            let [objects, rows, bad] = [totals.objects, totals.rows, totals.bad].map(text::count);
            [table.name().to_owned(), objects, text::bytes(totals.bytes), rows, bad]
        })
        .collect();
    table(columns, &rows)
}
