//! Runs of readings whose owner is still being looked up.

use crate::directory::{Names, Wanted};
use crate::packed::RUN_ROWS_MAX;

/// Records come in runs of one name, so a name is looked up once a run; and the lookup waits for memory twice. While one
/// run is taken in, the slot of its name is fetched; while the next one is, the text; then the name is looked up.
const RUNS: usize = 3;

/// The runs that came last, their names being fetched from `names`.
#[derive(Debug)]
pub(super) struct Pending<'a, T> {
    names: &'a Names,
    runs: [PendingRun<T>; RUNS],
    newest: usize,
}

/// Records of one name that follow each other, trusted or not.
#[derive(Debug)]
pub(super) struct PendingRun<T> {
    name: Vec<u8>,
    wanted: Wanted,
    rows: Vec<T>,
}

impl<'a, T> Pending<'a, T> {
    pub(super) fn new(names: &'a Names) -> Self {
        Self { names, runs: std::array::from_fn(|_| PendingRun::default()), newest: 0 }
    }

    /// Adds a record of `name`. `settle` is given a run that has to make room, and its owner; `fetch` the owner of a run
    /// that will be settled soon, most probably.
    #[inline]
    pub(super) fn push(
        &mut self,
        name: &[u8],
        row: T,
        fetch: impl FnOnce(u32),
        settle: impl FnOnce(Option<u32>, &[T]),
    ) {
        let run = &self.runs[self.newest];
        if run.name != name || !(1..RUN_ROWS_MAX).contains(&run.rows.len()) {
            if name.len() > self.names.longest() {
                // nobody has this name, and it may have megabytes
                return settle(None, std::slice::from_ref(&row));
            }
            self.begin(name, fetch, settle);
        }
        self.runs[self.newest].rows.push(row);
    }

    fn begin(&mut self, name: &[u8], fetch: impl FnOnce(u32), settle: impl FnOnce(Option<u32>, &[T])) {
        if let Some(owner) = self.names.fetch_text(self.runs[self.newest].wanted) {
            fetch(owner);
        }
        self.newest = (self.newest + 1) % RUNS;
        let run = &mut self.runs[self.newest];
        run.settle(self.names, settle);
        run.name.clear();
        run.name.extend_from_slice(name);
        run.wanted = Wanted::new(name);
        self.names.fetch_slot(run.wanted);
    }

    /// Gives `settle` all runs and their owners.
    pub(super) fn settle_all(&mut self, mut settle: impl FnMut(Option<u32>, &[T])) {
        for run in &mut self.runs {
            run.settle(self.names, &mut settle);
        }
    }
}

impl<T> Default for PendingRun<T> {
    fn default() -> Self {
        Self { name: Vec::new(), wanted: Wanted::default(), rows: Vec::with_capacity(RUN_ROWS_MAX) }
    }
}

impl<T> PendingRun<T> {
    fn settle(&mut self, names: &Names, settle: impl FnOnce(Option<u32>, &[T])) {
        if !self.rows.is_empty() {
            settle(names.find_wanted(self.wanted, &self.name), &self.rows);
            self.rows.clear();
        }
    }
}
