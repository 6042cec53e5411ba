//! The catalog: whether it can be asked, and shows what the lake can be read by.

use stedi_catalog::{Glue, check_place, look};
use stedi_store::Lake;

use super::Finding;
use crate::args::DoctorCommand;

/// Reads only: whether database and tables may be changed shows when they are.
pub(super) async fn examine(args: &DoctorCommand) -> Vec<Finding> {
    let Some(database) = args.catalog.published_to() else {
        return vec![Finding::skipped("catalog", "no --catalog is named")];
    };
    let mut findings = Vec::new();
    // one that does not open is told of as the lake
    if let Ok(lake) = Lake::open(&args.lake) {
        findings
            .push(Finding::of("catalog", check_place(&lake), |()| "the lake is in S3, where Athena reads".to_owned()));
    }
    let glue = Glue::of_environment(database).await;
    let looks = look(&glue).await;
    findings.extend(looks.into_iter().map(|look| Finding::of(look.asked, look.said, str::to_owned)));
    findings
}
