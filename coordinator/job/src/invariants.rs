//! What must hold before a commit. A run that breaks one of these commits nothing.

use std::collections::BTreeMap;
use std::fmt;

use stedi_lake::commit::{Part, TableCommit};
use stedi_lake::options::BadRecordLimit;
use stedi_lake::report::{LandingCounts, LedgerEntry};
use stedi_lake::{CuratedTable, LandingTable};

/// A broken invariant: a fault of this program or of the store, never of the data.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Violation {
    /// Records of a landing object are not accounted for.
    #[error(
        "{key}: {} records read, but {} kept, {} filtered and {} quarantined",
        counts.rows, counts.kept, counts.filtered, counts.quarantined
    )]
    Ledger {
        /// The landing object.
        key: String,
        /// Its counts.
        counts: LandingCounts,
    },
    /// A table's rows are not those that landing gave.
    #[error("{}: {rows} rows written where landing gave {kept}", table.name())]
    Rows {
        /// The table.
        table: CuratedTable,
        /// Rows of its parts.
        rows: u64,
        /// Records kept from landing.
        kept: u64,
    },
    /// The store does not hold exactly the parts that were written.
    #[error("{path}: {found}")]
    Listing {
        /// The part.
        path: String,
        /// What is wrong with it.
        found: &'static str,
    },
}

/// Checks that every record of every landing object is accounted for.
///
/// # Errors
/// [`Violation::Ledger`] naming the first object whose counts do not add up.
pub fn check_ledger(ledger: &[LedgerEntry]) -> Result<(), Violation> {
    match ledger.iter().find(|entry| !entry.counts.balanced()) {
        Some(entry) => Err(Violation::Ledger { key: entry.key.clone(), counts: entry.counts }),
        None => Ok(()),
    }
}

/// Checks that the reading tables hold exactly the records that landing kept.
///
/// With `dedupe`, tables of readings may hold fewer.
///
/// # Errors
/// [`Violation::Rows`] naming the first table that holds too many or too few.
pub fn check_rows(
    landing: &BTreeMap<LandingTable, LandingCounts>,
    tables: &BTreeMap<CuratedTable, TableCommit>,
    dedupe: bool,
) -> Result<(), Violation> {
    for (table, source) in [
        (CuratedTable::CustomerTrusted, LandingTable::Customer),
        (CuratedTable::AccelerometerTrusted, LandingTable::Accelerometer),
        (CuratedTable::StepTrainerTrusted, LandingTable::StepTrainer),
    ] {
        let rows = tables.get(&table).map_or(0, |t| t.rows);
        let kept = landing.get(&source).map_or(0, |c| c.kept);
        let fewer_allowed = dedupe && source != LandingTable::Customer;
        if rows > kept || (rows < kept && !fewer_allowed) {
            return Err(Violation::Rows { table, rows, kept });
        }
    }
    Ok(())
}

/// Checks that the store's listing of a run's parts equals what the tasks said they wrote.
///
/// # Errors
/// [`Violation::Listing`] naming the first part that is missing, unknown or of another size.
pub fn check_listing(written: &[Part], listed: &BTreeMap<String, u64>) -> Result<(), Violation> {
    let violation = |path: &str, found| Err(Violation::Listing { path: path.to_owned(), found });
    for part in written {
        match listed.get(&part.path) {
            None => return violation(&part.path, "written, but the store does not list it"),
            Some(&bytes) if bytes != part.bytes => {
                return violation(&part.path, "listed with another size than written");
            }
            Some(_) => {}
        }
    }
    let known: std::collections::BTreeSet<&str> = written.iter().map(|p| p.path.as_str()).collect();
    if known.len() != written.len() {
        return violation(written.first().map_or("", |p| &p.path), "a part of this run was written twice");
    }
    match listed.keys().find(|path| !known.contains(path.as_str())) {
        Some(path) => violation(path, "listed, but no task wrote it"),
        None => Ok(()),
    }
}

/// A landing table with more bad records than are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooManyBad {
    /// The table.
    pub table: LandingTable,
    /// Its counts.
    pub counts: LandingCounts,
    /// The limit, as the command line takes it.
    pub limit: String,
    /// Key of an object of it that is damaged, if there is one: how many records are lost with it is not known.
    pub damaged: Option<String>,
}

