//! `stedi gc`: what no recent commit needs.
//!
//! A run's objects go when none of the last commits names the run and all of it is older than the grace period, by its
//! id and by every object's time: a run in progress is younger. Landing, the log and whatever is not ours are never
//! looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use stedi_lake::commit::CommitRecord;
use stedi_lake::{CuratedTable, RunId, layout};
use stedi_store::{CommitLog, Lake, LogError, StoreError, StoredObject, UnfinishedUpload};

use crate::run::now_ms;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcConfig {
    /// What the last so many commits name; at least 1.
    pub keep: u64,
    /// Whatever is younger.
    pub grace: Duration,
}

impl GcConfig {
    fn is_old(self, time_ms: u64, now_ms: u64) -> bool {
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        time_ms <= now_ms.saturating_sub(grace_ms)
    }
}

/// Why the garbage was not collected, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The log cannot be read, so nothing is known to be garbage.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What nobody needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Garbage {
    /// Runs, oldest first.
    pub runs: BTreeMap<RunId, Pile>,
    /// What writers left that were killed: files without a name yet, and what committed runs needed in progress.
    pub temporaries: Pile,
    /// The same on S3: uploads that were never completed.
    pub uploads: Vec<UnfinishedUpload>,
}

/// Objects that go together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pile {
    /// Number of objects.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
    /// Their paths below the lake.
    #[serde(skip)]
    pub paths: Vec<String>,
}

impl Pile {
    fn add(&mut self, object: &StoredObject) {
        self.objects += 1;
        self.bytes += object.bytes;
        self.paths.push(object.path.clone());
    }
}

impl Garbage {
    /// All piles.
    pub fn piles(&self) -> impl Iterator<Item = &Pile> {
        self.runs.values().chain([&self.temporaries])
    }

    /// Number of objects.
    pub fn objects(&self) -> u64 {
        self.piles().map(|pile| pile.objects).sum()
    }

    /// Their size.
    pub fn bytes(&self) -> u64 {
        self.piles().map(|pile| pile.bytes).sum()
    }
}

/// Finds the garbage of `lake`. The runs in `shown` are needed however old they are: a catalog shows them.
///
/// # Errors
/// If the lake cannot be listed or the log cannot be read.
pub async fn find(lake: &Lake, config: GcConfig, shown: &BTreeSet<RunId>) -> Result<Garbage, GcError> {
    let now_ms = now_ms();
    let mut objects = lake.list(layout::STEDI).await?;
    for table in CuratedTable::ALL {
        objects.extend(lake.list(table.path()).await?);
    }
    // after the listing, so that a commit made in between protects what it names
    let commits = CommitLog::new(lake).all().await?;
    let mut garbage = garbage(&commits, shown, &objects, config, now_ms);
    garbage.uploads = lake.unfinished_uploads().await?;
    garbage.uploads.retain(|upload| config.is_old(upload.started_ms, now_ms));
    Ok(garbage)
}

/// Deletes what [`find`] found.
///
/// # Errors
/// At the first object that cannot be deleted; what is left is found again.
pub async fn delete(lake: &Lake, garbage: &Garbage) -> Result<(), GcError> {
    for pile in garbage.piles() {
        lake.delete_all(&pile.paths).await?;
    }
    for upload in &garbage.uploads {
        lake.abort_upload(upload).await?;
    }
    let forgetful: BTreeSet<RunId> =
        garbage.temporaries.paths.iter().filter_map(|path| layout::run_of_object(path)).collect();
    for run in forgetful {
        lake.remove_empty_folders(&layout::run_dir(run)).await?;
    }
    for &run in garbage.runs.keys() {
        for table in CuratedTable::ALL {
            lake.remove_empty_folders(&layout::table_run_dir(table, run)).await?;
        }
        lake.remove_empty_folders(&layout::run_dir(run)).await?;
    }
    Ok(())
}

/// Sorts `objects` into what is needed and what is not.
fn garbage(
    commits: &[CommitRecord],
    shown: &BTreeSet<RunId>,
    objects: &[StoredObject],
    config: GcConfig,
    now_ms: u64,
) -> Garbage {
    let is_old = |time_ms| config.is_old(time_ms, now_ms);
    let keep = usize::try_from(config.keep.max(1)).unwrap_or(usize::MAX);
    let recent = commits.iter().rev().take(keep).map(|commit| commit.run_id);
    let live: BTreeSet<RunId> = recent.chain(shown.iter().copied()).collect();
    let mut young: BTreeSet<RunId> = BTreeSet::new();
    let mut garbage = Garbage::default();
    for object in objects {
        let old = is_old(object.modified_ms);
        match Kind::of(&object.path) {
            Kind::Temporary(run) if old && run.is_none_or(|run| live.contains(&run)) => {
                garbage.temporaries.add(object);
            }
            Kind::Temporary(Some(run)) | Kind::OfRun(run) if !live.contains(&run) => {
                if !old || !is_old(run.start_ms()) {
                    young.insert(run);
                }
                garbage.runs.entry(run).or_default().add(object);
            }
            _ => {}
        }
    }
    garbage.runs.retain(|run, _| !young.contains(run));
    garbage
}

/// What an object is to the lake.
enum Kind {
    /// A file without a name yet, of a run or of the log; or what a run needs only while it is in progress.
    Temporary(Option<RunId>),
    /// A part, or one of the run's own objects.
    OfRun(RunId),
    /// Not ours to collect.
    Other,
}

