//! `stedi demo`: from nothing to the five tables, and what to try next.

use stedi::generate::{GenerateConfig, GenerateError, MANIFEST_PATH, Profile};
use stedi::run::RunConfig;
use stedi_store::{Lake, StoreError};

use super::run::{closing, run_watched};
use super::{DONE, block_on, generate};
use crate::args::DemoArgs;
use crate::show::Show;
use crate::text;

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<u8> {
    let lake = Lake::create(&args.lake)?;
    match generate::into_lake(GenerateConfig::new(Profile::Clean), &lake)? {
        Ok(report) => text::print(&format!("Landing, made up:\n\n{}\n", generate::describe(&report)))?,
        Err(GenerateError::LandingNotEmpty { .. }) => {
            refuse_half_a_landing(&lake)?;
            text::print(&format!("Landing is in {} already.\n\n", lake.uri()))?;
        }
        Err(error) => return Err(error.into()),
    }
    let outcome = run_watched(&lake, &RunConfig::default(), Show::new(args.quiet))?;
    text::print(&closing(&outcome.summary))?;
    text::print(&next_steps(&args.lake))?;
    Ok(DONE)
}

/// The manifest is written last: without it, a demo was interrupted or this is somebody's lake.
fn refuse_half_a_landing(lake: &Lake) -> anyhow::Result<()> {
    match block_on(lake.read(MANIFEST_PATH))? {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound { .. }) => anyhow::bail!(
            "{} holds landing data that no demo finished writing: remove it, or name another folder with --lake",
            lake.uri()
        ),
        Err(error) => Err(error.into()),
    }
}

fn next_steps(lake: &str) -> String {
    format!(
        "
What to try next:

  stedi run --lake {lake}                       again: nothing changed, so there is nothing to do
  stedi run --lake {lake} --match timestamp     pair readings by their time alone, as the Glue job did
  stedi tables --lake {lake}                    where the Parquet parts are
  stedi history --lake {lake}                   all commits; `stedi rollback` goes back
  stedi verify --lake {lake}                    check that nobody is in a table who did not consent
  stedi ddl --lake {lake}                       the tables for Athena
"
    )
}
