//! A set of users, as the dense ids of a run's directory.

/// Which of a directory's users are meant: one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserSet {
    users: u32,
    bits: Vec<u64>,
}

impl UserSet {
    /// The empty set for a directory of `users` users.
    pub fn new(users: u32) -> Self {
        Self { users, bits: vec![0; (users as usize).div_ceil(64)] }
    }

    /// Number of users of the directory; ids are below it.
    pub fn users(&self) -> u32 {
        self.users
    }

    /// Adds a user; whether it is new.
    ///
    /// # Panics
    /// If the directory has no such user.
    pub fn insert(&mut self, user: u32) -> bool {
        assert!(user < self.users, "user {user} of {}", self.users);
        let word = &mut self.bits[user as usize / 64];
        let bit = 1 << (user % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether a user is in the set.
    pub fn contains(&self, user: u32) -> bool {
        self.bits.get(user as usize / 64).is_some_and(|word| word & (1 << (user % 64)) != 0)
    }

    /// Number of users in the set.
    pub fn count(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// The users in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..)
            .step_by(64)
            .zip(&self.bits)
            .flat_map(|(base, &word)| (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| base + bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_it_was_given_ascending() {
        let mut set = UserSet::new(130);
        assert!(set.insert(129) && set.insert(0) && set.insert(64) && !set.insert(64));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 64, 129]);
        assert_eq!(set.count(), 3);
        assert!(set.contains(129) && !set.contains(1) && !set.contains(500));
        assert_eq!(UserSet::new(0).iter().count(), 0);
    }
}