impl Kind {
    fn of(path: &str) -> Self {
        if let Some(run) = layout::run_of_object(path) {
            return if layout::is_run_scratch(path) { Self::Temporary(Some(run)) } else { Self::OfRun(run) };
        }
        if path.starts_with(&format!("{}/tmp/", layout::STEDI)) {
            return Self::Temporary(None);
        }
        match CuratedTable::ALL.into_iter().find_map(|table| layout::run_of_part(table, path)) {
            Some(run) => Self::OfRun(run),
            None => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use stedi_lake::commit::{FORMAT_VERSION, Operation};
    use stedi_lake::options::TableOptions;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const NOW_MS: u64 = 1000 * HOUR_MS;

    /// The run that started so many hours ago.
    fn run(hours_ago: u64) -> RunId {
        RunId::new(NOW_MS - hours_ago * HOUR_MS, 0)
    }

    fn commit(seq: u64, run_id: RunId) -> CommitRecord {
        let options = TableOptions::default();
        CommitRecord {
            format_version: FORMAT_VERSION,
            seq,
            run_id,
            committed_at_ms: 0,
            operation: Operation::Run,
            options,
            inputs_fingerprint: String::new(),
            landing_elsewhere: BTreeMap::new(),
            landing: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    fn object(path: String, hours_ago: u64) -> StoredObject {
        StoredObject { path, bytes: 10, modified_ms: NOW_MS - hours_ago * HOUR_MS, etag: String::new() }
    }

    fn part(run: RunId, hours_ago: u64) -> StoredObject {
        object(layout::part_path(CuratedTable::MachineLearningCurated, run, 0, 0), hours_ago)
    }

    fn found(commits: &[CommitRecord], objects: &[StoredObject], keep: u64, grace_hours: u64) -> Vec<String> {
        found_beside(&BTreeSet::new(), commits, objects, keep, grace_hours)
    }

    fn found_beside(
        shown: &BTreeSet<RunId>,
        commits: &[CommitRecord],
        objects: &[StoredObject],
        keep: u64,
        grace_hours: u64,
    ) -> Vec<String> {
        let grace = Duration::from_millis(grace_hours * HOUR_MS);
        let garbage = garbage(commits, shown, objects, GcConfig { keep, grace }, NOW_MS);
        assert_eq!(garbage.bytes(), garbage.objects() * 10);
        garbage.piles().flat_map(|pile| pile.paths.clone()).collect()
    }

    #[test]
    fn the_last_commits_are_kept_and_older_ones_go() {
        let commits = [commit(1, run(90)), commit(2, run(80)), commit(3, run(70))];
        let objects = [90, 80, 70].map(|hours| part(run(hours), hours));
        assert_eq!(found(&commits, &objects, 2, 24), [objects[0].path.clone()]);
        assert_eq!(found(&commits, &objects, 3, 24), [] as [String; 0]);
        assert_eq!(found(&commits, &objects, 0, 24).len(), 2, "the current commit is always kept");
    }

    #[test]
    fn what_a_catalog_shows_is_kept_however_old() {
        let commits = [commit(1, run(90)), commit(2, run(80)), commit(3, run(70))];
        let objects = [90, 80, 70].map(|hours| part(run(hours), hours));
        let shown = BTreeSet::from([run(90)]);
        assert_eq!(found_beside(&shown, &commits, &objects, 1, 24), [objects[1].path.clone()]);
    }

    #[test]
    fn a_rollback_protects_what_it_went_back_to() {
        let commits = [commit(1, run(90)), commit(2, run(80)), commit(3, run(90))];
        let objects = [90, 80].map(|hours| part(run(hours), hours));
        assert_eq!(found(&commits, &objects, 1, 24), [objects[1].path.clone()]);
    }

    #[test]
    fn a_run_is_kept_whole_while_anything_of_it_is_young() {
        let commits = [commit(1, run(90))];
        let young_object = [part(run(50), 50), object(layout::ledger_path(run(50)), 23)];
        assert!(found(&commits, &young_object, 1, 24).is_empty());
        assert_eq!(found(&commits, &young_object, 1, 23).len(), 2);
        let young_id = [part(run(23), 50)];
        assert!(found(&commits, &young_id, 1, 24).is_empty());
        assert_eq!(found(&[], &[part(run(0), 0)], 1, 0).len(), 1, "no grace, no protection");
    }

    #[test]
    fn of_a_live_run_only_forgotten_temporaries_go() {
        let commits = [commit(1, run(90))];
        let temporary = |hours| object(format!("{}/shuffle/x{hours}", layout::run_dir(run(90))), hours);
        let of_log = |hours| object(format!("_stedi/tmp/y{hours}"), hours);
        let objects = [part(run(90), 90), temporary(80), temporary(3), of_log(80), of_log(3)];
        assert_eq!(found(&commits, &objects, 1, 24), [objects[1].path.clone(), objects[3].path.clone()]);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let paths = [
            layout::commit_path(1),
            "_stedi/config.json".to_owned(),
            "customer/landing/a.json".to_owned(),
            "customer/trusted/mine.parquet".to_owned(),
            "customer/trusted/run=mine/a.parquet".to_owned(),
            "_stedi/runs/readme".to_owned(),
        ];
        assert!(found(&[], &paths.map(|path| object(path, 90)), 1, 0).is_empty());
    }
}
