//! Where objects lie below the lake. All paths are relative to it, with `/` between and none at the ends.

use crate::{CuratedTable, RunId};

/// Folder of everything that is not a table: commit log and runs. Its leading `_` hides it from Athena and Spark.
pub const STEDI: &str = "_stedi";

/// Folder of the commit records.
pub const LOG: &str = "_stedi/log";

/// Folder of the runs.
pub const RUNS: &str = "_stedi/runs";

/// The commit record with sequence number `seq`, from 1.
pub fn commit_path(seq: u64) -> String {
    format!("{LOG}/{seq:020}.json")
}

/// The sequence number of a commit record's file name, `None` if it is not one.
pub fn commit_seq(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".json")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The folder of a run's own objects: ledger, quarantine, shuffle, report.
pub fn run_dir(run: RunId) -> String {
    format!("{RUNS}/{run}")
}

/// The folder of a run's parts of one table: what a catalog points at.
pub fn table_run_dir(table: CuratedTable, run: RunId) -> String {
    format!("{}/run={run}", table.path())
}

/// One part: a pure function of run, shard and the part's number within the shard.
pub fn part_path(table: CuratedTable, run: RunId, shard: u32, n: u32) -> String {
    format!("{}/part-{shard:05}-{n:03}.parquet", table_run_dir(table, run))
}

/// The run that an object below a table's path belongs to, from its `run=<run_id>` folder.
pub fn run_of_part(table: CuratedTable, path: &str) -> Option<RunId> {
    let rest = path.strip_prefix(table.path())?.strip_prefix("/run=")?;
    rest.split_once('/')?.0.parse().ok()
}

/// The run that an object below [`RUNS`] belongs to.
pub fn run_of_object(path: &str) -> Option<RunId> {
    let rest = path.strip_prefix(RUNS)?.strip_prefix('/')?;
    rest.split_once('/')?.0.parse().ok()
}

/// The landing objects a run consumed, one JSON object a line.
pub fn ledger_path(run: RunId) -> String {
    format!("{}/ledger.jsonl", run_dir(run))
}

/// The run's report.
pub fn report_path(run: RunId) -> String {
    format!("{}/report.json", run_dir(run))
}

/// One file of quarantined records, Parquet. `name` tells the writer's files apart.
pub fn quarantine_path(run: RunId, name: &str) -> String {
    format!("{}/quarantine/{name}.parquet", run_dir(run))
}

/// The directory of trusted customers that an attempt of the consent stage wrote. Attempts never share a name.
pub fn consent_path(run: RunId, attempt: &str) -> String {
    format!("{}/consent/{attempt}.arrow", run_dir(run))
}

/// The shuffle file that an attempt of a scan stage wrote. Attempts never share a name.
pub fn shuffle_path(run: RunId, attempt: &str) -> String {
    format!("{}/shuffle/{attempt}.rows", run_dir(run))
}

/// Whether an object in a run's folder is of use only while the run is in progress: plan, epochs, progress, directory,
/// shuffle. What is kept of a committed run is its ledger, its report and its quarantine.
pub fn is_run_scratch(path: &str) -> bool {
    let Some((_, name)) = path.strip_prefix(RUNS).and_then(|rest| rest.trim_start_matches('/').split_once('/')) else {
        return false;
    };
    run_of_object(path).is_some() && !matches!(name, "ledger.jsonl" | "report.json") && !name.starts_with("quarantine/")
}

/// Whether landing skips an object: a file or folder name below the landing prefix that starts with `_` or `.`.
pub fn is_hidden(path_below_landing: &str) -> bool {
    path_below_landing.split('/').any(|name| name.starts_with(['_', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_parse_back() {
        let run = RunId::new(1_655_564_444_103, 7);
        let part = part_path(CuratedTable::CustomersCurated, run, 3, 0);
        assert_eq!(part, format!("customer/curated/run={run}/part-00003-000.parquet"));
        assert_eq!(run_of_part(CuratedTable::CustomersCurated, &part), Some(run));
        assert_eq!(run_of_part(CuratedTable::CustomerTrusted, &part), None);
        assert_eq!(run_of_object(&ledger_path(run)), Some(run));
        assert!(
            is_run_scratch(&format!("{}/shuffle/a", run_dir(run))) && is_run_scratch(&format!("{}/x", run_dir(run)))
        );
        for kept in [ledger_path(run), report_path(run), quarantine_path(run, "a"), part.clone(), commit_path(1)] {
            assert!(!is_run_scratch(&kept), "{kept}");
        }
        assert_eq!(commit_path(12), "_stedi/log/00000000000000000012.json");
        assert_eq!(commit_seq("00000000000000000012.json"), Some(12));
        assert_eq!(commit_seq("12.json"), None);
        assert!(is_hidden("2022/_tmp/a.json") && is_hidden(".a") && !is_hidden("2022/a_.json"));
    }
}
