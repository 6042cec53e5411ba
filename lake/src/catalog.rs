//! The eight tables as a Hive catalog has them: formats, locations, properties, and the name of a database.
//!
//! This is the one source of `stedi ddl` and of what is published to Glue. [`publish`] decides what to do about a table
//! that a catalog has already.

pub mod publish;

use crate::commit::CommitRecord;
use crate::options::Compression;
use crate::table::Column;
use crate::{CuratedTable, LandingTable, layout};

/// A name that Athena does not take for a database.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no database name: use lower-case letters, digits and `_`, at most 255")]
pub struct DatabaseName(String);

/// The name of a database.
///
/// # Errors
/// If Athena would not take it.
pub fn parse_database(text: &str) -> Result<String, DatabaseName> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(DatabaseName(text.to_owned()))
    }
}

/// Any of the eight tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LakeTable {
    /// JSON records as they were delivered.
    Landing(LandingTable),
    /// Parquet parts of a commit.
    Curated(CuratedTable),
}

impl LakeTable {
    /// All eight, each after those it derives from: the order in which they are published.
    pub const ALL: [Self; 8] = [
        Self::Landing(LandingTable::Customer),
        Self::Landing(LandingTable::Accelerometer),
        Self::Landing(LandingTable::StepTrainer),
        Self::Curated(CuratedTable::CustomerTrusted),
        Self::Curated(CuratedTable::AccelerometerTrusted),
        Self::Curated(CuratedTable::CustomersCurated),
        Self::Curated(CuratedTable::StepTrainerTrusted),
        Self::Curated(CuratedTable::MachineLearningCurated),
    ];

    /// The table's name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Landing(table) => table.name(),
            Self::Curated(table) => table.name(),
        }
    }

    /// The table's prefix below the lake, without slashes at the ends.
    pub fn path(self) -> &'static str {
        match self {
            Self::Landing(table) => table.path(),
            Self::Curated(table) => table.path(),
        }
    }

    /// Columns in catalog order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Landing(table) => table.columns(),
            Self::Curated(table) => table.columns(),
        }
    }

    /// What a row is, for catalogs.
    pub fn description(self) -> &'static str {
        match self {
            Self::Landing(LandingTable::Customer) => "customer records as they were delivered, many versions of each",
            Self::Landing(LandingTable::Accelerometer) => "readings of the phone app as they were delivered",
            Self::Landing(LandingTable::StepTrainer) => "readings of the step trainer as they were delivered",
            Self::Curated(CuratedTable::CustomerTrusted) => "customer records that consent to research",
            Self::Curated(CuratedTable::AccelerometerTrusted) => "app readings of customers who consent to research",
            Self::Curated(CuratedTable::CustomersCurated) => "customers who consent to research and have app readings",
            Self::Curated(CuratedTable::StepTrainerTrusted) => "step trainer readings of curated customers",
            Self::Curated(CuratedTable::MachineLearningCurated) => {
                "step trainer readings with the app readings of the same time"
            }
        }
    }

    /// How its objects are read.
    pub fn format(self) -> Format {
        match self {
            Self::Landing(_) => Format::Json,
            Self::Curated(_) => Format::Parquet,
        }
    }
}

/// How the objects of a table are read, in the words of Hive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, by the OpenX SerDe.
    Json,
    /// Parquet, columns by name.
    Parquet,
}

impl Format {
    /// The class that reads records.
    pub fn serde(self) -> &'static str {
        match self {
            Self::Json => "org.openx.data.jsonserde.JsonSerDe",
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        }
    }

    /// What [`Self::serde`] is told. Keys in any letter case cover what devices of different age write, such as
    /// `timestamp` and `timeStamp`; a column mapping would name only one spelling.
    pub fn serde_parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Json => &[("case.insensitive", "TRUE"), ("ignore.malformed.json", "TRUE")],
            Self::Parquet => &[("serialization.format", "1")],
        }
    }

    /// The class that reads files.
    pub fn input_format(self) -> &'static str {
        match self {
            Self::Json => "org.apache.hadoop.mapred.TextInputFormat",
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        }
    }

    /// The class that would write files.
    pub fn output_format(self) -> &'static str {
        match self {
            Self::Json => "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            Self::Parquet => "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        }
    }

    /// The table property `classification`, which Glue's own jobs go by.
    pub fn classification(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

/// Properties that `CREATE EXTERNAL TABLE` gives a table unasked, or that crawlers look for.
pub const IMPLIED_PROPERTIES: [(&str, &str); 3] =
    [("EXTERNAL", "TRUE"), ("compressionType", "none"), ("typeOfData", "file")];

/// A table as a commit has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDefinition {
    /// The table.
    pub table: LakeTable,
    /// The folder of its objects, ending with `/`.
    pub location: String,
    /// Table properties, but for [`IMPLIED_PROPERTIES`].
    pub properties: Vec<(&'static str, &'static str)>,
}

