//! `verify` on what `run` makes: two programs that share no code beyond the tables agree on every kind of landing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stedi::generate::{GenerateConfig, Profile, generate};
use stedi::rollback::rollback;
use stedi::run::{RunConfig, run};
use stedi::verify::report::{VerifyReport, VerifyStatus};
use stedi::verify::verify;
use stedi_lake::options::BadRecordLimit;
use stedi_lake::{ConsentPolicy, LandingTable, MatchMode};
use stedi_store::Lake;
use stedi_worker::progress::Progress;

fn lake_in(folder: &Path) -> Lake {
    Lake::create(&folder.join("lake").display().to_string()).expect("a new folder")
}

fn generated(folder: &Path, config: &GenerateConfig) -> Lake {
    let lake = lake_in(folder);
    wait(generate(config.clone(), &lake)).expect("there is room for a small landing");
    lake
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn tolerant(consent: ConsentPolicy, match_mode: MatchMode) -> RunConfig {
    let max_bad_records = BadRecordLimit::Fraction(1.0);
    RunConfig { consent, match_mode, max_bad_records, force: true, threads: Some(2), ..RunConfig::default() }
}

fn run_and_verify(lake: &Lake, config: &RunConfig) -> VerifyReport {
    run(lake, config, &Progress::default()).expect("landing can be read");
    verify(lake, None).expect("the lake can be read")
}

fn assert_verified(report: &VerifyReport, what: &str) {
    assert_eq!(report.status, VerifyStatus::Verified, "{what}: {report}");
    assert_eq!(report.notes, [""; 0], "{what}");
}

/// Every policy, mode and a few shard counts on one landing.
fn verify_all_modes(config: &GenerateConfig) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lake = generated(folder.path(), config);
    for consent in [ConsentPolicy::Latest, ConsentPolicy::Any] {
        for match_mode in [MatchMode::Customer, MatchMode::Timestamp] {
            for (shards, dedupe) in [(None, false), (Some(7), true)] {
                let run = RunConfig { shards, dedupe, ..tolerant(consent, match_mode) };
                let report = run_and_verify(&lake, &run);
                assert_verified(&report, &format!("{:?} {consent} {match_mode} {shards:?}", config.profile));
                assert!(report.rows > 0 && report.customer_records > 0);
            }
        }
    }
}

#[test]
fn clean_landing_is_verified() {
    verify_all_modes(&GenerateConfig { customers: 60, ..GenerateConfig::new(Profile::Clean) });
}

#[test]
fn legacy_landing_is_verified() {
    verify_all_modes(&GenerateConfig { customers: 80, ..GenerateConfig::new(Profile::Legacy) });
}

#[test]
fn messy_landing_is_verified() {
    verify_all_modes(&GenerateConfig { customers: 80, seed: 3, ..GenerateConfig::new(Profile::Messy) });
}

#[test]
fn old_commits_rollbacks_and_changed_landing_are_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lake = generated(folder.path(), &GenerateConfig { customers: 20, ..GenerateConfig::new(Profile::Clean) });
    let config = tolerant(ConsentPolicy::Latest, MatchMode::Customer);
    let first = run_and_verify(&lake, &config);
    let second = run_and_verify(&lake, &config);
    assert_eq!((first.seq, second.seq), (1, 2));
    assert_eq!(verify(&lake, Some(1)).expect("it is still there"), first);
    wait(rollback(&lake, None)).expect("there is a commit before");
    let third = verify(&lake, None).expect("the lake can be read");
    assert_verified(&third, "a rollback");
    assert_eq!((third.seq, third.run_id), (3, first.run_id));
    let folder = folder.path().join("lake").join(LandingTable::Customer.path());
    let object = std::fs::read_dir(folder).expect("landing").next().expect("an object").expect("a name").path();
    std::fs::remove_file(object).expect("it may be removed");
    assert_eq!(verify(&lake, None).expect("the lake can be read").status, VerifyStatus::Incomplete);
    assert!(verify(&lake, Some(4)).is_err(), "there is no fourth commit");
}

#[test]
fn a_lake_without_a_commit_is_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = verify(&lake_in(folder.path()), None).expect_err("nothing to verify");
    assert!(error.to_string().contains("stedi run"), "{error}");
}

#[test]
fn the_starter_data_is_verified_from_where_it_lies() {
    let landing: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/landing");
    if !landing.is_dir() {
        println!("skipped: the starter data is not at ../shared/landing");
        return;
    }
    let landing = landing.canonicalize().expect("it is there");
    let elsewhere: BTreeMap<LandingTable, Vec<String>> = LandingTable::ALL
        .into_iter()
        .map(|table| (table, vec![landing.join(table.path()).display().to_string()]))
        .collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lake = lake_in(folder.path());
    for match_mode in [MatchMode::Customer, MatchMode::Timestamp] {
        let config = RunConfig { landing: elsewhere.clone(), ..tolerant(ConsentPolicy::Latest, match_mode) };
        let report = run_and_verify(&lake, &config);
        assert_verified(&report, &format!("starter data, {match_mode}"));
        assert_eq!(report.customer_records, 956);
    }
}
