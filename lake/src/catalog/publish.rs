//! What to do about one table of a catalog so that it shows a commit: a pure decision, made anew from what the catalog
//! says now, before every attempt.
//!
//! Nothing but the location, the columns and our own parameters is ever changed. What others keep in a table (owner,
//! retention, statistics, parameters, comments) stays.

use std::collections::BTreeMap;

use super::{Format, IMPLIED_PROPERTIES, TableDefinition};
use crate::RunId;
use crate::table::Column;

/// The table parameter that names the lake a table shows.
pub const LAKE: &str = "stedi.lake";

/// The table parameter that names the run whose parts a table shows.
pub const RUN_ID: &str = "stedi.run_id";

/// The table parameter with the sequence number of the commit that a table shows.
pub const SEQ: &str = "stedi.seq";

/// Parameters of other table formats: with one of them a table is not what its SerDe says.
const FORMAT_PARAMETERS: [&str; 2] = ["table_type", "metadata_location"];

/// Which commit a table shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The lake, as `s3://bucket/prefix`.
    pub lake: String,
    /// The run that wrote the parts.
    pub run_id: RunId,
    /// The commit's sequence number.
    pub seq: u64,
}

impl Mark {
    /// The mark in the parameters of a table; `None` if there is none that makes sense.
    pub fn of(parameters: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            lake: parameters.get(LAKE)?.clone(),
            run_id: parameters.get(RUN_ID)?.parse().ok()?,
            seq: parameters.get(SEQ)?.parse().ok()?,
        })
    }
}

/// What a catalog says of a table, as far as anything is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogTable {
    /// `EXTERNAL_TABLE`, `VIRTUAL_VIEW` or another.
    pub table_type: Option<String>,
    /// The folder of its objects.
    pub location: Option<String>,
    /// The class that reads its records.
    pub serde: Option<String>,
    /// Names and types.
    pub columns: Vec<(String, String)>,
    /// Whether it has partition keys.
    pub is_partitioned: bool,
    /// Table parameters.
    pub parameters: BTreeMap<String, String>,
}

/// What a publisher is told to do with tables that are not as it would make them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Take over tables that show something outside the lake, or commits that the lake's log does not have.
    pub adopt: bool,
    /// Make the columns exactly those of the table, whatever is lost.
    pub replace_columns: bool,
    /// The last sequence number of the lake's log: a mark with a greater one is of another history.
    pub last_seq: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no such table: create it with the definition and these parameters.
    Create(BTreeMap<String, String>),
    /// It shows this commit already.
    Keep,
    /// Change it, if it is still as it was when this was decided.
    Update(Change),
    /// It shows a later commit of the same lake: leave it.
    Superseded(Mark),
    /// It is not ours to change.
    Refuse(Refusal),
}

/// What changes of a table; all else stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The new location.
    pub location: String,
    /// Parameters to set.
    pub parameters: BTreeMap<String, String>,
    /// What becomes of the columns.
    pub columns: ColumnChange,
}

/// What becomes of the columns of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnChange {
    /// They stay.
    Keep,
    /// They stay, and these come behind them.
    Append(Vec<Column>),
    /// They become these.
    Replace(Vec<Column>),
}

/// Why a table is not changed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// It is no table of this kind.
    #[error(
        "it is {found}, not an external {wanted} table: rename or drop it, or publish to another database (--database)"
    )]
    OtherType {
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Its partitions have locations of their own.
    #[error(
        "it is partitioned, and its partitions would go on showing what they show: rename or drop it, or publish to \
         another database (--database)"
    )]
    Partitioned,
    /// It shows something else.
    #[error("it shows {location}, outside the lake {lake}: --adopt takes it over")]
    Outside {
        /// Its location.
        location: String,
        /// The lake.
        lake: String,
    },
    /// It shows a commit that the log does not have.
    #[error(
        "it shows commit {} of run {}, and the lake's log has no such commit: if the lake was made anew, --adopt takes \
         the table over", found.seq, found.run_id
    )]
    OtherHistory {
        /// The commit it shows.
        found: Mark,
    },
    /// A column has another type.
    #[error("its column {column} is {found}, not {wanted}: --replace-columns makes the columns those of the table")]
    ColumnType {
        /// The column.
        column: &'static str,
        /// Its type.
        found: String,
        /// The type it should have.
        wanted: &'static str,
    },
}

