//! Athena DDL of the eight tables.

use std::fmt::Write as _;

use stedi_lake::catalog::{self, NoLocation, TableDefinition};
use stedi_lake::commit::CommitRecord;
use stedi_lake::table::Column;
use stedi_lake::{CuratedTable, LandingTable};

/// The DDL of the landing tables and of those that `commit` names, one statement after another, each ended by `;`.
///
/// `lake` is a path or URI of the lake. The curated tables point at the folders of the commit's run; they stay as they
/// are when another run commits.
pub fn ddl(lake: &str, database: Option<&str>, commit: Option<&CommitRecord>) -> String {
    let mut text = String::new();
    for table in LandingTable::ALL {
        let elsewhere = commit.and_then(|commit| commit.landing_elsewhere.get(&table)).map_or(&[][..], Vec::as_slice);
        text += &landing_table(database, table, catalog::landing_definition(table, lake, elsewhere));
        text.push('\n');
    }
    if let Some(commit) = commit {
        text += "-- Where one of these tables exists, move it to the current run instead:\n";
        text += "--   ALTER TABLE name SET LOCATION 'the location below'\n\n";
        let tables =
            CuratedTable::ALL.map(|table| curated_table(database, &catalog::curated_definition(table, lake, commit)));
        text += &tables.join("\n");
    }
    text
}

fn landing_table(
    database: Option<&str>,
    table: LandingTable,
    definition: Result<TableDefinition, NoLocation>,
) -> String {
    let definition = match definition {
        Ok(definition) => definition,
        Err(why) => return format!("-- {} is left out: {why}\n", table.name()),
    };
    let mut text = String::new();
    // one SerDe setting covers what devices of different age write; a column mapping would name only one spelling
    text += "-- case.insensitive: keys in any letter case are read, such as timestamp and timeStamp.\n";
    text +=
        "-- ignore.malformed.json: a record that cannot be read is a row of NULLs here; `stedi run` quarantines it.\n";
    create(&mut text, database, table.name(), table.columns());
    let format = definition.table.format();
    let _ = writeln!(text, "ROW FORMAT SERDE {}", quoted(format.serde()));
    let _ = writeln!(text, "WITH SERDEPROPERTIES ({})", properties(format.serde_parameters()));
    let _ = writeln!(text, "STORED AS INPUTFORMAT {}", quoted(format.input_format()));
    let _ = writeln!(text, "OUTPUTFORMAT {}", quoted(format.output_format()));
    end(&mut text, &definition);
    text
}

fn curated_table(database: Option<&str>, definition: &TableDefinition) -> String {
    let mut text = String::new();
    create(&mut text, database, definition.table.name(), definition.table.columns());
    text += "STORED AS PARQUET\n";
    end(&mut text, definition);
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

fn end(text: &mut String, definition: &TableDefinition) {
    let _ = writeln!(text, "LOCATION {}", quoted(&definition.location));
    let _ = writeln!(text, "TBLPROPERTIES ({});", properties(&definition.properties));
}

fn properties(properties: &[(&str, &str)]) -> String {
    let pairs = properties.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// A string literal of Hive, whose DDL Athena reads.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_literal_is_escaped() {
        assert_eq!(quoted(r"the customer's \"), r"'the customer\'s \\'");
    }
}
