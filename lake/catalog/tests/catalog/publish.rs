//! The publish protocol on a catalog that fails on request: whatever happens, every table shows one commit or the other,
//! what others keep in it stays, and publishing again finishes what was begun.

use std::collections::BTreeMap;

use stedi_catalog::{
    Outcome, PublishError, PublishOptions, Published, Reason, TableStatus, look, publish, publish_latest, tables,
};
use stedi_lake::catalog::publish::{CatalogTable, Mark, Policy, Refusal};
use stedi_lake::catalog::{LakeTable, NoLocation};
use stedi_lake::{CuratedTable, LandingTable};
use stedi_store::Lake;

use crate::memory::{Fault, Memory};
use crate::scene::{LAKE, commit, mark, up_to};

const UPDATE: &str = "glue:UpdateTable";
const CREATE: &str = "glue:CreateTable";
const GET: &str = "glue:GetTable";
const TABLE: LakeTable = LakeTable::Curated(CuratedTable::AccelerometerTrusted);

async fn publish_to(memory: &Memory, seq: u64) -> Result<Published, PublishError> {
    publish(memory, LAKE, &commit(seq), up_to(seq)).await
}

/// A catalog that shows commit `seq`.
async fn showing(seq: u64) -> Memory {
    let memory = Memory::default();
    publish_to(&memory, seq).await.expect("nothing goes wrong");
    memory
}

/// The commits that the tables show, in the order of [`LakeTable::ALL`].
fn shown(memory: &Memory) -> Vec<Option<u64>> {
    let all = memory.all();
    let seq = |table: LakeTable| Mark::of(&all.get(table.name())?.table.parameters).map(|mark| mark.seq);
    LakeTable::ALL.into_iter().map(seq).collect()
}

fn table(memory: &Memory, table: LakeTable) -> CatalogTable {
    memory.all()[table.name()].table.clone()
}

#[tokio::test]
async fn database_and_tables_are_created_and_then_moved() {
    let memory = Memory::default();
    let published = publish_to(&memory, 1).await.expect("nothing goes wrong");
    assert!(published.tables.iter().all(|(_, outcome)| *outcome == Outcome::Created), "{published:?}");
    let published = publish_to(&memory, 2).await.expect("nothing goes wrong");
    assert!(published.tables.iter().all(|(_, outcome)| *outcome == Outcome::Updated), "{published:?}");
    assert_eq!(shown(&memory), [Some(2); 8]);
    let run = commit(2).run_id;
    assert_eq!(table(&memory, TABLE).location, Some(format!("{LAKE}/accelerometer/trusted/run={run}/")));
    let updates = memory.calls(UPDATE);
    let published = publish_to(&memory, 2).await.expect("nothing goes wrong");
    assert!(!published.is_news() && memory.calls(UPDATE) == updates, "nothing is written twice");
}

/// Every call that can fail does, once, in each of the ways it can: the end is the same.
#[tokio::test]
async fn any_one_failure_of_any_call_changes_nothing_in_the_end() {
    let passing = [
        Fault::Fail(Reason::Throttled),
        Fault::Fail(Reason::Ambiguous),
        Fault::Fail(Reason::Unreachable),
        Fault::Fail(Reason::Conflict),
        Fault::LoseReply,
        Fault::Edit("team", "research"),
    ];
    for fault in passing {
        for (action, from) in [
            (UPDATE, Some(1)),
            (GET, Some(1)),
            (GET, None),
            (CREATE, None),
            ("glue:GetDatabase", None),
            ("glue:CreateDatabase", None),
        ] {
            for nth in 0..8 {
                let memory = match from {
                    Some(seq) => showing(seq).await,
                    None => Memory::default(),
                };
                memory.fail(action, std::iter::repeat_n(None, nth).chain([Some(fault.clone())]));
                let published = publish_to(&memory, 2).await;
                let published = published.unwrap_or_else(|error| panic!("{fault:?} at {action} {nth}: {error}"));
                assert_eq!(shown(&memory), [Some(2); 8], "{fault:?} at {action} {nth}");
                assert_eq!(published.changed(), 8, "{fault:?} at {action} {nth}: what was done is said to be done");
            }
        }
    }
}

#[tokio::test]
async fn a_lost_reply_is_read_back_and_not_repeated() {
    let memory = showing(1).await;
    memory.fail(UPDATE, [Some(Fault::LoseReply)]);
    publish_to(&memory, 2).await.expect("it was done");
    assert_eq!(memory.calls(UPDATE), 8, "each table was changed once");
}

