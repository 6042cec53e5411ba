//! The shuffle file of one attempt: segments one after the other, each the rows of one shard.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stedi_engine::packed::{self, Chunk, PackRow};
use stedi_engine::rows::{Reading, StepReading};
use stedi_engine::scan::Shuffle;
use stedi_job::task::Segment;
use stedi_store::{Lake, PartWriter, PutNew};

use super::TaskError;
use crate::WorkError;

/// Bytes of a segment, nearly: whoever reads it back holds a few at a time.
const SEGMENT_BYTES_MAX: usize = 1 << 20;

/// Takes the rows of one kind. What does not fit in memory goes out as further segments.
pub(super) struct ShuffleFile<'a, T> {
    lake: &'a Lake,
    path: String,
    resident_bytes_max: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// The chunks of each shard, and the memory they take.
    lanes: Vec<(Vec<Chunk<T>>, usize)>,
    resident_bytes: usize,
    writer: Option<PartWriter>,
    segments: Vec<Segment>,
    error: Option<io::Error>,
}

/// What became of a shuffle file.
pub(super) struct Written {
    /// Somebody else has written a file of this name.
    pub(super) is_taken: bool,
    /// Its size; 0 if there is none.
    pub(super) bytes: u64,
    /// Ascending by shard.
    pub(super) segments: Vec<Segment>,
}

impl<'a, T: PackRow> ShuffleFile<'a, T> {
    pub(super) fn new(lake: &'a Lake, path: String, shards: u32, resident_bytes_max: usize) -> Self {
        let state = State {
            lanes: (0..shards).map(|_| (Vec::new(), 0)).collect(),
            resident_bytes: 0,
            writer: None,
            segments: Vec::new(),
            error: None,
        };
        Self { lake, path, resident_bytes_max, state: Mutex::new(state) }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Writes what is left and gives the file its name. No rows, no file.
    pub(super) fn finish(self, cancel: &AtomicBool) -> Result<Written, TaskError> {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.error.take() {
            return Err(error.into());
        }
        for shard in 0..state.lanes.len() {
            if cancel.load(Ordering::Relaxed) {
                return Err(WorkError::Cancelled.into());
            }
            state.write_lane(shard, self.lake, &self.path)?;
        }
        let mut segments = state.segments;
        segments.sort_by_key(|segment| segment.shard);
        let Some(writer) = state.writer else { return Ok(Written { is_taken: false, bytes: 0, segments }) };
        let bytes = writer.bytes();
        let is_taken = writer.finish()? == PutNew::Exists;
        Ok(Written { is_taken, bytes, segments })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, shard: u32, chunk: Chunk<T>) {
        let mut state = self.lock();
        let added = chunk.memory_bytes();
        let (chunks, bytes) = &mut state.lanes[shard as usize];
        chunks.push(chunk);
        *bytes += added;
        state.resident_bytes += added;
        if state.resident_bytes > self.resident_bytes_max && state.error.is_none() {
            // well below the limit, so that segments are few and large
            while state.resident_bytes > self.resident_bytes_max / 2 {
                let largest = (0..state.lanes.len()).max_by_key(|&shard| state.lanes[shard].1).unwrap_or(0);
                if let Err(error) = state.write_lane(largest, self.lake, &self.path) {
                    state.error = Some(error);
                    return;
                }
            }
        }
    }
}

impl<T: PackRow> State<T> {
    fn write_lane(&mut self, shard: usize, lake: &Lake, path: &str) -> io::Result<()> {
        let (chunks, bytes) = std::mem::take(&mut self.lanes[shard]);
        self.resident_bytes -= bytes;
        let shard = u32::try_from(shard).unwrap_or(u32::MAX);
        let mut bytes = 0;
        let mut segment = Vec::new();
        for chunk in chunks {
            if bytes > 0 && bytes + chunk.bytes().len() > SEGMENT_BYTES_MAX {
                self.write_segment(shard, std::mem::take(&mut segment), lake, path)?;
                bytes = 0;
            }
            bytes += chunk.bytes().len();
            segment.push(chunk);
        }
        if segment.is_empty() { Ok(()) } else { self.write_segment(shard, segment, lake, path) }
    }

