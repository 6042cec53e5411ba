//! What goes wrong in a simulation.

use stedi_job::task::{Stage, TaskId};
use stedi_job::{JobError, RunPlan};

use crate::rng::Rng;

/// The most memory that a machine has, if it is not there for tasks that need more.
pub(crate) const USUAL_MEMORY_MAX: u64 = 4;

/// Chances in permille, and times in milliseconds; nothing goes wrong by chance after `calm_ms`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) calm_ms: u64,
    pub(crate) message_lost: u64,
    pub(crate) message_twice: u64,
    pub(crate) message_slow: u64,
    pub(crate) action_twice: u64,
    pub(crate) store_fails: u64,
    pub(crate) store_lies: u64,
    pub(crate) store_silent: u64,
    pub(crate) store_slow: u64,
    pub(crate) attempt_fails: u64,
    pub(crate) attempt_slow: u64,
    pub(crate) worker_dies: u64,
    pub(crate) worker_hangs: u64,
    pub(crate) worker_drains: u64,
    /// A worker that lost its coordinator goes on with what it has.
    pub(crate) worker_goes_on: u64,
    pub(crate) coordinator_crashes: u64,
    pub(crate) coordinator_stops: u64,
    pub(crate) two_coordinators: u64,
    pub(crate) clock_jumps: u64,
    /// Runs out of memory unless it is alone, or in so much memory.
    pub(crate) hog: Option<(TaskId, u64)>,
    /// All tasks of a stage do, or need so much.
    pub(crate) hogs: Option<(Stage, u64)>,
    /// Workers with more memory come when tasks need them.
    pub(crate) high_memory: bool,
    /// Takes its worker with it, always.
    pub(crate) poison: Option<TaskId>,
    /// Cannot be done.
    pub(crate) broken: Option<TaskId>,
    pub(crate) conflict: bool,
    /// The store refuses a write for good.
    pub(crate) store_refuses: u64,
    /// Nobody replaces workers that are gone.
    pub(crate) no_new_workers: bool,
}

fn some_task(rng: &mut Rng, plan: &RunPlan) -> Option<TaskId> {
    let stage = Stage::ALL[rng.below(4) as usize];
    let tasks = plan.tasks(stage);
    (tasks > 0).then(|| TaskId { stage, index: rng.below(u64::from(tasks)) as u32 })
}

impl Faults {
    pub(crate) fn new(rng: &mut Rng, plan: &RunPlan) -> Self {
        let mut some = |permille_max: u64| if rng.chance(400) { rng.between(1, permille_max) } else { 0 };
        let mut faults = Self {
            calm_ms: 60_000,
            message_lost: some(100),
            message_twice: some(200),
            message_slow: some(100),
            action_twice: some(500),
            store_fails: some(300),
            store_lies: some(300),
            store_silent: some(200),
            store_slow: some(200),
            attempt_fails: some(120),
            attempt_slow: some(200),
            worker_dies: some(60),
            worker_hangs: some(30),
            worker_drains: some(40),
            worker_goes_on: some(1000),
            coordinator_crashes: some(150),
            coordinator_stops: some(80),
            two_coordinators: some(80),
            clock_jumps: some(200),
            ..Self::default()
        };
        if rng.chance(100) {
            let needs = [0, 3, 1 << 40][rng.below(3) as usize];
            faults.hog = some_task(rng, plan).map(|task| (task, needs));
        }
        if rng.chance(100) {
            faults.hogs = Some((Stage::ALL[rng.below(4) as usize], [0, 3, 1 << 40][rng.below(3) as usize]));
        }
        faults.high_memory = rng.chance(300);
        if rng.chance(20) {
            faults.poison = some_task(rng, plan);
        }
        if rng.chance(20) {
            faults.broken = some_task(rng, plan);
        }
        faults.conflict = rng.chance(20);
        faults.no_new_workers = rng.chance(20);
        faults.store_refuses = if rng.chance(20) { rng.between(1, 300) } else { 0 };
        faults
    }

    /// How much memory a task needs, alone, if that matters.
    pub(crate) fn needs(&self, task: TaskId) -> Option<u64> {
        let hog = self.hog.filter(|(hog, _)| *hog == task).map(|(_, needs)| needs);
        let hogs = self.hogs.filter(|(stage, _)| *stage == task.stage).map(|(_, needs)| needs);
        hog.max(hogs)
    }

    /// Whether the run may end like this.
    pub(crate) fn explain(&self, error: &JobError) -> bool {
        match error {
            JobError::Task { task, .. } => self.broken == Some(*task),
            JobError::Attempts { .. } => self.attempt_fails > 0,
            JobError::OutOfMemory { task, memory_bytes, .. } => {
                // while messages overtake each other, a worker may have more to do than the coordinator knows
                let fits = |needs| needs <= *memory_bytes && self.message_slow == 0;
                let tried_all = !self.high_memory || *memory_bytes > USUAL_MEMORY_MAX;
                tried_all && self.needs(*task).is_some_and(|needs| !fits(needs))
            }
            JobError::Losses { task, .. } => self.poison == Some(*task),
            // a worker may hang whose registration was lost, and be the only one
            JobError::NoWorkers { .. } => self.no_new_workers || self.worker_hangs > 0,
            JobError::Conflict { .. } => self.conflict,
            JobError::Store { .. } => self.store_fails + self.store_lies + self.store_silent > 0,
            JobError::Refused { .. } => self.store_refuses > 0,
            JobError::Fenced { .. } => self.two_coordinators > 0,
            JobError::Deadline { .. }
            | JobError::BadRecords(_)
            | JobError::Fleet { .. }
            | JobError::Invariant { .. }
            | JobError::Landing { .. } => false,
        }
    }
}
