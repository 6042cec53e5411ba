//! Whether what tasks are tried with first is too little for a stage, so that it is better to begin with more.
//!
//! Each try costs a worker, whose replacement comes later each time. But that some tasks need more says little of the others:
//! shards are tried the largest first, and by all workers at once.

use crate::failure::MemoryNeed;

/// With so few workers, so many tasks in a row.
const STRIKES_MIN: usize = 2;

/// What the usual workers could not do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TooSmall {
    /// The most of them that were there at once in this stage.
    crew: usize,
    /// With as much memory as a task takes by itself, on workers that do one at a time.
    slot: Step,
    /// Alone, with as little memory as a task can do with.
    alone: Step,
}

/// One of the things that are tried.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// Tasks in a row that ran out of memory like this, in this stage.
    strikes: usize,
    /// It is too little for this stage.
    now: bool,
    /// It was for the one before, and has done since for no task.
    before: bool,
}

impl TooSmall {
    /// So many usual workers are there.
    pub(crate) fn crew(&mut self, workers: usize) {
        self.crew = self.crew.max(workers);
    }

    /// One of them did a task, with this.
    pub(crate) fn enough(&mut self, need: MemoryNeed) {
        // what does without sparing does with it, too
        let steps = [&mut self.slot, &mut self.alone];
        let first = if need == MemoryNeed::Slot { 0 } else { 1 };
        for step in steps.into_iter().skip(first) {
            step.strikes = 0;
            step.before = false;
        }
    }

    /// A task ran out of memory on one of them, with this. Whether that shows that it is too little for the stage: as many
    /// tasks in a row as there are workers did, or this one after a stage of which that is known.
    pub(crate) fn strike(&mut self, need: MemoryNeed) -> bool {
        let crew = self.crew.max(STRIKES_MIN);
        let step = if need == MemoryNeed::Slot { &mut self.slot } else { &mut self.alone };
        step.strikes += 1;
        let was = step.now;
        step.now |= step.before || step.strikes >= crew;
        step.now && !was
    }

    /// Another stage begins, with so many usual workers. Its tasks are tried again, but not for long if those of the last
    /// one needed more.
    pub(crate) fn next_stage(&mut self, workers: usize) {
        let next = |step: Step| Step { before: step.now && step.strikes > 0, ..Step::default() };
        *self = Self { crew: workers, slot: next(self.slot), alone: next(self.alone) };
    }

    /// What tasks of this stage are to be tried with, at least.
    pub(crate) fn least(self) -> MemoryNeed {
        match self {
            Self { alone: Step { now: true, .. }, .. } => MemoryNeed::Largest,
            Self { slot: Step { now: true, .. }, .. } => MemoryNeed::Alone,
            _ => MemoryNeed::Slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MemoryNeed::{Alone, Largest, Slot};

    fn of(workers: usize) -> TooSmall {
        let mut small = TooSmall::default();
        small.crew(workers);
        small
    }

    #[test]
    fn as_many_in_a_row_as_there_are_workers() {
        let mut small = of(3);
        assert_eq!([(); 4].map(|()| small.strike(Alone)), [false, false, true, false]);
        assert_eq!(small.least(), Largest);
        let mut single = of(1);
        assert_eq!([(); 2].map(|()| single.strike(Alone)), [false, true], "one task says nothing of the others");
    }

    #[test]
    fn what_one_of_them_can_do_others_may_too() {
        let mut small = of(3);
        assert_eq!([small.strike(Alone), small.strike(Alone)], [false, false]);
        small.enough(Slot);
        assert_eq!([(); 3].map(|()| small.strike(Alone)), [false, false, true]);
    }

    #[test]
    fn what_sparing_can_do_says_nothing_of_going_without() {
        let mut small = of(2);
        assert!(!small.strike(Slot));
        small.enough(Alone);
        assert!(small.strike(Slot));
        assert_eq!(small.least(), Alone);
        assert_eq!([small.strike(Alone), small.strike(Alone)], [false, true]);
        assert_eq!(small.least(), Largest);
    }

    #[test]
    fn after_a_stage_that_was_too_large_one_more_is_enough() {
        let mut small = of(2);
        assert_eq!([small.strike(Alone), small.strike(Alone)], [false, true]);
        // most of them are being replaced at that moment
        small.next_stage(0);
        small.crew(8);
        assert!(small.least() == Slot && small.strike(Alone));
        small.next_stage(8);
        small.enough(Alone);
        assert!(!small.strike(Alone) && small.least() == Slot);
    }
}
