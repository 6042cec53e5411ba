//! Consent, worked out a second time from the customer landing: by sorting, where the run keeps maps.
//!
//! The rule is that of `docs/adr/0002-consent.md`; the code shares nothing with the crate that decides for a run.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use stedi_lake::ConsentPolicy;
use stedi_lake::table::ColumnType;

use super::rows::{Column, Rows};

/// Column numbers of the customer tables.
pub(crate) const EMAIL: usize = 1;
pub(crate) const SERIAL: usize = 4;
const REGISTRATION_DATE: usize = 5;
const LAST_UPDATE_DATE: usize = 6;
pub(crate) const SHARE_WITH_RESEARCH: usize = 7;

/// One value; NULL sorts below all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(Box<str>),
}

/// A customer record: a value for each column in table order, which is also the order of rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CustomerRow(pub(crate) [Cell; 10]);

impl CustomerRow {
    /// The values as the columns' types: text of digits in a bigint column is a number, whatever does not fit is NULL.
    /// `None` if a required value does not fit.
    pub(crate) fn typed(self) -> Option<Self> {
        let columns = stedi_lake::LandingTable::Customer.columns();
        let mut cells = self.0;
        for (cell, column) in cells.iter_mut().zip(columns) {
            let fits = match (&*cell, column.ty) {
                (Cell::Text(text), ColumnType::BigInt) => integer(text),
                (Cell::Int(_), ColumnType::String) => Cell::Null,
                _ => continue,
            };
            if fits == Cell::Null && column.required {
                return None;
            }
            *cell = fits;
        }
        Some(Self(cells))
    }

    /// A row of a customer table.
    pub(crate) fn of(rows: &Rows, row: usize) -> Self {
        let cell = |column: usize| match &rows.columns[column] {
            Column::Text(array) => {
                use arrow_array::Array;
                if array.is_valid(row) { Cell::Text(array.value(row).into()) } else { Cell::Null }
            }
            Column::Int(_) | Column::Double(_) => rows.int(column, row).map_or(Cell::Null, Cell::Int),
        };
        Self(std::array::from_fn(cell))
    }

    pub(crate) fn email(&self) -> &str {
        self.text(EMAIL)
    }

    pub(crate) fn serial(&self) -> &str {
        self.text(SERIAL)
    }

    /// shareWithResearchAsOfDate is present and not 0.
    pub(crate) fn consents(&self) -> bool {
        !matches!(self.0[SHARE_WITH_RESEARCH], Cell::Null | Cell::Int(0))
    }

    fn updated(&self) -> i64 {
        match self.0[LAST_UPDATE_DATE] {
            Cell::Int(time) => time,
            _ => 0,
        }
    }

    fn text(&self, column: usize) -> &str {
        match &self.0[column] {
            Cell::Text(text) => text,
            _ => "",
        }
    }
}

fn integer(text: &str) -> Cell {
    serde_json::from_str::<serde_json::Number>(text.trim()).map_or(Cell::Null, |n| super::landing::number_cell(&n))
}

/// What landing says about its customers.
#[derive(Debug)]
pub(crate) struct Consent {
    /// The rows that customer_trusted must have, sorted by the columns from left to right.
    pub(crate) trusted: Vec<CustomerRow>,
    /// The e-mails that consent.
    pub(crate) emails: BTreeSet<Box<str>>,
}

impl Consent {
    /// Consent under `policy` of all the `records` of landing.
    pub(crate) fn of(policy: ConsentPolicy, mut records: Vec<CustomerRow>) -> Self {
        let mut trusted = Vec::new();
        let mut emails = BTreeSet::new();
        match policy {
            ConsentPolicy::Any => {
                records.retain(CustomerRow::consents);
                emails.extend(records.iter().map(|record| Box::from(record.email())));
                trusted = records;
            }
            ConsentPolicy::Latest => {
                // newest first within an e-mail, then the greatest columns first
                records.sort_by(|a, b| {
                    let age = |r: &CustomerRow| Reverse((r.updated(), r.0[REGISTRATION_DATE].clone()));
                    a.email().cmp(b.email()).then_with(|| age(a).cmp(&age(b))).then_with(|| b.cmp(a))
                });
                for versions in records.chunk_by(|a, b| a.email() == b.email()) {
                    let newest = versions[0].updated();
                    if !versions.iter().take_while(|record| record.updated() == newest).all(CustomerRow::consents) {
                        continue;
                    }
                    emails.insert(Box::from(versions[0].email()));
                    let mut serials = BTreeSet::new();
                    let newest_of_pair = versions.iter().filter(|record| serials.insert(record.serial()));
                    trusted.extend(newest_of_pair.filter(|record| record.consents()).cloned());
                }
            }
        }
        trusted.sort_unstable();
        Self { trusted, emails }
    }
}

/// The rows of `a` that `b` lacks, as often as it lacks them; both sorted.
pub(crate) fn missing<'a>(a: &'a [CustomerRow], b: &[CustomerRow]) -> Vec<&'a CustomerRow> {
    let mut lacking = Vec::new();
    let mut others = b.iter().peekable();
    for row in a {
        while others.peek().is_some_and(|other| *other < row) {
            others.next();
        }
        if others.peek() == Some(&row) {
            others.next();
        } else {
            lacking.push(row);
        }
    }
    lacking
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_numbers_are_those_of_the_tables() {
        let name = |column: usize| stedi_lake::LandingTable::Customer.columns()[column].name;
        assert_eq!(
            [EMAIL, SERIAL, REGISTRATION_DATE, LAST_UPDATE_DATE, SHARE_WITH_RESEARCH].map(name),
            ["email", "serialnumber", "registrationdate", "lastupdatedate", "sharewithresearchasofdate"]
        );
    }
}
