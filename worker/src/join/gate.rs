//! Lets joins in as long as their memory fits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a cancelled join may wait on.
const CANCEL_LOOKED_AT: Duration = Duration::from_millis(50);

/// A budget that threads share. One is always let in, however much it needs.
#[derive(Debug)]
pub(crate) struct Gate {
    total: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A share of the budget, until dropped.
#[derive(Debug)]
pub(crate) struct Admitted<'g> {
    gate: &'g Gate,
    share: usize,
}

impl Gate {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, taken: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until `share` fits beside what others have taken; `None` if cancelled before.
    pub(crate) fn enter(&self, share: usize, cancel: &AtomicBool) -> Option<Admitted<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken > 0 && *taken + share > self.total {
            if cancel.load(Ordering::Relaxed) {
                return None;
            }
            taken = self.freed.wait_timeout(taken, CANCEL_LOOKED_AT).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken += share;
        Some(Admitted { gate: self, share })
    }
}

impl Admitted<'_> {
    /// What nobody has taken just now.
    pub(crate) fn left(&self) -> usize {
        self.gate.total.saturating_sub(*self.gate.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        *self.gate.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.share;
        self.gate.freed.notify_all();
    }
}