/// Why a landing table has no location that a catalog could have.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoLocation {
    /// A table has one location.
    #[error("the run read it from {0} places, and a catalog's table has one")]
    Several(usize),
    /// Not a place that Athena reads.
    #[error("the run read it from {0}, which is not in S3")]
    NotInS3(String),
}

/// The definition of `table` as `commit` of the lake at `lake` has it. `lake` is an absolute path or a URI.
///
/// # Errors
/// If it is a landing table that the run read from more than one place.
pub fn definition(table: LakeTable, lake: &str, commit: &CommitRecord) -> Result<TableDefinition, NoLocation> {
    match table {
        LakeTable::Landing(table) => {
            landing_definition(table, lake, commit.landing_elsewhere.get(&table).map_or(&[], Vec::as_slice))
        }
        LakeTable::Curated(table) => Ok(curated_definition(table, lake, commit)),
    }
}

/// The definition of a landing table that lies in the lake, or in the folders `elsewhere` if there are any.
///
/// # Errors
/// If they are several.
pub fn landing_definition(
    table: LandingTable,
    lake: &str,
    elsewhere: &[String],
) -> Result<TableDefinition, NoLocation> {
    let location = match elsewhere {
        [] => format!("{}/{}/", uri(lake), table.path()),
        [folder] => format!("{}/", uri(folder)),
        folders => return Err(NoLocation::Several(folders.len())),
    };
    let table = LakeTable::Landing(table);
    Ok(TableDefinition { table, location, properties: vec![("classification", table.format().classification())] })
}

/// The definition of a curated table: its location is the folder of the commit's run.
pub fn curated_definition(table: CuratedTable, lake: &str, commit: &CommitRecord) -> TableDefinition {
    let compression = match commit.options.compression {
        Compression::Zstd => "ZSTD",
        Compression::Snappy => "SNAPPY",
        Compression::None => "UNCOMPRESSED",
    };
    let location = format!("{}/{}/", uri(lake), layout::table_run_dir(table, commit.run_id));
    let table = LakeTable::Curated(table);
    let properties = vec![("classification", table.format().classification()), ("parquet.compression", compression)];
    TableDefinition { table, location, properties }
}

/// [`definition`] for a catalog whose readers know only S3.
///
/// # Errors
/// As [`definition`], and if it lies elsewhere than in S3.
pub fn s3_definition(table: LakeTable, lake: &str, commit: &CommitRecord) -> Result<TableDefinition, NoLocation> {
    let definition = definition(table, lake, commit)?;
    if definition.location.starts_with("s3://") {
        Ok(definition)
    } else {
        Err(NoLocation::NotInS3(definition.location))
    }
}

/// Athena reads `s3://` alone; a local lake has `file://`, for engines that read Hive DDL on this machine.
fn uri(lake: &str) -> String {
    let lake = lake.trim_end_matches('/');
    if lake.contains("://") { lake.to_owned() } else { format!("file://{lake}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_a_plain_name() {
        assert_eq!(parse_database("stedi_2"), Ok("stedi_2".to_owned()));
        for name in ["", "a`b", "A", "a.b", "a-b"] {
            assert!(parse_database(name).is_err(), "{name}");
        }
        assert!(parse_database(&"a".repeat(256)).is_err());
    }

    #[test]
    fn a_table_comes_after_those_it_derives_from() {
        let names = LakeTable::ALL.map(LakeTable::name);
        let landing = LandingTable::ALL.map(LandingTable::name);
        assert_eq!(names[..3], landing);
        assert_eq!(names[3..], CuratedTable::ALL.map(CuratedTable::name));
    }

    /// Athena reads whatever lies below a location, at any depth, but for names that begin with `_` or `.`.
    #[test]
    fn nothing_but_its_parts_lies_below_a_curated_location() {
        let run = crate::RunId::new(1, 2);
        for table in CuratedTable::ALL {
            let folder = format!("{}/", layout::table_run_dir(table, run));
            let part = layout::part_path(table, run, 7, 1);
            let below = part.strip_prefix(&folder).expect("a part lies below its table's location");
            assert!(!layout::is_hidden(below) && !below.contains('/'), "{part} would not be read");
            let others = CuratedTable::ALL.into_iter().filter(|other| *other != table);
            for other in others.map(|other| layout::part_path(other, run, 0, 0)) {
                assert!(!other.starts_with(&folder), "{other} would be read as {}", table.name());
            }
            for own in [layout::ledger_path(run), layout::commit_path(1), layout::quarantine_path(run, "a")] {
                assert!(!own.starts_with(&folder) && layout::is_hidden(&own), "{own}");
            }
        }
    }
}
