//! Sync points, splits, resync, and records that are too long.

use stedi_engine::decode::Layout::{self, Lines, Stream};
use stedi_engine::decode::RejectReason::{CutOff, InvalidJson, TooLong};
use stedi_engine::decode::{Collected, Decoder, RECORD_BYTES_MAX, REJECT_RAW_BYTES_MAX, RejectReason};
use stedi_lake::LandingTable::Accelerometer;

use crate::support::{WHOLE, decode_as, decode_with, rejects};

fn record(user: &str) -> String {
    format!(r#"{{"user":"{user}","timestamp":1}}"#)
}

fn users(rows: &Collected) -> Vec<&str> {
    rows.accelerometer.iter().map(|reading| reading.user.as_str()).collect()
}

/// Users and rejects of an object.
fn outcome(layout: Layout, object: &str) -> (String, Vec<(RejectReason, String)>) {
    let rows = decode_as(Accelerometer, layout, object.as_bytes());
    (users(&rows).join(" "), rejects(&rows, object))
}

#[test]
fn a_record_of_lines_ends_before_the_next_sync_point() {
    let (a, b) = (record("a"), record("b"));
    let nested = format!("{{\"user\":\"n\",\"timestamp\":1,\"e\":\n{a}}}");
    let object = format!("{nested}\n{b}\n");
    let cut = "{\"user\":\"n\",\"timestamp\":1,\"e\":".to_owned();
    assert_eq!(outcome(Lines, &object), ("a b".to_owned(), vec![(CutOff, cut), (InvalidJson, "}".to_owned())]));
    assert_eq!(outcome(Stream, &object), ("n b".to_owned(), vec![]));
}

#[test]
fn a_record_of_lines_may_span_lines_within_its_frame() {
    let object = "{\"user\":\"a\",\n\n \"timestamp\":1,\"e\":[\n1,\n2\n]}{\"user\":\"b\",\"timestamp\":2}\n";
    assert_eq!(outcome(Lines, object), ("a b".to_owned(), vec![]));
}

#[test]
fn a_malformed_record_of_lines_takes_the_rest_of_its_frame() {
    let (a, b) = (record("a"), record("b"));
    let object = format!("{a}{{bad}}{b} \njunk\n , \r\n{b}\n");
    assert_eq!(outcome(Lines, &object), ("a b".to_owned(), vec![(InvalidJson, format!("{{bad}}{b} \njunk\n ,"))]));
}

#[test]
fn a_stream_goes_on_after_a_malformed_record() {
    let (a, b) = (record("a"), record("b"));
    for (bad, rest) in [
        ("{\"bad\"}", format!(" , {b}")),
        ("{\"bad\" 1 \"}\" x}", format!("\n\n,\r\n {b}")),
        ("{\"bad\" 1,", format!("\n [ {b}]")),
        ("{\"bad\":\"unfinished", format!("\n{b}")),
        ("}", b.clone()),
        ("junk", format!("\n{b}")),
    ] {
        let object = format!("{a}{bad}{rest}");
        let (users, rejects) = outcome(Stream, &object);
        assert_eq!(users, "a b", "{object}");
        assert_eq!(rejects.len(), 1, "{object}");
        assert!(rejects[0].1.starts_with(bad) && !rejects[0].1.contains(&b), "{object} {rejects:?}");
    }
}

#[test]
fn a_split_owns_the_frames_that_begin_in_it() {
    let object = format!("{}\n{}\r\n,{}{}\n\n {}", record("a"), record("b"), record("c"), record("d"), record("e"));
    let line_starts = [0, 27, 55, 109 + 1];
    assert_eq!(&object[27..36], r#"{"user":""#);
    for cut in 0..=object.len() as u64 + 3 {
        let part = |split| {
            let rows = decode_with(Decoder::new(Accelerometer, Lines, split), object.as_bytes(), usize::MAX, []);
            assert_eq!(rows.rejects, []);
            users(&rows).join("")
        };
        let owned = |from: u64, to: u64| {
            let frames = ["a", "b", "cd", "e"].into_iter().zip(line_starts);
            frames.filter(|(_, at)| (from..to).contains(at)).map(|(name, _)| name).collect::<String>()
        };
        assert_eq!((part(0..cut), part(cut..u64::MAX)), (owned(0, cut), owned(cut, u64::MAX)), "cut at {cut}");
    }
}

#[test]
fn a_split_is_done_without_the_rest_of_the_object() {
    let object = format!("{}\n{}\n", record("a"), record("b"));
    let mut decoder = Decoder::new(Accelerometer, Lines, 5..20);
    assert_eq!(decoder.input_offset(), 4);
    let mut rows = Collected::default();
    assert!(!decoder.decode(&object.as_bytes()[4..27], false, &mut rows).done);
    let start = usize::try_from(decoder.input_offset()).unwrap();
    assert!(decoder.decode(&object.as_bytes()[start..30], false, &mut rows).done);
    assert_eq!(rows, Collected::default());
}

/// A record of `bytes` bytes.
fn long_record(user: &str, bytes: usize) -> String {
    let frame = format!(r#"{{"user":"{user}","timestamp":1,"note":""}}"#).len();
    format!(r#"{{"user":"{user}","timestamp":1,"note":"{}"}}"#, "x".repeat(bytes - frame))
}

#[test]
fn a_record_may_be_as_long_as_the_limit() {
    let object = format!("{}\n{}\n{}", record("a"), long_record("b", RECORD_BYTES_MAX), record("c"));
    for layout in [Lines, Stream] {
        for chunk in [1 << 20, usize::MAX >> 1] {
            let decoder = Decoder::new(Accelerometer, layout, WHOLE);
            let chunks = std::iter::repeat(chunk);
            let rows = decode_with(decoder, object.as_bytes(), RECORD_BYTES_MAX, chunks);
            assert_eq!((users(&rows), rows.rejects.len()), (vec!["a", "b", "c"], 0), "{layout:?} {chunk}");
        }
    }
}

#[test]
fn a_longer_record_is_too_long_and_the_rest_is_read() {
    let long = long_record("b", RECORD_BYTES_MAX + 1);
    for ending in ["\n", " ,\r\n\r\n ,", "\n\n"] {
        let object = format!("{}\n{long}{ending}{}\n", record("a"), record("c"));
        for layout in [Lines, Stream] {
            for chunk in [(1 << 20) - 1, usize::MAX >> 1] {
                let decoder = Decoder::new(Accelerometer, layout, WHOLE);
                let rows = decode_with(decoder, object.as_bytes(), RECORD_BYTES_MAX, std::iter::repeat(chunk));
                assert_eq!(users(&rows), ["a", "c"], "{layout:?}");
                let [reject] = &rows.rejects[..] else { panic!("{} rejects", rows.rejects.len()) };
                assert_eq!((reject.reason, reject.offset), (TooLong, 27), "{layout:?}");
                assert!(reject.bytes >= long.len() as u64 && reject.bytes <= (long.len() + ending.len()) as u64);
                assert_eq!(reject.raw, &long.as_bytes()[..REJECT_RAW_BYTES_MAX]);
            }
        }
    }
}

/// More separators than may be held back: neither a record nor the end of one is known of them.
#[test]
fn separators_without_end_after_a_cut_off_record_are_not_held_back() {
    let object = format!("{{\"user\":\"a\"\n{}x\n{}\n", "\r".repeat(300), record("b"));
    for piece in [1, 7, 100, 1000] {
        let decoder = Decoder::new(Accelerometer, Lines, WHOLE).with_record_bytes_max(100);
        let rows = decode_with(decoder, object.as_bytes(), 100, std::iter::repeat(piece));
        assert_eq!(rows.rejects.iter().map(|r| (r.offset, r.reason)).collect::<Vec<_>>(), [(0, TooLong)], "{piece}");
        assert_eq!(users(&rows), ["b"], "{piece}");
    }
}
