//! The directory of trusted customers: dense ids of e-mails and serial numbers, and who owns what.
//!
//! A *user id* is the rank of an e-mail among the distinct e-mails of customer_trusted in byte order, a *serial id* the
//! rank of a serial number among its distinct serial numbers: comparing ids compares the strings.

mod names;
mod object;

use stedi_lake::{Customer, MatchMode, keys};

use names::prefetch;
pub(crate) use names::{Names, Wanted};
pub use object::{CustomersError, decode_customers_object, encode_customers_object};

/// Trusted customers, indexed. Immutable; shared by all threads of a scan and a join.
#[derive(Debug)]
pub struct Directory {
    customers: Vec<Customer>,
    users: Names,
    serials: Names,
    serials_of_user: Lists,
    users_of_serial: Lists,
    shard_of_serial: Vec<u32>,
    shards_of_user: Lists,
    shards: u32,
    match_mode: MatchMode,
}

impl Directory {
    /// The directory of the rows of customer_trusted, in the table's order, for a run of `shards` shards.
    ///
    /// # Panics
    /// If `shards` is 0 or there are 2^32 customers or more.
    pub fn new(trusted: Vec<Customer>, shards: u32, match_mode: MatchMode) -> Self {
        assert!(u32::try_from(trusted.len()).is_ok(), "2^32 trusted customers or more");
        let users = Names::new(trusted.iter().map(|c| &*c.email).collect());
        let serials = Names::new(trusted.iter().map(|c| &*c.serial_number).collect());
        let mut owned: Vec<(u32, u32)> = trusted
            .iter()
            .filter_map(|c| Some((users.find(c.email.as_bytes())?, serials.find(c.serial_number.as_bytes())?)))
            .collect();
        owned.sort_unstable();
        owned.dedup();
        let serials_of_user = Lists::new(users.len(), &owned);
        let mut owners: Vec<(u32, u32)> = owned.iter().map(|&(user, serial)| (serial, user)).collect();
        owners.sort_unstable();
        let users_of_serial = Lists::new(serials.len(), &owners);
        let shard_of_serial: Vec<u32> =
            serials.iter().map(|serial| keys::shard_of_serial(serial.as_bytes(), shards)).collect();
        let mut shard_pairs: Vec<(u32, u32)> =
            owned.iter().map(|&(user, serial)| (user, shard_of_serial[serial as usize])).collect();
        shard_pairs.sort_unstable();
        shard_pairs.dedup();
        let shards_of_user = Lists::new(users.len(), &shard_pairs);
        Self {
            customers: trusted,
            users,
            serials,
            serials_of_user,
            users_of_serial,
            shard_of_serial,
            shards_of_user,
            shards,
            match_mode,
        }
    }

    /// The rows of customer_trusted, in the table's order.
    pub fn customers(&self) -> &[Customer] {
        &self.customers
    }

    /// Number of distinct e-mails: user ids are below it.
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Number of distinct serial numbers: serial ids are below it.
    pub fn serial_count(&self) -> usize {
        self.serials.len()
    }

    /// The user id of an e-mail, `None` if it is not trusted.
    #[inline]
    pub fn user(&self, email: &[u8]) -> Option<u32> {
        self.users.find(email)
    }

    /// The serial id of a serial number, `None` if no trusted customer has it.
    #[inline]
    pub fn serial(&self, serial_number: &[u8]) -> Option<u32> {
        self.serials.find(serial_number)
    }

    /// The e-mails, to be looked up ahead.
    pub(crate) fn users(&self) -> &Names {
        &self.users
    }

    /// The serial numbers, to be looked up ahead.
    pub(crate) fn serials(&self) -> &Names {
        &self.serials
    }

    /// The e-mail of a user id.
    pub fn email(&self, user: u32) -> &str {
        self.users.name(user)
    }

    /// The serial number of a serial id.
    pub fn serial_number(&self, serial: u32) -> &str {
        self.serials.name(serial)
    }

    /// The users that own a serial, ascending.
    pub fn owners(&self, serial: u32) -> &[u32] {
        self.users_of_serial.of(serial)
    }

    /// The serials that a user owns, ascending.
    pub fn serials_of(&self, user: u32) -> &[u32] {
        self.serials_of_user.of(user)
    }

