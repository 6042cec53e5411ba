//! Bytes that are not a record: how far they go, and the reject they become.

use super::{REJECT_RAW_BYTES_MAX, RecordSink, Reject, RejectReason};

/// What is wrong with the bytes at a record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They end, or the next record begins, inside the record.
    CutOff,
    /// The byte at this index, counted from the record's start, cannot stand there.
    Malformed(usize),
    /// The record goes on after the longest length allowed.
    TooLong,
}

/// Where reading goes on after bad bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Offset of the byte after the bad ones.
    pub(super) end: u64,
    /// Offset at which reading goes on: `end`, or further on with nothing but separators in between.
    pub(super) resume: u64,
}

/// Searches for the end of bad bytes, in as many pieces as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finder {
    /// The end of the line.
    Line,
    /// The next sync point: a newline, then any of ` \t\r,`, then `{`. Holds the offset after a newline that has only
    /// such bytes behind it so far.
    Sync(Option<u64>),
    /// What best looks like a record's start where records may span lines: the first `{` that only ` \t\r,[` precede on
    /// its line, or that only ` \t\r\n,` part from a `}`.
    Resync {
        /// Whether only ` \t\r,[` stand between the last newline and here.
        line_clean: bool,
        /// Whether only ` \t\r\n,` stand between the last `}` and here.
        after_close: bool,
    },
}

impl Finder {
    /// A resync that starts after `before`, the bytes of a bad record up to where it goes wrong.
    pub(super) fn resync_after(before: &[u8]) -> Self {
        let line = memchr::memrchr(b'\n', before).map(|newline| &before[newline + 1..]);
        let clean = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b',' | b'[');
        Self::Resync { line_clean: line.is_some_and(|line| line.iter().all(clean)), after_close: false }
    }

    /// Goes on searching at `bytes[from..]`; `at` is the offset of `bytes[0]`. All bytes have been looked at if nothing
    /// is found.
    pub(super) fn find(&mut self, bytes: &[u8], at: u64, from: usize) -> Option<Found> {
        match self {
            Self::Line => {
                let newline = at + from as u64 + memchr::memchr(b'\n', &bytes[from..])? as u64;
                Some(Found { end: newline, resume: newline })
            }
            Self::Sync(candidate) => find_sync(candidate, bytes, at, from),
            Self::Resync { line_clean, after_close } => {
                for (offset, byte) in (at + from as u64..).zip(&bytes[from..]) {
                    match byte {
                        b'{' if *line_clean || *after_close => return Some(Found { end: offset, resume: offset }),
                        b'\n' => *line_clean = true,
                        b' ' | b'\t' | b'\r' | b',' => {}
                        b'[' => *after_close = false,
                        _ => (*line_clean, *after_close) = (false, *byte == b'}'),
                    }
                }
                None
            }
        }
    }

    /// The offset that `end` will be at, should only the sync point's `{` be missing.
    fn candidate(self) -> Option<u64> {
        if let Self::Sync(candidate) = self { candidate } else { None }
    }
}

fn find_sync(candidate: &mut Option<u64>, bytes: &[u8], at: u64, from: usize) -> Option<Found> {
    let mut pos = from;
    loop {
        if let Some(end) = *candidate {
            pos += bytes[pos..].iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b',')).count();
            if *bytes.get(pos)? == b'{' {
                return Some(Found { end, resume: at + pos as u64 });
            }
            *candidate = None;
        }
        pos += memchr::memchr(b'\n', &bytes[pos..])? + 1;
        *candidate = Some(at + pos as u64);
    }
}

/// Bad bytes whose end is searched. The input starts with them.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    pub(super) fault: Fault,
    pub(super) finder: Finder,
    /// How many of them the finder has seen.
    pub(super) searched: usize,
}

impl Bad {
    /// The reject of `bytes`, which start at `offset` and end where reading goes on.
    pub(super) fn reject(&self, bytes: &[u8], offset: u64, sink: &mut impl RecordSink) {
        let raw = bytes.trim_ascii_end();
        let (reason, raw_max) = match self.fault {
            Fault::TooLong => (RejectReason::TooLong, REJECT_RAW_BYTES_MAX),
            Fault::Malformed(at) if at < raw.len() => (RejectReason::InvalidJson, usize::MAX),
            Fault::Malformed(_) | Fault::CutOff => (RejectReason::CutOff, usize::MAX),
        };
        sink.reject(Reject { offset, bytes: raw.len() as u64, reason, raw: &raw[..raw.len().min(raw_max)] });
    }
}

/// Bad bytes that are too long to be kept: they are consumed as they come.
#[derive(Clone, Debug)]
pub(super) struct Skip {
    pub(super) finder: Finder,
    offset: u64,
    head: Vec<u8>,
    /// Offset after the last byte seen that is not whitespace.
    solid_end: u64,
    /// The same when the newline of the finder's candidate was seen.
    solid_end_at_candidate: u64,
}

impl Skip {
    /// Takes over from `bad`, which starts at `offset` with `bytes` and does not end in them.
    pub(super) fn new(bad: &Bad, bytes: &[u8], offset: u64) -> Self {
        let head = bytes[..bytes.len().min(REJECT_RAW_BYTES_MAX)].to_vec();
        let mut skip = Self { finder: bad.finder, offset, head, solid_end: offset, solid_end_at_candidate: offset };
        skip.saw(bytes, offset);
        skip
    }

    /// Goes on at `bytes`, which start at offset `at`; rejects the whole once its end is found.
    pub(super) fn find(&mut self, bytes: &[u8], at: u64, sink: &mut impl RecordSink) -> Option<Found> {
        let found = self.finder.find(bytes, at, 0);
        match found {
            Some(found) => self.reject(bytes, at, found.end, sink),
            None => self.saw(bytes, at),
        }
        found
    }

    /// The reject, given that the bad bytes end at offset `end` and that `bytes`, which start at `at`, are the last of
    /// those not seen yet.
    pub(super) fn reject(&mut self, bytes: &[u8], at: u64, end: u64, sink: &mut impl RecordSink) {
        let solid_end = match end.checked_sub(at) {
            Some(length) => last_solid(bytes, at, length).unwrap_or(self.solid_end),
            None => self.solid_end_at_candidate,
        };
        let length = solid_end - self.offset;
        let raw = &self.head[..self.head.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        sink.reject(Reject { offset: self.offset, bytes: length, reason: RejectReason::TooLong, raw });
    }

    fn saw(&mut self, bytes: &[u8], at: u64) {
        if let Some(length) = self.finder.candidate().and_then(|candidate| candidate.checked_sub(at)) {
            self.solid_end_at_candidate = last_solid(bytes, at, length).unwrap_or(self.solid_end);
        }
        self.solid_end = last_solid(bytes, at, bytes.len() as u64).unwrap_or(self.solid_end);
    }
}

/// The offset after the last of the first `length` bytes that is not whitespace; `bytes` start at offset `at`.
fn last_solid(bytes: &[u8], at: u64, length: u64) -> Option<u64> {
    let length = usize::try_from(length).map_or(bytes.len(), |length| length.min(bytes.len()));
    let solid = bytes[..length].trim_ascii_end().len();
    (solid > 0).then_some(at + solid as u64)
}
