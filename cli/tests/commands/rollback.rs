//! Going back.

use std::fs;

use stedi_lake::CuratedTable;
use stedi_lake::commit::Operation;

use crate::scene::{Scene, assert_code, stderr};
use crate::{json, two_commits};

#[test]
fn a_rollback_shows_the_old_tables_and_is_undone_by_another() {
    let scene = Scene::with_news();
    let old = scene.published();
    assert_code(&scene.run(&[]), 0);
    let new = scene.published();
    assert!(old != new);

    let report = json(&scene.stedi("rollback", &["--json"]));
    assert_eq!((&report["status"], &report["seq"], &report["to_seq"]), (&"committed".into(), &3.into(), &1.into()));
    assert!(scene.published() == old, "the old tables are back");
    assert_eq!(scene.commit().unwrap().operation, Operation::Rollback { to_seq: 1 });
    assert_code(&scene.stedi("verify", &[]), 0);

    let first = scene.stedi("rollback", &[]);
    assert_code(&first, 1);
    assert!(stderr(&first).contains("commit 1 is the first"), "{}", stderr(&first));
    assert_code(&scene.stedi("rollback", &["--to", "2"]), 0);
    assert!(scene.published() == new, "the new tables are back");
    let run = scene.commits()[0].run_id.to_string();
    assert_code(&scene.stedi("rollback", &["--to", &run]), 0);
    assert!(scene.published() == old);
    assert_eq!(scene.commits().len(), 5);

    let same = json(&scene.stedi("rollback", &["--to", "1", "--json"]));
    assert_eq!(same["status"], "unchanged");
    assert_eq!(scene.commits().len(), 5);
}

#[test]
fn after_a_rollback_a_run_curates_what_is_in_landing() {
    let scene = two_commits();
    let new = scene.published();
    assert_code(&scene.stedi("rollback", &[]), 0);
    let run = json(&scene.run(&["--json"]));
    assert_eq!(run["status"], "committed");
    assert!(scene.published() == new);
}

#[test]
fn a_rollback_to_parts_that_are_gone_or_cut_is_refused() {
    let scene = two_commits();
    let seen = scene.published();
    let part = scene.commits()[0].tables[&CuratedTable::StepTrainerTrusted].parts[0].path.clone();
    let bytes = fs::read(scene.path(&part)).unwrap();
    for damage in [None, Some(&bytes[1..])] {
        match damage {
            None => fs::remove_file(scene.path(&part)).unwrap(),
            Some(bytes) => fs::write(scene.path(&part), bytes).unwrap(),
        }
        let output = scene.stedi("rollback", &[]);
        assert_code(&output, 1);
        assert!(stderr(&output).contains(&part), "{}", stderr(&output));
        assert!(scene.published() == seen && scene.commits().len() == 2);
    }
}

#[test]
fn there_must_be_a_commit() {
    let scene = Scene::with_landing(3);
    assert_code(&scene.stedi("rollback", &[]), 1);
    let scene = two_commits();
    let unknown = scene.stedi("rollback", &["--to", "9"]);
    assert_code(&unknown, 1);
    assert!(stderr(&unknown).contains("no commit 9"), "{}", stderr(&unknown));
}
