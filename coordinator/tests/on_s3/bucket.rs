//! A lake in a bucket, and what can be seen of it.

use std::process::{Command, Output, Stdio};

use stedi_lake::commit::CommitRecord;
use stedi_lake::layout;
use stedi_sim_s3::{Faults, S3Server};
use tempfile::TempDir;

use crate::cluster::{self, Cluster};
use crate::scene::{Published, Scene, assert_all_belong, assert_code, binary, set_environment};

/// Where the lake lies in its bucket.
const PREFIX: &str = "team/lake";

/// A lake in the bucket of a server that ends with it.
pub(crate) struct Bucket {
    server: S3Server,
    _objects: TempDir,
}

impl Bucket {
    /// A lake with the landing of `scene`.
    pub(crate) fn with_landing_of(scene: &Scene) -> Self {
        cluster::build();
        let objects = tempfile::tempdir().expect("a temporary folder");
        let bucket = Self { server: S3Server::start(objects.path()), _objects: objects };
        for (path, bytes) in scene.landing() {
            bucket.server.put(&format!("{PREFIX}/{path}"), &bytes);
        }
        bucket
    }

    pub(crate) fn faults(&self) -> &Faults {
        self.server.faults()
    }

    pub(crate) fn lake(&self) -> String {
        self.server.lake(PREFIX)
    }

    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster_over(&self.lake())
    }

    /// Over what may be no lake.
    pub(crate) fn cluster_over(&self, lake: &str) -> Cluster {
        Cluster::over(lake, self.server.env())
    }

    pub(crate) fn stedi(&self, subcommand: &str, args: &[&str]) -> Output {
        let mut command = Command::new(binary("stedi"));
        set_environment(&mut command, &self.server.env());
        command.args([subcommand, "--lake", &self.lake()]).args(args).stdin(Stdio::null());
        command.output().expect("the binary starts")
    }

    /// The paths below the lake of all objects.
    pub(crate) fn paths(&self) -> Vec<String> {
        let below = |key: String| key.strip_prefix(&format!("{PREFIX}/")).map(str::to_owned);
        self.server.objects(PREFIX).into_keys().filter_map(below).collect()
    }

    /// The paths of all objects but landing.
    pub(crate) fn written(&self) -> Vec<String> {
        self.paths().into_iter().filter(|path| !path.contains("/landing/")).collect()
    }

    fn read(&self, path: &str) -> Vec<u8> {
        self.server.object(&format!("{PREFIX}/{path}")).expect("it is there")
    }

    /// All commit records.
    pub(crate) fn commits(&self) -> Vec<CommitRecord> {
        let log = format!("{}/", layout::LOG);
        let records = self.paths().into_iter().filter(|path| path.starts_with(&log));
        records.map(|path| serde_json::from_slice(&self.read(&path)).expect("a record is whole")).collect()
    }

    /// What readers see; `None` if nothing was ever committed.
    pub(crate) fn published(&self) -> Option<Published> {
        let commit = self.commits().into_iter().next_back()?;
        let mut published = Published::new();
        for (table, parts) in &commit.tables {
            for part in &parts.parts {
                let name = part.path.rsplit('/').next().unwrap_or_default().to_owned();
                let earlier = published.insert((*table, name), self.read(&part.path));
                assert!(earlier.is_none(), "{} is listed twice", part.path);
            }
        }
        Some(published)
    }

    /// Looks at the lake when a run has come to its end: the tables are `expected`, made by one commit, and `gc` leaves
    /// nothing that is not theirs.
    pub(crate) fn check(&self, expected: &Published, what: &str) {
        self.faults().clear();
        assert!(self.published().as_ref() == Some(expected), "{what}: other tables than a quiet run's");
        assert_eq!(self.commits().len(), 1, "{what}: one commit");
        assert_code(&self.stedi("verify", &[]), 0);
        assert_code(&self.stedi("gc", &["--grace", "0s", "--delete"]), 0);
        assert!(self.published().as_ref() == Some(expected), "{what}: gc took a part that is in use");
        let left: Vec<String> = self.paths().into_iter().filter(|path| layout::is_run_scratch(path)).collect();
        assert!(left.is_empty(), "{what} left behind: {left:#?}");
        assert_all_belong(self.paths().into_iter(), &self.commits());
        assert_eq!(self.server.unfinished_uploads(), [] as [String; 0], "{what}");
    }

    /// Uploads that were begun and not completed.
    pub(crate) fn unfinished_uploads(&self) -> usize {
        self.server.unfinished_uploads().len()
    }

    /// Fails if readers see something.
    pub(crate) fn assert_nothing_visible(&self, what: &str) {
        assert!(self.commits().is_empty(), "{what}: visible before the commit");
    }
}