/// Decides what to do so that the table shows what `wanted` and `mark` say. `found` is what the catalog has now.
pub fn decide(found: Option<&CatalogTable>, wanted: &TableDefinition, mark: &Mark, policy: Policy) -> Decision {
    let parameters = parameters(wanted, mark);
    let Some(found) = found else { return Decision::Create(parameters) };
    if let Some(refusal) = other_kind(found, wanted.table.format()) {
        return Decision::Refuse(refusal);
    }
    match Mark::of(&found.parameters).filter(|found| found.lake == mark.lake) {
        Some(theirs) if !policy.adopt && is_other_history(&theirs, mark, policy.last_seq) => {
            return Decision::Refuse(Refusal::OtherHistory { found: theirs });
        }
        Some(theirs) if mark.seq < theirs.seq && theirs.seq <= policy.last_seq => return Decision::Superseded(theirs),
        Some(_) => {}
        None if policy.adopt || is_inside(found, wanted, &mark.lake) => {}
        None => {
            let location = found.location.clone().unwrap_or_else(|| "no location".to_owned());
            return Decision::Refuse(Refusal::Outside { location, lake: mark.lake.clone() });
        }
    }
    let columns = match columns(found, wanted.table.columns(), policy.replace_columns) {
        Ok(columns) => columns,
        Err(refusal) => return Decision::Refuse(refusal),
    };
    let is_marked = parameters.iter().all(|(key, value)| found.parameters.get(key) == Some(value));
    if is_marked && columns == ColumnChange::Keep && found.location.as_ref() == Some(&wanted.location) {
        return Decision::Keep;
    }
    Decision::Update(Change { location: wanted.location.clone(), parameters, columns })
}

