//! Whether an object is what Athena's JSON SerDe reads: one JSON object a line, compressed as its name says.

/// What is odd about an object of this key that begins with `bytes`; none if nothing is, as far as can be seen.
pub(super) fn odd(key: &str, bytes: &[u8]) -> Option<&'static str> {
    let gzip = (bytes.starts_with(&[0x1f, 0x8b]), key.ends_with(".gz"));
    let zstd = (bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), key.ends_with(".zst"));
    match (gzip, zstd) {
        ((false, false), (false, false)) => odd_text(bytes),
        ((true, true), _) => odd_text(&unzipped(bytes)),
        // Athena goes by the name
        ((false, true), _) | (_, (false, true)) => Some("has the name of a compressed file and is none"),
        ((true, false), _) | (_, (true, false)) => Some("is compressed and not named so"),
        (_, (true, true)) => None,
    }
}

/// As much as comes out of the beginning of a gzip file.
fn unzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut text = Vec::new();
    // it ends in the middle: what came before is kept
    let _ = flate2::read::MultiGzDecoder::new(bytes).take(1 << 20).read_to_end(&mut text);
    text
}

fn odd_text(text: &[u8]) -> Option<&'static str> {
    let (mut depth, mut in_string, mut escaped, mut after_object) = (0_u32, false, false, false);
    if text.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Some("begins with a byte-order mark");
    }
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'\n' if depth > 0 => return Some("has objects of several lines"),
            b'\n' => after_object = false,
            _ if in_string => {}
            b'[' if depth == 0 => return Some("is an array"),
            b'{' if depth == 0 && after_object => return Some("has several objects in a line"),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                after_object = depth == 0;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_of_objects_are_not_odd() {
        for text in [
            "",
            "{\"a\":1}\n{\"a\":[1,{\"b\":\"}{\"}]}\n",
            "{\"a\":\"\\\"{\"},\r\n\r\n{\"a\":1},\n",
            "{\"a\":1}\n{\"cut",
        ] {
            assert_eq!(odd("a.json", text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn other_layouts_are_told_apart() {
        let odd = |text: &str| odd("a.json", text.as_bytes()).unwrap_or_default();
        assert!(odd("[\n{\"a\":1}\n]").contains("array"));
        assert!(odd("{\"a\":1}{\"a\":2}").contains("several objects in a line"));
        assert!(odd("{\n  \"a\": 1\n}").contains("several lines"));
        assert!(odd("\u{feff}{\"a\":1}").contains("byte-order"));
    }

    #[test]
    fn compression_must_be_named() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"[{\"a\":1}]").expect("memory takes everything");
        let gzip = gzip.finish().expect("memory takes everything");
        assert_eq!(odd("a.json.gz", &gzip), Some("is an array"));
        assert_eq!(odd("a.json", &gzip), Some("is compressed and not named so"));
        assert!(odd("a.json.gz", b"{}").is_some());
        assert_eq!(odd("a.json.zst", &[0x28, 0xb5, 0x2f, 0xfd, 0]), None);
    }
}
