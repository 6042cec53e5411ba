//! Processes are killed and stopped at every step: the lake is the old one or the new one, the run goes on to the tables
//! of a quiet one, one commit is made, and gc leaves nothing of dead attempts.

#[path = "cluster/cluster.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod cluster;
#[path = "../../cli/tests/scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

use cluster::{Cluster, Process, send_home};
use rustix::process::Signal;
use scene::{Published, Scene, assert_code, stderr};
use stedi_worker::fault;

/// SIGKILL.
const KILLED: Option<i32> = Some(9);

const STAGES: [&str; 4] = ["consent", "scan-accelerometer", "scan-step-trainer", "join"];

struct Courses {
    before: Scene,
    expected: Published,
}

impl Courses {
    fn new() -> Self {
        let before = Scene::with_landing(12);
        let quiet = before.fork();
        assert_code(&quiet.run(&["--shards", "3"]), 0);
        Self { expected: quiet.published().expect("a quiet run commits"), before }
    }

    /// Looks at a lake after the run that was disturbed has come to its end.
    fn check(&self, lake: &Scene, what: &str) {
        assert!(lake.published().as_ref() == Some(&self.expected), "{what}: other tables than a quiet run's");
        assert_eq!(lake.commits().len(), 1, "{what}: one commit");
        assert_eq!(lake.landing(), self.before.landing(), "{what}: landing changed");
        assert_code(&lake.stedi("verify", &[]), 0);
        assert_code(&lake.stedi("gc", &["--grace", "0s", "--delete"]), 0);
        assert!(lake.published().as_ref() == Some(&self.expected), "{what}: gc took a part that is in use");
        lake.assert_no_scratch();
        lake.assert_no_leftovers();
    }
}

fn assert_killed(output: &Output, what: &str) {
    assert_eq!(output.status.signal(), KILLED, "{what}: {}", stderr(output));
}

#[test]
fn a_worker_killed_in_any_stage_is_replaced_by_another() {
    let courses = Courses::new();
    for stage in STAGES {
        for moment in ["begun", "done"] {
            let what = format!("{stage}_{moment}");
            let lake = courses.before.fork();
            let cluster = Cluster::new(&lake);
            let coordinator = cluster.coordinator(&[]);
            let victim = cluster.worker_with_fault(&what);
            // alone until it dies, so that it comes to that point
            assert_killed(&victim.output(), &what);
            let other = cluster.worker();
            assert_code(&coordinator.output(), 0);
            assert_code(&other.output(), 0);
            courses.check(&lake, &what);
        }
    }
}

#[test]
fn all_workers_killed_at_once_are_replaced_by_others() {
    let courses = Courses::new();
    let lake = courses.before.fork();
    let cluster = Cluster::new(&lake);
    let coordinator = cluster.coordinator(&[]);
    let stopped = cluster.worker_with_fault("scan-accelerometer_done:stop");
    stopped.wait_until_stopped();
    let workers = [cluster.worker(), cluster.worker()];
    for worker in [&stopped].into_iter().chain(&workers) {
        worker.signal(Signal::KILL);
    }
    let others = vec![cluster.worker(), cluster.worker()];
    assert_code(&coordinator.output(), 0);
    send_home(others);
    courses.check(&lake, "all workers killed");
}

#[test]
fn a_coordinator_killed_at_any_step_is_resumed_by_the_next() {
    let courses = Courses::new();
    let own = fault::COORDINATOR_POINTS.iter().copied();
    let of_every_run = ["after_probe", "after_list", "before_ledger", "before_commit", "committed"];
    for point in own.chain(of_every_run) {
        let lake = courses.before.fork();
        let cluster = Cluster::new(&lake);
        let coordinator = cluster.coordinator_with_fault(point, &[]);
        let workers = vec![cluster.worker(), cluster.worker()];
        assert_killed(&coordinator.output(), point);
        assert!(lake.commits().len() <= 1 && lake.published().is_none_or(|seen| seen == courses.expected));
        let next = cluster.coordinator(&[]);
        assert_code(&next.output(), 0);
        send_home(workers);
        courses.check(&lake, point);
    }
}

#[test]
fn a_coordinator_killed_again_and_again_gets_there() {
    let courses = Courses::new();
    let lake = courses.before.fork();
    let cluster = Cluster::new(&lake);
    let worker = cluster.worker();
    for point in ["progress_saved", "progress_saved", "readers_written", "progress_saved:2", "before_commit"] {
        assert_killed(&cluster.coordinator_with_fault(point, &[]).output(), point);
    }
    assert_code(&cluster.coordinator(&[]).output(), 0);
    assert_code(&worker.output(), 0);
    courses.check(&lake, "killed again and again");
}

#[test]
fn a_worker_stopped_past_its_lease_does_no_harm() {
    let courses = Courses::new();
    for point in ["scan-accelerometer_done", "join_begun", "join_done"] {
        let lake = courses.before.fork();
        let cluster = Cluster::new(&lake);
        let coordinator = cluster.coordinator(&[]);
        let zombie = cluster.worker_with_fault(&format!("{point}:stop"));
        zombie.wait_until_stopped();
        let other = cluster.worker();
        assert_code(&coordinator.output(), 0);
        assert_code(&other.output(), 0);
        zombie.signal(Signal::CONT);
        // nobody is there to tell it, but the lake
        assert_code(&zombie.output(), 0);
        courses.check(&lake, point);
    }
}

#[test]
fn of_two_coordinators_the_later_one_goes_on() {
    let courses = Courses::new();
    let lake = courses.before.fork();
    let (first, second) = (Cluster::new(&lake), Cluster::new(&lake));
    let replaced = first.coordinator(&[]);
    let worker = first.worker_with_fault("scan-accelerometer_begun:stop");
    worker.wait_until_stopped();
    let later = second.coordinator(&[]);
    let other = second.worker();
    assert_code(&later.output(), 0);
    assert_code(&other.output(), 0);
    worker.signal(Signal::CONT);
    let output = replaced.output();
    assert_code(&output, 4);
    assert!(stderr(&output).contains("has taken this run over"), "{}", stderr(&output));
    drop(worker);
    courses.check(&lake, "two coordinators");
}

#[test]
fn coordinators_that_start_at_once_make_one_commit() {
    let courses = Courses::new();
    let lake = courses.before.fork();
    let clusters = [Cluster::new(&lake), Cluster::new(&lake)];
    let coordinators = clusters.each_ref().map(|cluster| cluster.coordinator(&[]));
    let workers: Vec<Process> = clusters.iter().map(Cluster::worker).collect();
    let codes = coordinators.map(|coordinator| coordinator.output().status.code());
    // the one is fenced out or comes too late, or finds that there is nothing to do
    assert!(codes.contains(&Some(0)) && codes.iter().all(|code| matches!(code, Some(0 | 4))), "{codes:?}");
    drop(workers);
    courses.check(&lake, "two at once");
}
