//! Who is who: dense numbers for the e-mails and serial numbers of the customer tables.

use std::collections::HashMap;

use super::consent::{Consent, CustomerRow};

/// What is known of one e-mail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Person {
    pub(crate) trusted: bool,
    /// As landing says; everybody where landing could not be read.
    pub(crate) consents: bool,
}

/// What is known of one serial number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trainer {
    /// Whether one of its owners consents.
    pub(crate) consents: bool,
}

/// The customers of a commit. Numbers are given in the order of first sight and mean nothing.
#[derive(Debug, Default)]
pub(crate) struct People {
    person_of: HashMap<Box<str>, u32>,
    trainer_of: HashMap<Box<str>, u32>,
    pub(crate) persons: Vec<Person>,
    pub(crate) trainers: Vec<Trainer>,
    /// Pairs (trainer, person) of customers_curated, sorted, each once.
    pub(crate) owners: Vec<(u32, u32)>,
}

impl People {
    /// `trusted` and `curated` are the rows of the two customer tables.
    pub(crate) fn new(trusted: &[CustomerRow], curated: &[CustomerRow], consent: Option<&Consent>) -> Self {
        let consents = |email: &str| consent.is_none_or(|consent| consent.emails.contains(email));
        let mut people = Self::default();
        for row in trusted {
            let person = people.add_person(row.email());
            people.persons[person as usize] = Person { trusted: true, consents: consents(row.email()) };
        }
        for row in curated {
            let person = people.add_person(row.email());
            let trainer = people.add_trainer(row.serial());
            people.persons[person as usize].consents = consents(row.email());
            people.trainers[trainer as usize].consents |= consents(row.email());
            people.owners.push((trainer, person));
        }
        people.owners.sort_unstable();
        people.owners.dedup();
        people
    }

    /// The number of an e-mail of one of the customer tables.
    pub(crate) fn person(&self, email: &str) -> Option<u32> {
        self.person_of.get(email).copied()
    }

    /// The number of a serial number of customers_curated.
    pub(crate) fn trainer(&self, serial: &str) -> Option<u32> {
        self.trainer_of.get(serial).copied()
    }

    /// Whether customers_curated has a row of both.
    pub(crate) fn owns(&self, person: u32, trainer: u32) -> bool {
        self.owners.binary_search(&(trainer, person)).is_ok()
    }

    fn add_person(&mut self, email: &str) -> u32 {
        number(&mut self.person_of, &mut self.persons, email)
    }

    fn add_trainer(&mut self, serial: &str) -> u32 {
        number(&mut self.trainer_of, &mut self.trainers, serial)
    }
}

fn number<T: Default>(known: &mut HashMap<Box<str>, u32>, facts: &mut Vec<T>, text: &str) -> u32 {
    if let Some(&number) = known.get(text) {
        return number;
    }
    let number = u32::try_from(facts.len()).expect("more than 2^32 customers do not fit in memory");
    known.insert(text.into(), number);
    facts.push(T::default());
    number
}

/// Looks texts up that come sorted: a run of equal ones costs one look-up.
#[derive(Debug, Default)]
pub(crate) struct LastLookup {
    text: String,
    number: Option<u32>,
}

impl LastLookup {
    /// The number of `text` as `look_up` gives it.
    pub(crate) fn number(&mut self, text: &str, look_up: impl FnOnce(&str) -> Option<u32>) -> Option<u32> {
        if self.text != text || self.text.is_empty() {
            self.number = look_up(text);
            self.text.clear();
            self.text.push_str(text);
        }
        self.number
    }
}
