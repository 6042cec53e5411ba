//! Between scan and join: chunks by shard, in memory up to a limit, the rest in scratch.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use stedi_engine::packed::{self, Chunk, Damaged, PackRow, Run};
use stedi_engine::rows::{Reading, StepReading};
use stedi_engine::scan::Shuffle;

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
    error: OnceLock<ScratchError>,
}

/// The packed rows of one kind and shard: chunks, what other workers sent, and what is in scratch.
#[derive(Debug)]
pub struct Lane<T> {
    chunks: Vec<Chunk<T>>,
    chunk_bytes: usize,
    received: Vec<Bytes>,
    spilled: Vec<Segment>,
    rows: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), chunk_bytes: 0, received: Vec::new(), spilled: Vec::new(), rows: 0 }
    }
}

/// The rows of one shard, or of a slice of it.
#[derive(Debug)]
pub struct Rows<'s> {
    /// Accelerometer readings.
    pub readings: Lane<Reading>,
    /// Step readings.
    pub steps: Lane<StepReading>,
    /// Where those are that were spilled.
    pub scratch: &'s Scratch,
}

/// A thread spills so many bytes of chunks at a time: the copy that is written stays small beside what it frees, and
/// threads that spill at the same time take different pieces.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

impl<T: PackRow> Lane<T> {
    /// Number of rows, in memory and spilled.
    pub fn rows(&self) -> usize {
        self.rows
    }

    fn push(&mut self, chunk: Chunk<T>) {
        self.rows += chunk.rows();
        self.chunk_bytes += chunk.memory_bytes();
        self.chunks.push(chunk);
    }

    /// Takes the chunks that came last, [`PIECE_BYTES`] of them or one.
    fn take_piece(&mut self) -> Vec<Chunk<T>> {
        let mut bytes = 0;
        let fitting = self.chunks.iter().rev().take_while(|chunk| {
            bytes += chunk.memory_bytes();
            bytes <= PIECE_BYTES
        });
        let taken = fitting.count().clamp(1, self.chunks.len().max(1)).min(self.chunks.len());
        let piece = self.chunks.split_off(self.chunks.len() - taken);
        self.chunk_bytes -= piece.iter().map(Chunk::memory_bytes).sum::<usize>();
        piece
    }

    /// Takes `rows` packed rows that another worker sent.
    pub(crate) fn push_received(&mut self, packed: Bytes, rows: usize) {
        self.rows += rows;
        self.received.push(packed);
    }

    /// Takes `rows` packed rows that are in scratch.
    pub(crate) fn push_spilled(&mut self, segment: Segment, rows: usize) {
        self.rows += rows;
        self.spilled.push(segment);
    }

    /// Calls `take` with every run. The lane can be visited again.
    ///
    /// # Errors
    /// If spilled rows cannot be read back, or rows are damaged.
    pub fn visit(
        &self,
        scratch: &Scratch,
        mut take: impl FnMut(Run<'_, T>) -> Result<(), Damaged>,
    ) -> Result<(), ScratchError> {
        let mut take_all =
            |bytes: &[u8]| packed::runs(bytes).try_for_each(|run| take(run?)).map_err(|e| damaged(scratch, e));
        for packed in &self.received {
            take_all(packed)?;
        }
        for chunk in &self.chunks {
            take_all(chunk.bytes())?;
        }
        let mut bytes = Vec::new();
        for segment in &self.spilled {
            scratch.read(*segment, &mut bytes)?;
            take_all(&bytes)?;
        }
        Ok(())
    }
}

fn damaged(scratch: &Scratch, error: Damaged) -> ScratchError {
    scratch.failed(io::Error::new(io::ErrorKind::InvalidData, error))
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
    pub fn take(&self, shard: u32) -> Rows<'s> {
        let readings = std::mem::take(&mut *lock(&self.readings[shard as usize]));
        let steps = std::mem::take(&mut *lock(&self.steps[shard as usize]));
        self.resident_bytes.fetch_sub(readings.chunk_bytes + steps.chunk_bytes, Ordering::Relaxed);
        Rows { readings, steps, scratch: self.scratch }
    }

    /// The first failure to spill, if any. [`Shuffle`] cannot return it; scans must ask.
    ///
    /// # Errors
    /// That failure.
    pub fn check(&mut self) -> Result<(), ScratchError> {
        self.error.take().map_or(Ok(()), Err)
    }

