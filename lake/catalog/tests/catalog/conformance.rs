//! What every implementation of the port must do.

use stedi_catalog::{Catalog, Reason};
use stedi_lake::catalog::LakeTable;
use stedi_lake::catalog::publish::{Change, ColumnChange, Decision, Mark, decide};
use stedi_lake::{CuratedTable, LandingTable};

use crate::memory::Memory;
use crate::scene::{definition, mark, up_to};

const TABLE: LakeTable = LakeTable::Curated(CuratedTable::StepTrainerTrusted);

/// Runs the suite on a database that is not there yet.
pub(crate) async fn suite(catalog: &impl Catalog) {
    database(catalog).await;
    tables(catalog).await;
    compare_and_swap(catalog).await;
    columns(catalog).await;
}

async fn database(catalog: &impl Catalog) {
    assert_eq!(catalog.has_database().await.ok(), Some(false));
    assert!(catalog.table(TABLE.name()).await.expect("no database has no tables").is_none());
    let Decision::Create(parameters) = decide(None, &definition(TABLE, 1), &mark(1), up_to(1)) else {
        panic!("nothing is there")
    };
    let error = catalog.create_table(&definition(TABLE, 1), &parameters).await.expect_err("there is no database");
    assert_eq!(error.reason, Reason::NotFound, "{error}");
    catalog.create_database().await.expect("it is not there");
    assert_eq!(catalog.has_database().await.ok(), Some(true));
    let error = catalog.create_database().await.expect_err("it is there");
    assert_eq!(error.reason, Reason::Exists, "{error}");
}

async fn tables(catalog: &impl Catalog) {
    for table in [LakeTable::Landing(LandingTable::Customer), TABLE] {
        assert!(catalog.table(table.name()).await.expect("it answers").is_none());
        let wanted = definition(table, 1);
        let Decision::Create(parameters) = decide(None, &wanted, &mark(1), up_to(1)) else { panic!("it is not there") };
        catalog.create_table(&wanted, &parameters).await.expect("it is not there");
        let error = catalog.create_table(&wanted, &parameters).await.expect_err("it is there");
        assert_eq!(error.reason, Reason::Exists, "{error}");
        let found = catalog.table(table.name()).await.expect("it answers").expect("it was created").table;
        assert_eq!(found.table_type.as_deref(), Some("EXTERNAL_TABLE"));
        assert_eq!(found.location.as_deref(), Some(wanted.location.as_str()));
        assert_eq!(found.serde.as_deref(), Some(table.format().serde()));
        assert_eq!(found.columns.len(), table.columns().len());
        assert_eq!(found.parameters, parameters);
        assert!(!found.is_partitioned);
        assert_eq!(
            decide(Some(&found), &wanted, &mark(1), up_to(1)),
            Decision::Keep,
            "what was written is what is read"
        );
    }
}

/// Of two writers who read the same version, the second one loses, whatever it writes.
async fn compare_and_swap(catalog: &impl Catalog) {
    let name = TABLE.name();
    let read = || async { catalog.table(name).await.expect("it answers").expect("it is there") };
    let change = |seq: u64| match decide(None, &definition(TABLE, seq), &mark(seq), up_to(seq)) {
        Decision::Create(parameters) => {
            Change { location: definition(TABLE, seq).location, parameters, columns: ColumnChange::Keep }
        }
        other => panic!("{other:?}"),
    };
    let (first, second) = (read().await, read().await);
    catalog.update_table(&first.original, &change(2)).await.expect("it is as it was");
    for seq in [2, 3] {
        let error = catalog.update_table(&second.original, &change(seq)).await.expect_err("it has another version");
        assert_eq!(error.reason, Reason::Conflict, "{error}");
    }
    let now = read().await;
    assert_eq!(Mark::of(&now.table.parameters), Some(mark(2)));
    assert_eq!(now.table.location, Some(definition(TABLE, 2).location));
    catalog.update_table(&now.original, &change(3)).await.expect("it was read again");
    assert_eq!(Mark::of(&read().await.table.parameters), Some(mark(3)));
}

async fn columns(catalog: &impl Catalog) {
    let name = TABLE.name();
    let read = || async { catalog.table(name).await.expect("it answers").expect("it is there") };
    let all = TABLE.columns();
    for (columns, expected) in [
        (ColumnChange::Replace(all[..1].to_vec()), vec![all[0].name]),
        (ColumnChange::Append(all[1..].to_vec()), all.iter().map(|column| column.name).collect()),
        (ColumnChange::Keep, all.iter().map(|column| column.name).collect()),
    ] {
        let before = read().await;
        let location = before.table.location.clone().expect("it has one");
        let change = Change { location, parameters: before.table.parameters.clone(), columns };
        catalog.update_table(&before.original, &change).await.expect("it is as it was");
        let now = read().await.table;
        assert_eq!(now.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(now.parameters, before.table.parameters);
    }
}

#[tokio::test]
async fn a_catalog_in_memory_conforms() {
    suite(&Memory::default()).await;
}
