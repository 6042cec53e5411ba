//! Which shuffle files hold rows of which shard. A large run has millions of segments, so they are kept as bytes.

use crate::task::{Segment, SegmentRef};

/// The segments of one scan stage, by shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    files: Vec<Option<Box<str>>>,
    shards: Vec<Vec<u8>>,
}

impl Segments {
    pub(super) fn new(tasks: u32, shards: u32) -> Self {
        Self { files: vec![None; tasks as usize], shards: vec![Vec::new(); shards as usize] }
    }

    /// Takes what one task has made.
    pub(super) fn add(&mut self, task: u32, file: &str, segments: &[Segment]) {
        self.files[task as usize] = Some(file.into());
        for segment in segments {
            let shard = &mut self.shards[segment.shard as usize];
            for number in [u64::from(task), segment.offset, segment.bytes, segment.rows] {
                write_number(number, shard);
            }
        }
    }

    /// The segments of a shard, by task and place in the file, whatever order the tasks were finished in.
    pub(super) fn of_shard(&self, shard: u32) -> Vec<SegmentRef> {
        let mut encoded = self.shards[shard as usize].as_slice();
        let mut found = Vec::new();
        while !encoded.is_empty() {
            found.push([(); 4].map(|()| read_number(&mut encoded)));
        }
        found.sort_unstable();
        let file = |task: u64| usize::try_from(task).ok().and_then(|task| self.files.get(task)?.as_deref());
        found
            .into_iter()
            .filter_map(|[task, offset, bytes, rows]| {
                Some(SegmentRef { path: file(task)?.to_owned(), offset, bytes, rows })
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
        let found: Vec<_> = segments.of_shard(1).into_iter().map(|s| (s.path, s.offset, s.bytes, s.rows)).collect();
        let expected = [("a", 5, 6, 2), ("a", 11, 127, 128), ("c", 0, u64::MAX, 1 << 40)];
        assert_eq!(found, expected.map(|(path, offset, bytes, rows)| (path.to_owned(), offset, bytes, rows)));
        assert_eq!(segments.of_shard(0).len(), 1);
    }
}
