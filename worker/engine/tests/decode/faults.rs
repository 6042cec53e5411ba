//! Records that cannot be read, and that the rest of the object is still read.

use stedi_engine::decode::Layout::{Lines, Stream};
use stedi_engine::decode::RejectReason::{self, CutOff, InvalidJson, InvalidUtf8, MissingField, WrongType};
use stedi_lake::LandingTable::{self, Accelerometer, Customer, StepTrainer};

use crate::support::{bare, decode, decode_as, rejects};

const GOOD: &str = r#"{"user":"a","timestamp":1}"#;

/// Decodes `bad` on a line between two good ones, in both layouts.
fn reason_between_lines(bad: &str) -> RejectReason {
    let object = format!("{GOOD}\n{bad}\n{GOOD}\n");
    let outcomes = [Lines, Stream].map(|layout| {
        let rows = decode_as(Accelerometer, layout, object.as_bytes());
        assert_eq!(rows.accelerometer, [bare("a", 1), bare("a", 1)], "{layout:?} {bad}");
        let rejects = rejects(&rows, &object);
        assert_eq!(rejects.len(), 1, "{layout:?} {bad}");
        assert_eq!(rejects[0].1, bad.trim_end(), "{layout:?}");
        rejects[0].0
    });
    assert_eq!(outcomes[0], outcomes[1], "{bad}");
    outcomes[0]
}

fn only_reject(table: LandingTable, record: &str) -> RejectReason {
    let rows = decode(table, record);
    assert_eq!(rejects(&rows, record).len(), 1, "{record}");
    assert_eq!(rows.rejects[0].raw, record.as_bytes());
    rows.rejects[0].reason
}

#[test]
fn a_line_that_ends_inside_its_record_is_cut_off() {
    for bad in [
        r#"{"#,
        r#"{"us"#,
        r#"{"user"#,
        r#"{"user":"a\"#,
        r#"{"user":"a\u00"#,
        r#"{"user":"a "#,
        r#"{"user":"a","#,
        r#"{"user":"a","timestamp"#,
        r#"{"user":"a","timestamp":16"#,
        r#"{"user":"a","timestamp":1,"x":-"#,
        r#"{"user":"a","timestamp":1,"x":1."#,
        r#"{"user":"a","timestamp":1,"x":tr"#,
        r#"{"user":"a","timestamp":1"#,
        r#"{"user":"a","timestamp":1,"#,
    ] {
        assert_eq!(reason_between_lines(bad), CutOff, "{bad}");
        // the last two were lost once: a newline with nothing but separators behind it may begin a record, but not here
        for ending in ["", "\n", "\r\n", "\n ", "\n \r\t"] {
            let object = format!("{GOOD}\n{bad}{ending}");
            for layout in [Lines, Stream] {
                let rows = decode_as(Accelerometer, layout, object.as_bytes());
                let raw = bad.trim_end().to_owned();
                assert_eq!((rows.accelerometer.len(), rejects(&rows, &object)), (1, vec![(CutOff, raw)]), "{layout:?}");
            }
        }
    }
}

#[test]
fn what_is_not_json_is_invalid() {
    for bad in [
        r#"{"user":"a" "timestamp":1}"#,
        r#"{"user":"a","timestamp":1,}"#,
        r#"{"user":"a","timestamp":01}"#,
        r#"{"user":"a","timestamp":+1}"#,
        r#"{"user":"a","timestamp":1.}"#,
        r#"{"user":"a","timestamp":.5}"#,
        r#"{"user":"a","timestamp":NaN}"#,
        r#"{"user":"a","timestamp":nul}"#,
        r#"{"user":"a\q","timestamp":1}"#,
        r#"{"user":"a\u00zz","timestamp":1}"#,
        "{\"user\":\"a\tb\",\"timestamp\":1}",
        "{\"user\":\"a\0b\",\"timestamp\":1}",
        r#"{"user":'a',"timestamp":1}"#,
        r#"{user:"a","timestamp":1}"#,
        r#"{"user":"a","timestamp":1,"e":[1}"#,
        r#"{"user":"a","timestamp":1,"e":{1}}"#,
        r#"{"user":"a","timestamp":1,"e":[,]}"#,
        "{\"user\":\"a\",\u{a0}\"timestamp\":1}",
        "{ not json }",
        "garbage",
        "123",
        "\"text\"",
        "null",
        "\0\0\0\0",
        "}",
    ] {
        assert_eq!(reason_between_lines(bad), InvalidJson, "{bad}");
    }
}

