//! What `verify` found: the broken guarantees, and those it could not check.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use stedi_lake::{CuratedTable, RunId};

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A guarantee of the lake. The order is the order in which they are checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Rule { $($(#[$doc])* $name),+ }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// What the rule says, as one clause.
            pub fn says(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

rules! {
    /// The commit record.
    CommitWhole = "the commit record has all tables, and its sums are those of its parts",
    /// A rollback.
    RollbackSame = "a rollback names exactly the tables of the commit it goes back to",
    /// Landing counts.
    LandingBalanced = "of each landing table and object, rows = kept + filtered + quarantined",
    /// Ledger against commit.
    LedgerAgrees = "the run's ledger adds up to the commit's landing counts and fingerprint",
    /// Kept against table rows.
    KeptAgrees = "what landing kept is what the trusted tables hold",
    /// Customer records found by a second reader.
    LandingRereads = "a second reader finds as many readable customer records in landing as the run did",
    /// Existence and size.
    PartExists = "every part exists with the size that the commit says",
    /// No foreign objects.
    NothingElse = "nothing but the commit's parts lies in the folders of its run",
    /// Parquet.
    PartReadable = "every part is a readable Parquet file",
    /// Row counts.
    RowCount = "every part has as many rows as the commit says",
    /// Columns.
    Schema = "every part has the table's columns, types, nullability and field ids",
    /// Order.
    Sorted = "the rows of a part are in the table's order",
    /// Consent of each row.
    RowConsents = "every row of customer_trusted consents to research",
    /// Uniqueness.
    OnePerPair = "customer_trusted has one row for each e-mail and serial number",
    /// customer_trusted against landing.
    TrustedExact = "customer_trusted is what consent makes of the customer landing",
    /// Consent of everybody in every table.
    Consent = "no table has a row of a customer who does not consent",
    /// Readings.
    ReadingTrusted = "the user of every trusted reading is in customer_trusted",
    /// customers_curated.
    CuratedTrusted = "every row of customers_curated is in customer_trusted",
    /// customers_curated.
    CuratedReads = "every customer of customers_curated has a trusted reading",
    /// customers_curated.
    CuratedComplete = "every row of customer_trusted that has a trusted reading is in customers_curated",
    /// customers_curated.
    CuratedDistinct = "customers_curated has no row twice",
    /// Step readings.
    StepCurated = "the serial number of every trusted step reading is in customers_curated",
    /// Shards.
    OneShard = "the readings of one user, and those of one serial number, lie in one shard",
    /// `--dedupe`.
    NoDuplicates = "with dedupe, no reading is there twice",
    /// Machine learning.
    SameTime = "sensorreadingtime and timestamp of a row are equal",
    /// Machine learning.
    UserOwns = "the user of a row owns its serial number",
    /// Machine learning.
    StepExists = "the step reading of a row is in step_trainer_trusted",
    /// Machine learning.
    ReadingExists = "the accelerometer reading of a row is in accelerometer_trusted",
    /// Machine learning.
    PairsExact = "machine_learning_curated has every matching pair of trusted readings, as often as it occurs",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A broken guarantee in one place. It names tables, parts, row numbers and counts, and never a value of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The guarantee.
    pub rule: Rule,
    /// The table, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<&'static str>,
    /// The path of the part, landing object or other object, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The first row of the part that breaks it, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_row: Option<u64>,
    /// How often it is broken there.
    pub count: u64,
    /// Numbers that help, if any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not so that {}", self.rule, self.rule.says())?;
        if let Some(table) = self.table {
            write!(f, "; table {table}")?;
        }
        if let Some(path) = &self.path {
            write!(f, "; {path}")?;
        }
        if let Some(row) = self.first_row {
            write!(f, "; row {row}")?;
        }
        if self.count > 1 {
            write!(f, "; {} times", self.count)?;
        }
        if !self.detail.is_empty() {
            write!(f, "; {}", self.detail)?;
        }
        Ok(())
    }
}

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyStatus {
    /// Every guarantee was checked and holds.
    Verified,
    /// No guarantee is known to be broken, but some could not be checked.
    Incomplete,
    /// At least one guarantee is broken.
    Broken,
}

impl VerifyStatus {
    /// The exit code of the command: 0 verified, 5 broken, 1 incomplete.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Incomplete => 1,
            Self::Broken => 5,
        }
    }
}

/// The outcome of a verification; `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The commit that was verified.
    pub seq: u64,
    /// The run that wrote its parts.
    pub run_id: RunId,
    /// How it ended.
    pub status: VerifyStatus,
    /// Number of parts read.
    pub parts: u64,
    /// Number of rows read, each counted once.
    pub rows: u64,
    /// Customer records of landing that the second reader could read.
    pub customer_records: u64,
    /// Customer records of landing that it could not.
    pub customer_records_unreadable: u64,
    /// The broken guarantees.
    pub broken: Vec<Finding>,
    /// Guarantees that could not be checked, and why.
    pub unchecked: Vec<String>,
    /// Facts that are no fault but that the reader should know.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// The exit code of the command.
    pub fn exit_code(&self) -> u8 {
        self.status.exit_code()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "commit {} (run {}): {} parts, {} rows", self.seq, self.run_id, self.parts, self.rows)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for text in &self.unchecked {
            writeln!(f, "NOT CHECKED: {text}")?;
        }
        for finding in &self.broken {
            writeln!(f, "BROKEN {finding}")?;
        }
        match self.status {
            VerifyStatus::Verified => writeln!(f, "verified: all {} guarantees hold", Rule::ALL.len()),
            VerifyStatus::Incomplete => writeln!(f, "incomplete: nothing found broken, but not everything was checked"),
            VerifyStatus::Broken => writeln!(f, "broken: {} findings", self.broken.len()),
        }
    }
}

/// Collects findings; the same rule in the same place is one finding with a count.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: BTreeMap<Place, Finding>,
}

/// What is broken where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rule: Rule,
    table: Option<CuratedTable>,
    path: Option<String>,
}

impl Findings {
    /// Something that no row number belongs to.
    pub(crate) fn add(&mut self, rule: Rule, table: Option<CuratedTable>, path: Option<&str>, detail: String) {
        self.insert(Place { rule, table, path: path.map(str::to_owned) }, None, 1, detail);
    }

    /// A row of a part.
    pub(crate) fn row(&mut self, rule: Rule, table: CuratedTable, path: &str, row: u64) {
        self.insert(Place { rule, table: Some(table), path: Some(path.to_owned()) }, Some(row), 1, String::new());
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: Self) {
        for (place, found) in other.found {
            self.insert(place, found.first_row, found.count, found.detail);
        }
    }

    /// Whether one of `rules` is broken anywhere.
    pub(crate) fn any(&self, rules: &[Rule]) -> bool {
        self.found.keys().any(|place| rules.contains(&place.rule))
    }

    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.found.into_values().collect()
    }

    fn insert(&mut self, place: Place, row: Option<u64>, count: u64, detail: String) {
        let known = self.found.entry(place).or_insert_with_key(|place| Finding {
            rule: place.rule,
            table: place.table.map(CuratedTable::name),
            path: place.path.clone(),
            first_row: row,
            count: 0,
            detail,
        });
        known.count += count;
        known.first_row = match (known.first_row, row) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}
