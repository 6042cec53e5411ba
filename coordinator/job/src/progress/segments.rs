//! Which shuffle files hold rows of which shard. A large run has millions of segments, so they are kept as bytes.

use std::sync::Arc;

use crate::task::{Segment, SegmentRef};

/// So many segments are collected before they are put to their shards, about: a task has one for each of thousands of
/// shards, whose places in memory are far from each other, and going to all of them pays for many tasks at once.
const RECENT_MAX: usize = 1 << 17;

/// The segments of one scan stage, by shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    files: Vec<Option<Arc<str>>>,
    shards: Vec<Vec<u8>>,
    /// Those that came last, with their tasks, not yet in `shards`.
    recent: Vec<(u32, Segment)>,
}

impl Segments {
    pub(super) fn new(tasks: u32, shards: u32) -> Self {
        let shards = vec![Vec::new(); shards as usize];
        Self { files: vec![None; tasks as usize], shards, recent: Vec::new() }
    }

    /// Takes what one task has made.
    pub(super) fn add(&mut self, task: u32, file: &str, segments: &[Segment]) {
        self.files[task as usize] = Some(file.into());
        self.recent.extend(segments.iter().map(|segment| (task, segment.clone())));
        if self.recent.len() >= RECENT_MAX {
            self.sort_in();
        }
    }

    /// No more tasks are to come, or many have: puts the segments to their shards.
    pub(super) fn sort_in(&mut self) {
        let recent = std::mem::take(&mut self.recent);
        // a counting sort: `next` is where in `order` the next segment of a shard goes
        let mut next = vec![0_usize; self.shards.len() + 1];
        for (_, segment) in &recent {
            next[segment.shard as usize + 1] += 1;
        }
        for shard in 1..next.len() {
            next[shard] += next[shard - 1];
        }
        let mut order = vec![0_usize; recent.len()];
        for (position, (_, segment)) in recent.iter().enumerate() {
            let place = &mut next[segment.shard as usize];
            order[*place] = position;
            *place += 1;
        }
        for (task, segment) in order.into_iter().map(|position| &recent[position]) {
            let shard = &mut self.shards[segment.shard as usize];
            for number in [u64::from(*task), segment.offset, segment.bytes, segment.rows] {
                write_number(number, shard);
            }
        }
    }

    /// The segments of a shard, by task and place in the file, whatever order the tasks were finished in.
    pub(super) fn of_shard(&self, shard: u32) -> Vec<SegmentRef> {
        let mut encoded = self.shards[shard as usize].as_slice();
        let of_shard = self.recent.iter().filter(|(_, segment)| segment.shard == shard);
        let mut found: Vec<[u64; 4]> =
            of_shard.map(|(task, s)| [u64::from(*task), s.offset, s.bytes, s.rows]).collect();
        while !encoded.is_empty() {
            found.push([(); 4].map(|()| read_number(&mut encoded)));
        }
        found.sort_unstable();
        let file = |task: u64| usize::try_from(task).ok().and_then(|task| self.files.get(task)?.as_ref());
        found
            .into_iter()
            .filter_map(|[task, offset, bytes, rows]| {
                Some(SegmentRef { path: Arc::clone(file(task)?), offset, bytes, rows })
            })
            .collect()
    }
}

/// LEB128: seven bits a byte, the lowest first.
fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn read_number(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_come_back_in_the_order_of_their_tasks() {
        let segment = |shard, offset, bytes, rows| Segment { shard, offset, bytes, rows };
        let mut segments = Segments::new(3, 2);
        segments.add(2, "c", &[segment(1, 0, u64::MAX, 1 << 40)]);
        segments.add(0, "a", &[segment(0, 0, 5, 1), segment(1, 5, 6, 2), segment(1, 11, 127, 128)]);
        let expected = [("a", 5, 6, 2), ("a", 11, 127, 128), ("c", 0, u64::MAX, 1 << 40)];
        let check = |segments: &Segments| {
            let found: Vec<_> =
                segments.of_shard(1).into_iter().map(|s| (s.path.to_string(), s.offset, s.bytes, s.rows)).collect();
            assert_eq!(found, expected.map(|(path, offset, bytes, rows)| (path.to_owned(), offset, bytes, rows)));
        };
        check(&segments);
        segments.sort_in();
        check(&segments);
        segments.sort_in();
        check(&segments);
        assert_eq!(segments.of_shard(0).len(), 1);
    }
}
