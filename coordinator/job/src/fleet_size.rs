//! How many workers a run would like to have. Whoever creates workers asks from time to time.

/// What bounds the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetLimits {
    /// At least so many while there is work, even if fewer would do.
    pub workers_min: u32,
    /// At most so many.
    pub workers_max: u32,
    /// So many more or fewer at a time.
    pub step_max: u32,
    /// Tasks that each slot should find, so that a worker is worth its start.
    pub tasks_per_slot: u32,
}

/// What is left of one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkLeft {
    /// Tasks that are not done.
    pub tasks: u32,
    /// Their bytes, landing or shuffle.
    pub bytes: u64,
    /// Bytes that a task usually has: more bytes than so many a task count as more tasks.
    pub task_bytes: u64,
}

/// What there is to do, and who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetState {
    /// Workers that are there or on their way.
    pub workers: u32,
    /// Tasks that a worker runs at once.
    pub slots_per_worker: u32,
    /// What is left of the stage.
    pub left: WorkLeft,
}

/// How many workers there should be now for the rest of a run, stage after stage: as many as the stage wants that wants
/// most. So a fleet does not shrink at the end of a stage to grow again at the beginning of the next, and it grows while
/// the one task of the first stage is going on.
pub fn fleet_size_for(workers: u32, slots_per_worker: u32, stages: &[WorkLeft], limits: FleetLimits) -> u32 {
    let of = |left: &WorkLeft| fleet_size(FleetState { workers, slots_per_worker, left: *left }, limits);
    stages.iter().map(of).max().unwrap_or(0)
}

/// How many workers there should be now.
///
/// Never more than there are tasks for, and never 0 while something is left. A fleet shrinks only when it is more than
/// twice too large: each worker that goes hands work back.
pub fn fleet_size(state: FleetState, limits: FleetLimits) -> u32 {
    let left = state.left;
    if left.tasks == 0 && left.bytes == 0 {
        return 0;
    }
    let slots = u64::from(state.slots_per_worker.max(1));
    let by_bytes = left.bytes.div_ceil(left.task_bytes.max(1));
    let work = by_bytes.max(u64::from(left.tasks)).div_ceil(u64::from(limits.tasks_per_slot.max(1)));
    let can_use = u64::from(left.tasks.max(1)).div_ceil(slots);
    let wanted = u32::try_from(work.div_ceil(slots).min(can_use)).unwrap_or(u32::MAX);
    let wanted = wanted.min(limits.workers_max).max(limits.workers_min).max(1);
    let step = limits.step_max.max(1);
    if wanted > state.workers {
        wanted.min(state.workers.saturating_add(step))
    } else if state.workers > limits.workers_max || state.workers / 2 > wanted {
        wanted.max(state.workers.saturating_sub(step))
    } else {
        state.workers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FleetLimits = FleetLimits { workers_min: 2, workers_max: 100, step_max: 20, tasks_per_slot: 4 };

    fn size(workers: u32, tasks_left: u32, bytes_left: u64) -> u32 {
        let left = WorkLeft { tasks: tasks_left, bytes: bytes_left, task_bytes: 100 };
        fleet_size(FleetState { workers, slots_per_worker: 2, left }, LIMITS)
    }

    #[test]
    fn a_fleet_grows_by_steps_to_what_it_has_work_for() {
        assert_eq!(size(0, 8_000, 800_000), 20);
        assert_eq!(size(90, 8_000, 800_000), 100);
        assert_eq!(size(0, 80, 8_000), 10);
        assert_eq!(size(0, 1, 100), 2);
        // few but large tasks: one slot each, not more
        assert_eq!(size(0, 10, 1_000_000), 5);
        assert_eq!(size(7, 0, 0), 0);
    }

    #[test]
    fn a_fleet_looks_ahead() {
        let stage = |tasks: u32| WorkLeft { tasks, bytes: u64::from(tasks) * 100, task_bytes: 100 };
        // one task now, many soon: it grows meanwhile, and does not shrink for the last task of a stage
        assert_eq!(fleet_size_for(2, 2, &[stage(1), stage(80), stage(8)], LIMITS), 10);
        assert_eq!(fleet_size_for(10, 2, &[stage(1), stage(80)], LIMITS), 10);
        assert_eq!(fleet_size_for(10, 2, &[stage(0), stage(8)], LIMITS), 2);
        assert_eq!(fleet_size_for(10, 2, &[stage(0), stage(0)], LIMITS), 0);
        assert_eq!(fleet_size_for(10, 2, &[], LIMITS), 0);
    }

    #[test]
    fn a_fleet_shrinks_late_and_by_steps() {
        assert_eq!(size(20, 80, 8_000), 20);
        assert_eq!(size(50, 80, 8_000), 30);
        assert_eq!(size(24, 80, 8_000), 10);
        assert_eq!(size(130, 8_000, 800_000), 110);
    }
}
