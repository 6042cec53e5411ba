//! Sniffing.

use stedi_engine::decode::{Layout, sniff};

const A: &str = r#"{"user":"a","timestamp":1}"#;

#[test]
fn records_on_lines_are_lines() {
    for object in [
        format!("{A}\n"),
        format!("{A}\n{A}"),
        format!("\u{feff}{A},\r\n{A},\r\n"),
        format!("\n\n {A} \n{A}\n"),
        format!("garbage\n{A}\n{A}\n"),
        format!("{{\"user\":\"cut off\n{A}\n{A}\n"),
        format!("{{\"user\":\n{A}\n{A}\n"),
        format!("{A}\n]}}{{\n{A}\n"),
        format!("{A}\n{{\"cut"),
        format!("{A}\n").repeat(10_000),
    ] {
        assert_eq!(sniff(object.as_bytes()), Layout::Lines, "{:?}", object.get(..60));
    }
}

#[test]
fn anything_else_is_a_stream() {
    for object in [
        String::new(),
        A.to_owned(),
        format!("{A}{A}"),
        format!("{A}{A}\n{A}\n"),
        format!("{A} {A}\n"),
        format!("[{A}]\n"),
        format!("[\n{A},\n{A}\n]\n"),
        format!("\u{feff}\n[\n{A},\n{A}\n]\n"),
        "{\n  \"user\": \"a\"\n}\n".to_owned(),
        format!("{A}\n{{\n  \"user\": \"a\"\n}}\n"),
        "{\"points\":[\n{\"x\":1},\n{\"x\":2},\n{\"x\":3}\n]}\n".to_owned(),
        format!("{{\"points\":[\n{}", "{\"x\":1},\n".repeat(20_000)),
        format!("{{\"note\":\"{}\"}}\n{A}\n", "x".repeat(70_000)),
    ] {
        assert_eq!(sniff(object.as_bytes()), Layout::Stream, "{:?}", object.get(..60));
    }
}

#[test]
fn bytes_after_the_window_do_not_count() {
    let lines = format!("{A}\n").repeat(3000);
    assert_eq!(sniff(format!("{lines}[{{\n").as_bytes()), sniff(&lines.as_bytes()[..64 << 10]));
}
