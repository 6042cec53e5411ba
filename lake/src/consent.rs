//! Consent to research: the one place that decides whose data may be used. See `docs/adr/0002-consent.md`.

use std::cmp::Ordering;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::{ConsentPolicy, Customer};

/// Seeded with a constant: what comes out does not depend on the hash.
const HASHER: FixedState = FixedState::with_seed(0);

/// Whether this version of a record consents: `shareWithResearchAsOfDate` is present and not 0.
pub fn consents(record: &Customer) -> bool {
    record.share_with_research_as_of_date.is_some_and(|since_ms| since_ms != 0)
}

/// A customer record and the landing object it came from, as a number that the caller gave the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced {
    /// The record.
    pub record: Customer,
    /// The object; of equal records in several objects, the smallest.
    pub object: u32,
}

/// Collects landing records and yields the rows of customer_trusted.
///
/// Records may come in any order and in any grouping: the result depends on the set of records alone, so several
/// collections made in parallel can be [merged](Self::merge).
#[derive(Debug)]
pub struct TrustedCustomers {
    policy: ConsentPolicy,
    /// What `latest` knows of each e-mail; boxed, so that a table that grows moves pointers and not records.
    by_email: HashTable<Box<EmailRecords>>,
    all_consenting: Vec<Sourced>,
    memory_bytes: usize,
}

/// What `latest` must remember of one e-mail: its newest update, whether every record of that time consents, and the
/// newest record of each of its serial numbers, which are few.
#[derive(Debug)]
struct EmailRecords {
    newest_update_ms: i64,
    newest_all_consent: bool,
    newest: Sourced,
    newest_of_other_serials: Vec<Sourced>,
}

impl TrustedCustomers {
    /// An empty collection under `policy`.
    pub fn new(policy: ConsentPolicy) -> Self {
        Self { policy, by_email: HashTable::new(), all_consenting: Vec::new(), memory_bytes: 0 }
    }

    /// Adds one landing record of landing object number `object`.
    pub fn observe(&mut self, record: Customer, object: u32) {
        match self.policy {
            ConsentPolicy::Any if consents(&record) => {
                self.memory_bytes += record.memory_bytes();
                self.all_consenting.push(Sourced { record, object });
            }
            ConsentPolicy::Any => {}
            ConsentPolicy::Latest => {
                let update_ms = update_ms(&record);
                let consents = consents(&record);
                self.observe_latest(Sourced { record, object }, update_ms, consents);
            }
        }
    }

    fn observe_latest(&mut self, sourced: Sourced, update_ms: i64, consents: bool) {
        let email = &*sourced.record.email;
        let hash = hash_of(email);
        if let Some(known) = self.by_email.find_mut(hash, |known| known.email() == email) {
            match update_ms.cmp(&known.newest_update_ms) {
                Ordering::Greater => {
                    known.newest_update_ms = update_ms;
                    known.newest_all_consent = consents;
                }
                Ordering::Equal => known.newest_all_consent &= consents,
                Ordering::Less => {}
            }
            self.memory_bytes += known.keep_newest(sourced);
            return;
        }
        let around_record = size_of::<EmailRecords>() - size_of::<Customer>() + 2 * size_of::<Box<EmailRecords>>();
        self.memory_bytes += around_record + sourced.record.memory_bytes();
        let records = Box::new(EmailRecords {
            newest_update_ms: update_ms,
            newest_all_consent: consents,
            newest: sourced,
            newest_of_other_serials: Vec::new(),
        });
        self.by_email.insert_unique(hash, records, |records| hash_of(records.email()));
    }

    /// Adds all records that `other` has seen. Both must have the same policy.
    pub fn merge(&mut self, mut other: Self) {
        assert_eq!(self.policy, other.policy, "collections of different policies");
        if self.by_email.len() < other.by_email.len() {
            std::mem::swap(self, &mut other);
        }
        // both tables are in the order of one hash: without room for all, those of `other` would crowd at one end
        self.by_email.reserve(other.by_email.len(), |records| hash_of(records.email()));
        self.memory_bytes += other.all_consenting.iter().map(|s| s.record.memory_bytes()).sum::<usize>();
        self.all_consenting.extend(other.all_consenting);
        for records in other.by_email {
            let (update_ms, all_consent) = (records.newest_update_ms, records.newest_all_consent);
            for sourced in records.of_all_serials() {
                self.observe_latest(sourced, update_ms, all_consent);
            }
        }
    }

    /// Bytes of memory that the collection holds, about.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// The rows of customer_trusted, sorted by e-mail, serial number and the remaining columns.
    ///
    /// `latest`: at most one row for each e-mail and serial number. `any`: every record that consents.
    pub fn finish(self) -> Vec<Sourced> {
        let mut rows = self.all_consenting;
        for records in self.by_email.into_iter().filter(|records| records.newest_all_consent) {
            rows.extend(records.of_all_serials().filter(|sourced| consents(&sourced.record)));
        }
        rows.sort_unstable_by(|a, b| a.record.table_order(&b.record).then_with(|| a.object.cmp(&b.object)));
        rows
    }
}

impl EmailRecords {
    fn email(&self) -> &str {
        &self.newest.record.email
    }

    fn of_all_serials(self) -> impl Iterator<Item = Sourced> {
        std::iter::once(self.newest).chain(self.newest_of_other_serials)
    }

