//! `verify` on lakes made by hand: the good one passes, and for every rule one that breaks it is found to.

#[path = "verify/lake.rs"]
mod lake;

use lake::Value::{F, I, N, T};
use lake::{Fixture, MemoryLake, customer};
use stedi::verify::report::{Rule, VerifyReport, VerifyStatus};
use stedi::verify::{SLICE_BYTES, verify_commit};
use stedi_lake::commit::{CommitRecord, Operation};
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable, MatchMode};

use CuratedTable::{
    AccelerometerTrusted, CustomerTrusted, CustomersCurated, MachineLearningCurated, StepTrainerTrusted,
};

fn verify((lake, commit): &(MemoryLake, CommitRecord)) -> VerifyReport {
    verify_commit(lake, commit, None, SLICE_BYTES).expect("memory does not fail")
}

fn broken(report: &VerifyReport) -> Vec<Rule> {
    report.broken.iter().map(|finding| finding.rule).collect()
}

/// The fixture, changed, breaks `rule`; and no text of the report names a customer.
fn assert_breaks(rule: Rule, change: impl FnOnce(&mut Fixture)) -> VerifyReport {
    let mut fixture = Fixture::good();
    change(&mut fixture);
    assert_built_breaks(rule, &fixture.build())
}

fn assert_built_breaks(rule: Rule, built: &(MemoryLake, CommitRecord)) -> VerifyReport {
    let report = verify(built);
    assert!(broken(&report).contains(&rule), "{rule} not among {report}");
    assert_eq!((report.status, report.exit_code()), (VerifyStatus::Broken, 5));
    let json = serde_json::to_string(&report).expect("a report is JSON");
    assert!(!format!("{report}{json}").contains('@'), "a report never holds an e-mail address: {report}");
    report
}

#[test]
fn a_good_lake_is_verified() {
    let report = verify(&Fixture::good().build());
    assert_eq!(report.broken, [], "{report}");
    assert_eq!(report.unchecked, [""; 0]);
    assert_eq!((report.status, report.exit_code()), (VerifyStatus::Verified, 0));
    assert_eq!((report.customer_records, report.customer_records_unreadable), (7, 1));
    assert_eq!(report.rows, 4 + 6 + 3 + 6 + 6);
}

#[test]
fn any_consent_and_timestamp_match_are_verified_by_their_own_rules() {
    let fixture = Fixture::any_and_timestamp();
    let report = verify(&fixture.build());
    assert_eq!(report.broken, [], "{report}");
    // read as `latest` and `customer`, the same tables are wrong
    let (lake, mut commit) = fixture.build();
    commit.options.consent = ConsentPolicy::Latest;
    commit.options.match_mode = MatchMode::Customer;
    let rules = broken(&verify(&(lake, commit)));
    for rule in [Rule::OnePerPair, Rule::TrustedExact, Rule::Consent, Rule::UserOwns, Rule::PairsExact] {
        assert!(rules.contains(&rule), "{rule} not among {rules:?}");
    }
}

#[test]
fn the_slices_of_the_join_do_not_matter() {
    let (lake, commit) = Fixture::good().build();
    for slice_bytes in [1, 40, 100] {
        let report = verify_commit(&lake, &commit, None, slice_bytes).expect("memory does not fail");
        assert_eq!(report.status, VerifyStatus::Verified, "{report}");
    }
}

#[test]
fn the_commit_record_must_be_whole() {
    let (lake, good) = Fixture::good().build();
    let mut no_table = good.clone();
    no_table.tables.remove(&StepTrainerTrusted);
    let mut sum = good.clone();
    sum.tables.get_mut(&StepTrainerTrusted).expect("all tables").rows += 1;
    let mut format = good.clone();
    format.format_version += 1;
    let mut landing = good.clone();
    landing.landing.remove(&LandingTable::Customer);
    let mut folder = good;
    folder.run_id = stedi_lake::RunId::new(1, 2);
    for commit in [no_table, sum, format, landing, folder] {
        assert_built_breaks(Rule::CommitWhole, &(lake.clone(), commit));
    }
}

#[test]
fn a_rollback_names_the_tables_of_its_target() {
    let (lake, target) = Fixture::good().build();
    let mut commit = target.clone();
    commit.seq = 3;
    commit.operation = Operation::Rollback { to_seq: 1 };
    let verify = |commit: &CommitRecord, target: Option<&CommitRecord>| {
        verify_commit(&lake, commit, target, SLICE_BYTES).expect("memory does not fail")
    };
    assert_eq!(verify(&commit, Some(&target)).status, VerifyStatus::Verified);
    assert_eq!(broken(&verify(&commit, None)), [Rule::RollbackSame]);
    let mut other = target;
    other.options.shards += 1;
    assert_eq!(broken(&verify(&commit, Some(&other))), [Rule::RollbackSame]);
}

