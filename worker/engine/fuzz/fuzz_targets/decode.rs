//! Any bytes, cut anyhow: the decoder must not panic, and rows and rejects must not depend on the cuts or on the fast path.
//!
//! The first three bytes of the input choose table, layout and cuts; the rest is the object.

#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use stedi_engine::decode::{Collected, Decoder, Layout};
use stedi_lake::LandingTable;

/// Small, so that records that are too long are found soon.
const RECORD_BYTES_MAX: usize = 200;

fuzz_target!(|input: &[u8]| {
    let [table, layout, cut, object @ ..] = input else { return };
    let table = LandingTable::ALL[usize::from(*table) % LandingTable::ALL.len()];
    let layout = if layout % 2 == 0 { Layout::Lines } else { Layout::Stream };
    let cut = usize::from(*cut);
    let decoder = |split: Range<u64>| Decoder::new(table, layout, split).with_record_bytes_max(RECORD_BYTES_MAX);

    let whole = decode(decoder(0..u64::MAX), object, object.len());
    let slow = decode(decoder(0..u64::MAX).without_shapes(), object, object.len());
    assert_eq!(whole, slow, "the fast path reads something else");
    let in_pieces = decode(decoder(0..u64::MAX), object, 1 + cut % 16);
    assert_eq!(whole, in_pieces, "the pieces matter");
    if layout == Layout::Lines {
        // no split is empty
        let middle = (object.len() * cut / 255).max(1) as u64;
        let mut in_splits = decode(decoder(0..middle), object, 7);
        let second = decode(decoder(middle..u64::MAX), object, 1 + cut % 5);
        in_splits.customers.extend(second.customers);
        in_splits.accelerometer.extend(second.accelerometer);
        in_splits.step_trainer.extend(second.step_trainer);
        in_splits.rejects.extend(second.rejects);
        assert_eq!(whole, in_splits, "the splits matter");
    }
});

/// All that the decoder says when the object is handed over in pieces of `piece` bytes.
fn decode(mut decoder: Decoder, object: &[u8], piece: usize) -> Collected {
    let mut said = Collected::default();
    let mut start = usize::try_from(decoder.input_offset()).expect("an offset in memory").min(object.len());
    let mut end = start;
    loop {
        end = object.len().min(end + piece.max(1));
        let progress = decoder.decode(&object[start..end], end == object.len(), &mut said);
        start += progress.consumed;
        if progress.done {
            return said;
        }
        assert!(end < object.len(), "the end of the object must be the end of decoding");
        assert!(end - start <= RECORD_BYTES_MAX, "too much is held back");
    }
}
