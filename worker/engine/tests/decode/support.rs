//! Decoding in one piece or in many.

use std::ops::Range;

use stedi_engine::decode::{AccelerometerReading, Collected, Decoder, Layout, NULL_F64, RejectReason, sniff};
use stedi_lake::LandingTable;

pub(crate) const WHOLE: Range<u64> = 0..u64::MAX;

/// Decodes the records of `split`, giving the object out in pieces of the sizes that `chunks` yields (then all of it).
///
/// Asserts what holds for any input: progress is made, and no more input is held back than a record may be long.
pub(crate) fn decode_with(
    mut decoder: Decoder,
    object: &[u8],
    record_bytes_max: usize,
    chunks: impl IntoIterator<Item = usize>,
) -> Collected {
    let mut rows = Collected::default();
    let mut chunks = chunks.into_iter();
    let mut start = usize::try_from(decoder.input_offset()).expect("an offset in memory").min(object.len());
    let mut end = start;
    loop {
        end = chunks.next().map_or(object.len(), |bytes| object.len().min(end + bytes.max(1)));
        let end_of_object = end == object.len();
        let progress = decoder.decode(&object[start..end], end_of_object, &mut rows);
        start += progress.consumed;
        if progress.done {
            return rows;
        }
        assert!(!end_of_object, "the end of the object must be the end of decoding");
        assert_eq!(decoder.input_offset(), start as u64);
        assert!(end - start <= record_bytes_max, "{} bytes held back", end - start);
    }
}

pub(crate) fn decode_as(table: LandingTable, layout: Layout, object: &[u8]) -> Collected {
    decode_with(Decoder::new(table, layout, WHOLE), object, usize::MAX, [])
}

/// Decodes an object as the layout that it looks to have; where that is lines, it must not matter.
pub(crate) fn decode(table: LandingTable, object: &str) -> Collected {
    let rows = decode_as(table, Layout::Stream, object.as_bytes());
    if sniff(object.as_bytes()) == Layout::Lines {
        assert_eq!(decode_as(table, Layout::Lines, object.as_bytes()), rows);
    }
    rows
}

pub(crate) fn readings(object: &str) -> Vec<AccelerometerReading> {
    let rows = decode(LandingTable::Accelerometer, object);
    assert_eq!(rows.rejects, [], "{object}");
    rows.accelerometer
}

pub(crate) fn reading(user: &str, timestamp_ms: i64, xyz: [f64; 3]) -> AccelerometerReading {
    AccelerometerReading { user: user.to_owned(), timestamp_ms, xyz }
}

/// A reading without x, y and z.
pub(crate) fn bare(user: &str, timestamp_ms: i64) -> AccelerometerReading {
    reading(user, timestamp_ms, [NULL_F64; 3])
}

/// The rejects as (reason, raw bytes), each checked to lie where it says.
pub(crate) fn rejects(rows: &Collected, object: &str) -> Vec<(RejectReason, String)> {
    let raw = |reject: &stedi_engine::decode::CollectedReject| {
        let start = usize::try_from(reject.offset).expect("an offset in memory");
        assert_eq!(reject.bytes, reject.raw.len() as u64);
        assert_eq!(object.as_bytes()[start..start + reject.raw.len()], reject.raw);
        (reject.reason, String::from_utf8_lossy(&reject.raw).into_owned())
    };
    rows.rejects.iter().map(raw).collect()
}
