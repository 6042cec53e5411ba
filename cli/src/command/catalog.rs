//! What commands have to do with a catalog: publish, compare, and say so. A build without the feature `glue` knows no
//! catalog, and says that before it does anything else.

use stedi_run::{CatalogOptions, PublishFlags};
use stedi_store::Lake;

/// What a build without a catalog says.
#[cfg(not(feature = "glue"))]
pub(super) const WITHOUT: &str = "this build knows no catalog: build it with `cargo build --release --features glue`, or let \
                       `stedi ddl` print the tables";

/// A catalog that can be published to.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "glue"), expect(dead_code, reason = "there is no target without a catalog"))]
pub(crate) struct Target {
    pub(crate) database: String,
    pub(crate) flags: PublishFlags,
}

impl Target {
    /// The catalog that the options name, if one is named and the tables of `lake` can be published to it.
    pub(crate) fn of(lake: &Lake, options: &CatalogOptions, flags: PublishFlags) -> anyhow::Result<Option<Self>> {
        let Some(database) = options.published_to() else { return Ok(None) };
        check(lake)?;
        Ok(Some(Self { database: database.to_owned(), flags }))
    }
}

#[cfg(not(feature = "glue"))]
fn check(_: &Lake) -> anyhow::Result<()> {
    anyhow::bail!(WITHOUT)
}

/// A catalog beside a commit: there is none.
#[cfg(not(feature = "glue"))]
#[derive(serde::Serialize)]
pub(crate) enum Comparison {}

#[cfg(not(feature = "glue"))]
impl Comparison {
    pub(crate) fn of(_: &Lake, _: &stedi_lake::commit::CommitRecord, _: &str) -> anyhow::Result<Self> {
        anyhow::bail!(WITHOUT)
    }

    pub(crate) fn describe(&self, _: &Lake) -> String {
        match *self {}
    }
}

#[cfg(not(feature = "glue"))]
impl Target {
    pub(crate) fn finish_interrupted(&self, _: &Lake) {}

    pub(crate) fn runs_shown(&self, _: &Lake) -> anyhow::Result<std::collections::BTreeSet<stedi_lake::RunId>> {
        anyhow::bail!(WITHOUT)
    }

    pub(crate) fn publish_committed(&self, _: &Lake) -> anyhow::Result<()> {
        anyhow::bail!(WITHOUT)
    }
}

#[cfg(feature = "glue")]
pub(crate) use glue::{Comparison, published_table};

#[cfg(feature = "glue")]
use glue::check;

#[cfg(feature = "glue")]
mod glue {
    use std::collections::{BTreeMap, BTreeSet};

    use anyhow::Context as _;
    use serde::Serialize;
    use stedi_catalog::{Glue, Outcome, PublishError, PublishOptions, Published, TableStatus};
    use stedi_lake::RunId;
    use stedi_lake::commit::CommitRecord;
    use stedi_store::Lake;

    use super::Target;
    use crate::command::block_on;
    use crate::text::{self, Align, table};

    pub(super) fn check(lake: &Lake) -> anyhow::Result<()> {
        Ok(stedi_catalog::check_place(lake)?)
    }

    impl Target {
        /// Publishes the current commit.
        pub(crate) fn publish(&self, lake: &Lake) -> Result<Published, anyhow::Error> {
            Ok(block_on(self.publish_latest(lake))??)
        }

        async fn publish_latest(&self, lake: &Lake) -> Result<Published, PublishError> {
            let catalog = Glue::of_environment(&self.database).await;
            let options = PublishOptions { adopt: self.flags.adopt, replace_columns: self.flags.replace_columns };
            // futures of the SDK are large
            Box::pin(stedi_catalog::publish_latest(lake, &catalog, options)).await
        }

        /// Finishes what a publisher before this one has left undone. That it cannot be done now is no reason not to
        /// run: it is tried again afterwards.
        pub(crate) fn finish_interrupted(&self, lake: &Lake) {
            let database = &self.database;
            match block_on(self.publish_latest(lake)) {
                Ok(Ok(published)) if published.is_news() => {
                    eprintln!("stedi: {database} was behind; it shows commit {} now", published.seq);
                }
                Ok(Ok(_) | Err(PublishError::NoCommit(_))) => {}
                Ok(Err(error)) => eprintln!(
                    "stedi: {database} does not show the current commit, and is tried again after this run: {:#}",
                    anyhow::Error::from(error)
                ),
                Err(error) => eprintln!("stedi: {database} is tried after this run: {error:#}"),
            }
        }

        /// The runs whose parts the catalog shows.
        pub(crate) fn runs_shown(&self, lake: &Lake) -> anyhow::Result<BTreeSet<RunId>> {
            Ok(block_on(async {
                let catalog = Glue::of_environment(&self.database).await;
                stedi_catalog::runs_shown(&catalog, lake.uri()).await
            })??)
        }

