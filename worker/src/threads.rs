//! Threads that share a piece of work.

use std::io;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::WorkError;
use crate::panics;

/// Runs `body` on `count` threads of their own, which leave nothing behind: what they have freed goes back to the system.
/// `stop` is set as soon as one fails; the others should look at it.
///
/// # Errors
/// The first failure in the order of the threads; if a thread cannot be started, that.
pub(crate) fn share<T: Send>(
    count: usize,
    stop: &AtomicBool,
    body: impl Fn() -> Result<T, WorkError> + Sync,
) -> Result<Vec<T>, WorkError> {
    let quiet = panics::is_quiet();
    let one = || {
        panics::set_quiet(quiet);
        let outcome = body();
        stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
        outcome
    };
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, one);
        let threads: io::Result<Vec<_>> = (0..count).map(start).collect();
        stop.fetch_or(threads.is_err(), Ordering::Relaxed);
        let threads = threads.map_err(WorkError::Thread)?;
        let outcomes: Vec<_> =
            threads.into_iter().map(|t| t.join().unwrap_or_else(|payload| panic::resume_unwind(payload))).collect();
        outcomes.into_iter().collect()
    })
}