    fn put<T: PackRow>(&self, lanes: &[Mutex<Lane<T>>], shard: u32, chunk: Chunk<T>) {
        if self.has_failed() {
            // it could only stay in memory, and is not wanted any more
            return;
        }
        let added = chunk.memory_bytes();
        // before the chunk can be taken again
        self.resident_bytes.fetch_add(added, Ordering::Relaxed);
        lock(&lanes[shard as usize]).push(chunk);
        while self.resident_bytes.load(Ordering::Relaxed) > self.resident_bytes_max && !self.has_failed() {
            if let Err(error) = self.spill_piece() {
                // the first failure is the one to tell
                let _ = self.error.set(error);
            }
        }
    }

    /// Spills a piece of the largest lane.
    fn spill_piece(&self) -> Result<(), ScratchError> {
        let (readings, readings_bytes) = largest(&self.readings);
        let (steps, steps_bytes) = largest(&self.steps);
        if readings_bytes >= steps_bytes {
            self.spill(&self.readings[readings])
        } else {
            self.spill(&self.steps[steps])
        }
    }

    fn spill<T: PackRow>(&self, lane: &Mutex<Lane<T>>) -> Result<(), ScratchError> {
        fault::point("spill");
        let piece = lock(lane).take_piece();
        if piece.is_empty() {
            // another thread was faster
            return Ok(());
        }
        // what is on its way out counts no more: else other threads would spill for it, too
        self.resident_bytes.fetch_sub(piece.iter().map(Chunk::memory_bytes).sum(), Ordering::Relaxed);
        let bytes = piece.iter().map(Chunk::bytes).collect::<Vec<_>>().concat();
        drop(piece);
        let segment = self.scratch.write(&bytes)?;
        lock(lane).spilled.push(segment);
        Ok(())
    }
}

impl Shuffle for ShuffleStore<'_> {
    fn put_readings(&self, shard: u32, chunk: Chunk<Reading>) {
        self.put(&self.readings, shard, chunk);
    }

    fn put_steps(&self, shard: u32, chunk: Chunk<StepReading>) {
        self.put(&self.steps, shard, chunk);
    }

    fn has_failed(&self) -> bool {
        self.error.get().is_some()
    }
}

/// The position of the lane with the most bytes in memory, and how many.
fn largest<T>(lanes: &[Mutex<Lane<T>>]) -> (usize, usize) {
    (0..).zip(lanes.iter().map(|lane| lock(lane).chunk_bytes)).max_by_key(|(_, bytes)| *bytes).unwrap_or((0, 0))
}

/// A thread that panicked while it held a lane left it whole: it only pushes and takes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use stedi_engine::packed::{ChunkWriter, Unpacker};

    use super::*;

    fn steps(n: u32) -> Chunk<StepReading> {
        let mut writer = ChunkWriter::default();
        for i in 0..n {
            writer.push(StepReading { time_ms: i64::from(i) << 40, distance: i64::from(i), serial: n }, usize::MAX);
        }
        writer.take()
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
        let lane = store.take(1).steps;
        let mut unpacker = Unpacker::default();
        let mut rows: Vec<StepReading> = Vec::new();
        lane.visit(&scratch, |run| {
            let start = rows.len();
            rows.resize(start + run.rows, StepReading { time_ms: 0, distance: 0, serial: 0 });
            unpacker.unpack(&run, &mut rows[start..])
        })
        .expect("readable");
        assert_eq!(rows.len(), lane.rows());
        rows.sort_unstable_by_key(|row| (row.serial, row.distance));
        let of = |n: u32| (0..i64::from(n)).map(move |i| StepReading { time_ms: i << 40, distance: i, serial: n });
        assert_eq!(rows, (1..60).step_by(2).flat_map(of).collect::<Vec<_>>());
    }

    #[test]
    fn a_failed_spill_is_kept_for_the_scan() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::new(&dir.path().join("gone"));
        let mut store = ShuffleStore::new(1, 0, &scratch);
        for _ in 0..9 {
            store.put_steps(0, steps(5));
        }
        assert!(store.has_failed() && store.rows(0).1 <= 5, "what cannot be spilled is not kept");
        assert!(store.check().is_err());
    }
}
