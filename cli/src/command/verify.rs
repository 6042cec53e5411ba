//! `stedi verify`: the guarantees, recomputed.

use stedi::verify::verify as verify_lake;
use stedi_store::Lake;

use crate::args::VerifyArgs;
use crate::text;

pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<u8> {
    let lake = Lake::open(&args.lake.uri)?;
    let report = verify_lake(&lake, args.seq)?;
    if args.output.json {
        text::print_json(&report)?;
    } else {
        text::print(&report.to_string())?;
    }
    Ok(report.exit_code())
}
