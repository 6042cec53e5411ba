//! Between scan and join: chunks by shard, in memory up to a limit, the rest in scratch.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use stedi_engine::rows::{Reading, StepReading};
use stedi_engine::scan::Shuffle;
use stedi_engine::spill::{self, SpillRow};

use crate::fault;
use crate::scratch::{Scratch, ScratchError, Segment};

/// Chunks of all shards. Shared by the scanning threads.
#[derive(Debug)]
pub struct ShuffleStore<'s> {
    readings: Vec<Mutex<Lane<Reading>>>,
    steps: Vec<Mutex<Lane<StepReading>>>,
    scratch: &'s Scratch,
    resident_bytes: AtomicUsize,
    resident_bytes_max: usize,
    spilling: Mutex<()>,
    error: OnceLock<ScratchError>,
}

/// The chunks of one kind and shard.
#[derive(Debug)]
pub struct Lane<T> {
    chunks: Vec<Vec<T>>,
    spilled: Vec<Segment>,
    rows: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), spilled: Vec::new(), rows: 0 }
    }
}

impl<T: SpillRow> Lane<T> {
    /// Number of rows, in memory and spilled.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn resident_bytes(&self) -> usize {
        self.chunks.iter().map(chunk_bytes).sum()
    }

    fn push(&mut self, chunk: Vec<T>) {
        self.rows += chunk.len();
        self.chunks.push(chunk);
    }

    /// Calls `take` with every chunk. The lane can be visited again.
    ///
    /// # Errors
    /// If spilled chunks cannot be read back.
    pub fn visit(&self, scratch: &Scratch, mut take: impl FnMut(&[T])) -> Result<(), ScratchError> {
        self.chunks.iter().for_each(|chunk| take(chunk));
        self.visit_spilled(scratch, take)
    }

    /// Calls `take` with every chunk and frees it.
    ///
    /// # Errors
    /// If spilled chunks cannot be read back.
    pub fn consume(self, scratch: &Scratch, mut take: impl FnMut(&[T])) -> Result<(), ScratchError> {
        self.visit_spilled(scratch, &mut take)?;
        self.chunks.into_iter().for_each(|chunk| take(&chunk));
        Ok(())
    }

    fn visit_spilled(&self, scratch: &Scratch, mut take: impl FnMut(&[T])) -> Result<(), ScratchError> {
        for segment in &self.spilled {
            let failed = |error: arrow_schema::ArrowError| scratch.failed(io::Error::other(error));
            for chunk in spill::read::<T>(io::BufReader::new(scratch.read(*segment))).map_err(failed)? {
                take(&chunk.map_err(failed)?);
            }
        }
        Ok(())
    }
}

fn chunk_bytes<T>(chunk: &Vec<T>) -> usize {
    chunk.capacity() * size_of::<T>()
}

impl<'s> ShuffleStore<'s> {
    /// An empty shuffle of `shards` shards that keeps up to `resident_bytes_max` in memory.
    pub fn new(shards: u32, resident_bytes_max: usize, scratch: &'s Scratch) -> Self {
        Self {
            readings: (0..shards).map(|_| Mutex::default()).collect(),
            steps: (0..shards).map(|_| Mutex::default()).collect(),
            scratch,
            resident_bytes: AtomicUsize::new(0),
            resident_bytes_max,
            spilling: Mutex::new(()),
            error: OnceLock::new(),
        }
    }

    /// Number of shards.
    pub fn shards(&self) -> u32 {
        u32::try_from(self.readings.len()).unwrap_or(u32::MAX)
    }

    /// Rows of a shard: readings and step readings.
    pub fn rows(&self, shard: u32) -> (usize, usize) {
        (lock(&self.readings[shard as usize]).rows, lock(&self.steps[shard as usize]).rows)
    }

    /// Takes a shard out of the store.
    pub fn take(&self, shard: u32) -> (Lane<Reading>, Lane<StepReading>) {
        let readings = std::mem::take(&mut *lock(&self.readings[shard as usize]));
        let steps = std::mem::take(&mut *lock(&self.steps[shard as usize]));
        self.resident_bytes.fetch_sub(readings.resident_bytes() + steps.resident_bytes(), Ordering::Relaxed);
        (readings, steps)
    }

