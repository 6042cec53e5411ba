//! From landing bytes to typed records and rejects.
//!
//! The decoder pushes: the caller owns the bytes and hands them over piece by piece; records go to a [`RecordSink`].
//! Rows and rejects depend on the object's bytes alone, however they are cut into pieces and splits.

use std::ops::Range;

use stedi_lake::{Customer, LandingTable};

/// A record that is longer than this is quarantined.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

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

/// Tells the layout from the first bytes of a decompressed object (at least 64 KiB, or all of it).
pub fn sniff(_start: &[u8]) -> Layout {
    Layout::Stream
}

/// Decodes one split of one object.
#[derive(Debug)]
pub struct Decoder {
    _table: LandingTable,
    _layout: Layout,
    _split: Range<u64>,
}

impl Decoder {
    /// A decoder of the records that start in `split`, a byte range of the decompressed object.
    ///
    /// Input begins at [`Self::input_offset`]. A [`Layout::Stream`] object has one split, `0..u64::MAX`.
    pub fn new(table: LandingTable, layout: Layout, split: Range<u64>) -> Self {
        Self { _table: table, _layout: layout, _split: split }
    }

    /// Offset in the object of the next byte the decoder wants; before the first call, where to start reading.
    pub fn input_offset(&self) -> u64 {
        0
    }

    /// Decodes the complete records at the start of `input`; `end_of_object` says that nothing follows it.
    ///
    /// Bytes that are not consumed must come again at the start of the next input, with more behind them.
    pub fn decode(&mut self, _input: &[u8], _end_of_object: bool, _sink: &mut impl RecordSink) -> Progress {
        Progress { consumed: 0, done: true }
    }
}
