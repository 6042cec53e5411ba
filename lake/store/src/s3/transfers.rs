//! How much of what goes to and from S3 is in memory at a time.

/// A range is read in pieces of this size, each its own request: one connection brings some 80 MB/s.
pub(crate) const PIECE_BYTES: u64 = 4 << 20;

/// Objects that one thread has open for reading at a time: the one that it decodes and the next one.
const OPEN_READS: u64 = 2;

/// Requests of one thread that reads and writes an object at once. With little memory fewer are under way: that is slower
/// on a fast network, and the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfers {
    /// Size of the parts of an upload; an object that is smaller is one request. S3 takes 10,000 parts, each but the last
    /// at least 5 MiB.
    pub(crate) part_bytes: usize,
    /// Parts of one upload that are under way while the next is made.
    pub(crate) parts_under_way: usize,
    /// Pieces that are read ahead of the one that is consumed.
    pub(crate) pieces_ahead: usize,
}

impl Transfers {
    /// What a fast network keeps busy.
    pub(crate) const MOST: Self = Self { part_bytes: 8 << 20, parts_under_way: 2, pieces_ahead: 3 };
    const FEWER: Self = Self { parts_under_way: 1, pieces_ahead: 2, ..Self::MOST };
    const LEAST: Self = Self { part_bytes: 5 << 20, parts_under_way: 1, pieces_ahead: 1 };

    /// As many as fit in `bytes` for each thread, or the least.
    pub(crate) fn within(bytes: u64) -> Self {
        [Self::MOST, Self::FEWER].into_iter().find(|sizes| sizes.memory_bytes() <= bytes).unwrap_or(Self::LEAST)
    }

    /// Memory that one thread's take: an upload, and objects that are read ahead of the decoder, of each the piece that is
    /// decoded and the one that is handed on. A join in slices has two uploads open, but reads no objects.
    pub(crate) fn memory_bytes(self) -> u64 {
        let upload = self.part_bytes * (1 + self.parts_under_way);
        let read = PIECE_BYTES * (2 + self.pieces_ahead as u64);
        upload as u64 + OPEN_READS * read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_means_fewer_requests() {
        assert_eq!(Transfers::within(u64::MAX), Transfers::MOST);
        assert_eq!(Transfers::within(0), Transfers::LEAST);
        for bytes in [34 << 20, 48 << 20, 64 << 20] {
            let (fits, below) = (Transfers::within(bytes), Transfers::within(bytes - 1));
            assert_eq!(fits.memory_bytes(), bytes);
            assert!(below == Transfers::LEAST || below.memory_bytes() < bytes);
        }
        const { assert!(Transfers::LEAST.part_bytes >= 5 << 20, "S3 takes no smaller parts") };
    }
}
