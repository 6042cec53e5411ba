//! Where records begin and end: the decoder's state machine over the top level of an object.

use super::fault::{Bad, Fault, Finder, Skip};
use super::json::Stop;
use super::{Decoder, Layout, Progress, RecordSink, Reject};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What the next byte of input belongs to.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// The start of the object: a byte-order mark may follow.
    Start,
    /// Frames of the split before ours.
    Seek(Finder),
    /// The top level, between records.
    Between,
    /// A record. `tried` bytes of it are known not to hold all of it nor a sync point; another look pays once `retry_at`
    /// bytes are there.
    Record { tried: usize, retry_at: usize },
    /// Bytes that are no record.
    Bad(Bad),
    /// Bytes that are no record, too many to be kept.
    Skip(Skip),
    /// Nothing: the split is over.
    Done,
}

/// What became of the bytes at a record's place.
enum Outcome {
    /// They are dealt with, up to this index.
    Read(usize),
    /// They are no record.
    Bad(Bad),
    /// More of them are needed.
    Wait { tried: usize },
}

/// The input of one call.
#[derive(Clone, Copy)]
struct Input<'a> {
    bytes: &'a [u8],
    /// Offset in the object of its first byte.
    offset: u64,
    end_of_object: bool,
}

impl Input<'_> {
    fn at(&self, pos: usize) -> u64 {
        self.offset + pos as u64
    }

    fn pos(&self, offset: u64) -> usize {
        usize::try_from(offset - self.offset).expect("an index of the input")
    }
}

impl Decoder {
    pub(super) fn advance(&mut self, bytes: &[u8], end_of_object: bool, sink: &mut impl RecordSink) -> Progress {
        let input = Input { bytes, offset: self.offset, end_of_object };
        let mut pos = 0;
        loop {
            let next = match std::mem::replace(&mut self.state, State::Done) {
                State::Start => self.start(input),
                State::Seek(finder) => self.seek(input, pos, finder),
                State::Between => self.between(input, pos, sink),
                State::Record { tried, retry_at } => self.record(input, pos, tried, retry_at, sink),
                State::Bad(bad) => self.bad(input, pos, bad, sink),
                State::Skip(skip) => self.skip(input, pos, skip, sink),
                State::Done => None,
            };
            match next {
                Some(next) => pos = next,
                None => break,
            }
        }
        let done = matches!(self.state, State::Done);
        // whatever the state holds back begins at `self.offset`
        Progress { consumed: input.pos(self.offset), done }
    }

    /// Enters `state`, in which the input from `pos` on belongs.
    fn go_on(&mut self, input: Input<'_>, pos: usize, state: State) -> Option<usize> {
        self.offset = input.at(pos);
        self.state = state;
        Some(pos)
    }

    /// Asks for more input, to go on at `pos` in `state`; at the end of the object everything is over.
    fn wait(&mut self, input: Input<'_>, pos: usize, state: State) -> Option<usize> {
        self.offset = input.at(pos);
        self.state = if input.end_of_object { State::Done } else { state };
        None
    }

    fn start(&mut self, input: Input<'_>) -> Option<usize> {
        if input.bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(input.bytes) && !input.end_of_object
        {
            return self.wait(input, 0, State::Start);
        }
        let mark = if input.bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        self.sync = Some(0);
        self.go_on(input, mark, State::Between)
    }

    fn seek(&mut self, input: Input<'_>, pos: usize, mut finder: Finder) -> Option<usize> {
        match finder.find(&input.bytes[pos..], input.at(pos), 0) {
            Some(found) => {
                self.sync = Some(found.end);
                self.go_on(input, input.pos(found.resume), State::Between)
            }
            None => self.wait(input, input.bytes.len(), State::Seek(finder)),
        }
    }

