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
use stedi_lake::checksum;

use crate::join::Row;
use crate::rows::{Reading, StepReading};

/// A row that can be spilled.
pub trait SpillRow: Row + 'static {
    /// Names and types of the columns, id and time first; none is ever null.
    const COLUMNS: &'static [(&'static str, DataType)];

    /// The columns of some rows.
    fn to_columns(rows: &[Self]) -> Vec<ArrayRef>;

    /// Calls `take` with each row of a batch with these columns.
    fn from_columns(batch: &RecordBatch, take: impl FnMut(Self));

    /// Epoch ms.
    fn time_ms(&self) -> i64;
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

    fn from_columns(batch: &RecordBatch, mut take: impl FnMut(Self)) {
        let users = batch.column(0).as_primitive::<UInt32Type>().values();
        let times = batch.column(1).as_primitive::<Int64Type>().values();
        let [x, y, z] = [2, 3, 4].map(|i| batch.column(i).as_primitive::<Float64Type>().values());
        let times_and_xyz = times.iter().zip(x.iter().zip(y).zip(z));
        for (&user, (&time_ms, ((&x, &y), &z))) in users.iter().zip(times_and_xyz) {
            take(Self { time_ms, xyz: [x, y, z], user });
        }
    }

    fn time_ms(&self) -> i64 {
        self.time_ms
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

    fn from_columns(batch: &RecordBatch, mut take: impl FnMut(Self)) {
        let serials = batch.column(0).as_primitive::<UInt32Type>().values();
        let [times, distances] = [1, 2].map(|i| batch.column(i).as_primitive::<Int64Type>().values());
        for (&serial, (&time_ms, &distance)) in serials.iter().zip(times.iter().zip(distances)) {
            take(Self { time_ms, distance, serial });
        }
    }

    fn time_ms(&self) -> i64 {
        self.time_ms
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

/// Calls `take` with every row that [`write()`] wrote.
///
/// # Errors
/// What `source` returns, or that it is not such a stream; some rows may have been taken by then.
pub fn read<T: SpillRow>(source: impl Read, mut take: impl FnMut(T)) -> Result<(), ArrowError> {
    for batch in StreamReader::try_new(source, None)? {
        T::from_columns(&batch?, &mut take);
    }
    Ok(())
}

/// Calls `take` with the id of every row that [`write()`] wrote; the other columns are not decompressed.
///
/// # Errors
/// As [`read`].
pub fn read_ids(source: impl Read, mut take: impl FnMut(u32)) -> Result<(), ArrowError> {
    for batch in StreamReader::try_new(source, Some(vec![0]))? {
        batch?.column(0).as_primitive::<UInt32Type>().values().iter().copied().for_each(&mut take);
    }
    Ok(())
}

/// Calls `take` with the time of every row that [`write()`] wrote, epoch ms; the other columns are not decompressed.
///
/// # Errors
/// As [`read`].
pub fn read_times(source: impl Read, mut take: impl FnMut(i64)) -> Result<(), ArrowError> {
    for batch in StreamReader::try_new(source, Some(vec![1]))? {
        batch?.column(0).as_primitive::<Int64Type>().values().iter().copied().for_each(&mut take);
    }
    Ok(())
}

/// Rows of a record batch of a segment: chunks are put together, for many shards make small ones.
const SEGMENT_BATCH_ROWS: usize = 1 << 14;

/// The rows of one shard as they travel between workers: an IPC stream and a [seal](stedi_lake::checksum) that opens for
/// the same shard and the same kind of rows only.
///
/// # Errors
/// If Arrow refuses; rows of fixed size always fit.
pub fn seal_segment<T: SpillRow>(shard: u32, chunks: Vec<Vec<T>>) -> Result<Vec<u8>, ArrowError> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    for chunk in chunks {
        match batches.last_mut() {
            Some(last) if last.len() + chunk.len() <= SEGMENT_BATCH_ROWS => last.extend_from_slice(&chunk),
            _ => batches.push(chunk),
        }
    }
    let mut bytes = Vec::new();
    write(&batches, &mut bytes)?;
    checksum::seal(&mut bytes, seed::<T>(shard));
    Ok(bytes)
}

/// The IPC stream in a segment, `None` if the segment is damaged, of another shard or of another kind of rows.
pub fn unseal_segment<T: SpillRow>(shard: u32, segment: &[u8]) -> Option<&[u8]> {
    checksum::unseal(segment, seed::<T>(shard))
}

fn seed<T: SpillRow>(shard: u32) -> u64 {
    (T::COLUMNS.len() as u64) << 32 | u64::from(shard)
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
        let mut back: Vec<Reading> = Vec::new();
        read(bytes.as_slice(), |row| back.push(row)).expect("a stream");
        assert_eq!(back.len(), 3);
        assert!(back.iter().zip(readings.iter().flatten()).all(|(a, b)| a.same(b)));
        let (mut users, mut times) = (Vec::new(), Vec::new());
        read_ids(bytes.as_slice(), |id| users.push(id)).expect("a stream");
        read_times(bytes.as_slice(), |time_ms| times.push(time_ms)).expect("a stream");
        assert_eq!(users, [7, u32::MAX, 0]);
        assert_eq!(times, [i64::MAX, 0, i64::MIN]);

        let steps = vec![vec![StepReading { time_ms: 1, distance: NULL_I64, serial: 9 }]];
        let mut bytes = Vec::new();
        write(&steps, &mut bytes).expect("a Vec takes everything");
        let cut = &bytes[..bytes.len() - 20];
        let mut back: Vec<StepReading> = Vec::new();
        let read = read(cut, |row| back.push(row));
        assert!(read.is_err() || back == steps.concat(), "a cut stream must not lose rows silently");
    }
    #[test]
    fn a_segment_opens_for_its_shard_and_kind() {
        let rows: Vec<Reading> = (0..40_000).map(|i| Reading::new(i % 7, i64::from(i), [0.5; 3])).collect();
        let chunks: Vec<Vec<Reading>> = [&rows[..9], &rows[9..20], &rows[20..]].map(<[Reading]>::to_vec).to_vec();
        let segment = seal_segment(3, chunks).expect("rows fit");
        let stream = unseal_segment::<Reading>(3, &segment).expect("whole");
        let mut back: Vec<Reading> = Vec::new();
        read(stream, |row| back.push(row)).expect("a stream");
        assert!(back.len() == rows.len() && back.iter().zip(&rows).all(|(a, b)| a.same(b)));
        assert!(
            unseal_segment::<Reading>(2, &segment).is_none() && unseal_segment::<StepReading>(3, &segment).is_none()
        );
    }
}
