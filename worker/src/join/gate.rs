//! Lets joins in as long as their memory fits.

use std::sync::{Condvar, Mutex, PoisonError};

/// A budget that threads share. One is always let in, however much it needs.
#[derive(Debug)]
pub(super) struct Gate {
    total: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A share of the budget, until dropped.
#[derive(Debug)]
pub(super) struct Admitted<'g> {
    gate: &'g Gate,
    share: usize,
}

impl Gate {
    pub(super) fn new(total: usize) -> Self {
        Self { total, taken: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until `share` fits beside what others have taken.
    pub(super) fn enter(&self, share: usize) -> Admitted<'_> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self
            .freed
            .wait_while(taken, |taken| *taken > 0 && *taken + share > self.total)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += share;
        Admitted { gate: self, share }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        *self.gate.taken.lock().unwrap_or_else(PoisonError::into_inner) -= self.share;
        self.gate.freed.notify_all();
    }
}
