//! The queries of `stedi verify --athena`: what each must give if readers see the commit, and nobody who did not consent.
//!
//! They are SQL of Athena (Trino) that DuckDB reads, too. Consent is stated here for the third time, in SQL: as
//! `docs/adr/0002-consent.md` has it, from the landing tables as Athena reads them, not from anything a run has written.

use stedi_lake::catalog::LakeTable;
use stedi_lake::commit::CommitRecord;
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable};

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The number of rows of a table; of landing, of those that can be read.
    Rows,
    /// The number of rows of people who do not consent: none.
    Strangers,
}

/// A query that gives one number, and the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it counts.
    pub subject: Subject,
    /// In which table.
    pub table: LakeTable,
    /// The query; it gives one row of one number.
    pub sql: String,
    /// The number that it must give.
    pub expected: u64,
}

/// The checks of `commit`: the rows of all tables that have one location, then strangers in the curated ones.
pub fn checks(commit: &CommitRecord) -> Vec<Check> {
    let rows = LakeTable::ALL.into_iter().map(|table| count(table, commit));
    let strangers = CuratedTable::ALL.into_iter().map(|table| strangers(table, commit.options.consent));
    rows.chain(strangers).collect()
}

fn count(table: LakeTable, commit: &CommitRecord) -> Check {
    let name = table.name();
    let (sql, expected) = match table {
        LakeTable::Landing(landing) => {
            // a record that cannot be read is a row of NULLs there, and one without a required field is quarantined
            let required = landing.columns().iter().filter(|column| column.required);
            let present: Vec<_> = required.map(|column| format!("{} IS NOT NULL", quoted(column.name))).collect();
            let counts = commit.landing.get(&landing).copied().unwrap_or_default();
            let readable = counts.rows.saturating_sub(counts.quarantined);
            (format!("SELECT count(*) FROM {name} WHERE {}", present.join(" AND ")), readable)
        }
        LakeTable::Curated(curated) => {
            (format!("SELECT count(*) FROM {name}"), commit.tables.get(&curated).map_or(0, |table| table.rows))
        }
    };
    Check { subject: Subject::Rows, table, sql, expected }
}

/// Rows whose e-mail, or whose serial number, nobody has who consents.
fn strangers(table: CuratedTable, policy: ConsentPolicy) -> Check {
    let unknown = |column: &str, key: &str| {
        let column = quoted(column);
        format!("NOT EXISTS (SELECT 1 FROM consenting WHERE consenting.{key} = t.{column})")
    };
    let strange = match table {
        CuratedTable::CustomerTrusted | CuratedTable::CustomersCurated => {
            format!("{} OR {}", unknown("email", "email"), unknown("serialnumber", "serialnumber"))
        }
        CuratedTable::AccelerometerTrusted => unknown("user", "email"),
        CuratedTable::StepTrainerTrusted => unknown("serialnumber", "serialnumber"),
        CuratedTable::MachineLearningCurated => {
            format!("{} OR {}", unknown("user", "email"), unknown("serialnumber", "serialnumber"))
        }
    };
    let sql = format!("{}SELECT count(*) FROM {} AS t WHERE {strange}", consenting(policy), table.name());
    Check { subject: Subject::Strangers, table: LakeTable::Curated(table), sql, expected: 0 }
}

/// The e-mails and serial numbers of records that consent, as a WITH clause.
fn consenting(policy: ConsentPolicy) -> String {
    let records = format!(
        "records AS (SELECT email, serialnumber, coalesce(sharewithresearchasofdate, 0) AS share, \
         coalesce(lastupdatedate, 0) AS updated FROM {} WHERE email IS NOT NULL AND serialnumber IS NOT NULL)",
        LandingTable::Customer.name()
    );
    match policy {
        ConsentPolicy::Any => {
            format!("WITH {records}, consenting AS (SELECT email, serialnumber FROM records WHERE share <> 0) ")
        }
        // every record that is as new as any of its e-mail must consent; then the newest of each serial number counts
        ConsentPolicy::Latest => format!(
            "WITH {records}, \
             ages AS (SELECT email, serialnumber, share, updated, max(updated) OVER (PARTITION BY email) AS newest, \
             max(updated) OVER (PARTITION BY email, serialnumber) AS newest_of_serial FROM records), \
             refusing AS (SELECT DISTINCT email FROM ages WHERE updated = newest AND share = 0), \
             consenting AS (SELECT email, serialnumber FROM ages WHERE updated = newest_of_serial AND share <> 0 \
             AND NOT EXISTS (SELECT 1 FROM refusing WHERE refusing.email = ages.email)) "
        ),
    }
}

fn quoted(column: &str) -> String {
    // timestamp and user are words of the language
    format!("\"{column}\"")
}
