//! Collecting garbage.

use std::collections::BTreeSet;

use stedi_lake::{RunId, layout};

use crate::scene::{Scene, assert_code, stderr};
use crate::{json, stdout, two_commits};

#[test]
fn a_dry_run_lists_and_deletes_nothing() {
    let scene = two_commits();
    let files = scene.files();
    let old = scene.commits()[0].run_id.to_string();
    let report = json(&scene.stedi("gc", &["--keep", "1", "--grace", "0s", "--json"]));
    assert_eq!(report["deleted"], false);
    assert!(report["runs"][&old]["objects"].as_u64().unwrap() >= 6, "five tables and a ledger: {report}");
    let shown = stdout(&scene.stedi("gc", &["--keep", "1", "--grace", "0s"]));
    assert!(shown.contains(&old) && shown.contains("--delete"), "{shown}");
    assert!(scene.files() == files, "a dry run deleted something");
}

#[test]
fn what_the_last_commits_name_stays_and_the_rest_goes() {
    let scene = two_commits();
    let (seen, landing) = (scene.published(), scene.landing());
    let before: BTreeSet<String> = scene.files().into_keys().collect();
    let old = scene.commits()[0].run_id.to_string();
    assert_code(&scene.stedi("gc", &["--keep", "2", "--grace", "0s", "--delete"]), 0);
    assert_eq!(scene.files().into_keys().collect::<BTreeSet<_>>(), before, "both commits are kept");

    assert_code(&scene.stedi("gc", &["--keep", "1", "--grace", "0s", "--delete"]), 0);
    let after: BTreeSet<String> = scene.files().into_keys().collect();
    let gone: BTreeSet<String> = before.iter().filter(|path| path.contains(&old)).cloned().collect();
    assert_eq!(before.difference(&after).cloned().collect::<BTreeSet<_>>(), gone);
    assert!(scene.published() == seen && scene.landing() == landing);
    assert_eq!(scene.commits().len(), 2, "the log is history");
    assert!(!scene.path(&format!("customer/trusted/run={old}")).exists(), "no empty folders");
    assert_code(&scene.stedi("verify", &[]), 0);
    let refused = scene.stedi("rollback", &[]);
    assert_code(&refused, 1);
    assert!(stderr(&refused).contains("is gone"), "{}", stderr(&refused));
}

#[test]
fn what_is_young_stays() {
    let scene = two_commits();
    let dead = RunId::new(1_655_564_444_103, 1);
    let path = format!("{}/ledger.jsonl", layout::run_dir(dead));
    scene.write(&path, "{}");
    scene.write("_stedi/tmp/x", "half a record");
    let files = scene.files();
    assert_code(&scene.stedi("gc", &["--keep", "1", "--delete"]), 0);
    assert!(scene.files() == files, "an old id does not make new files old");
    let report = json(&scene.stedi("gc", &["--grace", "0s", "--delete", "--json"]));
    assert_eq!((&report["objects"], &report["temporaries"]["objects"]), (&2.into(), &1.into()));
    scene.assert_no_leftovers();
}

#[test]
fn a_damaged_log_protects_everything() {
    let scene = two_commits();
    scene.write(&layout::commit_path(3), "{\"format_version\": 1");
    let files = scene.files();
    let output = scene.stedi("gc", &["--keep", "1", "--grace", "0s", "--delete"]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains(&layout::commit_path(3)), "{}", stderr(&output));
    assert!(scene.files() == files);
}

#[test]
fn a_lake_without_commits_keeps_its_landing() {
    let scene = Scene::with_landing(3);
    let files = scene.files();
    assert_code(&scene.stedi("gc", &["--grace", "0s", "--delete"]), 0);
    assert!(scene.files() == files);
}
