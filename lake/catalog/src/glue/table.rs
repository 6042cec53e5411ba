//! Between Glue's tables and ours.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::{Column, SerDeInfo, StorageDescriptor, Table, TableInput};
use stedi_lake::catalog::TableDefinition;
use stedi_lake::catalog::publish::{CatalogTable, Change, ColumnChange};
use stedi_lake::table;

/// What decisions rest on.
pub(super) fn known(original: &Table) -> CatalogTable {
    let storage = original.storage_descriptor();
    let columns = storage.map_or(&[][..], StorageDescriptor::columns);
    let ty = |column: &Column| column.r#type().unwrap_or_default().to_owned();
    let parameters = original.parameters().into_iter().flatten();
    CatalogTable {
        table_type: original.table_type().map(str::to_owned),
        location: storage.and_then(StorageDescriptor::location).map(str::to_owned),
        serde: storage
            .and_then(StorageDescriptor::serde_info)
            .and_then(SerDeInfo::serialization_library)
            .map(str::to_owned),
        columns: columns.iter().map(|column| (column.name().to_owned(), ty(column))).collect(),
        is_partitioned: !original.partition_keys().is_empty(),
        parameters: parameters.map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// A table that is not there yet.
pub(super) fn input_of_definition(
    definition: &TableDefinition,
    parameters: &BTreeMap<String, String>,
) -> Result<TableInput, BuildError> {
    let format = definition.table.format();
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let serde = SerDeInfo::builder()
        .serialization_library(format.serde())
        .set_parameters(Some(format.serde_parameters().iter().map(owned).collect()))
        .build();
    let storage = StorageDescriptor::builder()
        .set_columns(Some(columns(definition.table.columns())?))
        .location(&definition.location)
        .input_format(format.input_format())
        .output_format(format.output_format())
        .serde_info(serde)
        .build();
    TableInput::builder()
        .name(definition.table.name())
        .description(definition.table.description())
        .table_type("EXTERNAL_TABLE")
        // an empty list, not none: Glue's own Hive client stumbles over none
        .set_partition_keys(Some(Vec::new()))
        .set_parameters(Some(hash_map(parameters)))
        .storage_descriptor(storage)
        .build()
}

/// All of `original`, changed. Glue replaces a table by what an update says, and forgets what it does not say.
pub(super) fn changed_input(original: &Table, change: &Change) -> Result<TableInput, BuildError> {
    let mut storage = original.storage_descriptor().cloned().unwrap_or_else(|| StorageDescriptor::builder().build());
    storage.location = Some(change.location.clone());
    match &change.columns {
        ColumnChange::Keep => {}
        ColumnChange::Append(added) => storage.columns.get_or_insert_default().extend(columns(added)?),
        ColumnChange::Replace(all) => storage.columns = Some(columns(all)?),
    }
    let mut parameters = original.parameters().cloned().unwrap_or_default();
    parameters.extend(hash_map(&change.parameters));
    TableInput::builder()
        .name(original.name())
        .set_description(original.description.clone())
        .set_owner(original.owner.clone())
        .set_last_access_time(original.last_access_time)
        .set_last_analyzed_time(original.last_analyzed_time)
        .retention(original.retention)
        .storage_descriptor(storage)
        .set_partition_keys(Some(original.partition_keys().to_vec()))
        .set_view_original_text(original.view_original_text.clone())
        .set_view_expanded_text(original.view_expanded_text.clone())
        .set_table_type(original.table_type.clone())
        .set_parameters(Some(parameters))
        .set_target_table(original.target_table.clone())
        .build()
}

fn columns(columns: &[table::Column]) -> Result<Vec<Column>, BuildError> {
    let column = |column: &table::Column| {
        Column::builder().name(column.name).r#type(column.ty.athena()).comment(column.comment).build()
    };
    columns.iter().map(column).collect()
}

fn hash_map(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_glue::primitives::DateTime;
    use aws_sdk_glue::types::{Order, SchemaId, SchemaReference, SkewedInfo, TableIdentifier};
    use stedi_lake::{CuratedTable, table};

    use super::*;

    fn strings(text: &str) -> HashMap<String, String> {
        HashMap::from([(text.to_owned(), text.to_owned())])
    }

    /// A table with something in every field that an update can set.
    fn full() -> Table {
        let column = Column::builder().name("a").r#type("int").comment("c").set_parameters(Some(strings("cp"))).build();
        let column = column.expect("it has a name");
        let schema = SchemaReference::builder()
            .schema_id(SchemaId::builder().schema_arn("arn").schema_name("s").registry_name("r").build())
            .schema_version_id("v")
            .schema_version_number(3)
            .build();
        let storage = StorageDescriptor::builder()
            .columns(column.clone())
            .location("s3://b/old/")
            .additional_locations("s3://b/more/")
            .input_format("in")
            .output_format("out")
            .compressed(true)
            .number_of_buckets(7)
            .serde_info(
                SerDeInfo::builder().name("n").serialization_library("l").set_parameters(Some(strings("sp"))).build(),
            )
            .bucket_columns("a")
            .sort_columns(Order::builder().column("a").sort_order(1).build().expect("it has a column"))
            .set_parameters(Some(strings("storage")))
            .skewed_info(
                SkewedInfo::builder()
                    .skewed_column_names("a")
                    .skewed_column_values("1")
                    .skewed_column_value_location_maps("1", "x")
                    .build(),
            )
            .stored_as_sub_directories(true)
            .schema_reference(schema)
            .build();
        Table::builder()
            .name("t")
            .description("d")
            .owner("o")
            .last_access_time(DateTime::from_secs(1))
            .last_analyzed_time(DateTime::from_secs(2))
            .retention(9)
            .storage_descriptor(storage)
            .partition_keys(column)
            .view_original_text("vo")
            .view_expanded_text("ve")
            .table_type("EXTERNAL_TABLE")
            .set_parameters(Some(strings("table")))
            .target_table(TableIdentifier::builder().catalog_id("1").database_name("d").name("t").region("r").build())
            .version_id("5")
            .build()
            .expect("it has a name")
    }

    fn change(columns: ColumnChange) -> Change {
        Change { location: "s3://b/new/".to_owned(), parameters: BTreeMap::from([("p".into(), "q".into())]), columns }
    }

    #[test]
    fn an_update_says_all_that_was_there() {
        let original = full();
        let input = changed_input(&original, &change(ColumnChange::Keep)).expect("it has a name");
        let mut expected = original.storage_descriptor.clone().expect("it has one");
        expected.location = Some("s3://b/new/".to_owned());
        assert_eq!(input.storage_descriptor, Some(expected));
        let pairs = [("table", "table"), ("p", "q")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(input.parameters, Some(HashMap::from(pairs)));
        assert_eq!((input.owner(), input.retention), (Some("o"), 9));
        assert_eq!(input.partition_keys, original.partition_keys);
        // a field that a newer SDK knows would be None here, because nobody sets it. Only views have a definition, and
        // views are never updated
        let said = format!("{input:?}").replace("view_definition: None", "");
        assert!(!said.contains("None"), "not everything was copied: {said}");
    }

    #[test]
    fn columns_are_added_behind_and_replaced() {
        let wanted = CuratedTable::StepTrainerTrusted.columns();
        let names = |input: TableInput| {
            let storage = input.storage_descriptor.expect("it has one");
            storage.columns().iter().map(|column| column.name().to_owned()).collect::<Vec<_>>()
        };
        let added = changed_input(&full(), &change(ColumnChange::Append(wanted[..1].to_vec()))).expect("it has a name");
        assert_eq!(added.storage_descriptor().expect("it has one").columns()[0].comment(), Some("c"));
        assert_eq!(names(added), ["a", "sensorreadingtime"]);
        let replaced = changed_input(&full(), &change(ColumnChange::Replace(wanted.to_vec()))).expect("it has a name");
        assert_eq!(names(replaced), wanted.iter().map(|c: &table::Column| c.name).collect::<Vec<_>>());
    }
}