    fn write_segment(&mut self, shard: u32, chunks: Vec<Chunk<T>>, lake: &Lake, path: &str) -> io::Result<()> {
        let rows = chunks.iter().map(Chunk::rows).sum::<usize>();
        let sealed = packed::seal(shard, &chunks);
        drop(chunks);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(lake.part_writer(path)?),
        };
        let offset = writer.bytes();
        writer.write_all(&sealed)?;
        self.segments.push(Segment { shard, offset, bytes: sealed.len() as u64, rows: rows as u64 });
        Ok(())
    }
}

impl Shuffle for ShuffleFile<'_, Reading> {
    fn put_readings(&self, shard: u32, chunk: Chunk<Reading>) {
        self.put(shard, chunk);
    }

    fn put_steps(&self, _: u32, _: Chunk<StepReading>) {
        unreachable!("a scan of accelerometer readings yields readings");
    }

    fn has_failed(&self) -> bool {
        self.lock().error.is_some()
    }
}

impl Shuffle for ShuffleFile<'_, StepReading> {
    fn put_readings(&self, _: u32, _: Chunk<Reading>) {
        unreachable!("a scan of step readings yields step readings");
    }

    fn put_steps(&self, shard: u32, chunk: Chunk<StepReading>) {
        self.put(shard, chunk);
    }

    fn has_failed(&self) -> bool {
        self.lock().error.is_some()
    }
}

#[cfg(test)]
mod tests {
    use stedi_engine::packed::{ChunkWriter, Unpacker};

    use super::*;

    fn chunk(rows: &[StepReading]) -> Chunk<StepReading> {
        let mut writer = ChunkWriter::default();
        for row in rows {
            assert!(writer.push(*row, usize::MAX).is_none());
        }
        writer.take()
    }

    #[test]
    fn what_does_not_fit_goes_out_as_further_segments() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lake = Lake::create(&folder.path().display().to_string()).expect("a folder");
        let file = ShuffleFile::<StepReading>::new(&lake, "shuffle".to_owned(), 3, 500);
        let step = |n: u32| StepReading { time_ms: i64::from(n), distance: 0, serial: n };
        for n in 0..200 {
            // shard 1 gets nothing
            file.put_steps(n % 2 * 2, chunk(&[step(n), step(n)]));
        }
        assert!(!file.has_failed() && file.lock().resident_bytes <= 500);
        let written = file.finish(&AtomicBool::new(false)).expect("there is room");
        let bytes = std::fs::read(folder.path().join("shuffle")).expect("it has its name");
        assert_eq!((bytes.len() as u64, written.is_taken), (written.bytes, false));
        assert!(written.segments.len() > 2 && written.segments.is_sorted_by_key(|s| s.shard));
        let mut back = Vec::new();
        for Segment { shard, offset, bytes: length, rows } in written.segments {
            let start = usize::try_from(offset).expect("small");
            let segment = &bytes[start..start + usize::try_from(length).expect("small")];
            let mut of_segment: Vec<StepReading> = Vec::new();
            for run in packed::runs(packed::unseal::<StepReading>(shard, segment).expect("whole")) {
                let run = run.expect("whole");
                let start = of_segment.len();
                of_segment.resize(start + run.rows, step(0));
                Unpacker::default().unpack(&run, &mut of_segment[start..]).expect("whole");
            }
            assert_eq!(of_segment.len() as u64, rows);
            assert!(of_segment.iter().all(|step| step.serial % 2 * 2 == shard));
            back.extend(of_segment);
        }
        back.sort_by_key(|step| step.serial);
        assert_eq!(back, (0..200).flat_map(|n| [step(n), step(n)]).collect::<Vec<_>>());

        let taken = ShuffleFile::<StepReading>::new(&lake, "shuffle".to_owned(), 1, 2000);
        taken.put_steps(0, chunk(&[step(1)]));
        assert!(taken.finish(&AtomicBool::new(false)).expect("there is room").is_taken);
        let empty = ShuffleFile::<Reading>::new(&lake, "empty".to_owned(), 3, 2000);
        assert_eq!(empty.finish(&AtomicBool::new(false)).expect("nothing to do").bytes, 0);
        assert!(!folder.path().join("empty").exists());
    }
}