    fn between(&mut self, input: Input<'_>, mut pos: usize, sink: &mut impl RecordSink) -> Option<usize> {
        let bytes = input.bytes;
        while let Some(byte) = bytes.get(pos) {
            match byte {
                b'\n' => self.sync = Some(input.at(pos + 1)),
                b' ' | b'\t' | b'\r' | b',' => {}
                b'[' | b']' => self.sync = None,
                b'{' => {
                    if self.sync.is_some_and(|sync| sync >= self.split.end) {
                        return self.wait(input, pos, State::Done);
                    }
                    self.sync = None;
                    match self.shapes.read(bytes, pos, self.record_bytes_max, sink) {
                        Some(end) => {
                            pos = end;
                            continue;
                        }
                        None => return self.go_on(input, pos, State::Record { tried: 0, retry_at: 0 }),
                    }
                }
                _ => {
                    self.sync = None;
                    let finder = match self.layout {
                        Layout::Lines => Finder::Line,
                        Layout::Stream => Finder::resync_after(&[]),
                    };
                    let bad = Bad { fault: Fault::Malformed(0), finder, searched: 0 };
                    return self.go_on(input, pos, State::Bad(bad));
                }
            }
            pos += 1;
        }
        self.wait(input, pos, State::Between)
    }

    fn record(
        &mut self,
        input: Input<'_>,
        pos: usize,
        tried: usize,
        retry_at: usize,
        sink: &mut impl RecordSink,
    ) -> Option<usize> {
        let bytes = &input.bytes[pos..];
        if bytes.len() < retry_at && !input.end_of_object {
            return self.wait(input, pos, State::Record { tried, retry_at });
        }
        let outcome = match self.layout {
            Layout::Lines => self.record_of_lines(bytes, tried, input.end_of_object, input.at(pos), sink),
            Layout::Stream => self.record_of_stream(bytes, input.end_of_object, input.at(pos), sink),
        };
        match outcome {
            Outcome::Read(length) => self.go_on(input, pos + length, State::Between),
            Outcome::Bad(bad) => self.go_on(input, pos, State::Bad(bad)),
            Outcome::Wait { tried } => {
                // looking again only after the input has doubled keeps the cost of many small pieces linear
                let retry_at = (bytes.len() * 2).min(self.record_bytes_max + 1);
                self.wait(input, pos, State::Record { tried, retry_at })
            }
        }
    }

    fn record_of_stream(
        &mut self,
        bytes: &[u8],
        end_of_object: bool,
        offset: u64,
        sink: &mut impl RecordSink,
    ) -> Outcome {
        let window = &bytes[..bytes.len().min(self.record_bytes_max)];
        match self.fields.find(window) {
            Ok(end) => self.read(&window[..end], offset, sink),
            Err(Stop::Malformed(at)) => {
                let finder = Finder::resync_after(&window[..at]);
                Outcome::Bad(Bad { fault: Fault::Malformed(at), finder, searched: at })
            }
            Err(Stop::Incomplete) if window.len() < bytes.len() => {
                let finder = Finder::resync_after(window);
                Outcome::Bad(Bad { fault: Fault::TooLong, finder, searched: window.len() })
            }
            Err(Stop::Incomplete) if end_of_object => {
                let finder = Finder::resync_after(window);
                Outcome::Bad(Bad { fault: Fault::CutOff, finder, searched: window.len() })
            }
            Err(Stop::Incomplete) => Outcome::Wait { tried: 0 },
        }
    }

