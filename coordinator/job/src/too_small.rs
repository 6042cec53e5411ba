//! Whether the usual workers are too small for a stage, so that it is better not to try each task on them.
//!
//! Each try costs a worker, whose replacement comes later each time. But that some tasks are too large for them says little
//! of the others: shards are tried the largest first, and by all workers at once.

/// With so few workers, so many tasks in a row.
const STRIKES_MIN: usize = 2;

/// What the usual workers could not do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TooSmall {
    /// Tasks in a row that ran out of memory alone on one of them.
    strikes: usize,
    /// The most that were there at once in this stage.
    crew: usize,
}

impl TooSmall {
    /// So many usual workers are there.
    pub(crate) fn crew(&mut self, workers: usize) {
        self.crew = self.crew.max(workers);
    }

    /// One of them did a task.
    pub(crate) fn enough(&mut self) {
        self.strikes = 0;
    }

    /// A task ran out of memory alone on one of them. Whether they are too small for the stage: as many tasks in a row as
    /// there are workers did.
    pub(crate) fn strike(&mut self) -> bool {
        self.strikes += 1;
        self.strikes >= self.most()
    }

    /// So many usual workers are there for another stage. Its tasks are tried again, but not for long if those of the last
    /// one were too large.
    pub(crate) fn next_stage(&mut self, workers: usize) {
        let was_too_small = self.strikes >= self.most();
        self.crew = workers;
        self.strikes = if was_too_small { self.most() - 1 } else { 0 };
    }

    fn most(self) -> usize {
        self.crew.max(STRIKES_MIN)
    }
}