#[test]
fn landing_counts_must_balance_and_agree() {
    let (lake, good) = Fixture::good().build();
    let mut unbalanced = good.clone();
    unbalanced.landing.get_mut(&LandingTable::StepTrainer).expect("all tables").filtered += 1;
    assert_built_breaks(Rule::LandingBalanced, &(lake.clone(), unbalanced.clone()));
    assert_built_breaks(Rule::LedgerAgrees, &(lake.clone(), unbalanced));
    let mut fingerprint = good;
    fingerprint.inputs_fingerprint = "0".repeat(32);
    assert_built_breaks(Rule::LedgerAgrees, &(lake, fingerprint));
    assert_breaks(Rule::LandingBalanced, |f| f.ledger[0].counts.rows += 1);
    assert_breaks(Rule::KeptAgrees, |f| {
        f.ledger[1].counts.kept += 1;
        f.ledger[1].counts.rows += 1;
    });
    assert_breaks(Rule::LandingRereads, |f| {
        f.ledger[0].counts.filtered += 1;
        f.ledger[0].counts.rows += 1;
    });
}

#[test]
fn every_part_exists_and_nothing_else() {
    let (lake, commit) = Fixture::good().build();
    let part = commit.tables[&AccelerometerTrusted].parts[0].clone();
    let mut gone = lake.clone();
    gone.objects.remove(&part.path);
    let report = assert_built_breaks(Rule::PartExists, &(gone, commit.clone()));
    assert_eq!(report.broken[0].path.as_ref(), Some(&part.path));
    let mut longer = lake.clone();
    let bytes = [&longer.objects[&part.path][..], b"x"].concat();
    longer.objects.insert(part.path.clone(), bytes.into());
    assert_built_breaks(Rule::PartExists, &(longer, commit.clone()));
    let mut more = lake;
    more.objects.insert(part.path.replace("-000.parquet", "-009.parquet"), bytes::Bytes::new());
    assert_built_breaks(Rule::NothingElse, &(more, commit));
}

#[test]
fn every_part_is_readable_and_as_long_as_the_commit_says() {
    let (mut lake, mut commit) = Fixture::good().build();
    let part = commit.tables[&StepTrainerTrusted].parts[0].clone();
    let mut bytes = lake.objects[&part.path].to_vec();
    bytes[4..200].fill(0xff);
    lake.objects.insert(part.path, bytes.into());
    assert_built_breaks(Rule::PartReadable, &(lake, commit.clone()));
    let lake = Fixture::good().build().0;
    let table = commit.tables.get_mut(&StepTrainerTrusted).expect("all tables");
    table.parts[0].rows += 1;
    table.rows += 1;
    assert_built_breaks(Rule::RowCount, &(lake, commit));
}

#[test]
fn the_schema_is_the_tables() {
    for change in [lake::without_field_ids, lake::renamed, lake::all_nullable, lake::with_text_for_a_number] {
        assert_breaks(Rule::Schema, |f| f.schema = change);
    }
}

#[test]
fn the_rows_of_a_part_are_sorted_by_all_columns() {
    let report = assert_breaks(Rule::Sorted, |f| f.part(AccelerometerTrusted, 0).swap(1, 2));
    assert_eq!(broken(&report), [Rule::Sorted]);
    assert_eq!(report.broken[0].first_row, Some(2));
    // the last column decides, NULL comes first, and -0.0 before 0.0
    assert_breaks(Rule::Sorted, |f| f.part(MachineLearningCurated, 0).swap(0, 1));
    assert_breaks(Rule::Sorted, |f| f.part(StepTrainerTrusted, 0).swap(0, 1));
}

#[test]
fn customer_trusted_is_what_consent_makes_of_landing() {
    assert_breaks(Rule::RowConsents, |f| f.part(CustomerTrusted, 0)[0][7] = N);
    assert_breaks(Rule::RowConsents, |f| f.part(CustomerTrusted, 0)[0][7] = I(0));
    assert_breaks(Rule::OnePerPair, |f| {
        let mut second = f.part(CustomerTrusted, 0)[0].clone();
        second[9] = I(9);
        f.part(CustomerTrusted, 0).insert(1, second);
    });
    assert_breaks(Rule::TrustedExact, |f| {
        f.part(CustomerTrusted, 0).pop();
    });
    assert_breaks(Rule::TrustedExact, |f| f.part(CustomerTrusted, 0)[0][0] = T("Somebody Else"));
}

