//! The port: what publishing needs of a catalog.

use std::collections::BTreeMap;
use stedi_lake::catalog::TableDefinition;
use stedi_lake::catalog::publish::{CatalogTable, Change};

use crate::error::CatalogError;

/// A table that a catalog has.
#[derive(Clone, Debug)]
pub struct Found<O> {
    /// What decisions rest on.
    pub table: CatalogTable,
    /// All of it, with its version, as [`Catalog::update_table`] takes it back.
    pub original: O,
}

/// One database of a catalog.
///
/// Every call may fail after it was performed: its caller reads back before it decides.
pub trait Catalog: Sync {
    /// A whole table and its version.
    type Original: Send + Sync;

    /// The database's name.
    fn database(&self) -> &str;

    /// Waits before a request is made anew that has failed `failures` times.
    fn pause(&self, failures: u32) -> impl Future<Output = ()> + Send;

    /// Whether the database is there.
    ///
    /// # Errors
    /// If the catalog does not say.
    fn has_database(&self) -> impl Future<Output = Result<bool, CatalogError>> + Send;

    /// Creates the database.
    ///
    /// # Errors
    /// [`Reason::Exists`](crate::Reason::Exists) if it is there; or if the catalog fails or refuses.
    fn create_database(&self) -> impl Future<Output = Result<(), CatalogError>> + Send;

    /// A table, `None` if there is none, nor its database.
    ///
    /// # Errors
    /// If the catalog does not say.
    fn table(&self, name: &str) -> impl Future<Output = Result<Option<Found<Self::Original>>, CatalogError>> + Send;

    /// Creates a table as it is defined, with these parameters.
    ///
    /// # Errors
    /// [`Reason::Exists`](crate::Reason::Exists) if it is there, [`Reason::NotFound`](crate::Reason::NotFound) if there is
    /// no database; or if the catalog fails or refuses.
    fn create_table(
        &self,
        definition: &TableDefinition,
        parameters: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), CatalogError>> + Send;

    /// Changes a table, if it still has the version of `original`; everything that `change` does not name stays. Tried
    /// once: a second try of the same request could find its own work and call it a conflict.
    ///
    /// # Errors
    /// [`Reason::Conflict`](crate::Reason::Conflict) if it has another version; or if the catalog fails or refuses.
    fn update_table(
        &self,
        original: &Self::Original,
        change: &Change,
    ) -> impl Future<Output = Result<(), CatalogError>> + Send;
}
