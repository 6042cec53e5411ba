//! An S3 server in the process of a test, and faults that the test switches on.
//!
//! The protocol is s3s's. What is behind it is ours, because the tests are about what others leave out: conditions that
//! are decided and acted upon in one step, ETags in listings, uploads that can be listed, checksums that are verified.
//! Large objects lie in files of the folder that the server is given; all names are in memory and end with it.

#![allow(clippy::unwrap_used, reason = "tests only: whatever goes wrong here must stop the test")]

mod faults;
mod objects;
mod operations;
mod serve;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

pub use faults::{Effect, Fault, Faults, Request};
use objects::Objects;
use tokio::runtime::Runtime;

/// The bucket that every server has.
pub const BUCKET: &str = "lake-bucket";
/// Whoever asks with this key...
pub const KEY_ID: &str = "AKIDSTEDITEST";
/// ... and this secret may do everything.
pub const SECRET: &str = "stedi-test-secret";

/// A server on a free port. It ends when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    address: IpAddr,
    endpoint: String,
    faults: Faults,
    objects: Arc<Objects>,
    runtime: Option<Runtime>,
}

impl S3Server {
    /// Starts a server on 127.0.0.1 whose large objects lie in `folder`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(folder: &Path) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), folder)
    }

    /// Starts a server on another address of this machine.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_at(address: IpAddr, folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sim-s3")
            .enable_all()
            .build()
            .unwrap();
        let faults = Faults::default();
        let objects = Arc::new(Objects::new(folder));
        let socket = serve::start(&runtime, address, Arc::clone(&objects), faults.clone());
        Self { address, endpoint: format!("http://{socket}"), faults, objects, runtime: Some(runtime) }
    }

    /// Its URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A lake in its bucket.
    pub fn lake(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// What a child process needs in its environment to reach the server, and nothing but the server.
    pub fn env(&self) -> Vec<(String, String)> {
        let address = self.address.to_string();
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            // requests are few and near: a test that switches a fault on for good should not wait half a minute
            ("AWS_MAX_ATTEMPTS", "4"),
            ("NO_PROXY", address.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Puts an object, without a request.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.objects.put_directly(BUCKET, key, bytes);
    }

    /// Deletes an object, without a request.
    pub fn delete(&self, key: &str) {
        self.objects.delete(BUCKET, key);
    }

    /// The bytes of an object, without a request.
    ///
    /// # Panics
    /// If its file cannot be read.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        Some(self.objects.get(BUCKET, key)?.read())
    }

    /// The ETag of an object, without quotes.
    pub fn etag(&self, key: &str) -> Option<String> {
        Some(self.objects.get(BUCKET, key)?.etag)
    }

    /// Key and size of every object whose key begins with `prefix`.
    pub fn objects(&self, prefix: &str) -> BTreeMap<String, u64> {
        self.objects
            .list(BUCKET, prefix, "", usize::MAX)
            .0
            .into_iter()
            .map(|(key, object)| (key, object.bytes))
            .collect()
    }

    /// Begins an upload, as a writer that is then killed.
    pub fn begin_upload(&self, key: &str) {
        self.objects.begin(BUCKET, key, None);
    }

    /// The keys of uploads that were begun and neither completed nor aborted.
    pub fn unfinished_uploads(&self) -> Vec<String> {
        self.objects.uploads(BUCKET, "").into_iter().map(|upload| upload.key).collect()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // whoever still waits for an answer gets none
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
