//! Memory that joins leave to later ones.

use std::sync::{Mutex, PoisonError};

use stedi_engine::join::JoinSpace;

/// What no join is using just now: one that waits at the gate holds nothing.
#[derive(Debug, Default)]
pub(crate) struct Spaces(Mutex<Vec<JoinSpace>>);

impl Spaces {
    /// A space of at most `share` bytes for a join; what stays behind takes at most `left` bytes, which nobody is using.
    pub(crate) fn take(&self, share: usize, left: usize) -> JoinSpace {
        let mut spaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.pop().filter(|space| space.memory_bytes() <= share).unwrap_or_default();
        while spaces.iter().map(JoinSpace::memory_bytes).sum::<usize>() > left {
            spaces.pop();
        }
        space
    }

    pub(crate) fn put_back(&self, space: JoinSpace) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(space);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_uses_makes_room() {
        let spaces = Spaces::default();
        for rows in [10, 20, 30, 31] {
            let mut space = JoinSpace::default();
            space.readings.reserve_exact(rows);
            spaces.put_back(space);
        }
        let rows = |spaces: &Spaces, left| spaces.take(30 * 40, left).readings.capacity();
        assert_eq!(rows(&spaces, usize::MAX), 0, "it was larger than the join's share");
        assert_eq!(rows(&spaces, usize::MAX), 30);
        assert_eq!(rows(&spaces, 9 * 40), 20);
        assert_eq!(rows(&spaces, 0), 0, "the last one was too large to stay");
    }
}
