//! What every kind of lake must do; today there is one, the local folder.

#![allow(clippy::unwrap_used, reason = "the lint's leave for tests ends at their helper functions")]

#[path = "conformance/log.rs"]
mod log;
#[path = "conformance/objects.rs"]
mod objects;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use stedi_lake::RunId;
use stedi_store::Lake;
use tempfile::TempDir;

const RUN: u64 = 1_655_564_444_103;

fn run_id(random: u128) -> RunId {
    RunId::new(RUN, random)
}

/// A lake that goes away with the test.
struct Scene {
    folder: TempDir,
    lake: Lake,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(folder.path().to_str().unwrap()).unwrap();
        Self { folder, lake }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Every file there is, hidden or not, with its size.
    fn files(&self) -> BTreeMap<String, u64> {
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
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
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
