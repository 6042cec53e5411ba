//! The engine under test: a lake in a temporary folder, and runs on it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use stedi::run::{RunConfig, run};
use stedi_lake::commit::CommitRecord;
use stedi_lake::options::BadRecordLimit;
use stedi_lake::report::{LandingCounts, LedgerEntry};
use stedi_lake::{CuratedTable, LandingTable, layout};
use stedi_worker::progress::Progress;
use tempfile::TempDir;

use crate::landing::Landing;
use crate::oracle::{Curation, Tables};
use crate::parts::{current_commit, read_tables};
use crate::rows::Rows;

/// The options that must not change which rows the tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `--shards`.
    pub shards: u32,
    /// `--threads`.
    pub threads: usize,
    /// `--memory`, in MiB.
    pub memory_mib: u64,
}

/// A lake that goes away with its folder.
#[derive(Debug)]
pub struct Lake {
    folder: TempDir,
}

/// What a run left in its lake.
#[derive(Debug)]
pub struct Run {
    /// Its commit record.
    pub commit: CommitRecord,
    /// The rows of its tables.
    pub tables: BTreeMap<CuratedTable, Rows>,
    /// The bytes of its parts.
    pub parts: Parts,
}

/// The bytes of a run's parts, by table and file name.
#[derive(Debug)]
pub struct Parts(BTreeMap<(CuratedTable, String), Vec<u8>>);

impl Lake {
    /// An empty lake.
    ///
    /// # Panics
    /// If there is no room for temporary files.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Curates what is in landing, even if nothing has changed, and accepts any number of bad records.
    ///
    /// # Panics
    /// If the run fails, or a part breaks a promise.
    pub fn run(&self, curation: Curation, setting: Setting) -> Run {
        let config = RunConfig {
            consent: curation.consent,
            match_mode: curation.match_mode,
            dedupe: curation.dedupe,
            max_bad_records: BadRecordLimit::Fraction(1.0),
            threads: Some(setting.threads),
            memory_bytes: setting.memory_mib << 20,
            shards: Some(setting.shards),
            force: true,
            ..RunConfig::default()
        };
        let lake = stedi_store::Lake::open(&self.path().display().to_string()).expect("the lake is there");
        run(&lake, &config, &Progress::default())
            .unwrap_or_else(|error| unreachable!("{curation:?} {setting:?}: {error:?}"));
        let run = self.current();
        let options = &run.commit.options;
        assert_eq!(
            (options.consent, options.match_mode, options.dedupe, options.shards),
            (curation.consent, curation.match_mode, curation.dedupe, setting.shards),
            "options in the commit record"
        );
        run
    }

    /// The run that is committed.
    ///
    /// # Panics
    /// If there is none, or a part breaks a promise.
    pub fn current(&self) -> Run {
        let commit = current_commit(self.path()).expect("a run commits");
        let tables = read_tables(self.path(), &commit);
        let parts = self.parts(&commit);
        Run { commit, tables, parts }
    }

    fn parts(&self, commit: &CommitRecord) -> Parts {
        let named = commit.tables.iter().flat_map(|(&table, parts)| parts.parts.iter().map(move |part| (table, part)));
        let bytes = named.map(|(table, part)| {
            let name = part.path.rsplit('/').next().unwrap_or_default();
            ((table, name.to_owned()), fs::read(self.path().join(&part.path)).expect("a committed part is there"))
        });
        Parts(bytes.collect())
    }

    /// What became of each landing object, by key.
    ///
    /// # Panics
    /// If the run left no ledger.
    pub fn ledger(&self, commit: &CommitRecord) -> BTreeMap<String, LandingCounts> {
        let file = fs::File::open(self.path().join(layout::ledger_path(commit.run_id))).expect("a run keeps a ledger");
        let entries = BufReader::new(file).lines().map(|line| -> LedgerEntry {
            serde_json::from_str(&line.expect("the ledger reads")).expect("a line of the ledger is JSON")
        });
        entries.map(|entry| (entry.key, entry.counts)).collect()
    }
}

impl Default for Lake {
    fn default() -> Self {
        Self::new()
    }
}

impl Run {
    /// What differs from `expected`, which was computed from `landing`: rows of the tables, or counts of landing.
    pub fn difference(&self, expected: &Tables, landing: &Landing) -> Option<String> {
        for table in CuratedTable::ALL {
            if let Some(difference) = self.tables[&table].difference(&expected.rows[&table]) {
                return Some(difference);
            }
        }
        for table in LandingTable::ALL {
            let counts = self.commit.landing[&table];
            let readable = landing.rows(table) as u64;
            let wanted = (expected.kept[&table], readable - expected.kept[&table]);
            if (counts.kept, counts.filtered) != wanted || !counts.balanced() {
                return Some(format!("{}: {counts:?} instead of {wanted:?} kept and filtered", table.name()));
            }
        }
        None
    }
}

impl Parts {
    /// Table and file name of each part.
    pub fn names(&self) -> impl Iterator<Item = &(CuratedTable, String)> {
        self.0.keys()
    }

    /// Row groups of all parts together. What is joined in slices has one or more for each slice.
    ///
    /// # Panics
    /// If a part is no Parquet file.
    pub fn row_groups(&self) -> usize {
        let of_part = |bytes: &Vec<u8>| {
            let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).expect("a part is a Parquet file");
            reader.metadata().num_row_groups()
        };
        self.0.values().map(of_part).sum()
    }

    /// A part that is missing on one side or differs between the two.
    pub fn different_part(&self, other: &Self) -> Option<String> {
        let mut names = self.0.keys().chain(other.0.keys());
        let different = names.find(|&name| self.0.get(name) != other.0.get(name));
        different.map(|(table, name)| format!("{} of {}", name, table.name()))
    }
}

/// Copies the starter data's landing into a lake.
///
/// # Panics
/// If it cannot be copied.
pub fn copy_landing(from: &Path, lake: &Path) {
    for table in LandingTable::ALL {
        let to = lake.join(table.path());
        fs::create_dir_all(&to).expect("folders are made");
        for entry in fs::read_dir(from.join(table.path())).expect("the folder of a table") {
            let entry = entry.expect("the folder lists");
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a landing object is copied");
        }
    }
}
