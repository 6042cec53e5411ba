//! What a catalog shows, beside what a commit says.

use std::collections::BTreeSet;

use stedi_lake::catalog::publish::{Decision, Mark, Policy, Refusal, decide};
use stedi_lake::catalog::{LakeTable, s3_definition};
use stedi_lake::commit::CommitRecord;
use stedi_lake::{CuratedTable, RunId, layout};

use crate::error::CatalogError;
use crate::port::Catalog;

/// A table of a catalog, compared with a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableStatus {
    /// It shows the commit.
    Current {
        /// Its location.
        location: String,
    },
    /// There is none.
    Missing,
    /// It shows another commit of this lake, or this one with a location, column or parameter that somebody changed.
    Behind {
        /// Its location.
        location: String,
        /// What its parameters say that it shows; `None` if nothing.
        shows: Option<Mark>,
    },
    /// It shows a later commit.
    Ahead {
        /// Its location.
        location: String,
        /// That commit.
        shows: Mark,
    },
    /// It is not ours to change.
    Foreign {
        /// Why.
        why: Refusal,
    },
    /// A landing table that is in no one place: nothing is said of it.
    LeftOut,
}

impl TableStatus {
    /// One word for it, as reports have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Current { .. } => "current",
            Self::Missing => "missing",
            Self::Behind { .. } => "behind",
            Self::Ahead { .. } => "ahead",
            Self::Foreign { .. } => "foreign",
            Self::LeftOut => "left_out",
        }
    }
}

/// The runs whose parts the curated tables of `catalog` show, as far as they are of the lake at `lake`: what garbage
/// collection must leave, however old it is.
///
/// # Errors
/// If the catalog does not say.
pub async fn runs_shown<C: Catalog>(catalog: &C, lake: &str) -> Result<BTreeSet<RunId>, CatalogError> {
    let mut runs = BTreeSet::new();
    for table in CuratedTable::ALL {
        let Some(found) = catalog.table(table.name()).await? else { continue };
        // by the location, which is what readers go by
        let below = found.table.location.as_deref().and_then(|location| location.strip_prefix(lake)?.strip_prefix('/'));
        let below = below.map(|below| format!("{}/", below.trim_end_matches('/')));
        runs.extend(below.and_then(|below| layout::run_of_part(table, &below)));
    }
    Ok(runs)
}

/// What `catalog` has of the eight tables, beside `commit` of the lake at `lake`.
///
/// # Errors
/// If the catalog does not say.
pub async fn tables<C: Catalog>(
    catalog: &C,
    lake: &str,
    commit: &CommitRecord,
) -> Result<Vec<(LakeTable, TableStatus)>, CatalogError> {
    let mark = Mark { lake: lake.to_owned(), run_id: commit.run_id, seq: commit.seq };
    // the log may have grown since; a later number is not another history here
    let policy = Policy { last_seq: u64::MAX, ..Policy::default() };
    let mut tables = Vec::new();
    for table in LakeTable::ALL {
        let Ok(wanted) = s3_definition(table, lake, commit) else {
            tables.push((table, TableStatus::LeftOut));
            continue;
        };
        let found = catalog.table(table.name()).await?.map(|found| found.table);
        let location = found.as_ref().and_then(|found| found.location.clone()).unwrap_or_default();
        let status = match decide(found.as_ref(), &wanted, &mark, policy) {
            Decision::Create(_) => TableStatus::Missing,
            Decision::Keep => TableStatus::Current { location },
            Decision::Update(_) => {
                TableStatus::Behind { location, shows: found.and_then(|found| Mark::of(&found.parameters)) }
            }
            Decision::Superseded(shows) => TableStatus::Ahead { location, shows },
            Decision::Refuse(why) => TableStatus::Foreign { why },
        };
        tables.push((table, status));
    }
    Ok(tables)
}
