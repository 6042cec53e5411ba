//! Landing objects as streams of record batches.

use std::io::Read;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use stedi_engine::decode::{Collected, Decoder, NULL_I64, RECORD_BYTES_MAX, sniff};
use stedi_lake::{Customer, LandingTable};
use stedi_store::LandingObject;
use stedi_worker::read::{LandingReader, SNIFF_BYTES};

use super::external;

/// Bytes of a read, and so of the records of a batch.
const READ_BYTES: usize = 1 << 20;

/// Batches that wait for the query.
const WAITING_BATCHES: usize = 2;

/// Some objects of a landing table, read one after the other.
#[derive(Debug)]
pub(super) struct LandingStream {
    table: LandingTable,
    schema: SchemaRef,
    objects: Arc<Vec<LandingObject>>,
}

impl LandingStream {
    pub(super) fn new(table: LandingTable, schema: SchemaRef, objects: Vec<LandingObject>) -> Self {
        Self { table, schema, objects: Arc::new(objects) }
    }
}

impl PartitionStream for LandingStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), WAITING_BATCHES);
        let sender = stream.tx();
        let (table, schema, objects) = (self.table, Arc::clone(&self.schema), Arc::clone(&self.objects));
        let reader = LandingReader::new(tokio::runtime::Handle::current());
        stream.spawn_blocking(move || {
            for object in objects.iter() {
                // false: the query has what it wants
                let mut send = |rows: &Collected| match batch(table, &schema, rows) {
                    Ok(batch) if batch.num_rows() == 0 => Ok(true),
                    Ok(batch) => Ok(sender.blocking_send(Ok(batch)).is_ok()),
                    Err(error) => Err(error),
                };
                if !decode(&reader, object, &mut send)? {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }
}

/// Decodes an object and hands its rows over, a read at a time; false if they are not wanted any more.
fn decode(
    reader: &LandingReader,
    object: &LandingObject,
    send: &mut impl FnMut(&Collected) -> Result<bool>,
) -> Result<bool> {
    let mut source = reader.open(object).map_err(external)?.bytes;
    let mut waiting = Vec::new();
    let mut rows = Collected::default();
    let mut ended = fill(&mut source, &mut waiting, SNIFF_BYTES)?;
    let mut decoder = Decoder::new(object.table, sniff(&waiting), 0..u64::MAX);
    loop {
        let progress = decoder.decode(&waiting, ended, &mut rows);
        if !send(&rows)? {
            return Ok(false);
        }
        rows = Collected::default();
        waiting.drain(..progress.consumed);
        if progress.done || ended {
            return Ok(true);
        }
        assert!(waiting.len() <= RECORD_BYTES_MAX + READ_BYTES, "the decoder wants more than the longest record");
        ended = fill(&mut source, &mut waiting, READ_BYTES)?;
    }
}

/// Reads up to `bytes` bytes behind those in `buffer`; true at the end of the object.
fn fill(source: &mut impl Read, buffer: &mut Vec<u8>, bytes: usize) -> Result<bool> {
    let read = source.by_ref().take(bytes as u64).read_to_end(buffer)?;
    Ok(read < bytes)
}

fn batch(table: LandingTable, schema: &SchemaRef, rows: &Collected) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = match table {
        LandingTable::Customer => customers(&rows.customers),
        LandingTable::Accelerometer => {
            let readings = &rows.accelerometer;
            let axis = |i: usize| {
                let values = readings.iter().map(move |r| Some(r.xyz[i]).filter(|value| !value.is_nan()));
                Arc::new(values.collect::<Float64Array>()) as ArrayRef
            };
            vec![
                Arc::new(StringArray::from_iter_values(readings.iter().map(|r| &r.user))),
                Arc::new(Int64Array::from_iter_values(readings.iter().map(|r| r.timestamp_ms))),
                axis(0),
                axis(1),
                axis(2),
            ]
        }
        LandingTable::StepTrainer => {
            let readings = &rows.step_trainer;
            let distances = readings.iter().map(|r| Some(r.distance).filter(|&distance| distance != NULL_I64));
            vec![
                Arc::new(Int64Array::from_iter_values(readings.iter().map(|r| r.sensor_reading_time_ms))),
                Arc::new(StringArray::from_iter_values(readings.iter().map(|r| &r.serial))),
                Arc::new(distances.collect::<Int64Array>()),
            ]
        }
    };
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn customers(rows: &[Customer]) -> Vec<ArrayRef> {
    let text = |of: fn(&Customer) -> Option<&str>| Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let time = |of: fn(&Customer) -> Option<i64>| Arc::new(rows.iter().map(of).collect::<Int64Array>()) as ArrayRef;
    vec![
        text(|c| c.customer_name.as_deref()),
        text(|c| Some(&c.email)),
        text(|c| c.phone.as_deref()),
        text(|c| c.birth_day.as_deref()),
        text(|c| Some(&c.serial_number)),
        time(|c| c.registration_date),
        time(|c| c.last_update_date),
        time(|c| c.share_with_research_as_of_date),
        time(|c| c.share_with_public_as_of_date),
        time(|c| c.share_with_friends_as_of_date),
    ]
}
