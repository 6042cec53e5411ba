//! Slices of serials where any of them may match any reading: each gets the readings of the times of its step readings.

use stedi_engine::packed::Unpacker;
use stedi_engine::rows::Reading;

use super::{Key, Slices, visit};
use crate::WorkError;
use crate::join::Join;
use crate::scratch::ScratchError;
use crate::shuffle::{Rows, ShuffleStore};

impl Join<'_> {
    /// Gives each slice of serials its step readings, and the readings that match one of them.
    pub(super) fn give_same_time(
        &self,
        rows: &Rows<'_>,
        slice_of_serial: &[u32],
        store: &ShuffleStore<'_>,
    ) -> Result<(), WorkError> {
        let scratch = rows.scratch.further();
        match self.cut(rows, Key::Time, &scratch)? {
            Some((times, key)) => (0..times.shards()).try_for_each(|time| {
                self.each_slice(times.take(time), key, &mut |rows| Ok(distribute(&rows, slice_of_serial, store)?))
            }),
            None => Ok(distribute(rows, slice_of_serial, store)?),
        }
    }
}

fn distribute(rows: &Rows<'_>, slice_of_serial: &[u32], store: &ShuffleStore<'_>) -> Result<(), ScratchError> {
    let mut unpacker = Unpacker::default();
    // which slices have a step reading of which time
    let mut wanted: Vec<(i64, u32)> = Vec::with_capacity(rows.steps.rows());
    rows.steps.visit(rows.scratch, |run| {
        let slice = slice_of_serial[run.id as usize];
        wanted.extend(unpacker.times_ms(&run)?.iter().map(|&time_ms| (time_ms, slice)));
        Ok(())
    })?;
    wanted.sort_unstable();
    wanted.dedup();
    let mut slices = Slices::of_steps(store);
    visit(&rows.steps, rows.scratch, |run| slices.push_run(slice_of_serial[run.id as usize], run))?;
    slices.finish();

    let mut slices = Slices::of_readings(store);
    let mut readings: Vec<Reading> = Vec::new();
    rows.readings.visit(rows.scratch, |run| {
        readings.resize(run.rows, Reading { time_ms: 0, xyz: [0.0; 3], user: 0 });
        unpacker.unpack(&run, &mut readings)?;
        for reading in &readings {
            let first = wanted.partition_point(|&(time_ms, _)| time_ms < reading.time_ms);
            for &(_, slice) in wanted[first..].iter().take_while(|(time_ms, _)| *time_ms == reading.time_ms) {
                slices.push(slice, *reading);
            }
        }
        Ok(())
    })?;
    slices.finish();
    Ok(())
}
