//! Writes the customer tables: small, with many columns, so through the parquet crate's own writer.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use stedi_lake::options::Compression;
use stedi_lake::{CuratedTable, Customer};

use super::{EncodeError, PartStore, table};

/// Customers encoded at once.
const BATCH_ROWS: usize = 1 << 13;

/// Writes a customer table as one part of shard 0, `rows` in the table's order; nothing if there are none.
///
/// # Errors
/// What the store or the Parquet library returns.
pub fn encode_customers<S: PartStore>(
    store: &S,
    table: CuratedTable,
    rows: &[&Customer],
    compression: Compression,
) -> Result<(), EncodeError> {
    if rows.is_empty() {
        return Ok(());
    }
    let failed = |source| EncodeError::Store { table, source };
    let mut part = store.create(table, 0, 0).map_err(failed)?;
    let bytes = write(table, rows, compression, &mut part).map_err(|error| EncodeError::new(table, error))?;
    store.finish(part, rows.len() as u64, bytes).map_err(failed)
}

fn write(
    table: CuratedTable,
    rows: &[&Customer],
    compression: Compression,
    sink: &mut (impl Write + Send),
) -> Result<u64, ParquetError> {
    let schema = table.arrow_schema();
    let options =
        ArrowWriterOptions::new().with_properties(table::properties(table, compression)).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(sink, Arc::clone(&schema), options)?;
    for rows in rows.chunks(BATCH_ROWS) {
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns(rows))?)?;
    }
    writer.finish()?;
    Ok(writer.bytes_written() as u64)
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
