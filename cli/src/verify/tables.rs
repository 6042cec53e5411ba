//! The guarantees of the single tables, checked while their parts are read once.

use std::collections::BTreeMap;

use stedi_lake::commit::CommitRecord;
use stedi_lake::{ConsentPolicy, CuratedTable};

use super::VerifyError;
use super::consent::{Consent, CustomerRow, missing};
use super::objects::Objects;
use super::parts::{PartFindings, TableParts};
use super::people::{LastLookup, People};
use super::report::{Findings, Rule};
use super::rows::Rows;

/// A commit whose parts all exist.
pub(crate) struct Tables<'a> {
    pub(crate) objects: &'a dyn Objects,
    pub(crate) commit: &'a CommitRecord,
}

/// What a part of a table of readings shows besides findings: who is in it.
#[derive(Default)]
struct Seen {
    numbers: Vec<u32>,
    first: LastLookup,
    second: LastLookup,
}

impl Seen {
    fn note(&mut self, number: u32) {
        if self.numbers.last() != Some(&number) {
            self.numbers.push(number);
        }
    }
}

impl<'a> Tables<'a> {
    pub(crate) fn parts(&self, table: CuratedTable) -> TableParts<'a> {
        let parts = self.commit.tables.get(&table).map_or(&[][..], |table| &table.parts);
        TableParts { objects: self.objects, table, parts }
    }

    /// customer_trusted against landing; returns its rows, sorted by the columns from left to right.
    pub(crate) fn check_trusted(
        &self,
        consent: Option<&Consent>,
        findings: &mut Findings,
    ) -> Result<Vec<CustomerRow>, VerifyError> {
        let table = CuratedTable::CustomerTrusted;
        let visit = |kept: &mut Vec<CustomerRow>, found: &mut PartFindings<'_>, first: u64, rows: &Rows| {
            for row in 0..rows.len {
                let customer = CustomerRow::of(rows, row);
                if !customer.consents() {
                    found.row(Rule::RowConsents, first + row as u64);
                }
                check_consent(consent, &customer, found, first + row as u64);
                kept.push(customer);
            }
        };
        let mut rows = self.parts(table).check(findings, visit)?.concat();
        rows.sort_unstable();
        if self.commit.options.consent == ConsentPolicy::Latest {
            let mut pairs: Vec<_> = rows.iter().map(|row| (row.email(), row.serial())).collect();
            pairs.sort_unstable();
            let twice = pairs.windows(2).filter(|pair| pair[0] == pair[1]).count();
            if twice > 0 {
                findings.add(Rule::OnePerPair, Some(table), None, format!("{twice} rows too many"));
            }
        }
        if let Some(consent) = consent {
            let (more, fewer) = (missing(&rows, &consent.trusted).len(), missing(&consent.trusted, &rows).len());
            if more + fewer > 0 {
                let detail = format!("{more} rows that should not be there, {fewer} that should and are not");
                findings.add(Rule::TrustedExact, Some(table), None, detail);
            }
        }
        Ok(rows)
    }

    /// customers_curated against customer_trusted; returns its rows, sorted by the columns from left to right.
    pub(crate) fn check_curated(
        &self,
        trusted: &[CustomerRow],
        consent: Option<&Consent>,
        findings: &mut Findings,
    ) -> Result<Vec<CustomerRow>, VerifyError> {
        let table = CuratedTable::CustomersCurated;
        let visit = |kept: &mut Vec<CustomerRow>, found: &mut PartFindings<'_>, first: u64, rows: &Rows| {
            for row in 0..rows.len {
                let customer = CustomerRow::of(rows, row);
                if trusted.binary_search(&customer).is_err() {
                    found.row(Rule::CuratedTrusted, first + row as u64);
                }
                check_consent(consent, &customer, found, first + row as u64);
                kept.push(customer);
            }
        };
        let mut rows = self.parts(table).check(findings, visit)?.concat();
        rows.sort_unstable();
        let twice = rows.windows(2).filter(|pair| pair[0] == pair[1]).count();
        if twice > 0 {
            findings.add(Rule::CuratedDistinct, Some(table), None, format!("{twice} rows too many"));
        }
        Ok(rows)
    }

    /// accelerometer_trusted; returns for each person whether there is a reading.
    pub(crate) fn check_readings(&self, people: &People, findings: &mut Findings) -> Result<Vec<bool>, VerifyError> {
        let visit = |seen: &mut Seen, found: &mut PartFindings<'_>, first: u64, rows: &Rows| {
            for row in 0..rows.len {
                let number = seen.first.number(rows.text(0, row), |email| people.person(email));
                let person = number.map(|number| people.persons[number as usize]).unwrap_or_default();
                if !person.trusted {
                    found.row(Rule::ReadingTrusted, first + row as u64);
                }
                if !person.consents {
                    found.row(Rule::Consent, first + row as u64);
                }
                number.into_iter().for_each(|number| seen.note(number));
            }
        };
        let parts = self.parts(CuratedTable::AccelerometerTrusted);
        let seen = parts.check(findings, visit)?;
        self.check_one_shard(parts, &seen, findings);
        let mut has_reading = vec![false; people.persons.len()];
        for &number in seen.iter().flat_map(|seen| &seen.numbers) {
            has_reading[number as usize] = true;
        }
        Ok(has_reading)
    }

    /// step_trainer_trusted.
    pub(crate) fn check_steps(&self, people: &People, findings: &mut Findings) -> Result<(), VerifyError> {
        let visit = |seen: &mut Seen, found: &mut PartFindings<'_>, first: u64, rows: &Rows| {
            for row in 0..rows.len {
                let number = seen.first.number(rows.text(1, row), |serial| people.trainer(serial));
                if number.is_none() {
                    found.row(Rule::StepCurated, first + row as u64);
                }
                if number.is_none_or(|number| !people.trainers[number as usize].consents) {
                    found.row(Rule::Consent, first + row as u64);
                }
                number.into_iter().for_each(|number| seen.note(number));
            }
        };
        let parts = self.parts(CuratedTable::StepTrainerTrusted);
        let seen = parts.check(findings, visit)?;
        self.check_one_shard(parts, &seen, findings);
        Ok(())
    }

    /// machine_learning_curated as far as a row alone can tell.
    pub(crate) fn check_pairs(&self, people: &People, findings: &mut Findings) -> Result<(), VerifyError> {
        let by_customer = self.by_customer();
        let visit = |seen: &mut Seen, found: &mut PartFindings<'_>, first: u64, rows: &Rows| {
            for row in 0..rows.len {
                let at = first + row as u64;
                let trainer = seen.first.number(rows.text(0, row), |serial| people.trainer(serial));
                let person = seen.second.number(rows.text(3, row), |email| people.person(email));
                if rows.int(1, row) != rows.int(4, row) {
                    found.row(Rule::SameTime, at);
                }
                if by_customer && !trainer.zip(person).is_some_and(|(trainer, person)| people.owns(person, trainer)) {
                    found.row(Rule::UserOwns, at);
                }
                if person.is_none_or(|person| !people.persons[person as usize].consents)
                    || trainer.is_none_or(|trainer| !people.trainers[trainer as usize].consents)
                {
                    found.row(Rule::Consent, at);
                }
                trainer.into_iter().for_each(|number| seen.note(number));
            }
        };
        let parts = self.parts(CuratedTable::MachineLearningCurated);
        let seen = parts.check(findings, visit)?;
        self.check_one_shard(parts, &seen, findings);
        Ok(())
    }

    fn by_customer(&self) -> bool {
        self.commit.options.match_mode == stedi_lake::MatchMode::Customer
    }

    /// With `--match timestamp` the shards are of times, and a user's readings are in many.
    fn check_one_shard(&self, parts: TableParts<'_>, seen: &[Seen], findings: &mut Findings) {
        if !self.by_customer() {
            return;
        }
        let mut shard_of: BTreeMap<u32, &str> = BTreeMap::new();
        for (part, seen) in parts.parts.iter().zip(seen) {
            let shard = shard_of_part(&part.path);
            let elsewhere = seen.numbers.iter().filter(|&&number| *shard_of.entry(number).or_insert(shard) != shard);
            let count = elsewhere.count();
            if count > 0 {
                let detail = format!("{count} also in another shard");
                findings.add(Rule::OneShard, Some(parts.table), Some(&part.path), detail);
            }
        }
    }
}