#[test]
fn junk_around_a_record_takes_its_line() {
    let object = format!("x{GOOD}\n{GOOD} y {GOOD}\n{GOOD}\n");
    let rows = decode_as(Accelerometer, Lines, object.as_bytes());
    let expected = vec![(InvalidJson, format!("x{GOOD}")), (InvalidJson, format!("y {GOOD}"))];
    assert_eq!((rows.accelerometer.len(), rejects(&rows, &object)), (2, expected));
}

#[test]
fn nesting_has_a_limit() {
    let nested =
        |depth: usize| format!(r#"{{"user":"a","timestamp":1,"e":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let rows = decode(Accelerometer, &nested(127));
    assert_eq!((rows.accelerometer.len(), rows.rejects.len()), (1, 0));
    assert_eq!(reason_between_lines(&nested(128)), InvalidJson);
    assert_eq!(reason_between_lines(&nested(100_000)), InvalidJson);
}

#[test]
fn bad_utf8_is_found_wherever_it_is() {
    for bad in [
        &b"{\"user\":\"a\xFF\",\"timestamp\":1}"[..],
        b"{\"user\":\"a\xC3\",\"timestamp\":1}",
        b"{\"user\":\"a\xED\xA0\x80\",\"timestamp\":1}",
        b"{\"user\":\"a\",\"timestamp\":1,\"note\":\"\xC0\x80\"}",
        b"{\"user\":\"a\",\"timestamp\":1,\"e\":[{\"k\xFF\":1}]}",
        b"{\"us\xFFer\":\"a\",\"timestamp\":1}",
        b"{\"user\":7,\"note\":\"\xFF\"}",
        br#"{"user":"a\ud83d","timestamp":1}"#,
        br#"{"user":"a","timestamp":1,"e":{"n":"\ude00\ud83d"}}"#,
    ] {
        let object = [GOOD.as_bytes(), b"\n", bad, b"\n", GOOD.as_bytes(), b"\n"].concat();
        for layout in [Lines, Stream] {
            let rows = decode_as(Accelerometer, layout, &object);
            assert_eq!(rows.accelerometer.len(), 2);
            assert_eq!(rows.rejects.len(), 1);
            assert_eq!((rows.rejects[0].reason, &rows.rejects[0].raw[..]), (InvalidUtf8, bad));
        }
    }
}

#[test]
fn required_fields() {
    for (table, record, reason) in [
        (Accelerometer, r#"{}"#, MissingField("user")),
        (Accelerometer, r#"{"user":"a"}"#, MissingField("timestamp")),
        (Accelerometer, r#"{"timestamp":1}"#, MissingField("user")),
        (Accelerometer, r#"{"user":null,"timestamp":1}"#, MissingField("user")),
        (Accelerometer, r#"{"user":"a","user":null,"timestamp":1}"#, MissingField("user")),
        (Accelerometer, r#"{"user":"","timestamp":1}"#, MissingField("user")),
        (Accelerometer, r#"{"user":7,"timestamp":1}"#, WrongType("user")),
        (Accelerometer, r#"{"user":true,"timestamp":1}"#, WrongType("user")),
        (Accelerometer, r#"{"user":["a"],"timestamp":1}"#, WrongType("user")),
        (Accelerometer, r#"{"user":"a","timestamp":null}"#, MissingField("timestamp")),
        (Accelerometer, r#"{"user":"a","timestamp":"soon"}"#, WrongType("timestamp")),
        (Accelerometer, r#"{"user":"a","timestamp":""}"#, WrongType("timestamp")),
        (Accelerometer, r#"{"user":"a","timestamp":1.5}"#, WrongType("timestamp")),
        (Accelerometer, r#"{"user":"a","timestamp":9223372036854775808}"#, WrongType("timestamp")),
        (Accelerometer, r#"{"user":"a","timestamp":{}}"#, WrongType("timestamp")),
        (StepTrainer, r#"{"serialNumber":"s"}"#, MissingField("sensorreadingtime")),
        (StepTrainer, r#"{"sensorReadingTime":1}"#, MissingField("serialnumber")),
        (StepTrainer, r#"{"sensorReadingTime":false,"serialNumber":"s"}"#, WrongType("sensorreadingtime")),
        (StepTrainer, r#"{"sensorReadingTime":1,"serialNumber":5}"#, WrongType("serialnumber")),
        (Customer, r#"{"serialNumber":"s"}"#, MissingField("email")),
        (Customer, r#"{"email":"a"}"#, MissingField("serialnumber")),
        (Customer, r#"{"email":"a","serialNumber":""}"#, MissingField("serialnumber")),
        (Customer, r#"{"email":5,"serialNumber":"s"}"#, WrongType("email")),
    ] {
        assert_eq!(only_reject(table, record), reason, "{record}");
    }
}
