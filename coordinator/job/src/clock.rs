//! The job's own time.

/// What one step of the outside clock counts at most. The shell ticks several times a second; a longer step means that
/// the clock was set, or that this process did not run. Nobody could be heard of meanwhile, so nobody is late.
const STEP_MS_MAX: u64 = 1_000;

/// Milliseconds since the job began, made of the steps of a clock that may jump in both directions.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    outside_ms: u64,
    now_ms: u64,
}

impl Clock {
    pub(crate) fn new(outside_ms: u64) -> Self {
        Self { outside_ms, now_ms: 0 }
    }

    /// Follows the outside clock; the new time.
    pub(crate) fn advance(&mut self, outside_ms: u64) -> u64 {
        self.now_ms += outside_ms.saturating_sub(self.outside_ms).min(STEP_MS_MAX);
        self.outside_ms = outside_ms;
        self.now_ms
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_counts_as_one_step() {
        let mut clock = Clock::new(5_000);
        assert_eq!(clock.advance(5_250), 250);
        assert_eq!(clock.advance(9_000_000), 1_250);
        assert_eq!(clock.advance(4_000), 1_250);
        assert_eq!(clock.advance(4_250), 1_500);
    }
}
