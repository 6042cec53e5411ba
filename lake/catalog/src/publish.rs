//! Publishing one commit: table after table, each by one compare-and-swap, read back after whatever goes wrong.

use stedi_lake::RunId;
use stedi_lake::catalog::publish::{Decision, Mark, Policy, Refusal, decide};
use stedi_lake::catalog::{LakeTable, NoLocation, TableDefinition, s3_definition};
use stedi_lake::commit::CommitRecord;
use stedi_store::{LogError, fault};

use crate::error::{CatalogError, Reason};
use crate::port::Catalog;

/// How often a change is tried before it fails.
const ATTEMPTS: u32 = 10;

/// What is in a catalog now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The commit's sequence number.
    pub seq: u64,
    /// The run that wrote its parts.
    pub run_id: RunId,
    /// What became of each of the eight tables.
    pub tables: Vec<(LakeTable, Outcome)>,
}

impl Published {
    /// Number of tables that were created or changed.
    pub fn changed(&self) -> u64 {
        let changed = |outcome: &Outcome| matches!(outcome, Outcome::Created | Outcome::Updated);
        self.tables.iter().filter(|(_, outcome)| changed(outcome)).count() as u64
    }

    /// Whether anything was changed.
    pub fn is_news(&self) -> bool {
        self.changed() > 0
    }

    /// The landing tables that were left out, and why.
    pub fn left_out(&self) -> impl Iterator<Item = (LakeTable, &NoLocation)> {
        self.tables.iter().filter_map(|(table, outcome)| match outcome {
            Outcome::LeftOut(why) => Some((*table, why)),
            _ => None,
        })
    }
}

/// What became of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It shows this commit now.
    Updated,
    /// It did already.
    Unchanged,
    /// It is a landing table without one location; what the catalog has is as it was.
    LeftOut(NoLocation),
}

impl Outcome {
    /// One word for it, as reports have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::LeftOut(_) => "left_out",
        }
    }
}

/// Why a catalog does not show a commit, or not with all tables. Publishing again goes on where this stopped.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Only S3 is read by those who ask a catalog.
    #[error("{0} is not in S3, and Athena reads nothing else: publish a lake at s3://bucket/prefix")]
    NotInS3(String),
    /// There is nothing to publish.
    #[error("nothing was ever committed to {0}: `stedi run` does")]
    NoCommit(String),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database is missing.
    #[error("there is no database {database}, and it cannot be created: create it, or allow glue:CreateDatabase")]
    NoDatabase {
        /// The database.
        database: String,
        /// Why it cannot be created.
        source: CatalogError,
    },
    /// A table is not ours to change.
    #[error("table {table} is left as it is")]
    Refused {
        /// The table, with its database.
        table: String,
        /// Why.
        #[source]
        why: Refusal,
    },
    /// A later commit is there already.
    #[error("table {table} shows commit {} of run {} already", by.seq, by.run_id)]
    Superseded {
        /// The table, with its database.
        table: String,
        /// The later commit.
        by: Mark,
    },
    /// The catalog failed or refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Makes `catalog` show `commit` of the lake at `lake`, an `s3://` URI: the tables in the order of their dependencies, all
/// or, after an error, the first of them.
///
/// # Errors
/// If a table cannot be or is not to be changed. Those before it in [`LakeTable::ALL`] show the commit then.
pub async fn publish<C: Catalog>(
    catalog: &C,
    lake: &str,
    commit: &CommitRecord,
    policy: Policy,
) -> Result<Published, PublishError> {
    fault::point("before_publish");
    ensure_database(catalog).await?;
    let mark = Mark { lake: lake.to_owned(), run_id: commit.run_id, seq: commit.seq };
    let mut tables = Vec::new();
    for table in LakeTable::ALL {
        let outcome = match s3_definition(table, lake, commit) {
            Ok(definition) => publish_table(catalog, &definition, &mark, policy).await?,
            Err(why) => Outcome::LeftOut(why),
        };
        tables.push((table, outcome));
        fault::point("table_published");
    }
    Ok(Published { seq: commit.seq, run_id: commit.run_id, tables })
}

async fn ensure_database<C: Catalog>(catalog: &C) -> Result<(), PublishError> {
    let mut failures = 0;
    loop {
        let error = match catalog.has_database().await {
            Ok(true) => return Ok(()),
            Ok(false) => match catalog.create_database().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        failures += 1;
        let is_creation = error.action == CREATE_DATABASE;
        match error.is_passing() && failures < ATTEMPTS {
            true => catalog.pause(failures).await,
            false if is_creation => {
                return Err(PublishError::NoDatabase { database: catalog.database().to_owned(), source: error });
            }
            false => return Err(error.into()),
        }
    }
}

/// As IAM calls it.
pub(crate) const CREATE_DATABASE: &str = "glue:CreateDatabase";

async fn publish_table<C: Catalog>(
    catalog: &C,
    wanted: &TableDefinition,
    mark: &Mark,
    policy: Policy,
) -> Result<Outcome, PublishError> {
    let name = wanted.table.name();
    let full_name = || format!("{}.{name}", catalog.database());
    let mut failures = 0;
    // what an attempt that failed would have made of the table, if it did not fail after all
    let mut tried = Outcome::Unchanged;
    loop {
        let attempt = match catalog.table(name).await {
            Err(error) => Err(error),
            Ok(found) => match decide(found.as_ref().map(|found| &found.table), wanted, mark, policy) {
                Decision::Keep => return Ok(tried),
                Decision::Superseded(by) => return Err(PublishError::Superseded { table: full_name(), by }),
                Decision::Refuse(why) => return Err(PublishError::Refused { table: full_name(), why }),
                Decision::Create(parameters) => {
                    tried = Outcome::Created;
                    catalog.create_table(wanted, &parameters).await
                }
                Decision::Update(change) => {
                    tried = Outcome::Updated;
                    let found = found.expect("only a table that was found is updated");
                    catalog.update_table(&found.original, &change).await
                }
            },
        };
        let Err(error) = attempt else { return Ok(tried) };
        failures += 1;
        if !error.is_passing() || failures >= ATTEMPTS {
            return match catalog.table(name).await {
                // the last attempt may have been performed, too
                Ok(Some(found)) if decide(Some(&found.table), wanted, mark, policy) == Decision::Keep => Ok(tried),
                _ => Err(error.into()),
            };
        }
        if !matches!(error.reason, Reason::Conflict | Reason::Exists) {
            catalog.pause(failures).await;
        }
    }
}
