//! What must hold after every event.

use std::collections::{BTreeMap, BTreeSet};

use stedi_job::task::{Stage, TaskId, TaskOutput};
use stedi_job::{Action, Event, Lease};

use crate::world::{Coordinator, World};

/// Follows what a coordinator is told.
pub(crate) fn before(coordinator: &mut Coordinator, event: &Event) {
    match event {
        Event::WorkerRegistered { worker, capacity, .. } => {
            coordinator.workers.insert(*worker, capacity.slots.max(1));
            // late and for the second time, after the worker was let go: it counts as a new one, and is soon found silent
            coordinator.draining.remove(worker);
        }
        Event::WorkerDraining { worker } if coordinator.workers.contains_key(worker) => {
            coordinator.draining.insert(*worker);
        }
        _ => {}
    }
}

pub(crate) fn after(world: &mut World, coordinator: usize, actions: &[Action]) {
    for action in actions {
        match action {
            Action::Grant { worker, lease, .. } => {
                let of = &world.coordinators[coordinator];
                assert_eq!(lease.epoch, of.epoch);
                assert!(of.workers.contains_key(worker), "{worker} never registered");
                assert!(!of.draining.contains(worker), "{worker} is draining");
                assert!(world.granted.insert(lease.attempt), "{} is granted twice", lease.attempt);
                check_barrier(world, coordinator, lease.attempt.task.stage);
            }
            Action::Save { record } => {
                let of = &world.coordinators[coordinator];
                assert_eq!(record.epoch, of.epoch);
                assert!(!record.tasks.is_empty());
                for task in &record.tasks {
                    let lease = Lease { attempt: task.attempt, epoch: of.epoch };
                    let made = world.lake.finished.get(&lease).expect("only finished attempts are saved");
                    assert_eq!(without_readers(made), without_readers(&task.output));
                    let winner = of.job.progress().winner(task.attempt.task);
                    assert_eq!(winner, Some(task.attempt.attempt), "{} is saved and does not count", task.attempt);
                }
            }
            Action::Commit { .. } => check_barrier_to_commit(world, coordinator),
            Action::End { .. } => {
                let of = &mut world.coordinators[coordinator];
                assert!(!of.ended, "ended twice");
                of.ended = true;
            }
            _ => {}
        }
    }
    check_leases(&world.coordinators[coordinator]);
    check_winners(world, coordinator);
}

fn without_readers(output: &TaskOutput) -> TaskOutput {
    let mut output = output.clone();
    if let TaskOutput::Scan { readers, .. } = &mut output {
        readers.clear();
    }
    output
}

/// A stage begins when all tasks before it are done and durable.
fn check_barrier(world: &World, coordinator: usize, stage: Stage) {
    for earlier in Stage::ALL.into_iter().filter(|earlier| *earlier < stage) {
        check_saved(world, coordinator, earlier);
    }
    if stage > Stage::ScanAccelerometer {
        assert!(world.lake.readers.is_some(), "{stage:?} before the readers are written");
    }
}

fn check_barrier_to_commit(world: &World, coordinator: usize) {
    Stage::ALL.into_iter().for_each(|stage| check_saved(world, coordinator, stage));
}

fn check_saved(world: &World, coordinator: usize, stage: Stage) {
    let progress = world.coordinators[coordinator].job.progress();
    for index in 0..world.plan.tasks(stage) {
        let task = TaskId { stage, index };
        assert!(progress.is_done(task), "{task} is not done");
        // an empty shard is done without a winner
        assert!(progress.winner(task).is_none() || world.lake.saved.contains(&task), "{task} is not saved");
        assert!(progress.winner(task).is_some() || stage == Stage::Join, "{task} was left out");
    }
}

/// No two leases of a task but one more on another worker; no more leases on a worker than it takes.
fn check_leases(coordinator: &Coordinator) {
    let mut of_task: BTreeMap<TaskId, BTreeSet<_>> = BTreeMap::new();
    let mut of_worker: BTreeMap<_, u32> = BTreeMap::new();
    let mut leases = 0;
    for (lease, worker) in coordinator.job.leases() {
        let task = lease.attempt.task;
        assert!(!coordinator.job.progress().is_done(task), "{task} is done and still leased");
        assert!(of_task.entry(task).or_default().insert(worker), "{task} is leased twice to {worker}");
        *of_worker.entry(worker).or_default() += 1;
        leases += 1;
    }
    assert!(of_task.values().all(|workers| workers.len() <= 2), "too many leases: {of_task:?}");
    for (worker, count) in of_worker {
        assert!(count <= coordinator.workers[&worker], "{worker} has {count} leases");
    }
    let speculative = leases - of_task.len();
    let (progress, stage) = (coordinator.job.progress(), coordinator.job.stage());
    assert!(speculative == 0 || of_task.len() as u32 <= progress.tasks(stage) - progress.done(stage));
}

/// What was accepted stays accepted, and was made by an attempt that finished.
fn check_winners(world: &mut World, coordinator: usize) {
    let of = &mut world.coordinators[coordinator];
    for stage in Stage::ALL {
        for index in 0..world.plan.tasks(stage) {
            let task = TaskId { stage, index };
            let Some(winner) = of.job.progress().winner(task) else { continue };
            match of.winners.insert(task, winner) {
                Some(before) => assert_eq!(before, winner, "{task} changed its mind"),
                None => {
                    let is_it = |lease: &&Lease| lease.attempt.task == task && lease.attempt.attempt == winner;
                    assert!(world.lake.finished.keys().any(|lease| is_it(&lease)), "{task}-{winner} never finished");
                }
            }
        }
    }
}
