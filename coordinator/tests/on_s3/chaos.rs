//! Requests fail and processes are killed: the tables are those of a quiet run, committed once.
//!
//! The seed decides which requests go wrong; which of them a killed process had made is left to chance.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;
use std::time::Duration;

use rustix::process::Signal;
use stedi_sim_s3::{Effect, Request};

use crate::Quiet;
use crate::cluster::{Process, send_home};
use crate::scene::{Scene, assert_code, stderr};

/// SIGKILL.
const KILLED: Option<i32> = Some(9);

fn assert_killed(output: &Output, what: &str) {
    assert_eq!(output.status.signal(), KILLED, "{what}: {}", stderr(output));
}

#[test]
fn a_store_in_a_storm_gets_the_tables_of_a_quiet_run() {
    let quiet = Quiet::new();
    for seed in 0..4 {
        let bucket = quiet.in_bucket();
        bucket.faults().storm(seed);
        let cluster = bucket.cluster();
        let output = cluster.quiet_run(1 + usize::try_from(seed % 3).expect("small"), &[]);
        assert_code(&output, 0);
        assert!(bucket.faults().hits() > 10, "seed {seed}: only {} requests went wrong", bucket.faults().hits());
        bucket.check(&quiet.expected, &format!("seed {seed}"));
    }
}

#[test]
fn parts_of_several_pieces_come_through_a_storm_and_the_death_of_their_writer() {
    let landing = Scene::empty();
    land_incompressible(&landing, 400_000);
    let options = ["--compression", "none"];
    let quiet = Quiet::of(landing, &options);
    for seed in 30..32 {
        let bucket = quiet.in_bucket();
        let cluster = bucket.cluster();
        let coordinator = cluster.coordinator(&options);
        // no upload is completed before its writer is dead
        bucket.faults().add(Request::Complete, "", u64::MAX, Effect::SlowDown);
        let writer = cluster.worker();
        while bucket.faults().seen(&[Request::Part]) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        writer.signal(Signal::KILL);
        assert_killed(&writer.output(), "the writer of a large part");
        assert!(bucket.unfinished_uploads() > 0, "seed {seed}: killed in the midst of an upload");
        bucket.assert_nothing_visible("an unfinished upload");
        bucket.faults().clear();
        bucket.faults().storm(seed);
        let pieces = bucket.faults().seen(&[Request::Part]);
        let others = vec![cluster.worker(), cluster.worker()];
        assert_code(&coordinator.output(), 0);
        send_home(others);
        let pieces = bucket.faults().seen(&[Request::Part]) - pieces;
        assert!(pieces > 1, "seed {seed}: only {pieces} pieces of the part in use");
        bucket.check(&quiet.expected, &format!("seed {seed}"));
    }
}

/// Lands readings of one customer that no encoding makes small, so that a part of them is uploaded in pieces.
fn land_incompressible(scene: &Scene, readings: u32) {
    scene.land(0..2);
    let mut text = String::new();
    for t in 0..readings {
        // digits enough that no two readings share a value, and none is a short decimal
        let [x, y, z] = [1.0, 2.0, 3.0].map(|axis: f64| (f64::from(t) * axis + 0.5).sqrt().sin());
        text += &format!("{{\"user\":\"c1@example.com\",\"timestamp\":{t},\"x\":{x},\"y\":{y},\"z\":{z}}}\n");
    }
    scene.write("accelerometer/landing/2022/many.json", &text);
}

#[test]
fn a_store_that_is_away_for_longer_than_retries_last_costs_attempts_and_no_more() {
    let quiet = Quiet::new();
    let bucket = quiet.in_bucket();
    // as often as a request is tried: a task of each kind fails, a save and the commit do
    let faults = bucket.faults();
    faults.add(Request::Get, "customer/landing", 4, Effect::SlowDown);
    faults.add(Request::Get, "accelerometer/landing", 4, Effect::InternalError);
    faults.add(Request::Put, "/shuffle/scan-step-trainer", 4, Effect::Reset);
    faults.add(Request::Get, "/shuffle/scan-accelerometer", 4, Effect::SlowDown);
    faults.add(Request::Put, "/progress/", 4, Effect::SlowDown);
    faults.add(Request::Put, "/_stedi/log/", 4, Effect::SlowDown);
    let cluster = bucket.cluster();
    let coordinator = cluster.coordinator(&[]);
    // one after the other, so that it is one task whose requests fail
    let worker = Process::start(cluster.worker_command(&["--threads", "1"]));
    let output = coordinator.output();
    assert_code(&output, 0);
    assert_code(&worker.output(), 0);
    assert_eq!(faults.hits(), 24, "{}", stderr(&output));
    let report = bucket.stedi("report", &["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).expect("a report");
    let failures: Vec<&serde_json::Value> =
        report["stages"].as_array().expect("stages").iter().map(|stage| &stage["failures"]).collect();
    assert_eq!(failures[0]["throttled"], 1, "{failures:?}");
    assert_eq!(failures[1]["transient-io"], 1, "{failures:?}");
    assert_eq!(failures[2]["transient-io"], 1, "{failures:?}");
    assert_eq!(failures[3]["throttled"], 1, "{failures:?}");
    bucket.check(&quiet.expected, "away for long");
}

#[test]
fn a_worker_killed_in_a_storm_is_replaced_by_another() {
    let quiet = Quiet::new();
    let points = ["consent_begun", "scan-accelerometer_done", "scan-step-trainer_begun", "part_visible"];
    for (seed, point) in (10..).zip(points) {
        let bucket = quiet.in_bucket();
        bucket.faults().storm(seed);
        let cluster = bucket.cluster();
        let coordinator = cluster.coordinator(&[]);
        // alone until it dies, so that it comes to that point
        assert_killed(&cluster.worker_with_fault(point).output(), point);
        bucket.assert_nothing_visible(point);
        let others = vec![cluster.worker(), cluster.worker()];
        assert_code(&coordinator.output(), 0);
        send_home(others);
        bucket.check(&quiet.expected, point);
    }
}

#[test]
fn a_coordinator_killed_in_a_storm_is_resumed_by_the_next() {
    let quiet = Quiet::new();
    let before =
        ["plan_written", "epoch_taken", "progress_saved:2", "readers_written", "before_commit", "commit_synced"];
    for (seed, point) in (20..).zip(before.into_iter().chain(["committed", "cleaned"])) {
        let bucket = quiet.in_bucket();
        bucket.faults().storm(seed);
        let cluster = bucket.cluster();
        let coordinator = cluster.coordinator_with_fault(point, &[]);
        let workers = vec![cluster.worker(), cluster.worker()];
        assert_killed(&coordinator.output(), point);
        if before.contains(&point) {
            bucket.assert_nothing_visible(point);
        }
        let next = cluster.coordinator(&[]);
        assert_code(&next.output(), 0);
        send_home(workers);
        bucket.check(&quiet.expected, point);
    }
}