        /// Publishes after a commit was made or found to be current.
        pub(crate) fn publish_committed(&self, lake: &Lake) -> anyhow::Result<()> {
            let database = &self.database;
            let published = self.publish(lake).with_context(|| {
                format!(
                    "the commit stands, but the catalog's database {database} does not show it, or not with all tables; \
                     when what follows is mended, `stedi publish --lake {} --catalog glue --database {database}` or the \
                     next run does it",
                    lake.uri()
                )
            })?;
            eprintln!("stedi: {}", said(database, &published));
            Ok(())
        }
    }

    /// `stedi shows commit 3: 5 tables changed, 3 as they were`.
    fn said(database: &str, published: &Published) -> String {
        let changed = published.changed();
        let left_out: Vec<_> =
            published.left_out().map(|(table, why)| format!("; {} is left out: {why}", table.name())).collect();
        format!(
            "{database} shows commit {}: {} changed, {} as they were{}",
            published.seq,
            text::number_of(changed, "table", "tables"),
            published.tables.len() as u64 - changed - left_out.len() as u64,
            left_out.concat()
        )
    }

    /// What became of each table, as a table.
    pub(crate) fn published_table(database: &str, published: &Published) -> String {
        let row = |(table, outcome): &(stedi_lake::catalog::LakeTable, Outcome)| {
            let said = match outcome {
                Outcome::LeftOut(why) => format!("left out: {why}"),
                outcome => outcome.word().to_owned(),
            };
            [format!("{database}.{}", table.name()), said]
        };
        let rows: Vec<_> = published.tables.iter().map(row).collect();
        let tables = table([("table", Align::Left), ("", Align::Left)], &rows);
        format!("{tables}\n{}\n", said(database, published))
    }

    /// A catalog beside a commit.
    #[derive(Serialize)]
    pub(crate) struct Comparison {
        database: String,
        /// Whether every table that has a location shows the commit.
        in_step: bool,
        tables: BTreeMap<&'static str, ComparedTable>,
        #[serde(skip)]
        order: Vec<&'static str>,
    }

    #[derive(Serialize)]
    struct ComparedTable {
        status: &'static str,
        seq: Option<u64>,
        run_id: Option<RunId>,
        location: Option<String>,
        why: Option<String>,
    }

    impl Comparison {
        /// Asks the catalog.
        pub(crate) fn of(lake: &Lake, commit: &CommitRecord, database: &str) -> anyhow::Result<Self> {
            check(lake)?;
            let statuses = block_on(async {
                let catalog = Glue::of_environment(database).await;
                stedi_catalog::tables(&catalog, lake.uri(), commit).await
            })??;
            let in_step =
                statuses.iter().all(|(_, status)| matches!(status, TableStatus::Current { .. } | TableStatus::LeftOut));
            let order = statuses.iter().map(|(table, _)| table.name()).collect();
            let tables = statuses.into_iter().map(|(table, status)| (table.name(), compared(status, commit))).collect();
            Ok(Self { database: database.to_owned(), in_step, tables, order })
        }

        /// For people.
        pub(crate) fn describe(&self, lake: &Lake) -> String {
            use Align::{Left, Right};
            let columns = [("catalog", Left), ("", Left), ("commit", Right), ("run", Left), ("location", Left)];
            let row = |name: &&'static str| {
                let ComparedTable { status, seq, run_id, location, why } = &self.tables[*name];
                let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let place = why.clone().or_else(|| location.clone());
                [
                    format!("{}.{name}", self.database),
                    status.to_string(),
                    text(seq.map(|seq| seq.to_string())),
                    text(run_id.map(|run| run.to_string())),
                    text(place),
                ]
            };
            let rows: Vec<_> = self.order.iter().map(row).collect();
            let verdict = match self.in_step {
                true => "the catalog shows this commit".to_owned(),
                false => format!(
                    "SKEW: the catalog does not show this commit with all tables; `stedi publish --lake {} --catalog glue \
                     --database {}` does",
                    lake.uri(),
                    self.database
                ),
            };
            format!("{}\n{verdict}\n", table(columns, &rows))
        }
    }

    fn compared(status: TableStatus, commit: &CommitRecord) -> ComparedTable {
        let mut table = ComparedTable { status: status.word(), seq: None, run_id: None, location: None, why: None };
        let mut shows = None;
        match status {
            TableStatus::Current { location } => {
                table.location = Some(location);
                table.seq = Some(commit.seq);
                table.run_id = Some(commit.run_id);
            }
            TableStatus::Behind { location, shows: mark } => {
                table.location = Some(location);
                shows = mark;
            }
            TableStatus::Ahead { location, shows: mark } => {
                table.location = Some(location);
                shows = Some(mark);
            }
            TableStatus::Foreign { why } => table.why = Some(why.to_string()),
            TableStatus::Missing | TableStatus::LeftOut => {}
        }
        if let Some(mark) = shows {
            table.seq = Some(mark.seq);
            table.run_id = Some(mark.run_id);
        }
        table
    }
}
