//! The Glue Data Catalog.

mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_glue::Client;
use aws_sdk_glue::config::Builder;
use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::timeout::TimeoutConfig;
use aws_sdk_glue::types::{DatabaseInput, Table};
use stedi_lake::catalog::TableDefinition;
use stedi_lake::catalog::publish::Change;

use crate::error::{CatalogError, Reason};
use crate::port::{Catalog, Found};
use crate::publish::CREATE_DATABASE;

/// Attempts of a request that may be repeated as it is. What fails in spite of it is read back, and decided anew.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Pauses before a change is tried anew: of up to 0.2 s, doubling to up to 10 s; ten attempts take half a minute.
const FIRST_CHANGE_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_CHANGE_PAUSE: Duration = Duration::from_secs(10);

/// What a database that we create says of itself.
const DATABASE_DESCRIPTION: &str = "STEDI: step trainer, accelerometer and customer data, curated for research";

/// One database of the Glue Data Catalog of this account and region.
#[derive(Clone, Debug)]
pub struct Glue {
    client: Client,
    database: String,
}

impl Glue {
    /// The database `database`, reached as the environment says; nothing is asked yet. `AWS_ENDPOINT_URL_GLUE` and
    /// `AWS_ENDPOINT_URL` name another endpoint.
    pub async fn of_environment(database: &str) -> Self {
        let shared = stedi_store::aws::configuration("Glue").await;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let config = Builder::from(&shared).timeout_config(timeouts).retry_config(retries).build();
        Self::new(Client::from_conf(config), database)
    }

    /// The database `database` of whatever `client` asks.
    pub fn new(client: Client, database: &str) -> Self {
        Self { client, database: database.to_owned() }
    }

    fn object(&self, table: &str) -> String {
        format!("table {}.{table}", self.database)
    }

    fn database_object(&self) -> String {
        format!("database {}", self.database)
    }
}

impl Catalog for Glue {
    type Original = Table;

    fn database(&self) -> &str {
        &self.database
    }

    async fn pause(&self, failures: u32) {
        let doubled = FIRST_CHANGE_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let mut random = [0];
        // of random length, so that many who failed together do not come back together; without randomness, half
        let share = getrandom::fill(&mut random).map_or(128, |()| u32::from(random[0]) + 1);
        tokio::time::sleep(doubled.min(LONGEST_CHANGE_PAUSE) * share / 256).await;
    }

    async fn has_database(&self) -> Result<bool, CatalogError> {
        match self.client.get_database().name(&self.database).send().await {
            Ok(_) => Ok(true),
            Err(error) => match CatalogError::of_sdk("glue:GetDatabase", self.database_object(), &error) {
                error if error.reason == Reason::NotFound => Ok(false),
                error => Err(error),
            },
        }
    }

    async fn create_database(&self) -> Result<(), CatalogError> {
        let failed =
            |detail: String| CatalogError::new(Reason::Refused, CREATE_DATABASE, self.database_object(), detail);
        let input = DatabaseInput::builder().name(&self.database).description(DATABASE_DESCRIPTION).build();
        let input = input.map_err(|error| failed(error.to_string()))?;
        let created = self.client.create_database().database_input(input).send().await;
        created.map(|_| ()).map_err(|error| CatalogError::of_sdk(CREATE_DATABASE, self.database_object(), &error))
    }

    async fn table(&self, name: &str) -> Result<Option<Found<Table>>, CatalogError> {
        match self.client.get_table().database_name(&self.database).name(name).send().await {
            Ok(answer) => Ok(answer.table.map(|original| Found { table: table::known(&original), original })),
            Err(error) => match CatalogError::of_sdk("glue:GetTable", self.object(name), &error) {
                error if error.reason == Reason::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn create_table(
        &self,
        definition: &TableDefinition,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), CatalogError> {
        const ACTION: &str = "glue:CreateTable";
        let object = self.object(definition.table.name());
        let input = table::input_of_definition(definition, parameters)
            .map_err(|error| CatalogError::new(Reason::Refused, ACTION, &object, error.to_string()))?;
        let created = self.client.create_table().database_name(&self.database).table_input(input).send().await;
        created.map(|_| ()).map_err(|error| CatalogError::of_sdk(ACTION, object, &error))
    }

    async fn update_table(&self, original: &Table, change: &Change) -> Result<(), CatalogError> {
        const ACTION: &str = "glue:UpdateTable";
        let object = self.object(original.name());
        let refused = |detail: String| CatalogError::new(Reason::Refused, ACTION, &object, detail);
        // without a version it would be a write, not a compare-and-swap
        let version = original.version_id().ok_or_else(|| refused("the table has no VersionId".to_owned()))?;
        let input = table::changed_input(original, change).map_err(|error| refused(error.to_string()))?;
        let request = self.client.update_table().database_name(&self.database).table_input(input);
        // a version of the table for every run would end at the quota of versions; the log of commits keeps them all
        let request = request.version_id(version).skip_archive(true);
        let once = aws_sdk_glue::config::Config::builder().retry_config(RetryConfig::disabled());
        let updated = request.customize().config_override(once).send().await;
        updated.map(|_| ()).map_err(|error| CatalogError::of_sdk(ACTION, object, &error))
    }
}
