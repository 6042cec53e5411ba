//! The tasks of the stage that is going on: which wait, for what, and how they fared.

use std::collections::{BTreeSet, VecDeque};

use crate::failure::MemoryNeed;

/// Attempts of a task that one epoch grants at most, whatever became of them: attempt numbers end somewhere.
pub(crate) const GRANTS_MAX: u16 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In `ready`, `delayed`, `heavy` or `largest`.
    Waiting,
    Running,
    Done,
}

/// One task of the stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    place: Place,
    pub(crate) memory: MemoryNeed,
    /// Attempts that are running.
    pub(crate) live: u8,
    pub(crate) failures: u8,
    pub(crate) losses: u8,
    /// Attempts that this epoch has granted.
    pub(crate) granted: u16,
}

/// All tasks of a stage. No operation but [`Tasks::need`] looks at all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    tasks: Vec<Task>,
    /// Those to be granted next. Tasks that were finished by an attempt given up before may still be in here.
    ready: VecDeque<u32>,
    delayed: BTreeSet<(u64, u32)>,
    heavy: VecDeque<u32>,
    /// Those that wait for a worker with more memory than the usual ones have; empty where there are none such.
    largest: VecDeque<u32>,
    high_memory: bool,
    waiting: u32,
}

impl Tasks {
    /// `order` names the tasks that are to be done, the first one first; the others of `count` are done. `high_memory`
    /// says whether workers with more memory can be had.
    pub(crate) fn new(count: u32, order: Vec<u32>, high_memory: bool) -> Self {
        let done = Task { place: Place::Done, memory: MemoryNeed::Slot, live: 0, failures: 0, losses: 0, granted: 0 };
        let mut tasks = vec![done; count as usize];
        let mut waiting = 0;
        for &index in &order {
            tasks[index as usize].place = Place::Waiting;
            waiting += 1;
        }
        Self { tasks, ready: order.into(), waiting, high_memory, ..Self::default() }
    }

    pub(crate) fn task(&self, index: u32) -> &Task {
        &self.tasks[index as usize]
    }

    pub(crate) fn task_mut(&mut self, index: u32) -> &mut Task {
        &mut self.tasks[index as usize]
    }

    /// Number of tasks that wait to be granted, now or later.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Tasks whose time has come wait no longer.
    pub(crate) fn release(&mut self, now_ms: u64) {
        while let Some(&(due_ms, index)) = self.delayed.first()
            && due_ms <= now_ms
        {
            self.delayed.pop_first();
            self.enqueue(index);
        }
    }

    /// The next task for any free slot.
    pub(crate) fn take(&mut self) -> Option<u32> {
        while let Some(index) = self.ready.pop_front() {
            if self.tasks[index as usize].place == Place::Waiting {
                return Some(index);
            }
        }
        None
    }

    /// The next task that needs a worker for itself.
    pub(crate) fn peek_heavy(&mut self) -> Option<(u32, MemoryNeed)> {
        while let Some(&index) = self.heavy.front() {
            if self.tasks[index as usize].place == Place::Waiting {
                return Some((index, self.tasks[index as usize].memory));
            }
            self.heavy.pop_front();
        }
        None
    }

    pub(crate) fn take_heavy(&mut self) {
        self.heavy.pop_front();
    }

    /// The next task that needs more memory than the usual workers have.
    pub(crate) fn take_largest(&mut self) -> Option<u32> {
        while let Some(index) = self.largest.pop_front() {
            if self.tasks[index as usize].place == Place::Waiting {
                return Some(index);
            }
        }
        None
    }

    /// How many of those there are.
    pub(crate) fn largest(&self) -> usize {
        self.largest.iter().filter(|&&index| self.tasks[index as usize].place == Place::Waiting).count()
    }

    /// All that wait need so much at least. Looks at each of them, but only twice in a stage.
    pub(crate) fn need(&mut self, least: MemoryNeed) {
        for task in self.tasks.iter_mut().filter(|task| task.place == Place::Waiting) {
            task.memory = task.memory.max(least);
        }
        if least == MemoryNeed::Largest && self.high_memory {
            self.largest.extend(self.heavy.drain(..).chain(self.ready.drain(..)));
        } else if least > MemoryNeed::Slot {
            self.heavy.extend(self.ready.drain(..));
        }
    }

    /// A task that was taken, or is running, gets one more attempt: its number within the epoch.
    pub(crate) fn start(&mut self, index: u32) -> u32 {
        let task = &mut self.tasks[index as usize];
        if task.place == Place::Waiting {
            task.place = Place::Running;
            self.waiting -= 1;
        }
        task.live += 1;
        task.granted += 1;
        u32::from(task.granted) - 1
    }

    /// An attempt is over, whatever became of it.
    pub(crate) fn stop(&mut self, index: u32) {
        let task = &mut self.tasks[index as usize];
        task.live = task.live.saturating_sub(1);
    }

    /// A task without attempts waits again, from `due_ms` on.
    pub(crate) fn requeue(&mut self, index: u32, now_ms: u64, due_ms: u64) {
        let task = &mut self.tasks[index as usize];
        if task.place != Place::Running || task.live > 0 {
            return;
        }
        task.place = Place::Waiting;
        self.waiting += 1;
        if due_ms > now_ms {
            self.delayed.insert((due_ms, index));
        } else {
            self.enqueue(index);
        }
    }

    fn enqueue(&mut self, index: u32) {
        match self.tasks[index as usize].memory {
            MemoryNeed::Slot => self.ready.push_front(index),
            MemoryNeed::Largest if self.high_memory => self.largest.push_back(index),
            _ => self.heavy.push_back(index),
        }
    }

    /// A task is done.
    pub(crate) fn finish(&mut self, index: u32) {
        let task = &mut self.tasks[index as usize];
        if task.place == Place::Waiting {
            self.waiting -= 1;
        }
        task.place = Place::Done;
    }
}
