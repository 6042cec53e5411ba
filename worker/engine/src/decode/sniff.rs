//! What the first bytes of an object tell about the rest.

use super::Layout;
use super::fault::Finder;
use super::json::{self, Stop};

/// This many bytes decide, so that the answer does not depend on how many there are to look at.
const WINDOW_BYTES: usize = 64 << 10;

/// Tells the layout from the first bytes of a decompressed object (at least 64 KiB, or all of it).
///
/// [`Layout::Lines`] if there are records, each of them starts at a line's start (commas and blanks aside) and ends on
/// that line, and the object does not begin with `[`. Bytes that are no record do not count.
pub fn sniff(start: &[u8]) -> Layout {
    let window = &start[..start.len().min(WINDOW_BYTES)];
    let window = window.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(window);
    if records_on_lines(window).is_some_and(|records| records > 0) { Layout::Lines } else { Layout::Stream }
}

/// The number of whole lines that are records; `None` if a record lies otherwise.
fn records_on_lines(window: &[u8]) -> Option<usize> {
    let mut records = 0;
    let mut pos = 0;
    while let Some(byte) = window.get(pos) {
        let malformed_at = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' => {
                pos += 1;
                continue;
            }
            b'[' if window[..pos].trim_ascii().is_empty() => return None,
            b'[' => {
                pos += 1;
                continue;
            }
            b'{' => match json::members(&window[pos..], |_, _, _, _| {}) {
                Ok((end, _)) => {
                    let record = &window[pos..pos + end];
                    if !starts_line(&window[..pos]) || record.contains(&b'\n') {
                        return None;
                    }
                    pos += end;
                    records += usize::from(ends_line(&window[pos..]));
                    continue;
                }
                Err(Stop::Malformed(at)) => at,
                // it goes on where we cannot see; on one line, as far as we see, or not
                Err(Stop::Incomplete) => return (!window[pos..].contains(&b'\n')).then_some(records),
            },
            _ => 0,
        };
        let bad = pos + malformed_at;
        match Finder::resync_after(&window[pos..bad]).find(window, 0, bad) {
            Some(found) => pos = usize::try_from(found.resume).expect("an index of the window"),
            None => break,
        }
    }
    Some(records)
}

fn is_padding(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b',')
}

fn starts_line(before: &[u8]) -> bool {
    before.iter().rev().find(|b| !is_padding(**b)).is_none_or(|b| *b == b'\n')
}

fn ends_line(behind: &[u8]) -> bool {
    behind.iter().find(|b| !is_padding(**b)).is_some_and(|b| *b == b'\n')
}
