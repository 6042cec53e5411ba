//! Athena DDL of the eight tables.

use std::fmt::Write as _;

use stedi_lake::commit::CommitRecord;
use stedi_lake::options::Compression;
use stedi_lake::table::Column;
use stedi_lake::{CuratedTable, LandingTable, layout};

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

/// The DDL of the landing tables and of those that `commit` names, one statement after another, each ended by `;`.
///
/// `lake` is a path or URI of the lake. The curated tables point at the folders of the commit's run; they stay as they
/// are when another run commits.
pub fn ddl(lake: &str, database: Option<&str>, commit: Option<&CommitRecord>) -> String {
    let lake = uri(lake);
    let mut text = String::new();
    for table in LandingTable::ALL {
        text += &landing_table(&lake, database, table);
        text.push('\n');
    }
    if let Some(commit) = commit {
        text += "-- Where one of these tables exists, move it to the current run instead:\n";
        text += "--   ALTER TABLE name SET LOCATION 'the location below'\n\n";
        let tables = CuratedTable::ALL.map(|table| curated_table(&lake, database, table, commit));
        text += &tables.join("\n");
    }
    text
}

fn landing_table(lake: &str, database: Option<&str>, table: LandingTable) -> String {
    let mut text = String::new();
    // one SerDe setting covers what devices of different age write; a column mapping would name only one spelling
    text += "-- case.insensitive: keys in any letter case are read, such as timestamp and timeStamp.\n";
    text +=
        "-- ignore.malformed.json: a record that cannot be read is a row of NULLs here; `stedi run` quarantines it.\n";
    create(&mut text, database, table.name(), table.columns());
    text += "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\n";
    text += "WITH SERDEPROPERTIES ('case.insensitive' = 'TRUE', 'ignore.malformed.json' = 'TRUE')\n";
    text += "STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'\n";
    text += "OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'\n";
    let _ = writeln!(text, "LOCATION {}", quoted(&format!("{lake}/{}/", table.path())));
    text += "TBLPROPERTIES ('classification' = 'json');\n";
    text
}

fn curated_table(lake: &str, database: Option<&str>, table: CuratedTable, commit: &CommitRecord) -> String {
    let mut text = String::new();
    create(&mut text, database, table.name(), table.columns());
    text += "STORED AS PARQUET\n";
    let folder = layout::table_run_dir(table, commit.run_id);
    let _ = writeln!(text, "LOCATION {}", quoted(&format!("{lake}/{folder}/")));
    let compression = match commit.options.compression {
        Compression::Zstd => "ZSTD",
        Compression::Snappy => "SNAPPY",
        Compression::None => "UNCOMPRESSED",
    };
    let _ = writeln!(text, "TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = '{compression}');");
    text
}

fn create(text: &mut String, database: Option<&str>, name: &str, columns: &[Column]) {
    let database = database.map(|database| format!("`{database}`.")).unwrap_or_default();
    let _ = writeln!(text, "CREATE EXTERNAL TABLE IF NOT EXISTS {database}`{name}` (");
    for (n, column) in (1..).zip(columns) {
        let comma = if n < columns.len() { "," } else { "" };
        let _ = writeln!(text, "  `{}` {} COMMENT {}{comma}", column.name, column.ty.athena(), quoted(column.comment));
    }
    text.push_str(")\n");
}

/// A string literal of Hive, whose DDL Athena reads.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
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
    fn what_ends_a_literal_is_escaped() {
        assert_eq!(quoted(r"the customer's \"), r"'the customer\'s \\'");
    }

    #[test]
    fn a_database_has_a_plain_name() {
        assert_eq!(parse_database("stedi_2"), Ok("stedi_2".to_owned()));
        for name in ["", "a`b", "A", "a.b", "a-b"] {
            assert!(parse_database(name).is_err(), "{name}");
        }
    }
}
