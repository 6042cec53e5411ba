//! A run is killed at every step: the lake is the old one or the new one, never half of each, the next run succeeds,
//! and gc removes what the dead run left.

#[path = "scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;

use scene::{Published, Scene, assert_code};
use stedi_worker::fault;

/// SIGKILL.
const KILLED: Option<i32> = Some(9);

/// The point that only a run with more readings than memory passes.
const SPILL: &str = "spill";

/// What a lake looks like before and after a run that nobody disturbs.
struct Courses {
    before: Scene,
    /// Options of every run.
    args: &'static [&'static str],
    old: Option<Published>,
    new: Published,
}

impl Courses {
    fn of(before: Scene, args: &'static [&'static str]) -> Self {
        let old = before.published();
        let quiet = before.fork();
        assert_code(&quiet.run(args), 0);
        let new = quiet.published().expect("a quiet run commits");
        assert_ne!(old.as_ref(), Some(&new), "the run must change something, or nothing is shown");
        Self { before, args, old, new }
    }

    /// Looks at a lake after a run was killed, runs again, collects the garbage.
    fn check(&self, lake: &Scene, what: &str) {
        let landing = self.before.landing();
        let seen = lake.published();
        assert!(seen == self.old || seen.as_ref() == Some(&self.new), "{what}: the lake is neither old nor new");
        assert_eq!(lake.landing(), landing, "{what}: landing changed");
        if seen.is_some() {
            assert_code(&lake.stedi("verify", &[]), 0);
        }
        assert_code(&lake.run(self.args), 0);
        assert!(lake.published().as_ref() == Some(&self.new), "{what}: the next run gives other tables");
        assert_code(&lake.stedi("verify", &[]), 0);
        assert_code(&lake.stedi("gc", &["--grace", "0s", "--delete"]), 0);
        assert!(lake.published().as_ref() == Some(&self.new), "{what}: gc took a part that is in use");
        assert_eq!(lake.landing(), landing, "{what}: landing changed");
        lake.assert_no_leftovers();
    }
}

#[test]
fn a_first_run_killed_at_any_point_leaves_no_tables_or_all() {
    kill_at(&every_point_but_spill(), &Courses::of(Scene::with_landing(9), &[]));
}

#[test]
fn a_later_run_killed_at_any_point_leaves_the_old_tables_or_the_new() {
    kill_at(&every_point_but_spill(), &Courses::of(Scene::with_news(), &[]));
}

#[test]
fn a_run_killed_while_it_spills_leaves_no_tables_and_no_scratch() {
    let scene = Scene::with_landing(9);
    let mut readings = String::new();
    for i in 0..600_000_u64 {
        // nothing about them is alike, so that they cannot be packed
        let t = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        writeln!(readings, r#"{{"user":"c1@example.com","timestamp":{t},"x":0.{t},"y":1.{t},"z":2.{t}}}"#)
            .expect("a string");
    }
    scene.write("accelerometer/landing/many.json", &readings);
    kill_at(&[SPILL, "after_accelerometer", "part_begun"], &Courses::of(scene, &["--memory", "64MiB"]));
}

fn every_point_but_spill() -> Vec<&'static str> {
    fault::POINTS.into_iter().filter(|point| *point != SPILL).collect()
}

fn kill_at(points: &[&str], courses: &Courses) {
    for point in points {
        for nth in [1, 2, 5] {
            let lake = courses.before.fork();
            let what = format!("{point}:{nth}");
            let output = lake.run_with_fault(&what, courses.args);
            if output.status.signal() != KILLED {
                assert!(nth > 1, "a run never passes {point}: {}", scene::stderr(&output));
                assert_code(&output, 0);
                continue;
            }
            courses.check(&lake, &what);
        }
    }
}

#[test]
fn a_run_killed_twice_in_a_row_changes_nothing_more() {
    let courses = Courses::of(Scene::with_news(), &[]);
    let lake = courses.before.fork();
    for point in every_point_but_spill() {
        assert_eq!(lake.run_with_fault(point, &["--force"]).status.signal(), KILLED, "at {point}");
    }
    courses.check(&lake, "killed at every point, one run after another");
}
