//! The rows of customer_trusted as one object, from which every worker makes the same directory.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::ArrowError;
use stedi_lake::{CuratedTable, Customer, checksum};

use crate::encode::customer_columns;

/// Tells this object from other sealed ones.
const SEED: u64 = 0x6375_7374_6f6d_6572;

/// Customers encoded at once.
const BATCH_ROWS: usize = 1 << 13;

/// An object that holds no customers, or damaged ones.
#[derive(Debug, thiserror::Error)]
pub enum CustomersError {
    /// The seal is broken.
    #[error("the directory of trusted customers is damaged")]
    Damaged,
    /// It holds something else.
    #[error("the directory of trusted customers cannot be read; was it written by another version?")]
    Arrow(#[from] ArrowError),
}

/// The rows as an Arrow IPC stream, LZ4-compressed, with the columns of the table and a
/// [seal](stedi_lake::checksum) behind it.
///
/// # Errors
/// If the rows do not fit Arrow's limits.
pub fn encode_customers_object(rows: &[Customer]) -> Result<Vec<u8>, ArrowError> {
    let schema = CuratedTable::CustomerTrusted.arrow_schema();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options)?;
    for rows in rows.chunks(BATCH_ROWS) {
        let rows: Vec<&Customer> = rows.iter().collect();
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), customer_columns(&rows))?)?;
    }
    let mut bytes = writer.into_inner()?;
    checksum::seal(&mut bytes, SEED);
    Ok(bytes)
}

/// The rows, in the order in which they were written.
///
/// # Errors
/// If the object is damaged or something else.
pub fn decode_customers_object(bytes: &[u8]) -> Result<Vec<Customer>, CustomersError> {
    let stream = checksum::unseal(bytes, SEED).ok_or(CustomersError::Damaged)?;
    let reader = StreamReader::try_new(stream, None)?;
    if reader.schema().fields() != CuratedTable::CustomerTrusted.arrow_schema().fields() {
        return Err(ArrowError::SchemaError("not the columns of customer_trusted".to_owned()).into());
    }
    let mut rows = Vec::new();
    for batch in reader {
        push_rows(&batch?, &mut rows);
    }
    Ok(rows)
}

fn push_rows(batch: &RecordBatch, rows: &mut Vec<Customer>) {
    fn some(column: &StringArray, row: usize) -> Option<Box<str>> {
        column.is_valid(row).then(|| column.value(row).into())
    }
    fn integer(column: &Int64Array, row: usize) -> Option<i64> {
        column.is_valid(row).then(|| column.value(row))
    }
    let [name, email, phone, birth_day, serial] = [0, 1, 2, 3, 4].map(|i| batch.column(i).as_string::<i32>());
    let [registered, updated, research, public, friends] =
        [5, 6, 7, 8, 9].map(|i| batch.column(i).as_primitive::<Int64Type>());
    rows.extend((0..batch.num_rows()).map(|row| Customer {
        customer_name: some(name, row),
        email: email.value(row).into(),
        phone: some(phone, row),
        birth_day: some(birth_day, row),
        serial_number: serial.value(row).into(),
        registration_date: integer(registered, row),
        last_update_date: integer(updated, row),
        share_with_research_as_of_date: integer(research, row),
        share_with_public_as_of_date: integer(public, row),
        share_with_friends_as_of_date: integer(friends, row),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_read_back_as_they_were() {
        let full = Customer {
            customer_name: Some("Ünal".into()),
            email: "a@example.com".into(),
            phone: Some("".into()),
            birth_day: Some("967-01-01".into()),
            serial_number: "s".into(),
            registration_date: Some(i64::MIN),
            last_update_date: Some(0),
            share_with_research_as_of_date: Some(1),
            share_with_public_as_of_date: Some(2),
            share_with_friends_as_of_date: Some(3),
        };
        let bare = Customer { email: "b".into(), ..Customer::default() };
        for rows in [vec![], vec![full.clone()], [vec![full], vec![bare; 2 * BATCH_ROWS]].concat()] {
            let bytes = encode_customers_object(&rows).expect("customers fit Arrow");
            assert_eq!(decode_customers_object(&bytes).expect("whole"), rows);
        }
    }

    #[test]
    fn damage_is_found() {
        let rows = vec![Customer { email: "a".into(), ..Customer::default() }];
        let mut bytes = encode_customers_object(&rows).expect("customers fit Arrow");
        assert!(matches!(decode_customers_object(&bytes[1..]), Err(CustomersError::Damaged)));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        assert!(matches!(decode_customers_object(&bytes), Err(CustomersError::Damaged)));
    }
}
