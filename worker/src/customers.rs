//! Customers from landing to their two tables: who consents, and whose readings were found.

use stedi_engine::directory::Directory;
use stedi_engine::encode::{EncodeError, encode_customers};
use stedi_engine::scan::ScanCounts;
use stedi_lake::options::Compression;
use stedi_lake::{ConsentPolicy, CuratedTable, Customer, consent};

use crate::WorkError;
use crate::memory::Budget;
use crate::parts::LakeParts;
use crate::scan::{self, Scan};

/// Reads all customers and decides who consents: the rows of customer_trusted, in the table's order, and what became
/// of the records of each object.
///
/// # Errors
/// If an object cannot be read, the quarantine cannot be written, the customers do not leave room in
/// `budget` for the rest, or the scan is cancelled.
pub fn trusted(
    scan: &Scan<'_>,
    policy: ConsentPolicy,
    budget: &Budget,
) -> Result<(Vec<Customer>, Vec<ScanCounts>), WorkError> {
    let (seen, mut counts) = scan::customers(scan, policy, budget)?;
    let trusted = seen.finish();
    for object in &mut counts {
        object.filtered = std::mem::take(&mut object.kept);
    }
    for row in &trusted {
        let object = &mut counts[row.object as usize];
        object.filtered -= 1;
        object.kept += 1;
    }
    Ok((trusted.into_iter().map(|row| row.record).collect(), counts))
}

/// Writes customer_trusted and customers_curated.
///
/// # Errors
/// If a part cannot be written.
pub fn write(
    directory: &Directory,
    has_reading: &[bool],
    compression: Compression,
    parts: &LakeParts<'_>,
) -> Result<(), EncodeError> {
    let trusted = directory.customers();
    encode_customers(parts, CuratedTable::CustomerTrusted, &trusted.iter().collect::<Vec<_>>(), compression)?;
    let curated = consent::curated(trusted, |customer| {
        directory.user(customer.email.as_bytes()).is_some_and(|user| has_reading[user as usize])
    });
    encode_customers(parts, CuratedTable::CustomersCurated, &curated, compression)
}