/// customers_curated holds who has a reading, all of them and nobody else.
pub(crate) fn check_curated_complete(
    trusted: &[CustomerRow],
    curated: &[CustomerRow],
    people: &People,
    has_reading: &[bool],
    findings: &mut Findings,
) {
    let table = Some(CuratedTable::CustomersCurated);
    let reads = |row: &&CustomerRow| people.person(row.email()).is_some_and(|person| has_reading[person as usize]);
    let without = curated.iter().filter(|row| !reads(row)).count();
    if without > 0 {
        findings.add(Rule::CuratedReads, table, None, format!("{without} rows"));
    }
    let mut wanted: Vec<CustomerRow> = trusted.iter().filter(reads).cloned().collect();
    wanted.dedup();
    let lacking = missing(&wanted, curated).len();
    if lacking > 0 {
        findings.add(Rule::CuratedComplete, table, None, format!("{lacking} rows are missing"));
    }
}

fn check_consent(consent: Option<&Consent>, customer: &CustomerRow, found: &mut PartFindings<'_>, row: u64) {
    if consent.is_some_and(|consent| !consent.emails.contains(customer.email())) {
        found.row(Rule::Consent, row);
    }
}

/// The shard that a part's name tells: `part-<shard>-<n>.parquet`.
fn shard_of_part(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('-').nth(1).unwrap_or(name)
}