#[tokio::test]
async fn what_somebody_edits_in_between_is_kept() {
    let memory = showing(1).await;
    let mut edited = table(&memory, TABLE);
    edited.parameters.insert("retention".to_owned(), "7y".to_owned());
    memory.put(TABLE.name(), edited, "research");
    // and while the update is under way: between its read and its write
    memory.fail(UPDATE, std::iter::repeat_n(None, 4).chain([Some(Fault::Edit("team", "steps"))]));
    publish_to(&memory, 2).await.expect("it is rebased");
    let stored = memory.all()[TABLE.name()].clone();
    assert_eq!(stored.owner, "research");
    for (key, value) in [("retention", "7y"), ("team", "steps")] {
        assert_eq!(stored.table.parameters.get(key).map(String::as_str), Some(value));
    }
    assert_eq!(shown(&memory), [Some(2); 8]);
    assert_eq!(memory.calls(UPDATE), 9, "one conflict, one update more");
}

#[tokio::test]
async fn a_newer_run_that_is_first_stays() {
    let memory = showing(1).await;
    let newer = table(&showing(3).await, TABLE);
    memory.fail(UPDATE, std::iter::repeat_n(None, 4).chain([Some(Fault::Rival(newer.clone()))]));
    let error = publish(&memory, LAKE, &commit(2), up_to(3)).await.expect_err("commit 3 is there");
    assert!(matches!(&error, PublishError::Superseded { by, .. } if *by == mark(3)), "{error}");
    assert_eq!(table(&memory, TABLE), newer);
    // the tables before it are behind, until the newer run, or anybody, publishes the newer commit
    assert_eq!(shown(&memory), [Some(2), Some(2), Some(2), Some(2), Some(3), Some(1), Some(1), Some(1)]);
    publish_to(&memory, 3).await.expect("nothing goes wrong");
    assert_eq!(shown(&memory), [Some(3); 8]);
}

/// A publisher dies after each of the eight tables; tables it had not reached show the old commit, and the next one
/// finishes.
#[tokio::test]
async fn an_interrupted_publish_is_finished_by_the_next_one() {
    for reached in 0..8 {
        let memory = showing(1).await;
        memory.fail(UPDATE, std::iter::repeat_n(None, reached).chain([Some(Fault::Fail(Reason::Denied))]));
        let error = publish_to(&memory, 2).await.expect_err("permission was taken away");
        assert!(matches!(&error, PublishError::Catalog(error) if error.reason == Reason::Denied), "{error}");
        let expected: Vec<_> = (0..8).map(|n| Some(if n < reached { 2 } else { 1 })).collect();
        assert_eq!(shown(&memory), expected);
        let statuses = tables(&memory, LAKE, &commit(2)).await.expect("it answers");
        let current = |status: &TableStatus| matches!(status, TableStatus::Current { .. });
        assert_eq!(statuses.iter().filter(|(_, status)| current(status)).count(), reached);
        let published = publish_to(&memory, 2).await.expect("nothing goes wrong");
        assert_eq!(published.changed(), 8 - reached as u64);
        assert_eq!(shown(&memory), [Some(2); 8]);
    }
}

#[tokio::test]
async fn a_catalog_that_goes_on_failing_is_given_up() {
    for reason in [Reason::Throttled, Reason::Ambiguous, Reason::Conflict, Reason::Unreachable] {
        let memory = showing(1).await;
        memory.fail(UPDATE, std::iter::repeat_n(Some(Fault::Fail(reason)), 100));
        let error = publish_to(&memory, 2).await.expect_err("it never works");
        assert!(matches!(&error, PublishError::Catalog(error) if error.reason == reason), "{error}");
        assert_eq!(memory.calls(UPDATE), 10);
        assert_eq!(shown(&memory), [Some(1); 8]);
    }
}

#[tokio::test]
async fn a_last_attempt_whose_reply_is_lost_is_still_read_back() {
    let memory = showing(1).await;
    let failures = std::iter::repeat_n(Some(Fault::Fail(Reason::Throttled)), 9);
    memory.fail(UPDATE, failures.chain([Some(Fault::LoseReply)]));
    publish_to(&memory, 2).await.expect("the tenth attempt was performed");
    assert_eq!(shown(&memory), [Some(2); 8]);
}

