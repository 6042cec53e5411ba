//! `stedi generate`: landing out of nothing.

use stedi::generate::{GenerateConfig, GenerateError, GenerateReport, generate as generate_landing};
use stedi_lake::LandingTable;
use stedi_store::Lake;

use super::{DONE, Interrupted, block_on};
use crate::args::GenerateArgs;
use crate::interrupt::Interrupt;
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

/// Generates landing; when the process is interrupted, none is left.
pub(crate) fn into_lake(config: GenerateConfig, lake: &Lake) -> anyhow::Result<Result<GenerateReport, GenerateError>> {
    let interrupt = Interrupt::listen()?;
    let generated = block_on(async {
        tokio::select! {
            report = generate_landing(config, lake) => Some(report),
            () = interrupt.wait() => None,
        }
    })?;
    if let Some(report) = generated {
        return Ok(report);
    }
    // what was being written is there or not now: the runtime has waited for it
    eprintln!("stedi: stopping; removing what was generated");
    block_on(remove_landing(lake))??;
    Err(Interrupted.into())
}

/// Removes all landing. There was none before.
async fn remove_landing(lake: &Lake) -> anyhow::Result<()> {
    for table in LandingTable::ALL {
        match lake.local_folder() {
            // with files that were half written, which a listing does not show
            Some(folder) => match std::fs::remove_dir_all(folder.join(table.path())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            },
            None => {
                for object in lake.list(table.path()).await? {
                    lake.delete(&object.path).await?;
                }
            }
        }
    }
    Ok(())
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
