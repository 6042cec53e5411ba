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

/// What there is to do, and who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetState {
    /// Workers that are there or on their way.
    pub workers: u32,
    /// Tasks that a worker runs at once.
    pub slots_per_worker: u32,
    /// Tasks of the present stage that are not done.
    pub tasks_left: u32,
    /// Their bytes, landing or shuffle.
    pub bytes_left: u64,
    /// Bytes that a task usually has: more bytes than so many a task count as more tasks.
    pub task_bytes: u64,
}

/// How many workers there should be now.
///
/// Never more than there are tasks for, and never 0 while something is left. A fleet shrinks only when it is more than
/// twice too large: each worker that goes hands work back.
pub fn fleet_size(state: FleetState, limits: FleetLimits) -> u32 {
    if state.tasks_left == 0 && state.bytes_left == 0 {
        return 0;
    }
    let slots = u64::from(state.slots_per_worker.max(1));
    let by_bytes = state.bytes_left.div_ceil(state.task_bytes.max(1));
    let work = by_bytes.max(u64::from(state.tasks_left)).div_ceil(u64::from(limits.tasks_per_slot.max(1)));
    let can_use = u64::from(state.tasks_left.max(1)).div_ceil(slots);
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
        let state = FleetState { workers, slots_per_worker: 2, tasks_left, bytes_left, task_bytes: 100 };
        fleet_size(state, LIMITS)
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
    fn a_fleet_shrinks_late_and_by_steps() {
        assert_eq!(size(20, 80, 8_000), 20);
        assert_eq!(size(50, 80, 8_000), 30);
        assert_eq!(size(24, 80, 8_000), 10);
        assert_eq!(size(130, 8_000, 800_000), 110);
    }
}