#[tokio::test]
async fn without_a_database_that_can_be_made_nothing_is_made() {
    let memory = Memory::default();
    memory.fail("glue:CreateDatabase", [Some(Fault::Fail(Reason::Denied))]);
    let error = publish_to(&memory, 1).await.expect_err("it may not");
    assert!(matches!(error, PublishError::NoDatabase { .. }));
    assert!(error.to_string().contains("allow glue:CreateDatabase"), "{error}");
    assert!(memory.all().is_empty());
    assert_eq!(memory.calls("glue:CreateDatabase"), 1, "a refusal is not asked again");
}

#[tokio::test]
async fn a_foreign_table_stops_the_publish_and_is_taken_over_if_told() {
    let memory = Memory::with_database();
    let foreign = CatalogTable {
        table_type: Some("EXTERNAL_TABLE".to_owned()),
        location: Some("s3://old-bucket/curated/".to_owned()),
        serde: Some("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe".to_owned()),
        columns: vec![("user".to_owned(), "string".to_owned())],
        is_partitioned: false,
        parameters: BTreeMap::new(),
    };
    memory.put(TABLE.name(), foreign.clone(), "old team");
    let error = publish_to(&memory, 1).await.expect_err("it lies elsewhere");
    assert!(matches!(&error, PublishError::Refused { why: Refusal::Outside { .. }, .. }), "{error}");
    assert_eq!(table(&memory, TABLE), foreign);
    let policy = Policy { adopt: true, ..up_to(1) };
    publish(&memory, LAKE, &commit(1), policy).await.expect("it was told to");
    let stored = memory.all()[TABLE.name()].clone();
    assert_eq!(stored.owner, "old team");
    let names: Vec<_> = stored.table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["user", "timestamp", "x", "y", "z"], "what was missing is added");
}

#[tokio::test]
async fn landing_of_several_places_is_left_out_and_the_rest_published() {
    let memory = showing(1).await;
    let mut commit = commit(2);
    let places = ["s3://a/x", "s3://b/y"].map(str::to_owned).to_vec();
    commit.landing_elsewhere.insert(LandingTable::Accelerometer, places);
    commit.landing_elsewhere.insert(LandingTable::StepTrainer, vec!["s3://a/steps".to_owned()]);
    commit.landing_elsewhere.insert(LandingTable::Customer, vec!["/data/customers".to_owned()]);
    let published = publish(&memory, LAKE, &commit, up_to(2)).await.expect("the others can be");
    let left_out: Vec<_> = published.left_out().map(|(table, why)| (table.name(), why.clone())).collect();
    let folder = "file:///data/customers/".to_owned();
    assert_eq!(
        left_out,
        [("customer_landing", NoLocation::NotInS3(folder)), ("accelerometer_landing", NoLocation::Several(2))]
    );
    let steps = table(&memory, LakeTable::Landing(LandingTable::StepTrainer));
    assert_eq!(steps.location.as_deref(), Some("s3://a/steps/"));
    assert_eq!(shown(&memory), [Some(1), Some(1), Some(2), Some(2), Some(2), Some(2), Some(2), Some(2)]);
}

#[tokio::test]
async fn a_doctor_asks_for_everything_and_changes_nothing() {
    let memory = Memory::default();
    memory.fail(GET, [None, Some(Fault::Fail(Reason::Denied))]);
    let looks = look(&memory).await;
    assert_eq!(looks.len(), 9);
    let failed: Vec<_> = looks.iter().filter(|look| look.said.is_err()).map(|look| look.asked.as_str()).collect();
    assert_eq!(failed, ["glue:GetTable memory.accelerometer_landing"]);
    assert!(looks[0].said.as_ref().is_ok_and(|said| said.contains("not there yet")));
    assert!(memory.all().is_empty() && memory.calls("glue:CreateDatabase") == 0);
}

#[tokio::test]
async fn a_lake_that_is_not_in_s3_is_refused() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let lake = Lake::open(&folder.path().display().to_string()).expect("the folder is there");
    let memory = Memory::default();
    let error = publish_latest(&lake, &memory, PublishOptions::default()).await.expect_err("it is a folder");
    assert!(matches!(error, PublishError::NotInS3(_)), "{error}");
    assert_eq!(memory.calls("glue:GetDatabase"), 0, "nothing was asked");
}
