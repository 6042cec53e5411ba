//! What goes wrong is sorted, names the thing, and leaves nothing wrong behind.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stedi::generate::{GenerateConfig, Profile};
use stedi_engine::directory::encode_customers_object;
use stedi_job::readers::encode_readers;
use stedi_job::task::{FailureClass, RunContext, SegmentRef, Stage, TaskOutput, Work};
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable, MatchMode, layout};
use stedi_sim_s3::{Effect, Request};
use stedi_store::Lake;
use stedi_worker::task::{Executor, TaskError};

use crate::ONE;
use crate::cluster::{Cluster, Scene, attempt_id};

fn scene() -> Scene {
    let mut scene = Scene::generated(&GenerateConfig { customers: 40, ..GenerateConfig::new(Profile::Clean) });
    scene.run_embedded(ConsentPolicy::Latest, MatchMode::Customer, 1, false);
    scene
}

/// The tasks of a run of one shard, up to the join.
struct Scanned {
    directory: String,
    readings: Vec<SegmentRef>,
    steps: Vec<SegmentRef>,
}

impl Scanned {
    fn of(scene: &Scene, cluster: &Cluster<'_>) -> Self {
        let (directory, users) = consent(cluster);
        let splits = cluster.splits(LandingTable::Accelerometer);
        let work = Work::ScanAccelerometer { splits, directory: directory.clone() };
        let (readings, readers) = scanned(cluster, Stage::ScanAccelerometer, &work);
        let path = "_stedi/readers-of-this-test".to_owned();
        let put = scene.lake.put_new(&path, encode_readers(&readers, users).into());
        scene.runtime.block_on(put).expect("there is room");
        let splits = cluster.splits(LandingTable::StepTrainer);
        let work = Work::ScanStepTrainer { splits, directory: directory.clone(), readers: path };
        let (steps, _) = scanned(cluster, Stage::ScanStepTrainer, &work);
        Self { directory, readings, steps }
    }

    fn join(&self) -> Work {
        let Self { directory, readings, steps } = self;
        Work::JoinShard { shard: 0, directory: directory.clone(), readings: readings.clone(), steps: steps.clone() }
    }
}

fn consent(cluster: &Cluster<'_>) -> (String, u32) {
    let splits = cluster.splits(LandingTable::Customer);
    let output = cluster.execute(Stage::Consent, 0, 0, &Work::Consent { splits }).expect("customers are read").0;
    let TaskOutput::Consent { directory, users, .. } = output else { unreachable!("{output:?}") };
    (directory, users)
}

fn scanned(cluster: &Cluster<'_>, stage: Stage, work: &Work) -> (Vec<SegmentRef>, Vec<u32>) {
    let output = cluster.execute(stage, 0, 0, work).expect("landing is read").0;
    let TaskOutput::Scan { shuffle, segments, readers, .. } = output else { unreachable!("{output:?}") };
    let path: Arc<str> = shuffle.expect("rows went on").into();
    let refs =
        segments.iter().map(|s| SegmentRef { path: path.clone(), offset: s.offset, bytes: s.bytes, rows: s.rows });
    (refs.collect(), readers)
}

fn file(lake: &Lake, below: &str) -> PathBuf {
    lake.local_folder().expect("it is on this machine").join(below)
}

#[track_caller]
fn assert_failed<T: std::fmt::Debug>(outcome: Result<T, TaskError>, class: FailureClass, names: &str) {
    let error = outcome.expect_err("it cannot be done");
    assert_eq!(error.class, class, "{error}");
    assert!(error.message.contains(names) && !error.message.contains('@'), "{error} does not name {names}");
}

#[test]
fn a_landing_object_that_changed_or_is_gone_is_named() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let (directory, _) = consent(&cluster);
    let work = Work::ScanAccelerometer { splits: cluster.splits(LandingTable::Accelerometer), directory };
    let key = scene.landing(LandingTable::Accelerometer)[0].key.clone();
    let path = file(&scene.lake, &key);
    let mut text = fs::read(&path).expect("it is there");
    text.extend_from_slice(b"{}\n");
    fs::write(&path, text).expect("it may be written");
    assert_failed(cluster.execute(Stage::ScanAccelerometer, 0, 0, &work), FailureClass::BadInput, &key);
    fs::remove_file(&path).expect("it may be removed");
    assert_failed(cluster.execute(Stage::ScanAccelerometer, 0, 1, &work), FailureClass::BadInput, &key);
    let shuffle = layout::shuffle_path(cluster.context.run_id, "");
    let folder = file(&scene.lake, &shuffle).parent().expect("a folder").to_owned();
    assert!(
        !folder.exists() || fs::read_dir(folder).expect("it lists").next().is_none(),
        "no file of a failed attempt"
    );
}