impl fmt::Display for TooManyBad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, counts, limit, damaged } = self;
        let table = table.name();
        match damaged {
            Some(object) => write!(
                f,
                "{object} of {table} is damaged or cut short, and how many records are lost with it is not known; mend it or \
                 take it away, or accept that with --max-bad-records 100%"
            ),
            None => write!(
                f,
                "{} of {} records of {table} cannot be read, more than --max-bad-records {limit}",
                counts.quarantined, counts.rows
            ),
        }
    }
}

/// The first landing table with more bad records than `limit` allows. A `damaged` object has lost who knows how many, which
/// only a limit allows that accepts all.
pub fn too_many_bad(
    landing: &BTreeMap<LandingTable, LandingCounts>,
    limit: BadRecordLimit,
    damaged: impl Fn(LandingTable) -> Option<String>,
) -> Option<TooManyBad> {
    if limit.accepts_all() {
        return None;
    }
    landing.iter().find_map(|(&table, &counts)| {
        let damaged = damaged(table);
        let too_many = damaged.is_some() || limit.exceeded(counts.rows, counts.quarantined);
        too_many.then(|| TooManyBad { table, counts, limit: limit.to_string(), damaged })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &str, bytes: u64) -> Part {
        Part { path: path.into(), rows: 1, bytes }
    }

    #[test]
    fn a_damaged_object_is_too_bad_for_any_share() {
        let counts = LandingCounts { rows: 1000, quarantined: 1, ..LandingCounts::default() };
        let landing = BTreeMap::from([(LandingTable::Customer, counts), (LandingTable::StepTrainer, counts)]);
        let damaged = |table| (table == LandingTable::StepTrainer).then(|| "s.gz".to_owned());
        let bad = |limit, damaged: &dyn Fn(LandingTable) -> Option<String>| too_many_bad(&landing, limit, damaged);
        assert_eq!(bad(BadRecordLimit::Count(1), &|_| None), None);
        assert_eq!(bad(BadRecordLimit::Count(0), &|_| None).map(|bad| bad.table), Some(LandingTable::Customer));
        let error = bad(BadRecordLimit::Fraction(0.999), &damaged).expect("damaged").to_string();
        assert!(error.contains("s.gz of step_trainer_landing is damaged"), "{error}");
        assert_eq!(bad(BadRecordLimit::Fraction(1.0), &damaged), None);
    }

    #[test]
    fn a_listing_must_be_what_was_written() {
        let written = [part("a", 1), part("b", 2)];
        let listed = |parts: &[(&str, u64)]| parts.iter().map(|(p, b)| ((*p).to_owned(), *b)).collect();
        assert_eq!(check_listing(&written, &listed(&[("a", 1), ("b", 2)])), Ok(()));
        assert!(check_listing(&written, &listed(&[("a", 1)])).is_err());
        assert!(check_listing(&written, &listed(&[("a", 1), ("b", 3)])).is_err());
        assert!(check_listing(&written, &listed(&[("a", 1), ("b", 2), ("c", 1)])).is_err());
        assert!(check_listing(&[part("a", 1), part("a", 1)], &listed(&[("a", 1)])).is_err());
    }

    #[test]
    fn rows_must_be_what_landing_kept() {
        let landing = |kept| {
            BTreeMap::from([(
                LandingTable::Accelerometer,
                LandingCounts { rows: kept, kept, ..LandingCounts::default() },
            )])
        };
        let tables = BTreeMap::from([(CuratedTable::AccelerometerTrusted, TableCommit::new(vec![part("a", 1)]))]);
        assert_eq!(check_rows(&landing(1), &tables, false), Ok(()));
        assert!(check_rows(&landing(2), &tables, false).is_err());
        assert_eq!(check_rows(&landing(2), &tables, true), Ok(()));
        assert!(check_rows(&landing(0), &tables, true).is_err());
    }

    #[test]
    fn an_unbalanced_object_is_named() {
        let counts = LandingCounts { rows: 3, kept: 1, filtered: 1, ..LandingCounts::default() };
        let entry = LedgerEntry { table: LandingTable::Customer, key: "k".into(), etag: "e".into(), counts };
        let error = check_ledger(&[entry]).expect_err("a record is missing");
        assert_eq!(error.to_string(), "k: 3 records read, but 1 kept, 1 filtered and 0 quarantined");
    }
}
