//! The join stage: the segments of one shard to its parts.

use stedi_engine::rows::{Reading, StepReading};
use stedi_job::task::{FailureClass, SegmentRef, TaskOutput};

use super::segments::FETCH_BYTES;
use super::shared::SharedDirectory;
use super::{Attempt, Executor, TaskError};
use crate::WorkError;
use crate::join::Join;
use crate::parts::LakeParts;
use crate::scratch::Scratch;
use crate::shuffle::Rows;

/// Requests of one attempt that are under way at a time, at most.
const FETCHES_AT_ONCE_MAX: usize = 4;

/// How one join uses its share of the memory, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct JoinShare {
    /// Rows being joined, and those of slices.
    rows: usize,
    /// Requests under way.
    at_once: usize,
    /// Segments that stay in memory as they came; the others go to scratch.
    hold: usize,
}

impl JoinShare {
    /// The share of a join that needs `rows` bytes for its rows, with `encoded` bytes of segments, where `slots` joins divide
    /// `total` bytes; `None` if that is too little for it alone.
    fn new(rows: usize, encoded: usize, total: usize, slots: usize) -> Option<Self> {
        let left = total.checked_sub(rows).filter(|left| *left >= fetch_bytes())?;
        let fair = total / slots;
        let at_once = (fair / 8).min(left) / fetch_bytes();
        let at_once = at_once.clamp(1, FETCHES_AT_ONCE_MAX);
        let hold = encoded.min(fair.saturating_sub(rows + at_once * fetch_bytes()));
        Some(Self { rows, at_once, hold })
    }

    fn sparing(self) -> Self {
        Self { at_once: 1, hold: 0, ..self }
    }

    fn bytes(&self) -> usize {
        self.rows + self.at_once * fetch_bytes() + self.hold
    }
}

fn fetch_bytes() -> usize {
    usize::try_from(FETCH_BYTES).unwrap_or(usize::MAX)
}

fn sum(segments: &[SegmentRef], of: impl Fn(&SegmentRef) -> u64) -> usize {
    usize::try_from(segments.iter().map(of).sum::<u64>()).unwrap_or(usize::MAX)
}

impl Executor {
    pub(super) fn join_shard(
        &self,
        attempt: &mut Attempt<'_>,
        shard: u32,
        directory: &SharedDirectory,
        readings: &[SegmentRef],
        steps: &[SegmentRef],
    ) -> Result<TaskOutput, TaskError> {
        let memory = self.memory(attempt, directory)?;
        let parts = LakeParts::of_task(self.lake(attempt), self.context.run_id, &self.runtime);
        let scratch = Scratch::new(&self.scratch);
        let join = Join {
            directory: &directory.customers,
            options: &self.context.options,
            memory: &memory,
            parts: &parts,
            progress: &self.progress,
            cancel: attempt.cancel,
        };
        let (reading_rows, step_rows) = (sum(readings, |s| s.rows), sum(steps, |s| s.rows));
        let encoded = sum(readings, |s| s.bytes) + sum(steps, |s| s.bytes);
        let need = join.need(reading_rows, step_rows);
        let share = JoinShare::new(need, encoded, memory.stage_bytes, self.slots)
            .map(|share| if attempt.sparing { share.sparing() } else { share })
            .ok_or_else(|| self.too_large(shard, need, directory))?;
        let gate = self.gate(&memory);
        let admitted = gate.enter(share.bytes(), attempt.cancel).ok_or(WorkError::Cancelled)?;

        // before anything is fetched: what other joins left takes memory, too
        let mut space = self.spaces.take(share.rows, if attempt.sparing { 0 } else { admitted.left() });
        let mut hold = share.hold;
        let readings = self.fetch::<Reading>(attempt, shard, readings, share.at_once, &scratch, &mut hold)?;
        let steps = self.fetch::<StepReading>(attempt, shard, steps, share.at_once, &scratch, &mut hold)?;
        let rows = Rows { readings, steps, scratch: &scratch };
        attempt.cost.rows += (reading_rows + step_rows) as u64;
        self.pool.install(|| join.shard(shard, rows, &mut space))?;
        self.spaces.put_back(space);
        attempt.cost.spilled_bytes += scratch.bytes_written();
        Ok(attempt.parts(parts))
    }

    fn too_large(&self, shard: u32, row_bytes: usize, directory: &SharedDirectory) -> TaskError {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let join_bytes = row_bytes.saturating_add(fetch_bytes());
        let wanted = self.budget.bytes_for_stage(directory.customers.memory_bytes(), join_bytes);
        let text = format!(
            "joining shard {shard} takes {} MiB at once, for which this worker's --memory {}MiB is too little; give at \
             least {}MiB",
            mib(join_bytes as u64),
            mib(self.budget.total_bytes),
            mib(wanted)
        );
        TaskError::new(FailureClass::OutOfMemory, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparing_join_holds_nothing_that_may_be_in_scratch() {
        let mib = |n: usize| n << 20;
        let share = JoinShare::new(mib(100), mib(60), mib(1024), 2).map(JoinShare::sparing);
        assert_eq!(share, Some(JoinShare { rows: mib(100), at_once: 1, hold: 0 }));
    }

    #[test]
    fn what_is_left_of_a_fair_share_holds_segments() {
        let mib = |n: usize| n << 20;
        let share = JoinShare::new(mib(100), mib(60), mib(1024), 2);
        assert_eq!(share, Some(JoinShare { rows: mib(100), at_once: 4, hold: mib(60) }));
        let large = JoinShare::new(mib(240), mib(600), mib(1024), 2);
        assert_eq!(large, Some(JoinShare { rows: mib(240), at_once: 4, hold: mib(512 - 240 - 16) }));
        let poor = JoinShare::new(mib(240), mib(600), mib(250), 4);
        assert_eq!(poor, Some(JoinShare { rows: mib(240), at_once: 1, hold: 0 }));
        assert_eq!(JoinShare::new(mib(240), mib(600), mib(243), 4), None);
    }
}
