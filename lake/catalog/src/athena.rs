//! Athena: queries, their rows, and what they scanned.

use std::time::Duration;

use aws_sdk_athena::Client;
use aws_sdk_athena::config::Builder;
use aws_sdk_athena::config::retry::RetryConfig;
use aws_sdk_athena::config::timeout::TimeoutConfig;
use aws_sdk_athena::types::{QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, Row};

use crate::error::{CatalogError, Reason};

const ATTEMPTS: u32 = 6;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a query is asked whether it is done: soon at first, then at longer intervals.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// How long a query may take, from its submission on. Athena itself gives up after half an hour.
const QUERY_TIME: Duration = Duration::from_secs(30 * 60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AthenaError {
    /// Athena failed or refused.
    #[error(transparent)]
    Call(#[from] CatalogError),
    /// The query failed.
    #[error("query {id} failed: {why}")]
    Failed {
        /// Its id, for the console.
        id: String,
        /// What Athena says.
        why: String,
    },
    /// The query went on for too long and was cancelled.
    #[error("query {id} was cancelled after {} s: look at the workgroup's queue and limits", QUERY_TIME.as_secs())]
    TooLong {
        /// Its id, for the console.
        id: String,
    },
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its rows, without the heading; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Bytes that it read, which is what it is billed by.
    pub scanned_bytes: u64,
}

/// A workgroup of Athena, and the database that queries are about.
#[derive(Clone, Debug)]
pub struct Athena {
    client: Client,
    workgroup: String,
    database: String,
    output: Option<String>,
}

impl Athena {
    /// Queries in `workgroup` about `database`, reached as the environment says; nothing is asked yet. `output` is the
    /// `s3://` folder of results, for workgroups that have none of their own.
    pub async fn of_environment(workgroup: &str, database: &str, output: Option<&str>) -> Self {
        let shared = stedi_store::aws::configuration("Athena").await;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let config = Builder::from(&shared).timeout_config(timeouts).retry_config(retries).build();
        let [workgroup, database] = [workgroup, database].map(str::to_owned);
        Self { client: Client::from_conf(config), workgroup, database, output: output.map(str::to_owned) }
    }

    /// Runs a query and waits for its rows.
    ///
    /// # Errors
    /// If Athena refuses or fails it, or it takes too long.
    pub async fn query(&self, sql: &str) -> Result<Answer, AthenaError> {
        let id = self.start(sql).await?;
        let execution = self.wait(&id).await?;
        let statistics = execution.statistics();
        let scanned = statistics.and_then(|statistics| statistics.data_scanned_in_bytes()).unwrap_or(0);
        Ok(Answer { rows: self.rows(&id).await?, scanned_bytes: u64::try_from(scanned).unwrap_or(0) })
    }

    fn object(&self) -> String {
        format!("workgroup {}", self.workgroup)
    }

    async fn start(&self, sql: &str) -> Result<String, CatalogError> {
        const ACTION: &str = "athena:StartQueryExecution";
        let output = self.output.as_ref().map(|folder| {
            // Athena adds the name of the file
            let folder = format!("{}/", folder.trim_end_matches('/'));
            ResultConfiguration::builder().output_location(folder).build()
        });
        let started = self
            .client
            .start_query_execution()
            .query_string(sql)
            .query_execution_context(QueryExecutionContext::builder().database(&self.database).build())
            .work_group(&self.workgroup)
            .set_result_configuration(output)
            .send()
            .await
            .map_err(|error| CatalogError::of_sdk(ACTION, self.object(), &error))?;
        let id = started.query_execution_id().map(str::to_owned);
        id.ok_or_else(|| CatalogError::new(Reason::Ambiguous, ACTION, self.object(), "the query has no id"))
    }

    async fn wait(&self, id: &str) -> Result<QueryExecution, AthenaError> {
        const ACTION: &str = "athena:GetQueryExecution";
        let (mut waited, mut look) = (Duration::ZERO, FIRST_LOOK);
        loop {
            let answer = self.client.get_query_execution().query_execution_id(id).send().await;
            let answer = answer.map_err(|error| CatalogError::of_sdk(ACTION, format!("query {id}"), &error))?;
            let execution = answer.query_execution.ok_or_else(|| {
                CatalogError::new(Reason::Ambiguous, ACTION, format!("query {id}"), "the answer has no query")
            })?;
            let status = execution.status();
            match status.and_then(|status| status.state()) {
                Some(QueryExecutionState::Succeeded) => return Ok(execution),
                Some(QueryExecutionState::Failed | QueryExecutionState::Cancelled) => {
                    let why = status.and_then(|status| status.state_change_reason()).unwrap_or("no reason is given");
                    return Err(AthenaError::Failed { id: id.to_owned(), why: why.to_owned() });
                }
                _ => {}
            }
            if waited >= QUERY_TIME {
                // it is billed for as long as it runs; that it cannot be stopped is nothing that could be helped here
                let _ = self.client.stop_query_execution().query_execution_id(id).send().await;
                return Err(AthenaError::TooLong { id: id.to_owned() });
            }
            tokio::time::sleep(look).await;
            waited += look;
            look = (look * 2).min(LONGEST_LOOK);
        }
    }

    async fn rows(&self, id: &str) -> Result<Vec<Vec<Option<String>>>, CatalogError> {
        let mut rows = Vec::new();
        let mut next = None;
        loop {
            let page = self.client.get_query_results().query_execution_id(id).set_next_token(next).send().await;
            let page =
                page.map_err(|error| CatalogError::of_sdk("athena:GetQueryResults", format!("query {id}"), &error))?;
            let set = page.result_set();
            rows.extend(set.map_or(&[][..], |set| set.rows()).iter().map(values));
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        // the first row is the heading
        rows.drain(..rows.len().min(1));
        Ok(rows)
    }
}

fn values(row: &Row) -> Vec<Option<String>> {
    row.data().iter().map(|datum| datum.var_char_value().map(str::to_owned)).collect()
}