    /// The first failure to spill, if any. [`Shuffle`] cannot return it; scans must ask.
    ///
    /// # Errors
    /// That failure.
    pub fn check(&mut self) -> Result<(), ScratchError> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Whether a spill has failed: there is no use in going on.
    pub fn has_failed(&self) -> bool {
        self.error.get().is_some()
    }

    fn put<T: SpillRow>(&self, lanes: &[Mutex<Lane<T>>], shard: u32, chunk: Vec<T>) {
        let added = chunk_bytes(&chunk);
        lock(&lanes[shard as usize]).push(chunk);
        let resident = self.resident_bytes.fetch_add(added, Ordering::Relaxed) + added;
        if resident > self.resident_bytes_max && !self.has_failed() {
            let _one_at_a_time = lock(&self.spilling);
            while self.resident_bytes.load(Ordering::Relaxed) > self.resident_bytes_max {
                if let Err(error) = self.spill_largest() {
                    // the first failure is the one to tell
                    let _ = self.error.set(error);
                    return;
                }
            }
        }
    }

    fn spill_largest(&self) -> Result<(), ScratchError> {
        let largest = |sizes: Vec<usize>| (0..).zip(sizes).max_by_key(|(_, bytes)| *bytes).unwrap_or((0, 0));
        let (readings, readings_bytes) = largest(sizes(&self.readings));
        let (steps, steps_bytes) = largest(sizes(&self.steps));
        if readings_bytes >= steps_bytes {
            self.spill(&self.readings[readings])
        } else {
            self.spill(&self.steps[steps])
        }
    }

    fn spill<T: SpillRow>(&self, lane: &Mutex<Lane<T>>) -> Result<(), ScratchError> {
        fault::point("spill");
        let mut chunks = std::mem::take(&mut lock(lane).chunks);
        let freed: usize = chunks.iter().map(chunk_bytes).sum();
        // in pieces, so that the encoded copy stays small beside what it frees
        while !chunks.is_empty() {
            let piece = chunks.split_off(chunks.len().saturating_sub(32));
            let mut bytes = Vec::new();
            spill::write(&piece, &mut bytes).map_err(|error| self.scratch.failed(io::Error::other(error)))?;
            drop(piece);
            let segment = self.scratch.write(&bytes)?;
            lock(lane).spilled.push(segment);
        }
        self.resident_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }
}

impl Shuffle for ShuffleStore<'_> {
    fn put_readings(&self, shard: u32, chunk: Vec<Reading>) {
        self.put(&self.readings, shard, chunk);
    }

    fn put_steps(&self, shard: u32, chunk: Vec<StepReading>) {
        self.put(&self.steps, shard, chunk);
    }
}

fn sizes<T: SpillRow>(lanes: &[Mutex<Lane<T>>]) -> Vec<usize> {
    lanes.iter().map(|lane| lock(lane).resident_bytes()).collect()
}

/// A thread that panicked while it held a lane left it whole: it only pushes and takes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(n: u32) -> Vec<StepReading> {
        (0..n).map(|i| StepReading { time_ms: i64::from(i), distance: 0, serial: n }).collect()
    }

    #[test]
    fn what_is_spilled_comes_back() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::new(dir.path());
        let store = ShuffleStore::new(2, 3000, &scratch);
        for n in 1..60 {
            store.put_steps(n % 2, steps(n));
        }
        assert!(scratch.bytes_written() > 0 && store.resident_bytes.load(Ordering::Relaxed) <= 3000);
        let (_, lane) = store.take(1);
        let mut visited = 0;
        lane.visit(&scratch, |chunk| visited += chunk.len()).expect("readable");
        assert_eq!(visited, lane.rows());
        let mut sizes: Vec<usize> = Vec::new();
        lane.consume(&scratch, |chunk| sizes.push(chunk.len())).expect("readable");
        sizes.sort_unstable();
        assert_eq!(sizes, (1..60).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn a_failed_spill_is_kept_for_the_scan() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::new(&dir.path().join("gone"));
        let mut store = ShuffleStore::new(1, 0, &scratch);
        store.put_steps(0, steps(5));
        assert!(store.has_failed() && store.check().is_err());
    }
}
