//! Dictionaries of a column chunk: small ones of numbers, found by value, and those of names, found by id.

use hashbrown::HashMap;

/// Numbers in a dictionary at most. A column with more distinct numbers is better off plain.
const NUMBERS_MAX: usize = 1 << 12;

const SLOTS: usize = 4 * NUMBERS_MAX;

const EMPTY: u16 = u16::MAX;

/// Distinct 64-bit values in order of their first appearance.
#[derive(Debug)]
pub(super) struct NumberDictionary {
    values: Vec<u64>,
    slots: Vec<u16>,
}

impl NumberDictionary {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), slots: vec![EMPTY; SLOTS] }
    }

    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    pub(super) fn plain_bytes(&self) -> usize {
        size_of_val(&*self.values)
    }

    /// The index of `value`, which is added if it is new; `None` if there is no room for it.
    #[inline]
    pub(super) fn index(&mut self, value: u64) -> Option<u16> {
        // Fibonacci hashing; the high bits are the mixed ones
        let mut slot = usize::try_from(value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50).unwrap_or(0);
        loop {
            match self.slots[slot] {
                EMPTY => return self.add(value, slot),
                index if self.values[usize::from(index)] == value => return Some(index),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    #[cold]
    fn add(&mut self, value: u64, slot: usize) -> Option<u16> {
        if self.values.len() == NUMBERS_MAX {
            return None;
        }
        let index = u16::try_from(self.values.len()).ok()?;
        self.values.push(value);
        self.slots[slot] = index;
        Some(index)
    }
}

/// Bytes of names in a dictionary at most: readers keep the dictionary in memory.
const NAME_BYTES_MAX: usize = 1 << 20;

/// Distinct ids in order of their first appearance, with the bytes of their names.
#[derive(Debug, Default)]
pub(super) struct NameDictionary {
    indexes: HashMap<u32, u32, foldhash::fast::FixedState>,
    /// The dictionary page: each name with its length before it.
    pub(super) plain: Vec<u8>,
}

impl NameDictionary {
    pub(super) fn len(&self) -> usize {
        self.indexes.len()
    }

    /// Whether another page of names may use this dictionary.
    pub(super) fn has_room(&self) -> bool {
        self.plain.len() < NAME_BYTES_MAX
    }

    /// The index of `id`, which is added with its name if it is new.
    pub(super) fn index<'n>(&mut self, id: u32, name: impl FnOnce(u32) -> &'n str) -> u32 {
        let next = u32::try_from(self.indexes.len()).unwrap_or(u32::MAX);
        *self.indexes.entry(id).or_insert_with(|| {
            plain_name(name(id), &mut self.plain);
            next
        })
    }
}

/// Appends a name in PLAIN encoding: its length as 4 little-endian bytes, then its bytes.
pub(super) fn plain_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_again_until_there_is_no_room() {
        let mut dictionary = NumberDictionary::new();
        let values = || (0..NUMBERS_MAX as u64).map(|i| i.wrapping_mul(0x1234_5678_9abc));
        for _ in 0..2 {
            for (i, value) in (0..).zip(values()) {
                assert_eq!(dictionary.index(value), Some(i));
            }
        }
        assert_eq!(dictionary.index(u64::MAX), None);
        assert_eq!(dictionary.values().len(), NUMBERS_MAX);
    }
}
