//! `stedi verify`: the guarantees, recomputed; or what Athena sees of them.

use stedi::verify::verify as verify_lake;
use stedi_store::Lake;

use crate::args::VerifyArgs;
use crate::text;

pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    if let (Some(workgroup), Some(database)) = (&args.athena.athena, &args.athena.database) {
        return by_athena(args, &lake, workgroup, database);
    }
    let report = verify_lake(&lake, args.seq)?;
    if args.output.json {
        text::print_json(&report)?;
    } else {
        text::print(&report.to_string())?;
    }
    Ok(report.exit_code())
}

#[cfg(not(feature = "glue"))]
fn by_athena(_: &VerifyArgs, _: &Lake, _: &str, _: &str) -> anyhow::Result<u8> {
    anyhow::bail!(super::catalog::WITHOUT)
}

#[cfg(feature = "glue")]
fn by_athena(args: &VerifyArgs, lake: &Lake, workgroup: &str, database: &str) -> anyhow::Result<u8> {
    use stedi_catalog::{Athena, Glue};

    let report = super::block_on(async {
        let glue = Glue::of_environment(database).await;
        let athena = Athena::of_environment(workgroup, database, args.athena.athena_output.as_deref()).await;
        stedi::athena::verify(lake, &glue, &athena).await
    })??;
    if args.output.json {
        text::print_json(&report)?;
    } else {
        text::print(&report.to_string())?;
    }
    Ok(report.exit_code())
}
