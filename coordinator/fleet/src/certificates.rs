//! The certificates of a run, in a Secret that the chart makes.
//!
//! A coordinator writes them under the name of its own Job, its workers mount their part, and a restarted coordinator
//! reads its own part back, so that workers connect to it again. The key of the CA is in none of them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use stedi_endpoint::tls::{CA_FILE, CERT_FILE, KEY_FILE, RunCertificates};

/// What workers mount, under the names that `--tls-dir` reads.
pub const WORKER_FILES: [&str; 3] = [CA_FILE, CERT_FILE, KEY_FILE];

const SERVER_FILES: [&str; 2] = ["server.pem", "server-key.pem"];

/// The key of a file in the Secret.
pub fn key(coordinator_job: &str, file: &str) -> String {
    format!("{coordinator_job}.{file}")
}

/// The coordinator Job whose key this is, if it is one of ours.
fn job_of_key(key: &str) -> Option<&str> {
    let files = WORKER_FILES.iter().chain(&SERVER_FILES);
    let mut jobs = files.filter_map(|file| key.strip_suffix(file)?.strip_suffix('.'));
    jobs.next().filter(|job| !job.is_empty())
}

/// The certificates in a Secret's data; nothing if one of them is missing or no text.
pub fn read(data: &BTreeMap<String, ByteString>, coordinator_job: &str) -> Option<RunCertificates> {
    let text = |file: &str| String::from_utf8(data.get(&key(coordinator_job, file))?.0.clone()).ok();
    Some(RunCertificates {
        ca: text(CA_FILE)?,
        server: text(SERVER_FILES[0])?,
        server_key: text(SERVER_FILES[1])?,
        worker: text(CERT_FILE)?,
        worker_key: text(KEY_FILE)?,
    })
}

/// The merge patch that writes certificates.
pub fn write(certificates: &RunCertificates, coordinator_job: &str) -> Value {
    let texts = [
        (CA_FILE, &certificates.ca),
        (CERT_FILE, &certificates.worker),
        (KEY_FILE, &certificates.worker_key),
        (SERVER_FILES[0], &certificates.server),
        (SERVER_FILES[1], &certificates.server_key),
    ];
    let data: BTreeMap<String, ByteString> = texts
        .into_iter()
        .map(|(file, text)| (key(coordinator_job, file), ByteString(text.clone().into_bytes())))
        .collect();
    json!({ "data": data })
}

/// The merge patch that removes the certificates of these coordinator Jobs.
pub fn remove<'a>(coordinator_jobs: impl IntoIterator<Item = &'a str>) -> Value {
    let files = || WORKER_FILES.iter().chain(&SERVER_FILES);
    let keys = coordinator_jobs.into_iter().flat_map(|job| files().map(move |file| key(job, file)));
    json!({ "data": keys.map(|key| (key, Value::Null)).collect::<serde_json::Map<_, _>>() })
}

/// The coordinator Jobs that have certificates in a Secret's data.
pub fn jobs(data: &BTreeMap<String, ByteString>) -> BTreeSet<&str> {
    data.keys().filter_map(|key| job_of_key(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_come_back_from_what_was_written() {
        let made = RunCertificates::make().expect("they can be made");
        let patch = write(&made, "nightly-1");
        let data: BTreeMap<String, ByteString> = serde_json::from_value(patch["data"].clone()).expect("data");
        assert_eq!(read(&data, "nightly-1"), Some(made));
        assert_eq!(read(&data, "nightly-2"), None);
        let mut keys: Vec<&str> = data.keys().map(String::as_str).collect();
        keys.sort_unstable();
        let wanted = ["ca.pem", "server-key.pem", "server.pem", "worker-key.pem", "worker.pem"];
        assert_eq!(keys, wanted.map(|file| format!("nightly-1.{file}")));
        assert_eq!(jobs(&data), BTreeSet::from(["nightly-1"]));
    }

    #[test]
    fn half_of_them_is_none() {
        let patch = write(&RunCertificates::make().expect("they can be made"), "j");
        let mut data: BTreeMap<String, ByteString> = serde_json::from_value(patch["data"].clone()).expect("data");
        data.remove("j.server-key.pem");
        assert_eq!(read(&data, "j"), None);
    }

    #[test]
    fn they_are_removed_by_job_and_nothing_else_is() {
        let patch = remove(["a.b"]);
        let keys: Vec<&String> = patch["data"].as_object().expect("data").keys().collect();
        assert_eq!(
            keys,
            ["a.b.ca.pem", "a.b.server-key.pem", "a.b.server.pem", "a.b.worker-key.pem", "a.b.worker.pem"]
        );
        assert!(patch["data"]["a.b.ca.pem"].is_null());
        let data = |key: &str| BTreeMap::from([(key.to_owned(), ByteString::default())]);
        for key in ["tls.crt", "ca.pem", ".ca.pem", "xca.pem", "a.b.pem"] {
            assert!(jobs(&data(key)).is_empty(), "{key}");
        }
    }
}
