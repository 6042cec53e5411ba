//! Virtual workers: they execute what they are granted, and die, hang, are slow, answer twice or go.

use std::collections::{BTreeMap, BTreeSet};

use stedi_job::event::{Capacity, DismissReason};
use stedi_job::task::{FailureClass, TaskCost, Work};
use stedi_job::{Action, Event, Lease, WorkerId};

use crate::faults::USUAL_MEMORY_MAX;
use crate::world::{Item, World};

const HEARTBEAT_MS: u64 = 700;

/// A worker process.
pub(crate) struct Machine {
    pub(crate) connection: Option<(usize, WorkerId)>,
    alive: bool,
    hung: bool,
    draining: bool,
    capacity: Capacity,
    running: BTreeMap<Lease, Work>,
    seen: BTreeSet<Lease>,
}

impl World {
    /// As a fleet does: while tasks need a machine with more memory, there is one.
    pub(crate) fn tend_high_memory(&mut self, coordinator: usize) {
        let works = |machine: &Machine| machine.capacity.high_memory && machine.alive && !machine.hung;
        let wanted = self.coordinators[coordinator].job.high_memory_tasks() > 0;
        if wanted && !self.machines.iter().any(works) {
            self.new_machine(true);
        }
    }

    pub(crate) fn new_machine(&mut self, high_memory: bool) {
        let memory_bytes = self.rng.between(1, USUAL_MEMORY_MAX) + if high_memory { USUAL_MEMORY_MAX } else { 0 };
        let capacity = Capacity { slots: self.rng.between(0, 3) as u32, memory_bytes, high_memory };
        self.machines.push(Machine {
            connection: None,
            alive: true,
            hung: false,
            draining: false,
            capacity,
            running: BTreeMap::new(),
            seen: BTreeSet::new(),
        });
        let machine = self.machines.len() - 1;
        self.connect(machine);
        self.after(HEARTBEAT_MS, Item::Heartbeat(machine));
    }

    pub(crate) fn connect(&mut self, machine: usize) {
        let of = &self.machines[machine];
        if !of.alive || of.connection.is_some() {
            return;
        }
        let Some(coordinator) = self.coordinators.iter().rposition(|c| c.alive) else {
            self.after(300, Item::Reconnect(machine));
            return;
        };
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        self.machines[machine].connection = Some((coordinator, worker));
        let capacity = self.machines[machine].capacity;
        let name = format!("machine-{machine}");
        self.send(Item::ToCoordinator(coordinator, Event::WorkerRegistered { worker, name, capacity }));
    }

    fn say(&mut self, machine: usize, event: impl FnOnce(WorkerId) -> Event) {
        if let Some((coordinator, worker)) = self.machines[machine].connection {
            self.send(Item::ToCoordinator(coordinator, event(worker)));
        }
    }

    pub(crate) fn heartbeat(&mut self, machine: usize) {
        if !self.machines[machine].alive {
            return;
        }
        self.after(HEARTBEAT_MS, Item::Heartbeat(machine));
        if self.machines[machine].hung {
            return;
        }
        if self.bad_luck(self.faults.worker_dies) {
            self.kill(machine);
            return;
        }
        if self.bad_luck(self.faults.worker_hangs) {
            self.machines[machine].hung = true;
            self.after(15_000, Item::Kill(machine));
            return;
        }
        if !self.machines[machine].draining && self.bad_luck(self.faults.worker_drains) {
            self.drain(machine);
        }
        if self.machines[machine].draining {
            self.say(machine, |worker| Event::WorkerDraining { worker });
        }
        let running: Vec<Lease> = self.machines[machine].running.keys().copied().collect();
        self.say(machine, |worker| Event::Heartbeat { worker, running });
    }

    fn drain(&mut self, machine: usize) {
        self.machines[machine].draining = true;
        self.after(8_000, Item::Kill(machine));
        for lease in self.machines[machine].running.keys().copied().collect::<Vec<_>>() {
            if self.rng.chance(700) {
                self.machines[machine].running.remove(&lease);
                self.say(machine, |worker| Event::TaskReturned { worker, lease });
            }
        }
    }

