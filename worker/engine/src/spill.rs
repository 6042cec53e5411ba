//! Chunks of rows as an Arrow IPC stream, LZ4-compressed: how the shuffle looks when it does not stay in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt32Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::join::Row;
use crate::rows::{Reading, StepReading};

/// A row that can be spilled.
pub trait SpillRow: Row + 'static {
    /// Names and types of the columns; none is ever null.
    const COLUMNS: &'static [(&'static str, DataType)];

    /// The columns of some rows.
    fn to_columns(rows: &[Self]) -> Vec<ArrayRef>;

    /// The rows of a batch with these columns.
    fn from_columns(batch: &RecordBatch) -> Vec<Self>;
}

impl SpillRow for Reading {
    const COLUMNS: &'static [(&'static str, DataType)] = &[
        ("user", DataType::UInt32),
        ("time_ms", DataType::Int64),
        ("x", DataType::Float64),
        ("y", DataType::Float64),
        ("z", DataType::Float64),
    ];

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        let axis = |i: usize| -> ArrayRef { Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.xyz[i]))) };
        vec![
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.user))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.time_ms))),
            axis(0),
            axis(1),
            axis(2),
        ]
    }

    fn from_columns(batch: &RecordBatch) -> Vec<Self> {
        let users = batch.column(0).as_primitive::<UInt32Type>().values();
        let times = batch.column(1).as_primitive::<Int64Type>().values();
        let [x, y, z] = [2, 3, 4].map(|i| batch.column(i).as_primitive::<Float64Type>().values());
        (0..batch.num_rows()).map(|i| Self { time_ms: times[i], xyz: [x[i], y[i], z[i]], user: users[i] }).collect()
    }
}

impl SpillRow for StepReading {
    const COLUMNS: &'static [(&'static str, DataType)] =
        &[("serial", DataType::UInt32), ("time_ms", DataType::Int64), ("distance", DataType::Int64)];

    fn to_columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.serial))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.time_ms))),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.distance))),
        ]
    }

    fn from_columns(batch: &RecordBatch) -> Vec<Self> {
        let serials = batch.column(0).as_primitive::<UInt32Type>().values();
        let [times, distances] = [1, 2].map(|i| batch.column(i).as_primitive::<Int64Type>().values());
        (0..batch.num_rows()).map(|i| Self { time_ms: times[i], distance: distances[i], serial: serials[i] }).collect()
    }
}

/// Writes chunks as one IPC stream, a record batch a chunk.
///
/// # Errors
/// What `sink` returns.
pub fn write<T: SpillRow>(chunks: &[Vec<T>], sink: impl Write) -> Result<(), ArrowError> {
    let fields: Vec<Field> = T::COLUMNS.iter().map(|(name, ty)| Field::new(*name, ty.clone(), false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(sink, &schema, options)?;
    for chunk in chunks {
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), T::to_columns(chunk))?)?;
    }
    writer.finish()
}

/// Reads back, chunk by chunk, what [`write`] wrote.
///
/// # Errors
/// What `source` returns, or that it is not such a stream.
pub fn read<T: SpillRow>(source: impl Read) -> Result<impl Iterator<Item = Result<Vec<T>, ArrowError>>, ArrowError> {
    let reader = StreamReader::try_new(source, None)?;
    Ok(reader.map(|batch| Ok(T::from_columns(&batch?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::NULL_I64;

    #[test]
    fn chunks_read_back_as_they_were() {
        let readings = vec![
            vec![Reading::new(7, i64::MAX, [f64::NAN, -0.0, 1e300]), Reading::new(u32::MAX, 0, [1.0, 2.0, 3.0])],
            vec![Reading::new(0, i64::MIN, [0.0; 3])],
        ];
        let mut bytes = Vec::new();
        write(&readings, &mut bytes).expect("a Vec takes everything");
        let back: Vec<Vec<Reading>> =
            read(bytes.as_slice()).expect("a stream").collect::<Result<_, _>>().expect("whole chunks");
        assert_eq!(back.len(), 2);
        assert!(back.iter().flatten().zip(readings.iter().flatten()).all(|(a, b)| a.same(b)));

        let steps = vec![vec![StepReading { time_ms: 1, distance: NULL_I64, serial: 9 }]];
        let mut bytes = Vec::new();
        write(&steps, &mut bytes).expect("a Vec takes everything");
        let cut = &bytes[..bytes.len() - 20];
        let back: Result<Vec<Vec<StepReading>>, _> = read(cut).expect("the schema is there").collect();
        assert!(back.is_err() || back.is_ok_and(|b| b == steps), "a cut stream must not lose rows silently");
    }
}
