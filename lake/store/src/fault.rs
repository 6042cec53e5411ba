//! Fault points: named places where a test makes the process die or stand still.
//!
//! `STEDI_FAULT=<point>[:n][:stop]` kills the process with SIGKILL at the n-th passage of the point (1 by default), as a
//! crash would; `:stop` sends SIGSTOP instead, so that the test can change the world and let it go on. Without the
//! variable a point costs one load.
//!
//! `STEDI_FAULT=version:<version>` lets a worker say that it is of another version, see [`version`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// All fault points of a run in one process, in the order it passes them; `spill` only if the shuffle does not fit in memory.
pub const POINTS: [&str; 13] = [
    "after_probe",
    "after_list",
    "after_customers",
    "spill",
    "after_accelerometer",
    "after_step_trainer",
    "part_begun",
    "part_complete",
    "part_visible",
    "before_ledger",
    "before_commit",
    "commit_synced",
    "committed",
];

/// Fault points that only a coordinator passes, in the order it does, beside `after_probe`, `after_list` and those from
/// `before_ledger` on. Its workers pass `<stage>_begun` and `<stage>_done` of each task, see [`task_point`].
pub const COORDINATOR_POINTS: [&str; 6] =
    ["plan_written", "epoch_taken", "serving", "progress_saved", "readers_written", "cleaned"];

/// Fault points of whoever publishes a commit to a catalog, in the order it passes them; `table_published` once for each
/// of the eight tables.
pub const CATALOG_POINTS: [&str; 2] = ["before_publish", "table_published"];

struct Fault {
    point: String,
    passages_left: AtomicU64,
    signal: Signal,
}

static FAULT: OnceLock<Option<Fault>> = OnceLock::new();

/// Passes a fault point.
///
/// # Panics
/// If `name` is in none of [`POINTS`], [`COORDINATOR_POINTS`] and [`CATALOG_POINTS`], in debug builds.
pub fn point(name: &str) {
    let known = [&POINTS[..], &COORDINATOR_POINTS, &CATALOG_POINTS];
    debug_assert!(known.iter().any(|points| points.contains(&name)), "unknown fault point {name}");
    pass(&[name]);
}

/// Passes the fault point `<stage>_<moment>` of a task; the moment is `begun` or `done`.
pub fn task_point(stage: &str, moment: &str) {
    pass(&[stage, "_", moment]);
}

/// The version that this process says it is of: `own`, unless a test wants to see what becomes of another one.
pub fn version(own: &str) -> String {
    let fault = std::env::var("STEDI_FAULT").unwrap_or_default();
    fault.strip_prefix("version:").unwrap_or(own).to_owned()
}

/// Passes the fault point of the name that `words` make.
fn pass(words: &[&str]) {
    let Some(fault) = FAULT.get_or_init(|| parse(&std::env::var("STEDI_FAULT").ok()?)) else { return };
    if fault.point == words.concat() && fault.passages_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        // a process may always signal itself
        let _ = kill_process(getpid(), fault.signal);
        if fault.signal == Signal::KILL {
            // the signal may take a moment to arrive, and nothing must happen in that moment
            std::thread::park();
        }
    }
}

fn parse(text: &str) -> Option<Fault> {
    let mut words = text.split(':');
    let point = words.next()?.to_owned();
    let mut fault = Fault { point, passages_left: AtomicU64::new(1), signal: Signal::KILL };
    for word in words {
        match word.parse() {
            Ok(n) => fault.passages_left = AtomicU64::new(n),
            Err(_) if word == "stop" => fault.signal = Signal::STOP,
            Err(_) => return None,
        }
    }
    Some(fault)
}