    /// A process is gone; what it was connected to may notice.
    pub(crate) fn kill(&mut self, machine: usize) {
        if !self.machines[machine].alive {
            return;
        }
        self.machines[machine].alive = false;
        if self.rng.chance(700) {
            let class = FailureClass::WorkerLost;
            self.say(machine, |worker| Event::WorkerGone { worker, class, message: "reset".to_owned() });
        }
        if !self.faults.no_new_workers {
            let delay_ms = self.rng.between(200, 4_000);
            self.after(delay_ms, Item::NewMachine);
        }
    }

    pub(crate) fn lost_coordinator(&mut self, machine: usize, coordinator: usize) {
        if self.machines[machine].connection.is_some_and(|(of, _)| of == coordinator) {
            self.disconnect(machine);
        }
    }

    fn disconnect(&mut self, machine: usize) {
        self.machines[machine].connection = None;
        if !self.bad_luck(self.faults.worker_goes_on) {
            self.machines[machine].running.clear();
        }
        let delay_ms = self.rng.between(20, 800);
        self.after(delay_ms, Item::Reconnect(machine));
    }

    pub(crate) fn machine_hears(&mut self, machine: usize, connection: (usize, WorkerId), action: Action) {
        let of = &mut self.machines[machine];
        if !of.alive || of.hung || of.connection != Some(connection) {
            return;
        }
        match action {
            Action::Grant { lease, work, .. } => {
                if !of.seen.insert(lease) {
                    return;
                }
                if of.draining {
                    self.say(machine, |worker| Event::TaskReturned { worker, lease });
                    return;
                }
                of.running.insert(lease, work);
                let slow = self.bad_luck(self.faults.attempt_slow);
                let takes_ms = self.rng.between(50, 4_000) * if slow { self.rng.between(3, 20) } else { 1 };
                self.after(takes_ms, Item::Finish(machine, lease));
            }
            Action::Revoke { lease, .. } => {
                of.running.remove(&lease);
            }
            Action::Dismiss { why: DismissReason::NotRegistered | DismissReason::CoordinatorGoes, .. } => {
                self.disconnect(machine);
            }
            Action::Dismiss { .. } => self.kill(machine),
            _ => unreachable!("not for workers"),
        }
    }

    /// An attempt comes to its end, unless nobody works on it any more.
    pub(crate) fn finish(&mut self, machine: usize, lease: Lease) {
        let of = &mut self.machines[machine];
        if !of.alive || of.hung || !of.running.contains_key(&lease) {
            return;
        }
        let alone = of.running.len() == 1;
        let memory_bytes = of.capacity.memory_bytes;
        let work = of.running.remove(&lease).expect("it is there");
        let task = lease.attempt.task;
        if self.faults.poison == Some(task) {
            self.kill(machine);
            return;
        }
        if let Some(class) = self.fate(lease, alone, memory_bytes) {
            self.say(machine, |worker| Event::TaskFailed { worker, lease, class, message: format!("{class:?}") });
            return;
        }
        let output = self.lake.execute(&self.plan, lease, &work);
        let cost = TaskCost { wall_ms: 1, ..TaskCost::default() };
        self.say(machine, |worker| Event::TaskDone { worker, lease, output, cost });
        if self.bad_luck(self.faults.worker_dies) {
            self.kill(machine);
        }
    }

    fn fate(&mut self, lease: Lease, alone: bool, memory_bytes: u64) -> Option<FailureClass> {
        let task = lease.attempt.task;
        if self.faults.broken == Some(task) {
            return Some([FailureClass::BadInput, FailureClass::Permanent][self.rng.below(2) as usize]);
        }
        if self.faults.needs(task).is_some_and(|needs| !alone || memory_bytes < needs) {
            return Some(FailureClass::OutOfMemory);
        }
        let classes = [
            FailureClass::Throttled,
            FailureClass::TransientIo,
            FailureClass::Panic,
            FailureClass::Preempted,
            FailureClass::Cancelled,
        ];
        let class = classes[self.rng.below(5) as usize];
        self.bad_luck(self.faults.attempt_fails).then_some(class)
    }
}
