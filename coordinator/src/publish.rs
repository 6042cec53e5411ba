//! The catalog after a commit, and before a run, if an earlier one was interrupted.

use stedi_catalog::{Glue, PublishError, PublishOptions, Published, check_place, publish_latest};
use stedi_store::Lake;

use crate::args::RunCommand;
use crate::error::ServeError;

/// A catalog that a run publishes to.
pub(crate) struct Publisher {
    lake: Lake,
    glue: Glue,
    options: PublishOptions,
}

impl Publisher {
    /// The catalog that the arguments name, if they name one.
    pub(crate) async fn of(args: &RunCommand) -> Result<Option<Self>, ServeError> {
        let Some(database) = args.catalog.published_to() else { return Ok(None) };
        let lake = Lake::open(&args.lake)?;
        check_place(&lake).map_err(|error| ServeError::Catalog(Box::new(error)))?;
        let options = PublishOptions { adopt: args.flags.adopt, replace_columns: args.flags.replace_columns };
        Ok(Some(Self { lake, glue: Glue::of_environment(database).await, options }))
    }

    async fn publish(&self) -> Result<Published, PublishError> {
        // futures of the SDK are large
        Box::pin(publish_latest(&self.lake, &self.glue, self.options)).await
    }

    fn database(&self) -> &str {
        use stedi_catalog::Catalog as _;
        self.glue.database()
    }

    /// Finishes what a publisher before this one has left undone. That it cannot be done now is no reason not to run: it is
    /// tried again afterwards.
    pub(crate) async fn finish_interrupted(&self) {
        match self.publish().await {
            Ok(published) if published.is_news() => {
                tracing::info!(database = self.database(), commit = published.seq, "finished an interrupted publish");
            }
            Ok(_) | Err(PublishError::NoCommit(_)) => {}
            Err(error) => {
                let error = stedi_endpoint::log::chain(&error);
                tracing::warn!(database = self.database(), error, "the catalog does not show the current commit yet");
            }
        }
    }

    /// Publishes after a commit was made or found to be current.
    pub(crate) async fn publish_committed(&self) -> Result<(), ServeError> {
        let published = self.publish().await.map_err(|source| ServeError::Publish {
            database: self.database().to_owned(),
            lake: self.lake.uri().to_owned(),
            source: Box::new(source),
        })?;
        for (table, why) in published.left_out() {
            tracing::warn!(table = table.name(), %why, "left out of the catalog");
        }
        let (changed, commit) = (published.changed(), published.seq);
        tracing::info!(database = self.database(), commit, changed, "the catalog shows the commit");
        Ok(())
    }
}
