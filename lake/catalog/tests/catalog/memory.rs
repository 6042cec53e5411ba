//! A catalog in memory that fails on request.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};

use stedi_catalog::{Catalog, CatalogError, Found, Reason};
use stedi_lake::catalog::TableDefinition;
use stedi_lake::catalog::publish::{CatalogTable, Change, ColumnChange};
use stedi_lake::table::Column;

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It fails with this reason and does nothing.
    Fail(Reason),
    /// It does what it should, and its answer is lost.
    LoseReply,
    /// Before it, somebody sets a parameter of the table.
    Edit(&'static str, &'static str),
    /// Before it, another publisher puts this table there.
    Rival(CatalogTable),
}

/// A table with its version and what no decision rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    name: String,
    pub(crate) table: CatalogTable,
    version: u64,
    /// Stands for owner, retention and all else.
    pub(crate) owner: String,
}

#[derive(Debug, Default)]
struct State {
    has_database: bool,
    tables: BTreeMap<String, Stored>,
    /// Faults of calls to come, by action.
    faults: BTreeMap<&'static str, VecDeque<Option<Fault>>>,
    calls: Vec<&'static str>,
}

/// One database.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<State>);

impl Memory {
    pub(crate) fn with_database() -> Self {
        let memory = Self::default();
        memory.state().has_database = true;
        memory
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// The next calls of `action` meet these faults, one each.
    pub(crate) fn fail(&self, action: &'static str, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.state().faults.entry(action).or_default().extend(faults);
    }

    /// Everything that is there.
    pub(crate) fn all(&self) -> BTreeMap<String, Stored> {
        self.state().tables.clone()
    }

    /// How often `action` was called.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.state().calls.iter().filter(|call| **call == action).count()
    }

    /// Puts a table there that we did not make.
    pub(crate) fn put(&self, name: &str, table: CatalogTable, owner: &str) {
        let stored = Stored { name: name.to_owned(), table, version: 1, owner: owner.to_owned() };
        self.state().tables.insert(name.to_owned(), stored);
    }

    /// Performs `work` as a call of `action`, with what goes wrong.
    fn call<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl FnOnce(&mut State) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut state = self.state();
        state.calls.push(action);
        let failed = |reason| CatalogError::new(reason, action, name, "made up");
        match state.faults.get_mut(action).and_then(VecDeque::pop_front).flatten() {
            None => work(&mut state),
            Some(Fault::Fail(reason)) => Err(failed(reason)),
            Some(Fault::LoseReply) => work(&mut state).and_then(|_| Err(failed(Reason::Ambiguous))),
            Some(Fault::Edit(key, value)) => {
                if let Some(stored) = state.tables.get_mut(name) {
                    stored.table.parameters.insert(key.to_owned(), value.to_owned());
                    stored.version += 1;
                }
                work(&mut state)
            }
            Some(Fault::Rival(table)) => {
                let version = state.tables.get(name).map_or(1, |stored| stored.version + 1);
                let owner = "rival".to_owned();
                state.tables.insert(name.to_owned(), Stored { name: name.to_owned(), table, version, owner });
                work(&mut state)
            }
        }
    }
}

fn columns(columns: &[Column]) -> Vec<(String, String)> {
    columns.iter().map(|column| (column.name.to_owned(), column.ty.athena().to_owned())).collect()
}

impl Catalog for Memory {
    type Original = Stored;

    fn database(&self) -> &str {
        "memory"
    }

    async fn pause(&self, _: u32) {}

    async fn has_database(&self) -> Result<bool, CatalogError> {
        self.call("glue:GetDatabase", "", |state| Ok(state.has_database))
    }

    async fn create_database(&self) -> Result<(), CatalogError> {
        self.call("glue:CreateDatabase", "", |state| match std::mem::replace(&mut state.has_database, true) {
            true => Err(CatalogError::new(Reason::Exists, "glue:CreateDatabase", "memory", "")),
            false => Ok(()),
        })
    }

    async fn table(&self, name: &str) -> Result<Option<Found<Stored>>, CatalogError> {
        self.call("glue:GetTable", name, |state| {
            let found = state.tables.get(name).cloned();
            Ok(found.map(|original| Found { table: original.table.clone(), original }))
        })
    }

    async fn create_table(
        &self,
        definition: &TableDefinition,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), CatalogError> {
        let name = definition.table.name();
        let failed = |reason| CatalogError::new(reason, "glue:CreateTable", name, "");
        self.call("glue:CreateTable", name, |state| {
            if !state.has_database {
                return Err(failed(Reason::NotFound));
            }
            if state.tables.contains_key(name) {
                return Err(failed(Reason::Exists));
            }
            let table = CatalogTable {
                table_type: Some("EXTERNAL_TABLE".to_owned()),
                location: Some(definition.location.clone()),
                serde: Some(definition.table.format().serde().to_owned()),
                columns: columns(definition.table.columns()),
                is_partitioned: false,
                parameters: parameters.clone(),
            };
            let stored = Stored { name: name.to_owned(), table, version: 0, owner: String::new() };
            state.tables.insert(name.to_owned(), stored);
            Ok(())
        })
    }

    async fn update_table(&self, original: &Stored, change: &Change) -> Result<(), CatalogError> {
        let name = original.name.as_str();
        let failed = |reason| CatalogError::new(reason, "glue:UpdateTable", name, "");
        self.call("glue:UpdateTable", name, |state| {
            let stored = state.tables.get_mut(name).ok_or_else(|| failed(Reason::NotFound))?;
            if stored.version != original.version {
                return Err(failed(Reason::Conflict));
            }
            // as Glue does it: the whole table becomes what the update says
            let mut table = original.table.clone();
            table.location = Some(change.location.clone());
            table.parameters.extend(change.parameters.clone());
            match &change.columns {
                ColumnChange::Keep => {}
                ColumnChange::Append(added) => table.columns.extend(columns(added)),
                ColumnChange::Replace(all) => table.columns = columns(all),
            }
            *stored = Stored { table, version: original.version + 1, ..original.clone() };
            Ok(())
        })
    }
}
