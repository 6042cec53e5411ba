//! The suite, and publishing, on a server that speaks Glue.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_glue::Client;
use aws_sdk_glue::config::{BehaviorVersion, Credentials, Region};
use stedi_catalog::{Glue, Outcome, Reason};
use stedi_lake::catalog::LakeTable;

use crate::conformance::suite;
use crate::scene::{LAKE, commit, up_to};

/// A client of the server that `STEDI_CATALOG_ENDPOINT` names.
fn client() -> Option<Client> {
    let endpoint = std::env::var("STEDI_CATALOG_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
    let Some(endpoint) = endpoint else {
        eprintln!("SKIPPED: STEDI_CATALOG_ENDPOINT names no server that speaks Glue; e2e/catalog starts one");
        return None;
    };
    Some(client_at(&endpoint))
}

fn client_at(endpoint: &str) -> Client {
    let config = aws_sdk_glue::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(stedi_store::aws::https())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "given"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// A name that no other test has.
fn database(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right").as_nanos();
    format!("{what}_{now}")
}

#[tokio::test]
async fn glue_conforms() {
    let Some(client) = client() else { return };
    suite(&Glue::new(client, &database("suite"))).await;
}

#[tokio::test]
async fn glue_shows_one_commit_after_another() {
    let Some(client) = client() else { return };
    let name = database("publish");
    let glue = Glue::new(client.clone(), &name);
    for seq in 1..=2 {
        let published = stedi_catalog::publish(&glue, LAKE, &commit(seq), up_to(seq)).await.expect("it is there");
        assert_eq!(published.changed(), 8);
        let again = stedi_catalog::publish(&glue, LAKE, &commit(seq), up_to(seq)).await.expect("it is there");
        assert!(again.tables.iter().all(|(_, outcome)| *outcome == Outcome::Unchanged), "{again:?}");
    }
    for table in LakeTable::ALL {
        let answer = client.get_table().database_name(&name).name(table.name()).send().await.expect("it is there");
        let found = answer.table.expect("it is there");
        assert_eq!(found.table_type(), Some("EXTERNAL_TABLE"));
        assert!(found.partition_keys.is_some_and(|keys| keys.is_empty()), "an empty list, not none");
        let storage = found.storage_descriptor.expect("it has one");
        assert_eq!(storage.input_format(), Some(table.format().input_format()));
        assert_eq!(storage.output_format(), Some(table.format().output_format()));
        let comments = storage.columns().iter().filter_map(|column| column.comment());
        assert!(comments.eq(table.columns().iter().map(|column| column.comment)), "the columns are explained");
        let parameters = found.parameters.expect("it has some");
        for (key, value) in [("EXTERNAL", "TRUE"), ("classification", table.format().classification())] {
            assert_eq!(parameters.get(key).map(String::as_str), Some(value));
        }
    }
}

#[tokio::test]
async fn nobody_there_is_told_from_somebody_who_refuses() {
    // a port that was free a moment ago
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it has one");
    let config = client_at(&format!("http://{port}")).config().to_builder();
    let config = config.retry_config(aws_sdk_glue::config::retry::RetryConfig::disabled()).build();
    let glue = Glue::new(Client::from_conf(config), "nowhere");
    let error = stedi_catalog::Catalog::has_database(&glue).await.expect_err("nobody is there");
    assert_eq!(error.reason, Reason::Unreachable, "{error}");
    assert!(error.to_string().contains("AWS_ENDPOINT_URL"), "{error}");
}