    /// Number of shards of the run.
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// How machine_learning_curated is matched, which also decides what is sharded by.
    pub fn match_mode(&self) -> MatchMode {
        self.match_mode
    }

    /// The shards that need a reading of `user`: with [`MatchMode::Customer`] one for each shard of the user's serials.
    #[inline]
    pub(crate) fn shards_of_user(&self, user: u32) -> &[u32] {
        self.shards_of_user.of(user)
    }

    /// Begins to bring what a scan asks of a user into the cache.
    #[inline]
    pub(crate) fn fetch_user(&self, user: u32) {
        if let Some(start) = self.shards_of_user.starts.get(user as usize) {
            prefetch(start);
        }
    }

    /// Begins to bring what a scan asks of a serial into the cache.
    #[inline]
    pub(crate) fn fetch_serial(&self, serial: u32) {
        if let Some(shard) = self.shard_of_serial.get(serial as usize) {
            prefetch(shard);
        }
    }

    #[inline]
    pub(crate) fn shard_of_serial(&self, serial: u32) -> u32 {
        self.shard_of_serial[serial as usize]
    }

    /// Whether `shard` is the one that writes the readings of `user` to accelerometer_trusted: exactly one is.
    ///
    /// By time, a reading is sent to one shard only, so every shard is home to the readings it has.
    pub fn is_home(&self, user: u32, shard: u32) -> bool {
        match self.match_mode {
            MatchMode::Customer => {
                self.serials_of(user).first().is_some_and(|&serial| self.shard_of_serial(serial) == shard)
            }
            MatchMode::Timestamp => true,
        }
    }

    /// Which serial ids are in customers_curated: those of users for whom `has_reading` holds.
    pub fn curated_serials(&self, has_reading: &[bool]) -> Vec<bool> {
        let mut curated = vec![false; self.serial_count()];
        for (user, _) in (0..).zip(has_reading).filter(|(_, has)| **has) {
            for &serial in self.serials_of(user) {
                curated[serial as usize] = true;
            }
        }
        curated
    }

    /// Bytes of memory that the directory holds, about.
    pub fn memory_bytes(&self) -> usize {
        self.customers.iter().map(Customer::memory_bytes).sum::<usize>()
            + self.users.memory_bytes()
            + self.serials.memory_bytes()
            + 4 * (self.shard_of_serial.len())
            + [&self.serials_of_user, &self.users_of_serial, &self.shards_of_user]
                .map(Lists::memory_bytes)
                .into_iter()
                .sum::<usize>()
    }
}

/// A list of ids for each id, all in one allocation.
#[derive(Debug)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// The lists of `count` ids from sorted (id, item) pairs.
    fn new(count: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0; count + 1];
        for &(id, _) in pairs {
            starts[id as usize + 1] += 1;
        }
        for id in 0..count {
            starts[id + 1] += starts[id];
        }
        Self { starts, items: pairs.iter().map(|&(_, item)| item).collect() }
    }

    #[inline]
    fn of(&self, id: u32) -> &[u32] {
        &self.items[self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize]
    }

    fn memory_bytes(&self) -> usize {
        4 * (self.starts.len() + self.items.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(email: &str, serial: &str) -> Customer {
        Customer { email: email.into(), serial_number: serial.into(), ..Customer::default() }
    }

    #[test]
    fn ids_are_ranks_and_every_user_has_one_home() {
        let rows = vec![customer("a", "s2"), customer("a", "s9"), customer("b", "s1"), customer("c", "s2")];
        let directory = Directory::new(rows, 4, MatchMode::Customer);
        assert_eq!((directory.user_count(), directory.serial_count()), (3, 3));
        assert_eq!(directory.user(b"b"), Some(1));
        assert_eq!(directory.user(b"z"), None);
        assert_eq!(directory.serial(b"s2"), Some(1));
        assert_eq!(directory.owners(1), [0, 2]);
        for user in 0..3 {
            let homes: Vec<u32> = (0..4).filter(|&s| directory.is_home(user, s)).collect();
            assert_eq!(homes.len(), 1);
            assert!(directory.shards_of_user(user).contains(&homes[0]), "home must receive the readings");
        }
        assert_eq!(directory.curated_serials(&[false, false, true]), [false, true, false]);
    }
}
