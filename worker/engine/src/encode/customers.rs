//! Writes the customer tables: small, with many columns, so through the parquet crate's own writer.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use stedi_lake::options::Compression;
use stedi_lake::{CuratedTable, Customer};

use super::{EncodeError, PART_BYTES_TARGET, PartStore, table};

/// Customers encoded at once.
const BATCH_ROWS: usize = 1 << 13;

/// Writes a customer table as parts of shard 0, `rows` in the table's order; nothing if there are none.
///
/// # Errors
/// What the store or the Parquet library returns.
pub fn encode_customers<S: PartStore>(
    store: &S,
    table: CuratedTable,
    rows: &[&Customer],
    compression: Compression,
) -> Result<(), EncodeError> {
    encode_parts(store, table, rows, compression, PART_BYTES_TARGET)
}

fn encode_parts<S: PartStore>(
    store: &S,
    table: CuratedTable,
    mut rows: &[&Customer],
    compression: Compression,
    part_bytes_target: u64,
) -> Result<(), EncodeError> {
    let failed = |source| EncodeError::Store { table, source };
    let mut n = 0;
    while !rows.is_empty() {
        let mut part = store.create(table, 0, n).map_err(failed)?;
        let (written, bytes) = write(table, rows, compression, part_bytes_target, &mut part)
            .map_err(|error| EncodeError::new(table, error))?;
        store.finish(part, written as u64, bytes).map_err(failed)?;
        rows = &rows[written..];
        n += 1;
    }
    Ok(())
}

/// Writes rows until the part has about `bytes_target` bytes; how many, and its bytes.
fn write(
    table: CuratedTable,
    rows: &[&Customer],
    compression: Compression,
    bytes_target: u64,
    sink: &mut (impl Write + Send),
) -> Result<(usize, u64), ParquetError> {
    let schema = table.arrow_schema();
    let options =
        ArrowWriterOptions::new().with_properties(table::properties(table, compression)).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(sink, Arc::clone(&schema), options)?;
    let mut written = 0;
    for rows in rows.chunks(BATCH_ROWS) {
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns(rows))?)?;
        written += rows.len();
        if (writer.bytes_written() + writer.in_progress_size()) as u64 >= bytes_target {
            break;
        }
    }
    writer.finish()?;
    Ok((written, writer.bytes_written() as u64))
}

/// The columns of either customer table.
pub(crate) fn columns(rows: &[&Customer]) -> Vec<ArrayRef> {
    fn text<'c>(rows: &[&'c Customer], of: impl Fn(&'c Customer) -> Option<&'c str>) -> ArrayRef {
        Arc::new(rows.iter().map(|customer| of(customer)).collect::<StringArray>())
    }
    fn integers(rows: &[&Customer], of: impl Fn(&Customer) -> Option<i64>) -> ArrayRef {
        Arc::new(rows.iter().map(|customer| of(customer)).collect::<Int64Array>())
    }
    vec![
        text(rows, |c| c.customer_name.as_deref()),
        text(rows, |c| Some(&c.email)),
        text(rows, |c| c.phone.as_deref()),
        text(rows, |c| c.birth_day.as_deref()),
        text(rows, |c| Some(&c.serial_number)),
        integers(rows, |c| c.registration_date),
        integers(rows, |c| c.last_update_date),
        integers(rows, |c| c.share_with_research_as_of_date),
        integers(rows, |c| c.share_with_public_as_of_date),
        integers(rows, |c| c.share_with_friends_as_of_date),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::table::tests::Sizes;

    #[test]
    fn parts_of_customers_end_near_their_target() {
        let customer = |n: usize| Customer {
            email: format!("{n:08}@example.com").into(),
            serial_number: "s".into(),
            ..Customer::default()
        };
        let customers: Vec<Customer> = (0..3 * BATCH_ROWS + 1).map(customer).collect();
        let rows: Vec<&Customer> = customers.iter().collect();
        let store = Sizes::default();
        // a batch has some 200 kB
        encode_parts(&store, CuratedTable::CustomerTrusted, &rows, Compression::None, 300_000).expect("a Vec");
        let parts = store.into_parts();
        let rows: Vec<(u32, u64)> = parts.iter().map(|(n, rows, _)| (*n, *rows)).collect();
        assert_eq!(rows, [(0, 2 * BATCH_ROWS as u64), (1, BATCH_ROWS as u64 + 1)], "{parts:?}");
    }
}
