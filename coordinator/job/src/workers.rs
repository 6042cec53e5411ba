//! The workers that are there, and which of them can take a task.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Capacity, WorkerId};
use crate::failure::MemoryNeed;
use crate::task::AttemptId;

#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) capacity: Capacity,
    pub(crate) heard_ms: u64,
    pub(crate) running: BTreeSet<AttemptId>,
    draining: bool,
    /// It gets nothing new, until it is wanted again.
    retired: bool,
    /// It runs a task that needs all its memory.
    exclusive: bool,
}

impl Worker {
    /// Whether it may be kept free for a task that needs all its memory.
    fn can_be_reserved(&self) -> bool {
        !self.draining && !self.retired && !self.capacity.high_memory
    }
}

/// All workers. Which one is free is known without looking at all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workers {
    workers: BTreeMap<WorkerId, Worker>,
    /// Those with a free slot, by the number of tasks they run.
    free: BTreeSet<(usize, WorkerId)>,
    draining: BTreeSet<WorkerId>,
    /// Those with more memory than the others that run nothing and may.
    idle_high_memory: BTreeSet<WorkerId>,
    /// Gets nothing new, so that it is empty soon: the task of this number waits for that.
    reserved: Option<(WorkerId, u32)>,
}

impl Workers {
    pub(crate) fn register(&mut self, id: WorkerId, name: String, capacity: Capacity, now_ms: u64) {
        let running = BTreeSet::new();
        let new =
            Worker { name, capacity, heard_ms: now_ms, running, draining: false, retired: false, exclusive: false };
        self.workers.entry(id).or_insert(new);
        self.change(id, |worker| {
            worker.capacity = capacity;
            worker.heard_ms = now_ms;
        });
    }

    /// A worker was heard of; whether it is known.
    pub(crate) fn heard(&mut self, id: WorkerId, now_ms: u64) -> bool {
        self.workers.get_mut(&id).map(|worker| worker.heard_ms = now_ms).is_some()
    }

    pub(crate) fn drain(&mut self, id: WorkerId) {
        if self.workers.contains_key(&id) {
            self.draining.insert(id);
            self.release(id);
            self.change(id, |worker| worker.draining = true);
        }
    }

    /// A worker gets nothing new, or does again.
    pub(crate) fn retire(&mut self, id: WorkerId, retired: bool) {
        if retired {
            self.release(id);
        }
        self.change(id, |worker| worker.retired = retired);
    }

    pub(crate) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        self.change(id, |worker| worker.draining = true);
        self.draining.remove(&id);
        self.release(id);
        self.workers.remove(&id)
    }

    pub(crate) fn start(&mut self, id: WorkerId, attempt: AttemptId, exclusive: bool) {
        self.change(id, |worker| {
            worker.running.insert(attempt);
            worker.exclusive |= exclusive;
        });
    }

    pub(crate) fn stop(&mut self, id: WorkerId, attempt: AttemptId) {
        self.change(id, |worker| {
            worker.running.remove(&attempt);
            worker.exclusive &= !worker.running.is_empty();
        });
    }

    pub(crate) fn get(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// How many there are that are not for tasks only that need more memory.
    pub(crate) fn usual(&self) -> usize {
        self.workers.values().filter(|worker| !worker.capacity.high_memory).count()
    }

    /// Memory of the one that has most; 0 if there is none.
    pub(crate) fn most_memory(&self) -> u64 {
        self.workers.values().map(|worker| worker.capacity.memory_bytes).max().unwrap_or(0)
    }

    /// All of them, and how many tasks each runs.
    pub(crate) fn loads(&self) -> impl ExactSizeIterator<Item = (WorkerId, usize)> + '_ {
        self.workers.iter().map(|(id, worker)| (*id, worker.running.len()))
    }

    pub(crate) fn ids(&self) -> Vec<WorkerId> {
        self.workers.keys().copied().collect()
    }

    /// Those that were not heard of since `since_ms`.
    pub(crate) fn silent(&self, since_ms: u64) -> Vec<WorkerId> {
        self.workers.iter().filter(|(_, worker)| worker.heard_ms < since_ms).map(|(id, _)| *id).collect()
    }

    /// Draining ones that hold nothing.
    pub(crate) fn drained(&self) -> Vec<WorkerId> {
        let empty = |id: &&WorkerId| self.workers.get(id).is_some_and(|worker| worker.running.is_empty());
        self.draining.iter().filter(empty).copied().collect()
    }

    /// The worker with a free slot that runs the fewest tasks, other than `not`.
    pub(crate) fn least_loaded(&self, not: Option<WorkerId>) -> Option<WorkerId> {
        self.free.iter().map(|(_, id)| *id).find(|id| Some(*id) != not)
    }

    /// A worker with more memory than the others that runs nothing.
    pub(crate) fn idle_high_memory(&self) -> Option<WorkerId> {
        self.idle_high_memory.first().copied()
    }

    /// The worker for task `index`, which needs one for itself, if it is empty; until then it gets nothing else.
    pub(crate) fn reserve(&mut self, index: u32, need: MemoryNeed) -> Option<WorkerId> {
        let empty = self.free.first().filter(|(running, _)| *running == 0 && need < MemoryNeed::Largest);
        let id = match (self.reserved, empty) {
            (_, Some((_, id))) => *id,
            (Some((id, of)), None) if of == index => id,
            _ => {
                let able = self.workers.iter().filter(|(_, worker)| worker.can_be_reserved());
                let least = |worker: &Worker| std::cmp::Reverse(worker.running.len());
                let id = match need {
                    MemoryNeed::Largest => able.max_by_key(|(_, w)| (w.capacity.memory_bytes, least(w))),
                    _ => able.max_by_key(|(_, w)| (!w.exclusive, least(w))),
                };
                *id?.0
            }
        };
        self.unreserve();
        self.reserved = Some((id, index));
        self.change(id, |_| {});
        self.workers.get(&id).is_some_and(|worker| worker.running.is_empty()).then_some(id)
    }

    /// Nothing waits for the reserved worker any more.
    pub(crate) fn unreserve(&mut self) {
        if let Some((id, _)) = self.reserved.take() {
            self.change(id, |_| {});
        }
    }

    fn release(&mut self, id: WorkerId) {
        self.reserved = self.reserved.filter(|(reserved, _)| *reserved != id);
    }

    fn change(&mut self, id: WorkerId, change: impl FnOnce(&mut Worker)) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        self.free.remove(&(worker.running.len(), id));
        self.idle_high_memory.remove(&id);
        change(worker);
        let slots = worker.capacity.slots.max(1) as usize;
        let takes_more = !worker.draining
            && !worker.retired
            && !worker.exclusive
            && self.reserved.is_none_or(|(reserved, _)| reserved != id);
        if worker.capacity.high_memory {
            if takes_more && worker.running.is_empty() {
                self.idle_high_memory.insert(id);
            }
        } else if takes_more && worker.running.len() < slots {
            self.free.insert((worker.running.len(), id));
        }
    }
}
