//! Reads the segments of a shard back: a few ranges at a time, what lies side by side in one go.

use std::ops::Range;

use futures::StreamExt as _;
use stedi_engine::packed::{self, PackRow};
use stedi_job::task::{FailureClass, SegmentRef};

use super::{Attempt, Executor, TaskError};
use crate::scratch::Scratch;
use crate::shuffle::Lane;

/// Bytes of one request, unless a single segment is larger.
pub(super) const FETCH_BYTES: u64 = 4 << 20;

/// Segments that are fetched in one request.
#[derive(Debug, PartialEq, Eq)]
struct Fetch<'s> {
    path: &'s str,
    range: Range<u64>,
    segments: Vec<&'s SegmentRef>,
}

/// Segments put together to requests.
fn fetches(segments: &[SegmentRef]) -> Vec<Fetch<'_>> {
    let mut sorted: Vec<&SegmentRef> = segments.iter().collect();
    sorted.sort_by_key(|segment| (&segment.path, segment.offset));
    let mut fetches: Vec<Fetch<'_>> = Vec::new();
    for segment in sorted {
        let end = segment.offset.saturating_add(segment.bytes);
        match fetches.last_mut() {
            Some(last)
                if *last.path == *segment.path
                    && last.range.end == segment.offset
                    && end - last.range.start <= FETCH_BYTES =>
            {
                last.range.end = end;
                last.segments.push(segment);
            }
            _ => fetches.push(Fetch { path: &segment.path, range: segment.offset..end, segments: vec![segment] }),
        }
    }
    fetches
}

impl Executor {
    /// The rows of `segments`, which are all of `shard`. Up to `hold` bytes of them stay in memory as they are, which
    /// `hold` is reduced by; the others go to `scratch`. `at_once` requests are under way at a time.
    pub(super) fn fetch<T: PackRow>(
        &self,
        attempt: &mut Attempt<'_>,
        shard: u32,
        segments: &[SegmentRef],
        at_once: usize,
        scratch: &Scratch,
        hold: &mut usize,
    ) -> Result<Lane<T>, TaskError> {
        let lake = self.lake(attempt);
        let mut lane = Lane::default();
        let mut arriving = futures::stream::iter(fetches(segments))
            .map(|fetch| async move {
                let bytes = lake.read_range(fetch.path, fetch.range.clone()).await;
                (fetch, bytes)
            })
            .buffered(at_once);
        while let Some((fetch, bytes)) = self.runtime.block_on(arriving.next()) {
            attempt.check_cancelled()?;
            let mut bytes = bytes?;
            attempt.cost.read_bytes += bytes.len() as u64;
            for segment in fetch.segments {
                let damaged = || self.damaged(segment);
                let length = usize::try_from(segment.bytes).unwrap_or(usize::MAX);
                if bytes.len() < length {
                    return Err(damaged());
                }
                let sealed = bytes.split_to(length);
                let runs = packed::unseal::<T>(shard, &sealed).ok_or_else(damaged)?;
                let rows = usize::try_from(segment.rows).unwrap_or(usize::MAX);
                if *hold >= length {
                    *hold -= length;
                    lane.push_received(sealed.slice_ref(runs), rows);
                } else {
                    *hold = 0;
                    let spilled = scratch.write(runs).map_err(crate::WorkError::Scratch)?;
                    lane.push_spilled(spilled, rows);
                }
            }
        }
        Ok(lane)
    }

    fn damaged(&self, segment: &SegmentRef) -> TaskError {
        let place = self.lake.location(&segment.path);
        let text = format!("the {} bytes of {place} from {} on are damaged", segment.bytes, segment.offset);
        TaskError::new(FailureClass::BadInput, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(path: &str, offset: u64, bytes: u64) -> SegmentRef {
        SegmentRef { path: path.into(), offset, bytes, rows: 1 }
    }

    #[test]
    fn neighbours_are_fetched_together_up_to_a_size() {
        let segments = [
            segment("b", 0, 10),
            segment("a", 30, 10),
            segment("a", 10, 20),
            segment("a", 50, 10),
            segment("a", 60, FETCH_BYTES - 10),
            segment("a", FETCH_BYTES + 50, 2 * FETCH_BYTES),
        ];
        let ranges: Vec<(&str, Range<u64>, usize)> =
            fetches(&segments).into_iter().map(|f| (f.path, f.range, f.segments.len())).collect();
        assert_eq!(
            ranges,
            [
                ("a", 10..40, 2),
                ("a", 50..FETCH_BYTES + 50, 2),
                ("a", FETCH_BYTES + 50..3 * FETCH_BYTES + 50, 1),
                ("b", 0..10, 1)
            ]
        );
        assert!(fetches(&[]).is_empty());
    }
}
