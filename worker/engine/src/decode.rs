//! From landing bytes to typed records and rejects.
//!
//! The decoder pushes: the caller owns the bytes and hands them over piece by piece; records go to a [`RecordSink`].
//! Rows and rejects depend on the object's bytes alone, however they are cut into pieces and splits.

mod block;
mod collected;
mod digits;
mod fault;
mod frame;
mod json;
mod number;
mod record;
mod shape;
mod sniff;
#[cfg(target_arch = "x86_64")]
mod sse2;
mod text;

use std::ops::Range;

use stedi_lake::{Customer, LandingTable};

pub use collected::{AccelerometerReading, Collected, CollectedReject, StepTrainerReading};
pub use sniff::sniff;

/// A record that is longer than this is quarantined.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// This much is kept of a record that is longer than [`RECORD_BYTES_MAX`].
pub const REJECT_RAW_BYTES_MAX: usize = 64 << 10;

/// Stands for a missing x, y or z: a NaN, which no JSON number is. Compare with `f64::is_nan`.
pub const NULL_F64: f64 = f64::NAN;

/// Stands for a missing distance. A reading whose distance is exactly -2^63 is out of range and reads as missing.
pub const NULL_I64: i64 = i64::MIN;

/// Where decoded records go.
///
/// Each method is called once for each record of the decoder's table, in file order. `user` and `serial` are
/// valid UTF-8 with escapes resolved, and borrowed only for the call.
pub trait RecordSink {
    /// A customer record.
    fn customer(&mut self, record: Customer);
    /// An accelerometer reading. A missing x, y or z is [`NULL_F64`].
    fn accelerometer(&mut self, user: &[u8], timestamp_ms: i64, xyz: [f64; 3]);
    /// A step trainer reading. A missing distance is [`NULL_I64`].
    fn step_trainer(&mut self, serial: &[u8], sensor_reading_time_ms: i64, distance: i64);
    /// A record that cannot be read.
    fn reject(&mut self, reject: Reject<'_>);
}

/// A record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject<'a> {
    /// Where it starts, in bytes of the (decompressed) object.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Why it cannot be read.
    pub reason: RejectReason,
    /// Its bytes; of a record longer than [`RECORD_BYTES_MAX`] only the first part.
    pub raw: &'a [u8],
}

/// Why a record cannot be read. Never says what the record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// The object or the line ends inside the record.
    CutOff,
    /// Not JSON.
    InvalidJson,
    /// A string that is not UTF-8.
    InvalidUtf8,
    /// The named required field is absent or null.
    MissingField(&'static str),
    /// The named required field has a value of another type.
    WrongType(&'static str),
    /// Longer than [`RECORD_BYTES_MAX`].
    TooLong,
    /// The object's compression is damaged or cut off: nothing behind can be read. The decoder never says this, the
    /// caller that decompresses does.
    Damaged,
}

/// How the records of an object lie, as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A record never spans lines: the object can be split by byte range.
    Lines,
    /// Anything else (one array, concatenated, pretty-printed): one split.
    Stream,
}

/// What [`Decoder::decode`] did with its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes of the input are done with; the next call starts with the rest of them.
    pub consumed: usize,
    /// Whether the split is at its end: no more calls are needed.
    pub done: bool,
}

/// Decodes one split of one object.
///
/// Records are found at the top level, where whitespace, `,`, `[` and `]` part them and a byte-order mark may precede
/// them. A *sync point* is a newline followed by any of ` \t\r,` and then `{`, or the start of the object; its position
/// is that of the byte after the newline.
///
/// - [`Layout::Lines`]: the bytes from one sync point to the next are a frame. A split owns the frames whose sync points
///   it contains, and reads on to the end of the last one. A record ends in the frame in which it begins, else it is cut
///   off; what is wrong with it takes away the rest of the frame. Other bytes between records take away their line.
/// - [`Layout::Stream`]: a record may span lines. One that is not JSON is given up at the byte where that shows; reading
///   goes on at the next `{` that only ` \t\r,[` precede on its line, or that only ` \t\r\n,` part from a `}`.
///
/// Rejects carry no whitespace at their end. What has to be given up for more than [`RECORD_BYTES_MAX`] bytes is
/// [`RejectReason::TooLong`] whatever else is wrong with it.
#[derive(Debug)]
pub struct Decoder {
    layout: Layout,
    split: Range<u64>,
    record_bytes_max: usize,
    /// Offset in the object of the next byte of input.
    offset: u64,
    state: frame::State,
    /// Position of the sync point that a `{` here would make, at the top level.
    sync: Option<u64>,
    fields: record::Fields,
    shapes: shape::Shapes,
}

impl Decoder {
    /// A decoder of the records that start in `split`, a byte range of the decompressed object.
    ///
    /// Input begins at [`Self::input_offset`]. A [`Layout::Stream`] object has one split, `0..u64::MAX`.
    pub fn new(table: LandingTable, layout: Layout, split: Range<u64>) -> Self {
        // the newline before a sync point at the very start of the split must be seen
        let (offset, state) = match split.start.checked_sub(1) {
            Some(offset) => (offset, frame::State::Seek(fault::Finder::Sync(None))),
            None => (0, frame::State::Start),
        };
        let fields = record::Fields::new(table);
        let shapes = shape::Shapes::new(table);
        Self { layout, split, record_bytes_max: RECORD_BYTES_MAX, offset, state, sync: None, fields, shapes }
    }

    /// Another limit than [`RECORD_BYTES_MAX`], so that tests need not be large.
    #[doc(hidden)]
    #[must_use]
    pub fn with_record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// Without the fast path, so that tests can compare.
    #[doc(hidden)]
    #[must_use]
    pub fn without_shapes(mut self) -> Self {
        self.shapes.disable();
        self
    }

    /// Offset in the object of the next byte the decoder wants; before the first call, where to start reading.
    pub fn input_offset(&self) -> u64 {
        self.offset
    }

    /// Decodes the complete records at the start of `input`; `end_of_object` says that nothing follows it.
    ///
    /// Bytes that are not consumed must come again at the start of the next input, with more behind them. They are never
    /// more than [`RECORD_BYTES_MAX`]. At the end of the object or of the split the decoder is done.
    pub fn decode(&mut self, input: &[u8], end_of_object: bool, sink: &mut impl RecordSink) -> Progress {
        self.advance(input, end_of_object, sink)
    }
}