    /// A record must end before the next sync point. Both are searched in a window that grows from one line, so that
    /// neither search goes much further than the other needs.
    fn record_of_lines(
        &mut self,
        bytes: &[u8],
        mut tried: usize,
        end_of_object: bool,
        offset: u64,
        sink: &mut impl RecordSink,
    ) -> Outcome {
        let limit = bytes.len().min(self.record_bytes_max);
        loop {
            let window = match tried {
                0 => memchr::memchr(b'\n', &bytes[..limit]).map_or(limit, |newline| newline + 1),
                _ => limit.min(tried * 2),
            };
            let sync = sync_in(bytes, tried, window, end_of_object);
            let clean = match sync {
                Some(SyncAt::Newline(at) | SyncAt::Unknown(at)) => at,
                None => window,
            };
            let bad = |fault| Outcome::Bad(Bad { fault, finder: Finder::Sync(None), searched: clean });
            match self.fields.find(&bytes[..clean]) {
                Ok(end) => return self.read(&bytes[..end], offset, sink),
                Err(Stop::Malformed(at)) => return bad(Fault::Malformed(at)),
                Err(Stop::Incomplete) => {}
            }
            match sync {
                Some(SyncAt::Newline(_)) => return bad(Fault::CutOff),
                _ if end_of_object && window == bytes.len() => return bad(Fault::CutOff),
                _ if limit < bytes.len() && window == limit => return bad(Fault::CutOff),
                // whatever follows, it is too far away for these bytes to be kept
                Some(SyncAt::Unknown(_)) if limit < bytes.len() => return bad(Fault::CutOff),
                Some(SyncAt::Unknown(_)) => return Outcome::Wait { tried },
                None if window == limit => return Outcome::Wait { tried: window },
                None => tried = window,
            }
        }
    }

    fn read(&mut self, record: &[u8], offset: u64, sink: &mut impl RecordSink) -> Outcome {
        match self.fields.emit(record, sink) {
            Ok(()) => self.shapes.learn(record),
            Err(reason) => sink.reject(Reject { offset, bytes: record.len() as u64, reason, raw: record }),
        }
        Outcome::Read(record.len())
    }

    fn bad(&mut self, input: Input<'_>, pos: usize, mut bad: Bad, sink: &mut impl RecordSink) -> Option<usize> {
        let bytes = &input.bytes[pos..];
        let offset = input.at(pos);
        let window = &bytes[..bytes.len().min(self.record_bytes_max + 1)];
        if let Some(found) = bad.finder.find(window, offset, bad.searched) {
            bad.reject(&input.bytes[pos..input.pos(found.end)], offset, sink);
            return self.resume(input, found, bad.finder);
        }
        if window.len() > self.record_bytes_max {
            let skip = Skip::new(&bad, window, offset);
            return self.go_on(input, pos + window.len(), State::Skip(skip));
        }
        if input.end_of_object {
            bad.reject(bytes, offset, sink);
            return self.wait(input, input.bytes.len(), State::Done);
        }
        bad.searched = bytes.len();
        self.wait(input, pos, State::Bad(bad))
    }

    fn skip(&mut self, input: Input<'_>, pos: usize, mut skip: Skip, sink: &mut impl RecordSink) -> Option<usize> {
        let bytes = &input.bytes[pos..];
        if let Some(found) = skip.find(bytes, input.at(pos), sink) {
            return self.resume(input, found, skip.finder);
        }
        let end = input.bytes.len();
        if input.end_of_object {
            skip.reject(bytes, input.at(pos), input.at(end), sink);
        }
        self.wait(input, end, State::Skip(skip))
    }

    fn resume(&mut self, input: Input<'_>, found: super::fault::Found, finder: Finder) -> Option<usize> {
        self.sync = matches!(finder, Finder::Sync(_)).then_some(found.end);
        self.go_on(input, input.pos(found.resume), State::Between)
    }
}

/// A newline that is, or may be, that of a sync point.
#[derive(Clone, Copy)]
enum SyncAt {
    Newline(usize),
    /// The bytes end before it is clear.
    Unknown(usize),
}

/// The first newline in `bytes[from..to]` that makes a sync point, as far as one can tell; at the end of the object one
/// always can.
fn sync_in(bytes: &[u8], from: usize, to: usize, end_of_object: bool) -> Option<SyncAt> {
    for newline in memchr::memchr_iter(b'\n', &bytes[from..to]).map(|found| from + found) {
        let behind = bytes[newline + 1..].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r' | b','));
        match behind {
            Some(b'{') => return Some(SyncAt::Newline(newline)),
            None if !end_of_object => return Some(SyncAt::Unknown(newline)),
            Some(_) | None => {}
        }
    }
    None
}
