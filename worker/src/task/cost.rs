//! What attempts cost in CPU time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Divides the CPU time of the process among the attempts that run at the same time, in equal shares.
///
/// The sum over all attempts is exact while any runs, and has in it what threads of a pool and those that serve requests
/// did for them; what a single attempt is said to have cost is exact only if it ran alone.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    shares: Mutex<Shares>,
}

#[derive(Debug, Default)]
struct Shares {
    /// CPU time of the process when it was last divided.
    divided: Duration,
    running: BTreeMap<u64, Duration>,
    next: u64,
}

/// An attempt that is being measured.
#[derive(Debug)]
pub(super) struct Running<'m> {
    meter: &'m CpuMeter,
    number: u64,
}

impl CpuMeter {
    pub(super) fn start(&self) -> Running<'_> {
        let mut shares = self.lock();
        shares.divide(process_cpu());
        let number = shares.next;
        shares.next += 1;
        shares.running.insert(number, Duration::ZERO);
        Running { meter: self, number }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    fn divide(&mut self, now: Duration) {
        let spent = now.saturating_sub(self.divided);
        self.divided = now;
        let share = spent / u32::try_from(self.running.len().max(1)).unwrap_or(u32::MAX);
        self.running.values_mut().for_each(|cpu| *cpu += share);
    }
}

impl Running<'_> {
    /// Ends the measurement; milliseconds.
    pub(super) fn end_ms(self) -> u64 {
        let mut shares = self.meter.lock();
        shares.divide(process_cpu());
        let cpu = shares.running.remove(&self.number).unwrap_or_default();
        u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX)
    }
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_divided_among_those_that_run() {
        let seconds = Duration::from_secs;
        let mut shares = Shares { divided: seconds(5), ..Shares::default() };
        shares.divide(seconds(9));
        shares.running.insert(0, Duration::ZERO);
        shares.divide(seconds(10));
        shares.running.insert(1, Duration::ZERO);
        shares.divide(seconds(14));
        assert_eq!(shares.running.into_values().collect::<Vec<_>>(), [seconds(3), seconds(2)]);
    }
}
