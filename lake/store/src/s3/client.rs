//! The client: where S3 is, who asks, and how long to be patient.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Credentials};
use stedi_lake::report::RequestCounts;
use tokio::sync::OnceCell;

use super::count::{CountRequests, Counters};
use super::error::S3Error;
use crate::aws::{self, ANY_REGION, variable};

/// Attempts of a request before it fails: with pauses of up to 0.1 s that double to up to 20 s, half a minute on
/// average. `AWS_MAX_ATTEMPTS` says otherwise.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// To the first byte of an answer. A body that stands still is given up by the client's stalled stream protection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Of one attempt, a body of some MiB sent included.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// S3 may take minutes to put an object together from its parts.
pub(super) const COMPLETE_TIMEOUT: Duration = Duration::from_secs(300);

/// A connection to S3, made when it is first used. Cheap to clone; clones share connections and counts.
#[derive(Clone, Debug)]
pub struct S3Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    client: OnceCell<Client>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
enum Source {
    Environment,
    Fixed { endpoint: String, key_id: String, secret: String, attempts: u32 },
}

impl S3Client {
    /// The client of this process, configured as AWS's own tools are: by environment, profile, web identity, Pod
    /// Identity, ECS or the instance's role.
    pub fn of_environment() -> Self {
        static CLIENT: OnceLock<S3Client> = OnceLock::new();
        CLIENT.get_or_init(|| Self::new(Source::Environment)).clone()
    }

    /// A client of the store at `endpoint` with these credentials. `attempts` bounds how often a request is sent.
    pub fn at(endpoint: &str, key_id: &str, secret: &str, attempts: u32) -> Self {
        let [endpoint, key_id, secret] = [endpoint, key_id, secret].map(str::to_owned);
        Self::new(Source::Fixed { endpoint, key_id, secret, attempts })
    }

    fn new(source: Source) -> Self {
        Self { shared: Arc::new(Shared { source, client: OnceCell::new(), counters: Arc::default() }) }
    }

    /// The requests that were sent so far.
    pub fn requests(&self) -> RequestCounts {
        self.shared.counters.read()
    }

    /// The client to ask about `bucket`.
    pub(super) async fn get(&self, bucket: &str) -> Result<&Client, S3Error> {
        let client = self.shared.client.get_or_init(|| self.connect()).await;
        match client.config().region() {
            Some(_) => Ok(client),
            None => Err(S3Error::no_region(bucket)),
        }
    }

    /// How often a request is sent before it fails.
    pub(super) fn attempts(&self) -> u32 {
        match &self.shared.source {
            Source::Fixed { attempts, .. } => *attempts,
            Source::Environment => variable("AWS_MAX_ATTEMPTS").and_then(|n| n.parse().ok()).unwrap_or(ATTEMPTS).max(1),
        }
    }

    async fn connect(&self) -> Client {
        let config = match &self.shared.source {
            Source::Environment => of_environment().await,
            Source::Fixed { endpoint, key_id, secret, .. } => {
                let credentials = Credentials::new(key_id, secret, None, None, "given");
                let config = aws_sdk_s3::Config::builder()
                    .behavior_version(BehaviorVersion::latest())
                    .http_client(aws::https())
                    .region(Region::new(ANY_REGION))
                    .credentials_provider(credentials);
                config.endpoint_url(endpoint).force_path_style(true)
            }
        };
        Client::from_conf(self.patient(config).build())
    }

    fn patient(&self, config: Builder) -> Builder {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(self.attempts())
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        config
            .timeout_config(timeouts)
            .retry_config(retries)
            .interceptor(CountRequests(Arc::clone(&self.shared.counters)))
    }
}

async fn of_environment() -> Builder {
    let shared = aws::configuration("S3").await;
    // a profile may name an endpoint, too
    let is_custom = aws::names_endpoint("S3") || shared.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(is_custom);
    match (is_custom, shared.region()) {
        (true, None) => config.region(Region::new(ANY_REGION)),
        _ => config,
    }
}

/// The pause before attempt `failures` + 1: of random length, so that many who failed together do not come back together.
pub(super) fn pause(failures: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    let mut random = [0];
    // without randomness the pause is half of it
    let share = getrandom::fill(&mut random).map_or(128, |()| u32::from(random[0]) + 1);
    longest * share / 256
}
