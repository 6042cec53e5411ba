//! Slices of users, and of serials. Packed runs are of one id each, so that they go into slices as they are.

use stedi_lake::MatchMode;

use super::{SLICES_MAX, Slices, assign, visit};
use crate::WorkError;
use crate::join::Join;
use crate::scratch::{Scratch, ScratchError};
use crate::shuffle::{Rows, ShuffleStore};

impl Join<'_> {
    /// Cuts the readings whose home is `shard` by user, ascending. `None` if they are of one user and do not fit.
    pub(super) fn cut_by_user<'s>(
        &self,
        rows: &Rows<'_>,
        shard: u32,
        scratch: &'s Scratch,
    ) -> Result<Option<ShuffleStore<'s>>, WorkError> {
        let mut sizes = self.readings_of_users(rows)?;
        for (user, size) in (0..).zip(&mut sizes) {
            if !self.directory.is_home(user, shard) {
                *size = 0;
            }
        }
        let Some(slice_of_user) = self.assign_ids(&sizes) else { return Ok(None) };
        let mut store = self.store(slice_of_user.last().map_or(1, |last| last + 1), scratch);
        let mut slices = Slices::of_readings(&store);
        visit(&rows.readings, rows.scratch, |run| {
            if sizes[run.id as usize] > 0 {
                slices.push_run(slice_of_user[run.id as usize], run);
            }
        })?;
        slices.finish();
        store.check()?;
        Ok(Some(store))
    }

    /// Cuts the step readings by serial, ascending, and gives each slice the readings that they may match. `None` if they
    /// are of one serial and do not fit.
    pub(super) fn cut_by_serial<'s>(
        &self,
        rows: &Rows<'_>,
        scratch: &'s Scratch,
    ) -> Result<Option<ShuffleStore<'s>>, WorkError> {
        let mut sizes = vec![0; self.directory.serial_count()];
        visit(&rows.steps, rows.scratch, |run| sizes[run.id as usize] += run.rows * Self::STEP_BYTES)?;
        let slice_of_serial = match self.directory.match_mode() {
            MatchMode::Customer => {
                let of_users = self.readings_of_users(rows)?;
                for (serial, size) in (0..).zip(&mut sizes).filter(|(_, size)| **size > 0) {
                    *size += self.directory.owners(serial).iter().map(|&user| of_users[user as usize]).sum::<usize>();
                }
                self.assign_ids(&sizes)
            }
            MatchMode::Timestamp => {
                // any serial may match any reading: how many match is known when they are found
                let count = self.row_bytes(rows).div_ceil(self.room()).clamp(2, SLICES_MAX);
                let total = sizes.iter().sum::<usize>();
                (!is_one(&sizes)).then(|| assign(&sizes, total.div_ceil(count)))
            }
        };
        let Some(slice_of_serial) = slice_of_serial else { return Ok(None) };
        let mut store = self.store(slice_of_serial.last().map_or(1, |last| last + 1), scratch);
        match self.directory.match_mode() {
            MatchMode::Customer => self.give_owners(rows, &sizes, &slice_of_serial, &store)?,
            MatchMode::Timestamp => self.give_same_time(rows, &slice_of_serial, &store)?,
        }
        store.check()?;
        Ok(Some(store))
    }

    /// Gives each slice of serials its step readings, and the readings of the users that own one with step readings.
    fn give_owners(
        &self,
        rows: &Rows<'_>,
        size_of_serial: &[usize],
        slice_of_serial: &[u32],
        store: &ShuffleStore<'_>,
    ) -> Result<(), ScratchError> {
        let mut slices = Slices::of_steps(store);
        visit(&rows.steps, rows.scratch, |run| slices.push_run(slice_of_serial[run.id as usize], run))?;
        slices.finish();
        let mut slices = Slices::of_readings(store);
        visit(&rows.readings, rows.scratch, |run| {
            let owned = self.directory.serials_of(run.id).iter().map(|&serial| serial as usize);
            // ascending, as serials are
            let mut last = None;
            for slice in owned.filter(|&serial| size_of_serial[serial] > 0).map(|serial| slice_of_serial[serial]) {
                if last.replace(slice) != Some(slice) {
                    slices.push_run(slice, run);
                }
            }
        })?;
        slices.finish();
        Ok(())
    }

    /// Bytes of the readings of each user.
    fn readings_of_users(&self, rows: &Rows<'_>) -> Result<Vec<usize>, ScratchError> {
        let mut sizes = vec![0; self.directory.user_count()];
        visit(&rows.readings, rows.scratch, |run| sizes[run.id as usize] += run.rows * self.reading_bytes())?;
        Ok(sizes)
    }

    /// The slice of each id. `None` if there is one id only and it does not fit.
    fn assign_ids(&self, sizes: &[usize]) -> Option<Vec<u32>> {
        let total = sizes.iter().sum::<usize>();
        let limit = self.room().max(total.div_ceil(SLICES_MAX));
        (total <= limit || !is_one(sizes)).then(|| assign(sizes, limit))
    }
}

fn is_one(sizes: &[usize]) -> bool {
    sizes.iter().filter(|size| **size > 0).count() == 1
}
