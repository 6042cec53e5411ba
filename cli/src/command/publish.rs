//! `stedi publish`: lets a catalog show the current commit.

use crate::args::PublishCommand;

#[cfg(not(feature = "glue"))]
pub(crate) fn publish(args: &PublishCommand) -> anyhow::Result<u8> {
    let lake = stedi_store::Lake::open(&args.lake.uri)?;
    super::catalog::Target::of(&lake, &args.catalog, args.flags)?;
    anyhow::bail!("name a catalog: --catalog glue --database NAME")
}

#[cfg(feature = "glue")]
pub(crate) fn publish(args: &PublishCommand) -> anyhow::Result<u8> {
    use std::collections::BTreeMap;

    use anyhow::Context as _;
    use serde::Serialize;
    use stedi_lake::RunId;
    use stedi_store::Lake;

    use super::DONE;
    use super::catalog::{Target, published_table};
    use crate::text;

    /// What `--json` prints.
    #[derive(Serialize)]
    struct Report<'a> {
        database: &'a str,
        seq: u64,
        run_id: RunId,
        tables: BTreeMap<&'static str, &'static str>,
    }

    let lake = Lake::open(&args.lake.uri)?;
    let target = Target::of(&lake, &args.catalog, args.flags)?;
    let target = target.context("name a catalog: --catalog glue --database NAME")?;
    let published = target.publish(&lake)?;
    if args.output.json {
        let tables = published.tables.iter().map(|(table, outcome)| (table.name(), outcome.word())).collect();
        let report = Report { database: &target.database, seq: published.seq, run_id: published.run_id, tables };
        text::print_json(&report)?;
    } else {
        text::print(&published_table(&target.database, &published))?;
    }
    Ok(DONE)
}
