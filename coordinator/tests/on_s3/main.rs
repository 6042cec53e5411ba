//! A coordinator and workers, as processes, over a lake in S3 that fails.

mod bad;
mod bucket;
mod chaos;
#[path = "../cluster/cluster.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod cluster;
#[path = "../../../cli/tests/scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::time::Duration;

use cluster::Process;
use stedi_sim_s3::{Effect, Request};

use bucket::Bucket;
use scene::{Published, Scene, assert_code};

/// A landing, and what a quiet run in one process on disk makes of it with the cluster's options.
struct Quiet {
    landing: Scene,
    expected: Published,
}

impl Quiet {
    fn new() -> Self {
        Self::of(Scene::with_landing(12), &[])
    }

    fn of(landing: Scene, options: &[&str]) -> Self {
        cluster::build();
        let run = landing.fork();
        assert_code(&run.run(&[&["--shards", "3"], options].concat()), 0);
        Self { expected: run.published().expect("a quiet run commits"), landing }
    }

    /// A lake in S3 with that landing.
    fn in_bucket(&self) -> Bucket {
        Bucket::with_landing_of(&self.landing)
    }
}

#[test]
fn the_report_has_the_requests_of_all_processes() {
    let quiet = Quiet::new();
    let bucket = quiet.in_bucket();
    // retries are sent, too
    bucket.faults().storm(1);
    assert_code(&bucket.cluster().quiet_run(2, &[]), 0);
    let seen = |requests: &[Request]| bucket.faults().seen(requests);
    let puts = seen(&[Request::Put, Request::Begin, Request::Part, Request::Complete]);
    let (gets, heads, lists) = (seen(&[Request::Get]), seen(&[Request::Head]), seen(&[Request::List]));
    bucket.faults().clear();
    let output = bucket.stedi("report", &["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let counted = |name: &str| report["requests"][name].as_u64().expect("a number");
    let of_stages: u64 =
        (0..4).map(|stage| report["stages"][stage]["cost"]["requests"]["get"].as_u64().expect("a number")).sum();
    assert!(of_stages > 10 && counted("get") > of_stages, "workers and the coordinator read: {report}");
    // what comes after: the report itself is put, settled and what only a run in progress needs is listed and deleted
    for (name, seen, after_max) in [("get", gets, 3), ("put", puts, 4), ("head", heads, 4), ("list", lists, 4)] {
        let counted = counted(name);
        assert!(counted <= seen && seen - counted <= after_max, "{name}: {counted} counted, {seen} came in");
    }
    assert!(report["cost"]["assumptions"].to_string().contains("that were sent"), "{}", report["cost"]);
    let shown = String::from_utf8(bucket.stedi("report", &[]).stdout).expect("text");
    assert!(shown.contains(&format!("{} PUT", counted("put"))), "{shown}");
}

#[test]
fn a_worker_that_comes_as_the_run_ends_is_told_so() {
    let quiet = Quiet::new();
    let bucket = quiet.in_bucket();
    let cluster = bucket.cluster();
    // what comes after the commit takes its time
    bucket.faults().add(Request::Put, "report.json", 1, Effect::Slow(Duration::from_secs(2)));
    let coordinator = cluster.coordinator(&[]);
    let worker = cluster.worker();
    while bucket.faults().seen(&[Request::Put]) == 0 || bucket.commits().is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_code(&worker.output(), 0);
    let late = Process::start(cluster.worker_command(&["--coordinator-deadline", "1s"]));
    assert_code(&late.output(), 0);
    assert_code(&coordinator.output(), 0);
    bucket.check(&quiet.expected, "a late worker");
}
