//! The log of commits.

use std::collections::BTreeMap;

use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, Operation};
use stedi_lake::layout;
use stedi_lake::options::TableOptions;
use stedi_store::{CommitError, CommitLog, LogError};

use crate::{block_on, on_every_lake, race, run_id};

pub(crate) fn record(seq: u64, run: u128) -> CommitRecord {
    CommitRecord {
        format_version: FORMAT_VERSION,
        seq,
        run_id: run_id(run),
        committed_at_ms: 1,
        operation: Operation::Run,
        options: TableOptions::default(),
        inputs_fingerprint: String::new(),
        landing_elsewhere: BTreeMap::new(),
        landing: BTreeMap::new(),
        tables: BTreeMap::new(),
    }
}

#[test]
fn the_greatest_number_is_the_current_commit() {
    on_every_lake(|scene| {
        let log = CommitLog::new(&scene.lake);
        assert_eq!(block_on(log.latest()).unwrap(), None);
        for seq in 1..=11 {
            block_on(log.commit(&record(seq, seq.into()))).unwrap();
        }
        scene.write("_stedi/log/README", "not a record");
        scene.write("_stedi/log/99.json", "not a record");
        assert_eq!(block_on(log.latest()).unwrap(), Some(record(11, 11)));
        assert_eq!(block_on(log.read(3)).unwrap(), record(3, 3));
        let seqs: Vec<_> = block_on(log.all()).unwrap().iter().map(|record| record.seq).collect();
        assert_eq!(seqs, (1..=11).collect::<Vec<_>>());
    });
}

#[test]
fn of_many_who_commit_one_wins_and_the_others_learn_who() {
    on_every_lake(|scene| {
        for seq in 1..=20 {
            let outcomes = race(8, |n| block_on(CommitLog::new(&scene.lake).commit(&record(seq, n.into()))));
            let current = block_on(CommitLog::new(&scene.lake).latest()).unwrap().unwrap();
            for (n, outcome) in (0..).zip(outcomes) {
                match outcome {
                    Ok(()) => assert_eq!(current, record(seq, n)),
                    Err(CommitError::Conflict { seq: at, by }) => assert_eq!((at, by), (seq, current.run_id)),
                    Err(other) => panic!("{other}"),
                }
            }
        }
        let log = format!("{}/", layout::LOG);
        assert!(scene.files().keys().all(|path| path.starts_with(&log)), "{:?}", scene.files());
    });
}

#[test]
fn a_commit_whose_answer_was_lost_is_still_made() {
    on_every_lake(|scene| {
        let log = CommitLog::new(&scene.lake);
        block_on(log.commit(&record(1, 1))).unwrap();
        block_on(log.commit(&record(1, 1))).unwrap();
        assert!(matches!(block_on(log.commit(&record(1, 2))), Err(CommitError::Conflict { .. })));
    });
}

#[test]
fn a_record_that_makes_no_sense_is_named() {
    on_every_lake(|scene| {
        let log = CommitLog::new(&scene.lake);
        let path = layout::commit_path(1);
        let mut newer = serde_json::to_value(record(1, 1)).unwrap();
        newer["format_version"] = (FORMAT_VERSION + 1).into();
        newer["options"] = "written in a way yet to come".into();
        scene.write(&path, &newer.to_string());
        let error = block_on(log.latest()).unwrap_err();
        assert!(matches!(&error, LogError::TooNew { .. }) && error.to_string().contains(&path), "{error}");
        scene.write(&path, "{\"format_version\": 1, \"se");
        let error = block_on(log.latest()).unwrap_err();
        assert!(matches!(&error, LogError::Damaged { .. }) && error.to_string().contains(&path), "{error}");
        scene.write(&path, &serde_json::to_string(&record(2, 1)).unwrap());
        assert!(matches!(block_on(log.latest()), Err(LogError::Misnamed { seq: 2, .. })));
        let commit = block_on(log.commit(&record(1, 1))).unwrap_err();
        assert!(matches!(commit, CommitError::Unknown { seq: 1, .. }), "what is there cannot be told: {commit}");
    });
}