#[test]
fn a_damaged_shuffle_file_gives_no_rows() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let scanned = Scanned::of(&scene, &cluster);
    let shuffle = scanned.readings[0].path.clone();
    let path = file(&scene.lake, &shuffle);
    let whole = fs::read(&path).expect("it is there");
    let mut attempt = 0;
    let mut join_damaged = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("it may be written");
        attempt += 1;
        let outcome = cluster.execute(Stage::Join, 0, attempt, &scanned.join());
        assert!(scene.parts(cluster.context.run_id).is_empty(), "no part of damaged rows");
        outcome
    };
    for at in [0, 4, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert_failed(join_damaged(&damaged), FailureClass::BadInput, &shuffle);
    }
    let cut = join_damaged(&whole[..whole.len() - 100]).expect_err("bytes are missing");
    assert!(matches!(cut.class, FailureClass::BadInput | FailureClass::TransientIo), "{cut}");
    fs::remove_file(&path).expect("it may be removed");
    assert_failed(cluster.execute(Stage::Join, 0, 100, &scanned.join()), FailureClass::BadInput, &shuffle);
    fs::write(&path, whole).expect("it may be written");
    cluster.execute(Stage::Join, 0, 101, &scanned.join()).expect("it is whole again");
}

#[test]
fn a_damaged_directory_is_named() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let scanned = Scanned::of(&scene, &cluster);
    let path = file(&scene.lake, &scanned.directory);
    let mut bytes = fs::read(&path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("it may be written");
    let other = scene.executor(&cluster.context, 256 << 20, 1);
    let outcome = other.execute(attempt_id(Stage::Join, 0, 0), &scanned.join(), false, &AtomicBool::new(false));
    assert_failed(outcome, FailureClass::BadInput, &scanned.directory);
}

#[test]
fn a_folder_that_goes_while_it_is_written_to_is_tried_again() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let scanned = Scanned::of(&scene, &cluster);
    let run = layout::run_dir(cluster.context.run_id);
    // the temporary file of a part goes with its folder, before it gets its name
    let part = layout::part_path(CuratedTable::StepTrainerTrusted, cluster.context.run_id, 9, 0);
    let mut writer = scene.lake.part_writer(&part).expect("there is room");
    std::io::Write::write_all(&mut writer, b"bytes").expect("there is room");
    let temporaries = file(&scene.lake, &format!("{run}/tmp"));
    fs::remove_dir_all(&temporaries).expect("it may be removed");
    let failed: Result<(), TaskError> = writer.finish().map(|_| ()).map_err(TaskError::from);
    assert_failed(failed, FailureClass::TransientIo, &part);
    // the next attempt makes it again
    cluster.execute(Stage::Join, 0, 0, &scanned.join()).expect("a folder is made where it is missing");
}

#[test]
fn a_cancelled_join_leaves_whole_parts_or_none() {
    let scene = scene();
    let tables =
        [CuratedTable::MachineLearningCurated, CuratedTable::AccelerometerTrusted, CuratedTable::StepTrainerTrusted];
    for stop_at in [None, Some(0), Some(1), Some(2)] {
        let cluster = scene.cluster(ONE);
        let scanned = Scanned::of(&scene, &cluster);
        fs::remove_file(file(&scene.lake, "_stedi/readers-of-this-test")).expect("it is there");
        let run = cluster.context.run_id;
        let cancel = AtomicBool::new(stop_at.is_none());
        let ended = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            if let Some(table) = stop_at {
                let folder = file(&scene.lake, &layout::table_run_dir(tables[table], run));
                let (cancel, ended) = (&cancel, &ended);
                scope.spawn(move || {
                    let is_there = || fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some());
                    while !is_there() && !ended.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    cancel.store(true, Ordering::Relaxed);
                });
            }
            let outcome = cluster.workers[0].execute(attempt_id(Stage::Join, 0, 0), &scanned.join(), false, &cancel);
            ended.store(true, Ordering::Relaxed);
            outcome
        });
        match (stop_at, outcome) {
            (None, outcome) => assert_failed(outcome, FailureClass::Cancelled, "cancelled"),
            (_, Err(error)) => assert_eq!(error.class, FailureClass::Cancelled, "{error}"),
            // the last part was there before anybody looked
            (_, Ok(_)) => {}
        }
        let left = scene.parts(run);
        cluster.execute(Stage::Join, 0, 1, &scanned.join()).expect("nothing is in the way");
        let whole = scene.parts(run);
        assert!(left.iter().all(|(name, bytes)| whole[name] == *bytes), "parts are whole from the first");
        assert_eq!(whole.len(), 3);
    }
}

