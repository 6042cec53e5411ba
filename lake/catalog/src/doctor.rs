//! Whether a catalog can be asked: what a doctor checks before there is anything to publish. Nothing is changed.

use stedi_lake::catalog::LakeTable;

use crate::error::CatalogError;
use crate::port::Catalog;

/// One thing that was looked at.
#[derive(Debug)]
pub struct Look {
    /// What was asked: `glue:GetTable stedi.customer_trusted`.
    pub asked: String,
    /// What the catalog said, in a few words.
    pub said: Result<&'static str, CatalogError>,
}

/// Asks `catalog` for the database and each of the eight tables. That they are not there is no fault: they are created.
/// Whether they may be changed shows only when they are.
pub async fn look<C: Catalog>(catalog: &C) -> Vec<Look> {
    let there = |is_there| if is_there { "it is there" } else { "it is not there yet, and is created" };
    let database = catalog.database();
    let mut looks =
        vec![Look { asked: format!("glue:GetDatabase {database}"), said: catalog.has_database().await.map(there) }];
    for table in LakeTable::ALL {
        looks.push(Look {
            asked: format!("glue:GetTable {database}.{}", table.name()),
            said: catalog.table(table.name()).await.map(|found| there(found.is_some())),
        });
    }
    looks
}
