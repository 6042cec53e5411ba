//! Distinct strings in byte order, found by rank or by content.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Seeded with a constant: ids do not depend on the hash, and there is nothing to attack in a batch job's lookups.
const HASHER: FixedState = FixedState::with_seed(0);

/// The longest name: a record is at most 16 MiB long.
const NAME_BYTES_BITS: u32 = 24;

/// Distinct strings in byte order.
///
/// The table is our own because a lookup in a large one waits for memory twice, for the slot and for the text, and a
/// table that does not tell where a slot lies cannot be asked to [fetch](Wanted::fetch_slot) it in advance.
#[derive(Debug)]
pub(crate) struct Names {
    text: String,
    ends: Vec<usize>,
    longest: usize,
    /// Open addressing with linear probing; the number of slots is a power of two, and some are free.
    slots: Vec<Slot>,
}

/// Where a name's text lies, beside its rank: a lookup touches as few cache lines as it can.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Start of the text, and in the lowest [`NAME_BYTES_BITS`] its length.
    place: u64,
    /// High bits of the hash, which tell most others apart without a look at the text.
    tag: u32,
    /// [`FREE`] where there is no name.
    rank: u32,
}

const FREE: u32 = u32::MAX;

/// A name to be looked up soon, so that what the lookup needs can be fetched while there is something else to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted(u64);

impl Names {
    /// The distinct ones of `names`.
    ///
    /// # Panics
    /// If one has 16 MiB or more, or there are 2^32 - 1 or more.
    pub(crate) fn new(mut names: Vec<&str>) -> Self {
        names.sort_unstable();
        names.dedup();
        assert!(names.len() < FREE as usize, "2^32 - 1 names or more");
        let slots = (names.len() * 4 / 3 + 1).next_power_of_two();
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
        let mut this = Self {
            longest,
            text: String::with_capacity(names.iter().map(|n| n.len()).sum()),
            ends: Vec::with_capacity(names.len()),
            slots: vec![Slot { place: 0, tag: 0, rank: FREE }; slots],
        };
        for (rank, name) in (0..).zip(names) {
            assert!(name.len() >> NAME_BYTES_BITS == 0, "a name of 16 MiB or more");
            let wanted = Wanted::new(name.as_bytes());
            let mut at = this.home(wanted);
            while this.slots[at].rank != FREE {
                at = this.after(at);
            }
            let place = (this.text.len() as u64) << NAME_BYTES_BITS | name.len() as u64;
            this.slots[at] = Slot { place, tag: wanted.tag(), rank };
            this.text.push_str(name);
            this.ends.push(this.text.len());
        }
        this
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of the longest name.
    #[inline]
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    #[inline]
    pub(crate) fn name(&self, rank: u32) -> &str {
        let rank = rank as usize;
        let start = if rank == 0 { 0 } else { self.ends[rank - 1] };
        &self.text[start..self.ends[rank]]
    }

    /// The rank of `name`, if it is one.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        self.find_wanted(Wanted::new(name), name)
    }

    /// As [`Self::find`], where `wanted` is that of `name`.
    #[inline]
    pub(crate) fn find_wanted(&self, wanted: Wanted, name: &[u8]) -> Option<u32> {
        let mut at = self.home(wanted);
        loop {
            let slot = &self.slots[at];
            if slot.rank == FREE {
                return None;
            }
            if slot.tag == wanted.tag() && self.text_of(slot) == name {
                return Some(slot.rank);
            }
            at = self.after(at);
        }
    }

    /// Begins to bring the slot of `wanted` into the cache.
    #[inline]
    pub(crate) fn fetch_slot(&self, wanted: Wanted) {
        prefetch(&self.slots[self.home(wanted)]);
    }

    /// Begins to bring the text of `wanted` into the cache; its slot should have arrived. The rank of the name, most
    /// probably, if there is one.
    #[inline]
    pub(crate) fn fetch_text(&self, wanted: Wanted) -> Option<u32> {
        let mut at = self.home(wanted);
        while self.slots[at].rank != FREE {
            let slot = &self.slots[at];
            if slot.tag == wanted.tag() {
                // the first and the last byte may be in two lines
                let text = self.text_of(slot);
                text.first().into_iter().chain(text.last()).for_each(prefetch);
                return Some(slot.rank);
            }
            at = self.after(at);
        }
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..).zip(&self.ends).map(|(rank, _)| self.name(rank))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.capacity() + 8 * self.ends.capacity() + size_of::<Slot>() * self.slots.capacity()
    }

    #[inline]
    fn home(&self, wanted: Wanted) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are the place")]
        let hash = wanted.0 as usize;
        hash & (self.slots.len() - 1)
    }

    #[inline]
    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    #[inline]
    fn text_of(&self, slot: &Slot) -> &[u8] {
        let start = (slot.place >> NAME_BYTES_BITS) as usize;
        let bytes = (slot.place & ((1 << NAME_BYTES_BITS) - 1)) as usize;
        &self.text.as_bytes()[start..start + bytes]
    }
}

impl Wanted {
    #[inline]
    pub(crate) fn new(name: &[u8]) -> Self {
        Self(HASHER.hash_one(name))
    }

    #[inline]
    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Asks the processor to bring the cache line of `target` near.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the compiler has no safe name for it")]
pub(crate) fn prefetch<T>(target: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every x86-64 processor has SSE; a prefetch reads nothing that can be seen, and this is of a live reference
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast()) }
}

/// Other processors are left to themselves: what they do later is the same.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch<T>(_: &T) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_by_content_and_no_other() {
        let texts: Vec<String> = (0..5000).map(|i| format!("{}@{}", i * 7 % 5000, "x".repeat(i % 90))).collect();
        let names = Names::new(texts.iter().chain(&texts).map(String::as_str).collect());
        assert_eq!(names.len(), 5000);
        assert!(names.iter().is_sorted());
        for text in &texts {
            let wanted = Wanted::new(text.as_bytes());
            names.fetch_slot(wanted);
            let likely = names.fetch_text(wanted);
            let rank = names.find_wanted(wanted, text.as_bytes()).expect("it is there");
            assert_eq!((names.name(rank), likely.is_some()), (text.as_str(), true));
            let other = format!("{text}y");
            names.fetch_text(Wanted::new(other.as_bytes()));
            assert_eq!(names.find(other.as_bytes()), None);
        }
        assert_eq!(Names::new(Vec::new()).find(b""), None);
        assert_eq!(Names::new(vec![""]).find(b""), Some(0));
    }
}