#[test]
fn no_table_has_a_row_of_who_does_not_consent() {
    let withdrawn = "carol@x.test";
    for table in [CustomerTrusted, CustomersCurated] {
        let report = assert_breaks(Rule::Consent, |f| {
            f.part(table, 0).push(customer(withdrawn, "S9", 10, I(10)));
        });
        assert!(report.broken.iter().any(|b| b.rule == Rule::Consent && b.table == Some(table.name())));
    }
    assert_breaks(Rule::Consent, |f| {
        let last = f.parts(AccelerometerTrusted) - 1;
        f.part(AccelerometerTrusted, last).push(vec![T(withdrawn), I(1), N, N, N]);
    });
    assert_breaks(Rule::Consent, |f| {
        let last = f.parts(StepTrainerTrusted) - 1;
        f.part(StepTrainerTrusted, last).push(vec![I(1), T("S9"), N]);
    });
    assert_breaks(Rule::Consent, |f| {
        let last = f.parts(MachineLearningCurated) - 1;
        f.part(MachineLearningCurated, last).push(vec![T("S9"), I(1), N, T(withdrawn), I(1), N, N, N]);
    });
    // a withdrawal in landing that the tables do not follow
    assert_breaks(Rule::Consent, |f| {
        f.customer_landing =
            f.customer_landing.replace(r#""shareWithResearchAsOfDate":11"#, r#""shareWithResearchAsOfDate":0"#);
    });
}

#[test]
fn customers_curated_is_who_has_readings() {
    let without_reading = customer("dave@x.test", "S4", 10, I(10));
    assert_breaks(Rule::CuratedReads, |f| f.part(CustomersCurated, 0).push(without_reading));
    assert_breaks(Rule::CuratedComplete, |f| {
        f.part(CustomersCurated, 0).remove(1);
    });
    assert_breaks(Rule::CuratedTrusted, |f| f.part(CustomersCurated, 0)[0][0] = T("Somebody Else"));
    assert_breaks(Rule::CuratedDistinct, |f| {
        let row = f.part(CustomersCurated, 0)[0].clone();
        f.part(CustomersCurated, 0).insert(1, row);
    });
}

#[test]
fn readings_are_of_trusted_users_and_curated_serials() {
    assert_breaks(Rule::ReadingTrusted, |f| f.part(AccelerometerTrusted, 0)[0][0] = T("aaron@x.test"));
    assert_breaks(Rule::StepCurated, |f| f.part(StepTrainerTrusted, 0)[0][1] = T("S0"));
}

#[test]
fn a_user_and_a_serial_lie_in_one_shard() {
    for table in [AccelerometerTrusted, StepTrainerTrusted, MachineLearningCurated] {
        let report = assert_breaks(Rule::OneShard, |f| {
            let row = f.part(table, 0).remove(0);
            f.part(table, 1).insert(0, row);
        });
        assert_eq!(broken(&report), [Rule::OneShard], "{}", table.name());
    }
}

#[test]
fn with_dedupe_no_reading_is_twice() {
    let report = assert_breaks(Rule::NoDuplicates, |f| f.options.dedupe = true);
    assert_eq!(report.broken.len(), 1, "{report}");
    assert_eq!(report.broken[0].table, Some("accelerometer_trusted"));
}

#[test]
fn every_pair_is_made_of_trusted_readings_of_one_owner_and_one_time() {
    assert_breaks(Rule::SameTime, |f| f.part(MachineLearningCurated, 0)[0][4] = I(101));
    assert_breaks(Rule::UserOwns, |f| f.part(MachineLearningCurated, 0)[0][3] = T("bob@x.test"));
    assert_breaks(Rule::StepExists, |f| f.part(MachineLearningCurated, 0)[0][2] = I(-77));
    assert_breaks(Rule::ReadingExists, |f| f.part(MachineLearningCurated, 0)[0][7] = F(-77.0));
}

#[test]
fn no_pair_is_missing_or_too_many() {
    let missing = assert_breaks(Rule::PairsExact, |f| {
        f.part(MachineLearningCurated, 0).remove(0);
    });
    assert_eq!(broken(&missing), [Rule::PairsExact]);
    let twice = assert_breaks(Rule::PairsExact, |f| {
        let row = f.part(MachineLearningCurated, 0)[0].clone();
        f.part(MachineLearningCurated, 0).insert(0, row);
    });
    assert_eq!(broken(&twice), [Rule::PairsExact]);
    // as many rows, each one of its pairs, but one twice and one not at all
    let swapped = assert_breaks(Rule::PairsExact, |f| {
        let rows = f.part(MachineLearningCurated, 0);
        rows[1] = rows[0].clone();
    });
    assert_eq!(broken(&swapped), [Rule::PairsExact]);
}

#[test]
fn a_landing_that_is_gone_leaves_consent_unchecked() {
    let (mut lake, commit) = Fixture::good().build();
    lake.landing.clear();
    let report = verify(&(lake, commit.clone()));
    assert_eq!((report.status, report.exit_code()), (VerifyStatus::Incomplete, 1), "{report}");
    let (mut lake, _) = Fixture::good().build();
    lake.objects.remove(&stedi_lake::layout::ledger_path(commit.run_id));
    assert_eq!(verify(&(lake, commit)).status, VerifyStatus::Incomplete);
}

#[test]
fn a_touched_landing_object_is_taken_as_unchanged_and_told() {
    let (mut lake, commit) = Fixture::good().build();
    for (_, etag) in lake.landing.values_mut() {
        etag.push('x');
    }
    let report = verify(&(lake, commit));
    assert_eq!(report.status, VerifyStatus::Verified, "{report}");
    assert_eq!(report.notes.len(), 1);
}
