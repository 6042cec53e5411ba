//! One split: from an open object to the decoder, through one buffer.

use std::io::Read;
use std::ops::Range;
use std::sync::atomic::Ordering;

use stedi_engine::decode::{self, Decoder, Layout, RECORD_BYTES_MAX, RecordSink, Reject, RejectReason};
use stedi_job::{Split, plan};
use stedi_store::LandingObject;

use super::Scan;
use crate::WorkError;
use crate::read::{self, Compression, LandingReader, Opened, Opening, ReadError, SNIFF_BYTES};

/// Landing bytes of a split: large enough to forget its overhead, small enough to keep all threads busy to the end.
const SPLIT_BYTES: u64 = 16 << 20;

/// Bytes of a read: they should stay in the level 2 cache until they are decoded.
const READ_BYTES: usize = 256 << 10;

/// What a scan reads, in the order in which it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPlan {
    pub(super) splits: Vec<Split>,
    /// Ranges of splits that one thread reads in one go.
    pub(super) groups: Vec<Range<usize>>,
}

impl ScanPlan {
    /// All of `objects`, small ones put together. Large ones are looked into to learn whether they can be split.
    ///
    /// # Errors
    /// If an object cannot be read.
    pub fn of_objects(objects: &[LandingObject], reader: &LandingReader) -> Result<Self, ReadError> {
        let mut splits = Vec::new();
        for (i, object) in objects.iter().enumerate() {
            let splittable = object.bytes > SPLIT_BYTES && is_splittable(object, reader)?;
            splits.extend(plan::splits(i, object.bytes, splittable, SPLIT_BYTES));
        }
        Ok(Self::of_splits(splits, objects))
    }

    /// These splits of `objects`, put together until they have the size of a large one: the groups, and so the files of
    /// the quarantine, do not depend on the number of threads.
    pub(crate) fn of_splits(splits: Vec<Split>, objects: &[LandingObject]) -> Self {
        let mut groups = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (i, split) in splits.iter().enumerate() {
            bytes += split.bytes.end.min(objects[split.object].bytes).saturating_sub(split.bytes.start);
            if bytes >= SPLIT_BYTES || i + 1 == splits.len() {
                groups.push(start..i + 1);
                (start, bytes) = (i + 1, 0);
            }
        }
        Self { splits, groups }
    }
}

/// Whether an object may be read in several splits: it is neither compressed nor anything but a record a line.
///
/// # Errors
/// If the object cannot be read.
pub fn is_splittable(object: &LandingObject, reader: &LandingReader) -> Result<bool, ReadError> {
    let start = reader.start(object)?;
    Ok(read::compression(&start) == Compression::None && decode::sniff(&start) == Layout::Lines)
}

fn is_whole(split: &Split) -> bool {
    split.bytes == (0..u64::MAX)
}

/// Begins to open what [`SplitDecoder::decode`] will ask for.
pub(super) fn begin(scan: &Scan<'_>, split: &Split) -> Opening {
    let object = &scan.objects[split.object];
    let (start, end) = if is_whole(split) {
        (0, object.bytes)
    } else {
        (Decoder::new(scan.table, Layout::Lines, split.bytes.clone()).input_offset(), split.bytes.end)
    };
    scan.reader.begin(object, start, end)
}

/// Decodes splits, one after the other, through a buffer of its own.
#[derive(Debug)]
pub(super) struct SplitDecoder {
    buffer: Vec<u8>,
    /// The bytes of the buffer that are not decoded yet.
    waiting: Range<usize>,
}

impl SplitDecoder {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; READ_BYTES], waiting: 0..0 }
    }

    /// Decodes the records that start in `split` into `sink`; `begun` may be the beginning of it. Tells whether the
    /// object is a file of this machine.
    pub(super) fn decode(
        &mut self,
        scan: &Scan<'_>,
        object: &LandingObject,
        split: &Split,
        begun: Option<Opening>,
        sink: &mut impl RecordSink,
    ) -> Result<bool, WorkError> {
        self.waiting = 0..0;
        let is_file = if is_whole(split) {
            let Opened { compression, is_file, bytes: mut source } = scan.reader.open_begun(object, begun)?;
            let mut ended = false;
            while !ended && self.waiting.len() < SNIFF_BYTES {
                ended = match self.fill(&mut source) {
                    Ok(read) => read == 0,
                    // the decoding loop meets it again
                    Err(error) if read::is_damage(compression, &error) => break,
                    Err(error) => return Err(read::failed(object, error).into()),
                };
            }
            let layout = decode::sniff(&self.buffer[self.waiting.clone()]);
            let decoder = Decoder::new(scan.table, layout, 0..u64::MAX);
            self.drain(scan, object, compression, source, decoder, sink)?;
            is_file
        } else {
            let decoder = Decoder::new(scan.table, Layout::Lines, split.bytes.clone());
            let (is_file, source) = scan.reader.open_at(object, decoder.input_offset(), split.bytes.end, begun)?;
            self.drain(scan, object, Compression::None, source, decoder, sink)?;
            is_file
        };
        if is_file {
            scan.reader.check_unchanged(object)?;
        }
        Ok(is_file)
    }

    fn drain(
        &mut self,
        scan: &Scan<'_>,
        object: &LandingObject,
        compression: Compression,
        mut source: impl Read,
        mut decoder: Decoder,
        sink: &mut impl RecordSink,
    ) -> Result<(), WorkError> {
        let mut ended = false;
        loop {
            let input = &self.buffer[self.waiting.clone()];
            let progress = decoder.decode(input, ended, sink);
            self.waiting.start += progress.consumed;
            if compression == Compression::None {
                scan.progress.bytes_done.fetch_add(progress.consumed as u64, Ordering::Relaxed);
            }
            if progress.done || ended {
                break;
            }
            scan.check_cancelled()?;
            match self.fill(&mut source) {
                Ok(read) => ended = read == 0,
                Err(error) if read::is_damage(compression, &error) => {
                    // what was read before the damage still counts
                    let input = &self.buffer[self.waiting.clone()];
                    self.waiting.start += decoder.decode(input, true, sink).consumed;
                    let offset = decoder.input_offset();
                    sink.reject(Reject { offset, bytes: 0, reason: RejectReason::Damaged, raw: &[] });
                    break;
                }
                Err(error) => return Err(read::failed(object, error).into()),
            }
        }
        if compression != Compression::None {
            scan.progress.bytes_done.fetch_add(object.bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads more bytes behind those that wait; 0 at the end.
    fn fill(&mut self, source: &mut impl Read) -> std::io::Result<usize> {
        if self.waiting.start > 0 {
            self.buffer.copy_within(self.waiting.clone(), 0);
            self.waiting = 0..self.waiting.len();
        }
        if self.waiting.end == self.buffer.len() {
            // a record longer than the buffer: the decoder takes everything before it needs more than this
            let larger = (self.buffer.len() * 2).min(RECORD_BYTES_MAX + 2 * READ_BYTES);
            assert!(larger > self.buffer.len(), "the decoder wants more than the longest record");
            self.buffer.resize(larger, 0);
        } else if self.buffer.len() > READ_BYTES && self.waiting.len() < READ_BYTES / 2 {
            self.buffer.truncate(READ_BYTES);
            self.buffer.shrink_to_fit();
        }
        loop {
            match source.read(&mut self.buffer[self.waiting.end..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.waiting.end += read;
                    return Ok(read);
                }
            }
        }
    }
}
