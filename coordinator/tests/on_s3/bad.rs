//! What neither process can do anything about is named with the way out; what is done is kept.

use rustix::process::Signal;
use serde_json::Value;
use stedi_sim_s3::{Effect, Request};

use crate::Quiet;
use crate::bucket::Bucket;
use crate::cluster::Process;
use crate::scene::{assert_code, stderr};

const ALWAYS: u64 = u64::MAX;

#[track_caller]
fn assert_says(output: &std::process::Output, words: &[&str]) {
    let text = stderr(output);
    for word in words {
        assert!(text.contains(word), "`{word}` is missing: {text}");
    }
}

/// Attempts of each stage, over all coordinators of the run that was committed.
fn attempts(bucket: &Bucket) -> Vec<u64> {
    let report = bucket.stedi("report", &["--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).expect("a report");
    let stages = report["stages"].as_array().expect("stages");
    stages.iter().map(|stage| stage["attempts"].as_u64().expect("a number")).collect()
}

#[test]
fn a_lake_that_a_coordinator_cannot_use_is_named() {
    let quiet = Quiet::new();
    let bucket = quiet.in_bucket();
    let (lake, faults) = (bucket.lake(), bucket.faults());
    let refused = |lake: &str, words: &[&str]| {
        let output = bucket.cluster_over(lake).coordinator(&[]).output();
        assert_code(&output, 1);
        assert_says(&output, words);
        faults.clear();
        assert_eq!(bucket.written(), [] as [String; 0], "{words:?}");
    };
    refused("s3://no-such-bucket/lake", &["s3://no-such-bucket/lake", "there is no bucket no-such-bucket"]);
    faults.add(Request::List, "accelerometer/landing", ALWAYS, Effect::AccessDenied);
    refused(&lake, &["no permission to list", &format!("{lake}/accelerometer/landing"), "give access"]);
    faults.add(Request::Put, "", ALWAYS, Effect::AccessDenied);
    refused(&lake, &["no permission to write", &lake]);
    faults.add(Request::Put, "", ALWAYS, Effect::IgnoreConditions);
    refused(&lake, &["create-if-absent", "If-None-Match", &lake]);
    faults.add(Request::Put, "", ALWAYS, Effect::RefuseConditions);
    refused(&lake, &["create-if-absent", "If-None-Match", &lake]);
    faults.add(Request::Any, "", ALWAYS, Effect::ExpiredToken);
    refused(&lake, &["credentials have expired: renew them and run again"]);
    faults.add(Request::Any, "", ALWAYS, Effect::ClockSkew);
    refused(&lake, &["this machine's clock", "set it right"]);
}

#[test]
fn what_a_worker_cannot_do_ends_the_run_and_is_resumed_when_it_can() {
    let quiet = Quiet::new();
    let landing = "accelerometer/landing";
    for (request, key, effect, words) in [
        (Request::Get, landing, Effect::ExpiredToken, "credentials have expired: renew them and run again"),
        (Request::Get, landing, Effect::AccessDenied, "no permission to read"),
        (Request::Get, landing, Effect::ClockSkew, "this machine's clock"),
        (Request::Put, "/shuffle/scan-step-trainer", Effect::ExpiredToken, "credentials have expired"),
        (Request::Put, "step_trainer/trusted/", Effect::AccessDenied, "no permission to write"),
    ] {
        let what = format!("{request:?} {key} {effect:?}");
        let bucket = quiet.in_bucket();
        let cluster = bucket.cluster();
        bucket.faults().add(request, key, ALWAYS, effect);
        let coordinator = cluster.coordinator(&[]);
        let worker = Process::start(cluster.worker_command(&["--threads", "1"]));
        let output = coordinator.output();
        assert_code(&output, 78);
        // which task, on which worker, of which object
        assert_says(&output, &[" failed on ", key, words]);
        assert_code(&worker.output(), 0);
        bucket.assert_nothing_visible(&what);

        bucket.faults().clear();
        let next = cluster.coordinator(&[]);
        let worker = cluster.worker();
        let output = next.output();
        assert_code(&output, 0);
        assert_says(&output, &["resuming"]);
        assert_code(&worker.output(), 0);
        assert_eq!(attempts(&bucket)[0], 1, "{what}: customers are read once");
        bucket.check(&quiet.expected, &what);
    }
}

#[test]
fn credentials_of_a_coordinator_that_expire_end_the_run_and_fresh_ones_resume_it() {
    let quiet = Quiet::new();
    let bucket = quiet.in_bucket();
    let cluster = bucket.cluster();
    let coordinator = cluster.coordinator(&[]);
    let worker = cluster.worker_with_fault("scan-step-trainer_begun:stop");
    worker.wait_until_stopped();
    bucket.faults().add(Request::Put, "/progress/", ALWAYS, Effect::ExpiredToken);
    worker.signal(Signal::CONT);
    let output = coordinator.output();
    assert_code(&output, 1);
    assert_says(&output, &["the store refused the coordinator", "credentials have expired: renew them and run again"]);
    assert_code(&worker.output(), 0);
    bucket.assert_nothing_visible("expired credentials");

    // the next ones last until the commit, which is refused
    bucket.faults().clear();
    bucket.faults().add(Request::Put, "/_stedi/log/", ALWAYS, Effect::ExpiredToken);
    let coordinator = cluster.coordinator(&[]);
    let worker = cluster.worker();
    let output = coordinator.output();
    assert_code(&output, 1);
    assert_says(&output, &["resuming", "/_stedi/log/", "credentials have expired"]);
    assert_code(&worker.output(), 0);
    bucket.assert_nothing_visible("expired credentials at the commit");

    bucket.faults().clear();
    let output = cluster.coordinator(&["--worker-deadline", "1s"]).output();
    assert_code(&output, 0);
    assert_eq!(attempts(&bucket), [1, 1, 1, 4], "no worker was needed for what is done");
    bucket.check(&quiet.expected, "expired credentials");
}
