//! Whether the usual workers are too small for a stage, so that it is better not to try each task on them.
//!
//! Each try costs a worker, whose replacement comes later each time. But that some tasks are too large for them says little
//! of the others: shards are tried the largest first, and by all workers at once.

/// With so few workers, so many tasks in a row.
const STRIKES_MIN: usize = 2;

/// What the usual workers could not do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TooSmall {
    /// Tasks in a row that ran out of memory alone on one of them, in this stage.
    strikes: usize,
    /// The most that were there at once in this stage.
    crew: usize,
    /// They are too small for this stage.
    now: bool,
    /// They were for the one before, and have done nothing since.
    before: bool,
}

impl TooSmall {
    /// So many usual workers are there.
    pub(crate) fn crew(&mut self, workers: usize) {
        self.crew = self.crew.max(workers);
    }

    /// One of them did a task.
    pub(crate) fn enough(&mut self) {
        self.strikes = 0;
        self.before = false;
    }

    /// A task ran out of memory alone on one of them. Whether that shows that they are too small for the stage: as many
    /// tasks in a row as there are workers did, or this one after a stage of which that is known.
    pub(crate) fn strike(&mut self) -> bool {
        self.strikes += 1;
        let was = self.now;
        self.now |= self.before || self.strikes >= self.crew.max(STRIKES_MIN);
        self.now && !was
    }

    /// Another stage begins, with so many usual workers. Its tasks are tried again, but not for long if those of the last
    /// one were too large.
    pub(crate) fn next_stage(&mut self, workers: usize) {
        *self = Self { strikes: 0, crew: workers, now: false, before: self.now && self.strikes > 0 };
    }

    /// Whether they are too small for this stage.
    pub(crate) fn is_so(self) -> bool {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(workers: usize) -> TooSmall {
        let mut small = TooSmall::default();
        small.crew(workers);
        small
    }

    #[test]
    fn as_many_in_a_row_as_there_are_workers() {
        let mut small = of(3);
        assert_eq!([small.strike(), small.strike(), small.strike(), small.strike()], [false, false, true, false]);
        assert!(small.is_so());
        let mut alone = of(1);
        assert_eq!([alone.strike(), alone.strike()], [false, true], "one task says nothing of the others");
    }

    #[test]
    fn what_one_of_them_can_do_others_may_too() {
        let mut small = of(3);
        assert_eq!([small.strike(), small.strike()], [false, false]);
        small.enough();
        assert_eq!([small.strike(), small.strike(), small.strike()], [false, false, true]);
    }

    #[test]
    fn after_a_stage_that_was_too_large_one_more_is_enough() {
        let mut small = of(2);
        assert_eq!([small.strike(), small.strike()], [false, true]);
        // most of them are being replaced at that moment
        small.next_stage(0);
        small.crew(8);
        assert!(!small.is_so() && small.strike());
        small.next_stage(8);
        small.enough();
        assert!(!small.strike() && !small.is_so());
    }
}