#[test]
fn what_is_there_already_is_as_good_only_if_it_is_the_same() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let scanned = Scanned::of(&scene, &cluster);
    let path = layout::part_path(CuratedTable::StepTrainerTrusted, cluster.context.run_id, 0, 0);
    scene.runtime.block_on(scene.lake.put_new(&path, "other".into())).expect("there is room");
    assert_failed(cluster.execute(Stage::Join, 0, 0, &scanned.join()), FailureClass::Permanent, &path);
    // an attempt's own names are nobody else's
    let splits = cluster.splits(LandingTable::Customer);
    let again = cluster.execute(Stage::Consent, 0, 0, &Work::Consent { splits });
    assert_failed(again, FailureClass::Permanent, &scanned.directory);
    let splits = cluster.splits(LandingTable::Accelerometer);
    let work = Work::ScanAccelerometer { splits, directory: scanned.directory.clone() };
    let again = cluster.execute(Stage::ScanAccelerometer, 0, 0, &work);
    assert_failed(again, FailureClass::Permanent, &scanned.readings[0].path);
}

#[test]
fn too_little_memory_is_told_with_the_way_out() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let scanned = Scanned::of(&scene, &cluster);
    let Work::JoinShard { shard, directory, mut readings, steps } = scanned.join() else { unreachable!() };
    readings[0].rows = 1 << 30;
    let large = Work::JoinShard { shard, directory, readings, steps };
    let small = scene.executor(&cluster.context, 128 << 20, 2);
    let outcome = small.execute(attempt_id(Stage::Join, 0, 0), &large, false, &AtomicBool::new(false));
    assert_failed(outcome, FailureClass::OutOfMemory, "--memory 128MiB is too little; give at least ");
    // what is small fits
    let outcome = small.execute(attempt_id(Stage::Join, 0, 1), &scanned.join(), false, &AtomicBool::new(false));
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn a_panic_is_told_by_its_place() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let scanned = Scanned::of(&scene, &cluster);
    // rows of users that this directory does not have
    let nobody = encode_customers_object(&[]).expect("nobody fits");
    let directory = "_stedi/nobody.arrow".to_owned();
    scene.runtime.block_on(scene.lake.put_new(&directory, nobody.into())).expect("there is room");
    let work =
        Work::JoinShard { shard: 0, directory, readings: scanned.readings.clone(), steps: scanned.steps.clone() };
    assert_failed(cluster.execute(Stage::Join, 0, 0, &work), FailureClass::Panic, "group.rs:");
    cluster.execute(Stage::Join, 0, 1, &scanned.join()).expect("the worker goes on");
}

#[test]
fn a_scratch_folder_that_cannot_be_made_is_named() {
    let scene = scene();
    let cluster = scene.cluster(ONE);
    let path = file(&scene.lake, &scene.landing(LandingTable::Customer)[0].key).join("scratch");
    let context: RunContext = cluster.context.clone();
    let made = Executor::new(scene.lake.clone(), context, 256 << 20, 1, path.clone(), scene.runtime.handle().clone());
    let error = made.err().expect("a file is in the way");
    assert_eq!(error.class, FailureClass::Permanent);
    assert!(error.message.contains(&path.display().to_string()) && error.message.contains("--scratch"), "{error}");
}

#[test]
fn what_a_store_says_is_sorted() {
    let config = GenerateConfig { customers: 20, ..GenerateConfig::new(Profile::Clean) };
    let mut scene = Scene::generated_in_s3(&config);
    scene.run_embedded(ConsentPolicy::Latest, MatchMode::Customer, 1, false);
    let cluster = scene.cluster(ONE);
    let (directory, _) = consent(&cluster);
    let work = Work::ScanAccelerometer { splits: cluster.splits(LandingTable::Accelerometer), directory };
    let key = &scene.landing(LandingTable::Accelerometer)[0].key;
    let faults = scene.server().faults();
    let failures = [
        (Request::Get, key.as_str(), Effect::SlowDown, FailureClass::Throttled),
        (Request::Get, key.as_str(), Effect::AccessDenied, FailureClass::Permanent),
        (Request::Put, "shuffle", Effect::AccessDenied, FailureClass::Permanent),
        (Request::Put, "shuffle", Effect::SlowDown, FailureClass::Throttled),
    ];
    for (attempt, (request, names, effect, class)) in (0..).zip(failures) {
        faults.add(request, names, u64::MAX, effect);
        assert_failed(cluster.execute(Stage::ScanAccelerometer, 0, attempt, &work), class, names);
        faults.clear();
    }
    faults.add(Request::Get, key, 1, Effect::SlowDown);
    cluster.execute(Stage::ScanAccelerometer, 0, 9, &work).expect("one refusal is nothing");
}
