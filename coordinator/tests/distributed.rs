//! A coordinator and its workers give the tables that one process gives, byte for byte, and exit as they should.

#[path = "cluster/cluster.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod cluster;
#[path = "../../cli/tests/scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use cluster::{Cluster, Process};
use rustix::process::Signal;
use scene::{Published, Scene, assert_code, stderr};
use serde_json::Value;

/// What one process makes of a lake with the cluster's options.
fn embedded(scene: &Scene, args: &[&str]) -> Published {
    let fork = scene.fork();
    assert_code(&fork.run(&[&["--shards", "3"], args].concat()), 0);
    fork.published().expect("a quiet run commits")
}

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("one JSON object on standard output")
}

#[test]
fn any_number_of_workers_writes_what_one_process_writes() {
    for (workers, args) in [
        (1, &[][..]),
        (3, &[]),
        (2, &["--match", "timestamp", "--dedupe"]),
        (2, &["--consent", "any", "--compression", "snappy"]),
    ] {
        let scene = Scene::with_landing(30);
        let expected = embedded(&scene, args);
        let cluster = Cluster::new(&scene);
        let output = cluster.quiet_run(workers, args);
        assert_code(&output, 0);
        assert!(scene.published().as_ref() == Some(&expected), "{workers} workers, {args:?}: other tables");
        let summary = json(&output);
        assert_eq!(summary["status"], "committed");
        assert_eq!(summary["landing"]["step_trainer_landing"]["rows"], 1200);
        assert_code(&scene.stedi("verify", &[]), 0);
        let report = json(&scene.stedi("report", &["--json"]));
        let planned = json(&scene.stedi("plan", &["--json", "--shards", "3"]));
        for (planned, done) in planned["tasks"].as_array().into_iter().zip(report["stages"].as_array()) {
            let of = |stages: &[Value]| stages.iter().map(|of| of["tasks"].clone()).collect::<Vec<_>>();
            assert_eq!(of(planned), of(done), "what was planned is what was done");
        }
        assert_eq!(report["mode"], "distributed");
        assert_eq!(report["stages"][3]["tasks"], 4, "three shards and the customers");
        assert_eq!(report["shards"]["shards"], 3);
        scene.assert_no_scratch();
        scene.assert_no_leftovers();
    }
}

#[test]
fn a_run_with_nothing_to_do_needs_no_worker() {
    let scene = Scene::with_landing(9);
    let cluster = Cluster::new(&scene);
    assert_code(&cluster.quiet_run(1, &[]), 0);
    let before = scene.files();
    let again = cluster.coordinator(&[]).output();
    assert_code(&again, 0);
    assert_eq!(json(&again)["status"], "unchanged");
    assert_eq!(scene.files(), before);
    let forced = cluster.quiet_run(1, &["--force"]);
    assert_code(&forced, 0);
    assert_eq!(json(&forced)["status"], "committed");
    assert_eq!(scene.commits().len(), 2);
}

#[test]
fn too_many_bad_records_end_a_run_with_its_quarantine_kept() {
    let scene = Scene::with_landing(9);
    scene.write("accelerometer/landing/bad.json", "{\"user\":\"c1@example.com\"}\n{\"timestamp\":\n");
    let cluster = Cluster::new(&scene);
    let output = cluster.coordinator(&["--max-bad-records", "1"]);
    let worker = cluster.worker();
    let output = output.output();
    assert_code(&output, 3);
    let text = stderr(&output);
    for said in [
        "--max-bad-records",
        "accelerometer/landing/bad.json: 1 record, the first one at byte 0: timestamp is missing",
        "accelerometer/landing/bad.json: 1 record, the first one at byte 26: ",
    ] {
        assert!(text.contains(said), "no {said}: {text}");
    }
    assert!(!text.contains("example.com"), "a record is in the log: {text}");
    assert_code(&worker.output(), 0);
    assert!(scene.commit().is_none());
    let left: Vec<String> = scene.files().into_keys().filter(|path| !path.contains("/landing/")).collect();
    assert!(!left.is_empty() && left.iter().all(|path| path.contains("/quarantine/")), "{left:?}");

    let accepted = cluster.quiet_run(2, &["--max-bad-records", "2"]);
    assert_code(&accepted, 0);
    assert_eq!(json(&accepted)["landing"]["accelerometer_landing"]["quarantined"], 2);
}

#[test]
fn a_coordinator_that_is_told_to_stop_leaves_a_run_that_is_resumed() {
    let scene = Scene::with_landing(9);
    let expected = embedded(&scene, &[]);
    let cluster = Cluster::new(&scene);
    let coordinator = cluster.coordinator(&[]);
    // stands still with its first task, so the coordinator has to wait
    let worker = cluster.worker_with_fault("consent_done:stop");
    worker.wait_until_stopped();
    coordinator.signal(Signal::TERM);
    assert_code(&coordinator.output(), 143);
    assert!(scene.commit().is_none());
    worker.signal(Signal::CONT);
    let output = cluster.coordinator(&[]).output();
    assert_code(&output, 0);
    assert!(stderr(&output).contains("resuming"), "{}", stderr(&output));
    assert_code(&worker.output(), 0);
    assert!(scene.published().as_ref() == Some(&expected));
}

#[test]
fn a_worker_that_is_told_to_stop_hands_back_what_it_has() {
    let scene = Scene::with_landing(9);
    let expected = embedded(&scene, &[]);
    let cluster = Cluster::new(&scene);
    let coordinator = cluster.coordinator(&[]);
    let worker = cluster.worker_with_fault("join_begun:stop");
    worker.wait_until_stopped();
    worker.signal(Signal::TERM);
    worker.signal(Signal::CONT);
    assert_code(&worker.output(), 143);
    let other = cluster.worker();
    assert_code(&coordinator.output(), 0);
    assert_code(&other.output(), 0);
    assert!(scene.published().as_ref() == Some(&expected));
}

#[test]
fn a_worker_of_another_version_is_sent_away_and_the_run_goes_on() {
    let scene = Scene::with_landing(9);
    let expected = embedded(&scene, &[]);
    let cluster = Cluster::new(&scene);
    let coordinator = cluster.coordinator(&[]);
    let other = cluster.worker_with_fault("version:9.8.7").output();
    assert_code(&other, 76);
    for said in ["refused by the coordinator", "9.8.7", env!("CARGO_PKG_VERSION"), "use the same version"] {
        assert!(stderr(&other).contains(said), "no {said}: {}", stderr(&other));
    }
    let worker = cluster.worker();
    assert_code(&coordinator.output(), 0);
    assert_code(&worker.output(), 0);
    assert!(scene.published().as_ref() == Some(&expected));
}

#[test]
fn without_a_coordinator_a_worker_gives_up_and_the_other_way_round() {
    let scene = Scene::with_landing(3);
    let cluster = Cluster::new(&scene);
    let lonely = Process::start(cluster.worker_command(&["--coordinator-deadline", "1s"])).output();
    assert_code(&lonely, 1);
    let output = cluster.coordinator(&["--worker-deadline", "1s"]).output();
    assert_code(&output, 1);
    assert!(stderr(&output).contains("no worker for"), "{}", stderr(&output));
}
