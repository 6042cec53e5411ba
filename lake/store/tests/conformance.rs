//! What every kind of lake must do, in a local folder and on S3, and what is so with one kind only.

#![allow(clippy::unwrap_used, reason = "the lint's leave for tests ends at their helper functions")]

#[path = "conformance/log.rs"]
mod log;
#[path = "conformance/objects.rs"]
mod objects;
#[path = "conformance/s3.rs"]
mod s3;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use stedi_lake::RunId;
use stedi_sim_s3::{KEY_ID, S3Server, SECRET};
use stedi_store::{Lake, S3Client};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};

const RUN: u64 = 1_655_564_444_103;

/// Where the lake lies in its bucket.
const PREFIX: &str = "a/lake";

fn run_id(random: u128) -> RunId {
    RunId::new(RUN, random)
}

/// What the requests of all tests run on.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A lake that goes away with the test.
struct Scene {
    folder: TempDir,
    server: Option<S3Server>,
    lake: Lake,
}

/// Does `test` with a lake of each kind.
fn on_every_lake(test: impl Fn(&Scene)) {
    test(&Scene::new());
    test(&Scene::s3());
}

impl Scene {
    /// A lake in a local folder.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        Self { folder, server: None, lake }
    }

    /// A lake in a bucket.
    fn s3() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = S3Server::start(folder.path());
        let lake = Self::open(&server, &server.lake(PREFIX));
        Self { folder, server: Some(server), lake }
    }

    fn open(server: &S3Server, uri: &str) -> Lake {
        let client = S3Client::at(server.endpoint(), KEY_ID, SECRET, 4);
        Lake::open_with(uri, &client).unwrap().on_runtime(RUNTIME.handle())
    }

    fn server(&self) -> &S3Server {
        self.server.as_ref().expect("a lake on S3")
    }

    /// Where something lies, in a local lake.
    fn path(&self, below: &str) -> PathBuf {
        assert!(self.server.is_none(), "a lake on S3 has no folder");
        self.folder.path().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        if let Some(server) = &self.server {
            server.put(&format!("{PREFIX}/{below}"), text.as_bytes());
            return;
        }
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Every file there is, hidden or not, with its size.
    fn files(&self) -> BTreeMap<String, u64> {
        if let Some(server) = &self.server {
            assert_eq!(server.unfinished_uploads(), [] as [String; 0]);
            let below = |key: String| key.strip_prefix(&format!("{PREFIX}/")).unwrap().to_owned();
            return server.objects("").into_iter().map(|(key, bytes)| (below(key), bytes)).collect();
        }
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(below(&path, self.folder.path()), path.metadata().unwrap().len());
                }
            }
        }
        found
    }
}

fn below(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// Does `work` on many threads at once, each with its number.
fn race<T: Send>(threads: u8, work: impl Fn(u8) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(usize::from(threads));
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..threads)
            .map(|n| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    work(n)
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    })
}
