//! `stedi ddl`: the tables for Athena.

use stedi_store::{CommitLog, Lake};

use super::{DONE, block_on};
use crate::args::DdlArgs;
use crate::text;

pub(crate) fn ddl(args: &DdlArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let commit = block_on(CommitLog::new(&lake).latest())??;
    text::print(&stedi::ddl::ddl(lake.uri(), args.database.as_deref(), commit.as_ref()))?;
    if commit.is_none() {
        eprintln!("stedi: the five curated tables are left out: nothing was committed yet");
    }
    Ok(DONE)
}