/// The parameters that are ours.
fn parameters(wanted: &TableDefinition, mark: &Mark) -> BTreeMap<String, String> {
    let fixed = IMPLIED_PROPERTIES.iter().chain(&wanted.properties);
    let (run_id, seq) = (mark.run_id.to_string(), mark.seq.to_string());
    let marks = [(LAKE, mark.lake.as_str()), (RUN_ID, run_id.as_str()), (SEQ, seq.as_str())];
    fixed.copied().chain(marks).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A table is refused for good if it is not of the kind that a change of location can move.
fn other_kind(found: &CatalogTable, wanted: Format) -> Option<Refusal> {
    let other = |found: String| {
        let wanted = match wanted {
            Format::Json => "JSON",
            Format::Parquet => "Parquet",
        };
        Some(Refusal::OtherType { found, wanted })
    };
    let table_type = found.table_type.as_deref().unwrap_or("a table without a type");
    if !table_type.eq_ignore_ascii_case("EXTERNAL_TABLE") {
        return other(format!("a {table_type}"));
    }
    if let Some(key) = FORMAT_PARAMETERS.iter().find(|key| found.parameters.contains_key(**key)) {
        return other(format!("a table with the parameter {key}={}", found.parameters[*key]));
    }
    let serde = found.serde.as_deref().unwrap_or("no SerDe");
    let fits = match wanted {
        // any of those that read JSON: which one is its owner's choice
        Format::Json => serde.to_ascii_lowercase().ends_with("jsonserde"),
        Format::Parquet => serde == Format::Parquet.serde(),
    };
    if !fits {
        return other(format!("a table of {serde}"));
    }
    found.is_partitioned.then_some(Refusal::Partitioned)
}

/// Commits have gapless numbers, and a number has one run.
fn is_other_history(theirs: &Mark, ours: &Mark, last_seq: u64) -> bool {
    theirs.seq > last_seq || (theirs.seq == ours.seq && theirs.run_id != ours.run_id)
}

/// Whether a table without our mark lies where a table of this lake may.
fn is_inside(found: &CatalogTable, wanted: &TableDefinition, lake: &str) -> bool {
    let folder = format!("{lake}/{}/", wanted.table.path());
    found.location.as_deref().is_some_and(|location| {
        let location = format!("{}/", location.trim_end_matches('/'));
        location == wanted.location || location.starts_with(&folder)
    })
}

fn columns(found: &CatalogTable, wanted: &[Column], replace: bool) -> Result<ColumnChange, Refusal> {
    let same = |(found, ty): &(String, String), column: &Column| {
        found.eq_ignore_ascii_case(column.name) && ty.eq_ignore_ascii_case(column.ty.athena())
    };
    if replace {
        let is_same = found.columns.len() == wanted.len() && found.columns.iter().zip(wanted).all(|(a, b)| same(a, b));
        return Ok(if is_same { ColumnChange::Keep } else { ColumnChange::Replace(wanted.to_vec()) });
    }
    let mut missing = Vec::new();
    for column in wanted {
        match found.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(column.name)) {
            None => missing.push(*column),
            Some(known) if same(known, column) => {}
            Some((_, ty)) => {
                let wanted = column.ty.athena();
                return Err(Refusal::ColumnType { column: column.name, found: ty.clone(), wanted });
            }
        }
    }
    Ok(if missing.is_empty() { ColumnChange::Keep } else { ColumnChange::Append(missing) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::LakeTable;
    use crate::{CuratedTable, LandingTable};

    const LAKE_URI: &str = "s3://bucket/lake";

    fn wanted(table: LakeTable, run: u64) -> TableDefinition {
        let location = match table {
            LakeTable::Landing(_) => format!("{LAKE_URI}/{}/", table.path()),
            LakeTable::Curated(_) => format!("{LAKE_URI}/{}/run={run}/", table.path()),
        };
        let properties = vec![("classification", table.format().classification())];
        TableDefinition { table, location, properties }
    }

    fn mark(seq: u64) -> Mark {
        Mark { lake: LAKE_URI.to_owned(), run_id: RunId::new(seq, 0), seq }
    }

    /// The table as a publish of commit `seq` leaves it.
    fn published(table: LakeTable, seq: u64) -> CatalogTable {
        let Decision::Create(parameters) = decide(None, &wanted(table, seq), &mark(seq), up_to(seq)) else {
            panic!("what is not there is created")
        };
        CatalogTable {
            table_type: Some("EXTERNAL_TABLE".to_owned()),
            location: Some(wanted(table, seq).location),
            serde: Some(table.format().serde().to_owned()),
            columns: table.columns().iter().map(|c| (c.name.to_owned(), c.ty.athena().to_owned())).collect(),
            is_partitioned: false,
            parameters,
        }
    }

    fn up_to(last_seq: u64) -> Policy {
        Policy { last_seq, ..Policy::default() }
    }

    const ADOPT: Policy = Policy { adopt: true, replace_columns: false, last_seq: 2 };
    const TABLE: LakeTable = LakeTable::Curated(CuratedTable::StepTrainerTrusted);
    const LANDING: LakeTable = LakeTable::Landing(LandingTable::Accelerometer);

    fn decided(found: &CatalogTable, seq: u64, policy: Policy) -> Decision {
        decide(Some(found), &wanted(TABLE, seq), &mark(seq), policy)
    }

    #[track_caller]
    fn refused(decision: Decision) -> Refusal {
        match decision {
            Decision::Refuse(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_published_table_is_kept_and_an_older_one_moves() {
        let old = published(TABLE, 1);
        assert_eq!(decided(&old, 1, up_to(1)), Decision::Keep);
        let Decision::Update(change) = decided(&old, 2, up_to(2)) else { panic!("commit 2 is newer") };
        assert_eq!(change.location, wanted(TABLE, 2).location);
        assert_eq!(change.columns, ColumnChange::Keep);
        assert_eq!(Mark::of(&change.parameters), Some(mark(2)));
    }

    #[test]
    fn what_others_add_is_not_touched_and_does_not_matter() {
        let mut edited = published(TABLE, 1);
        edited.parameters.insert("team".to_owned(), "research".to_owned());
        edited.columns.push(("note".to_owned(), "string".to_owned()));
        assert_eq!(decided(&edited, 1, up_to(1)), Decision::Keep);
        let Decision::Update(change) = decided(&edited, 2, up_to(2)) else { panic!("commit 2 is newer") };
        assert!(!change.parameters.contains_key("team"), "only what is ours is set");
        // a parameter of ours that somebody changed is set right
        edited.parameters.insert("classification".to_owned(), "csv".to_owned());
        assert!(matches!(decided(&edited, 1, up_to(1)), Decision::Update(_)));
    }

    #[test]
    fn an_older_publisher_leaves_a_newer_table_alone() {
        let new = published(TABLE, 2);
        assert_eq!(decided(&new, 1, up_to(2)), Decision::Superseded(mark(2)));
        assert_eq!(decided(&new, 1, ADOPT), Decision::Superseded(mark(2)), "not even to adopt");
    }

    #[test]
    fn a_commit_that_the_log_does_not_have_is_of_another_history() {
        let other = published(TABLE, 9);
        assert!(matches!(refused(decided(&other, 2, up_to(2))), Refusal::OtherHistory { .. }));
        assert!(matches!(decided(&other, 2, ADOPT), Decision::Update(_)));
        let mut same_number = published(TABLE, 2);
        same_number.parameters.insert(RUN_ID.to_owned(), RunId::new(7, 7).to_string());
        assert!(matches!(refused(decided(&same_number, 2, up_to(2))), Refusal::OtherHistory { .. }));
    }

    #[test]
    fn a_table_of_something_else_is_taken_over_only_if_told() {
        let mut foreign = published(TABLE, 1);
        foreign.parameters.clear();
        assert!(matches!(decided(&foreign, 2, up_to(2)), Decision::Update(_)), "it lies in the lake");
        foreign.location = Some("s3://bucket/lake2/step_trainer/trusted/".to_owned());
        assert!(refused(decided(&foreign, 2, up_to(2))).to_string().contains("--adopt"));
        assert!(matches!(decided(&foreign, 2, ADOPT), Decision::Update(_)));
        // another lake that publishes to the same database
        foreign.parameters = published(TABLE, 9).parameters;
        foreign.parameters.insert(LAKE.to_owned(), "s3://bucket/lake2".to_owned());
        assert!(matches!(refused(decided(&foreign, 2, up_to(2))), Refusal::Outside { .. }));
        assert!(matches!(decided(&foreign, 2, ADOPT), Decision::Update(_)));
    }

    #[test]
    fn other_kinds_of_tables_are_never_taken_over() {
        let kinds: [fn(&mut CatalogTable); 5] = [
            |table| table.table_type = Some("VIRTUAL_VIEW".to_owned()),
            |table| table.table_type = None,
            |table| drop(table.parameters.insert("table_type".to_owned(), "ICEBERG".to_owned())),
            |table| table.serde = Some("org.apache.hadoop.hive.serde2.OpenCSVSerde".to_owned()),
            |table| table.is_partitioned = true,
        ];
        for make in kinds {
            let mut table = published(TABLE, 1);
            make(&mut table);
            let refusal = refused(decided(&table, 2, ADOPT)).to_string();
            assert!(refusal.contains("rename or drop"), "{refusal}");
        }
        // which class reads JSON is up to the owner of the table
        let mut landing = published(LANDING, 1);
        landing.serde = Some("org.apache.hive.hcatalog.data.JsonSerDe".to_owned());
        assert_eq!(decide(Some(&landing), &wanted(LANDING, 1), &mark(1), up_to(1)), Decision::Keep);
    }

    #[test]
    fn columns_are_added_behind_the_others_and_replaced_only_if_told() {
        let mut table = published(TABLE, 1);
        let gone = table.columns.remove(1);
        table.columns.push(("mine".to_owned(), "string".to_owned()));
        let Decision::Update(change) = decided(&table, 1, up_to(1)) else { panic!("a column is missing") };
        let ColumnChange::Append(added) = change.columns else { panic!("{:?}", change.columns) };
        assert_eq!(added.iter().map(|c| c.name).collect::<Vec<_>>(), [gone.0.as_str()]);

        table.columns[0].1 = "string".to_owned();
        let refusal = refused(decided(&table, 1, up_to(1)));
        assert_eq!(
            refusal.to_string(),
            "its column sensorreadingtime is string, not bigint: --replace-columns makes the columns those of the table"
        );
        let replace = Policy { replace_columns: true, ..up_to(1) };
        let Decision::Update(change) = decided(&table, 1, replace) else { panic!("it was told to") };
        assert_eq!(change.columns, ColumnChange::Replace(TABLE.columns().to_vec()));
    }
}
