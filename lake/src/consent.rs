//! Consent to research: the one place that decides whose data may be used. See `docs/adr/0002-consent.md`.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::{ConsentPolicy, Customer};

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
    by_email: HashMap<Box<str>, EmailRecords>,
    all_consenting: Vec<Sourced>,
    memory_bytes: usize,
}

/// What `latest` must remember of one e-mail: its newest update, whether every record of that time consents, and the
/// newest record of each of its serial numbers.
#[derive(Debug)]
struct EmailRecords {
    newest_update_ms: i64,
    newest_all_consent: bool,
    newest_by_serial: Vec<Sourced>,
}

impl TrustedCustomers {
    /// An empty collection under `policy`.
    pub fn new(policy: ConsentPolicy) -> Self {
        Self { policy, by_email: HashMap::new(), all_consenting: Vec::new(), memory_bytes: 0 }
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
        if let Some(known) = self.by_email.get_mut(&sourced.record.email) {
            match update_ms.cmp(&known.newest_update_ms) {
                Ordering::Greater => {
                    known.newest_update_ms = update_ms;
                    known.newest_all_consent = consents;
                }
                Ordering::Equal => known.newest_all_consent &= consents,
                Ordering::Less => {}
            }
            self.memory_bytes += known.keep_newest(sourced);
        } else {
            let email = sourced.record.email.clone();
            self.memory_bytes += email.len() + size_of::<EmailRecords>() + sourced.record.memory_bytes();
            self.by_email.insert(
                email,
                EmailRecords {
                    newest_update_ms: update_ms,
                    newest_all_consent: consents,
                    newest_by_serial: vec![sourced],
                },
            );
        }
    }

    /// Adds all records that `other` has seen. Both must have the same policy.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.policy, other.policy, "collections of different policies");
        self.memory_bytes += other.all_consenting.iter().map(|s| s.record.memory_bytes()).sum::<usize>();
        self.all_consenting.extend(other.all_consenting);
        #[expect(clippy::iter_over_hash_type, reason = "the outcome of a merge does not depend on its order")]
        for (_, records) in other.by_email {
            for sourced in records.newest_by_serial {
                self.observe_latest(sourced, records.newest_update_ms, records.newest_all_consent);
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
        #[expect(clippy::iter_over_hash_type, reason = "the rows are sorted below")]
        for (_, records) in self.by_email {
            if records.newest_all_consent {
                rows.extend(records.newest_by_serial.into_iter().filter(|s| consents(&s.record)));
            }
        }
        rows.sort_unstable_by(|a, b| a.record.table_order(&b.record).then_with(|| a.object.cmp(&b.object)));
        rows
    }
}

impl EmailRecords {
    /// Keeps the newer of `record` and what is known of its serial number; returns the bytes of memory added.
    fn keep_newest(&mut self, sourced: Sourced) -> usize {
        let serial = &sourced.record.serial_number;
        match self.newest_by_serial.iter_mut().find(|known| known.record.serial_number == *serial) {
            Some(known) => match age_order(&known.record, &sourced.record) {
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
            },
            None => {
                let added = sourced.record.memory_bytes();
                self.newest_by_serial.push(sourced);
                added
            }
        }
    }
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