    /// Keeps the newer of `record` and what is known of its serial number; returns the bytes of memory added.
    fn keep_newest(&mut self, sourced: Sourced) -> usize {
        let serial = &sourced.record.serial_number;
        let mut known = std::iter::once(&mut self.newest).chain(&mut self.newest_of_other_serials);
        let Some(known) = known.find(|known| known.record.serial_number == *serial) else {
            let added = sourced.record.memory_bytes();
            self.newest_of_other_serials.push(sourced);
            return added;
        };
        match age_order(&known.record, &sourced.record) {
            Ordering::Less => {
                let before = known.record.memory_bytes();
                *known = sourced;
                known.record.memory_bytes().saturating_sub(before)
            }
            Ordering::Equal => {
                known.object = known.object.min(sourced.object);
                0
            }
            Ordering::Greater => 0,
        }
    }
}

fn hash_of(email: &str) -> u64 {
    HASHER.hash_one(email.as_bytes())
}

/// A missing lastUpdateDate counts as 0.
fn update_ms(record: &Customer) -> i64 {
    record.last_update_date.unwrap_or(0)
}

/// Which of two records of one e-mail and serial number is the newer: lastUpdateDate, then registrationDate, then the
/// remaining columns.
fn age_order(a: &Customer, b: &Customer) -> Ordering {
    update_ms(a)
        .cmp(&update_ms(b))
        .then_with(|| a.registration_date.cmp(&b.registration_date))
        .then_with(|| a.column_order(b))
}

/// The rows of customers_curated: those of `trusted` whose e-mail `has_reading` knows, each distinct row once.
///
/// `trusted` must be sorted as [`TrustedCustomers::finish`] sorts; the result is sorted the same way.
pub fn curated(trusted: &[Customer], has_reading: impl Fn(&Customer) -> bool) -> Vec<&Customer> {
    let mut rows: Vec<&Customer> = trusted.iter().filter(|record| has_reading(record)).collect();
    rows.dedup();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(email: &str, serial: &str, update_ms: i64, research: Option<i64>) -> Customer {
        Customer {
            email: email.into(),
            serial_number: serial.into(),
            last_update_date: Some(update_ms),
            share_with_research_as_of_date: research,
            ..Customer::default()
        }
    }

    fn trusted(policy: ConsentPolicy, records: &[Customer]) -> Vec<Customer> {
        let mut all = TrustedCustomers::new(policy);
        for record in records {
            all.observe(record.clone(), 0);
        }
        let rows: Vec<Customer> = all.finish().into_iter().map(|s| s.record).collect();
        // the same in two halves and backwards
        let (left, right) = records.split_at(records.len() / 2);
        let mut halves = TrustedCustomers::new(policy);
        let mut other = TrustedCustomers::new(policy);
        left.iter().rev().for_each(|r| other.observe(r.clone(), 1));
        right.iter().rev().for_each(|r| halves.observe(r.clone(), 0));
        halves.merge(other);
        let merged: Vec<Customer> = halves.finish().into_iter().map(|s| s.record).collect();
        assert_eq!(merged, rows, "the order and grouping of records must not matter");
        rows
    }

    #[test]
    fn a_later_withdrawal_wins() {
        let rows = [record("a", "1", 10, Some(10)), record("a", "1", 20, None)];
        assert!(trusted(ConsentPolicy::Latest, &rows).is_empty());
        assert_eq!(trusted(ConsentPolicy::Any, &rows).len(), 1);
    }

    #[test]
    fn a_withdrawal_on_one_serial_number_withdraws_the_e_mail() {
        let rows = [record("a", "1", 10, Some(10)), record("a", "2", 20, None)];
        assert!(trusted(ConsentPolicy::Latest, &rows).is_empty());
    }

    #[test]
    fn a_pair_whose_newest_record_does_not_consent_is_left_out() {
        let rows = [record("a", "1", 10, None), record("a", "2", 20, Some(20))];
        let kept = trusted(ConsentPolicy::Latest, &rows);
        assert_eq!(kept.len(), 1);
        assert_eq!(&*kept[0].serial_number, "2");
    }

    #[test]
    fn of_tied_newest_records_all_must_consent() {
        let rows = [record("a", "1", 10, Some(10)), record("a", "2", 10, Some(0))];
        assert!(trusted(ConsentPolicy::Latest, &rows).is_empty());
    }

    #[test]
    fn zero_is_no_consent_and_a_missing_update_counts_as_zero() {
        let mut never_updated = record("a", "1", 0, Some(5));
        never_updated.last_update_date = None;
        assert_eq!(trusted(ConsentPolicy::Latest, &[never_updated.clone()]).len(), 1);
        assert!(trusted(ConsentPolicy::Latest, &[never_updated, record("a", "1", 1, Some(0))]).is_empty());
    }

    #[test]
    fn a_tie_goes_to_the_greatest_registration_then_the_greatest_columns() {
        let mut early = record("a", "1", 10, Some(10));
        early.registration_date = Some(1);
        early.customer_name = Some("z".into());
        let mut late = early.clone();
        late.registration_date = Some(2);
        late.customer_name = Some("a".into());
        let mut late_named = late.clone();
        late_named.customer_name = Some("b".into());
        assert_eq!(trusted(ConsentPolicy::Latest, &[late.clone(), early.clone()]), [late.clone()]);
        assert_eq!(trusted(ConsentPolicy::Latest, &[late_named.clone(), late, early]), [late_named]);
    }

    #[test]
    fn any_keeps_duplicates_in_trusted_and_drops_them_in_curated() {
        let rows = [record("a", "1", 10, Some(10)), record("a", "1", 10, Some(10)), record("b", "1", 1, Some(1))];
        let kept = trusted(ConsentPolicy::Any, &rows);
        assert_eq!(kept.len(), 3);
        assert_eq!(curated(&kept, |c| &*c.email == "a").len(), 1);
    }
}
