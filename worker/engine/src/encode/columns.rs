//! From iterators over rows to Arrow arrays of a few thousand values.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, StringArray};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use parquet::errors::ParquetError;

use super::Emit;
use crate::decode::NULL_I64;

/// Values an array holds at most: it should stay in the level 2 cache.
const BATCH_ROWS: usize = 8192;

/// Emits values that are all there.
pub(crate) fn bigint(values: impl Iterator<Item = i64>, emit: Emit<'_>) -> Result<(), ParquetError> {
    batches(values, |batch| emit(Arc::new(Int64Array::from(batch))))
}

/// Emits values of which [`NULL_I64`] are missing.
pub(crate) fn optional_bigint(values: impl Iterator<Item = i64>, emit: Emit<'_>) -> Result<(), ParquetError> {
    batches(values, |batch| {
        let nulls = nulls(&batch, |v| *v == NULL_I64);
        emit(Arc::new(Int64Array::new(batch.into(), nulls)))
    })
}

/// Emits values of which NaN are missing.
pub(crate) fn optional_double(values: impl Iterator<Item = f64>, emit: Emit<'_>) -> Result<(), ParquetError> {
    batches(values, |batch| {
        let nulls = nulls(&batch, |v| v.is_nan());
        emit(Arc::new(Float64Array::new(batch.into(), nulls)))
    })
}

/// Emits the names of ids; equal ids should come in runs.
pub(crate) fn text<'n>(
    ids: impl Iterator<Item = u32>,
    name: impl Fn(u32) -> &'n str,
    emit: Emit<'_>,
) -> Result<(), ParquetError> {
    batches(ids, |batch| {
        let mut names: Vec<&str> = Vec::new();
        let mut last = None;
        let keys: Vec<i32> = batch
            .into_iter()
            .zip(0..)
            .map(|(id, _row): (u32, i32)| {
                if last != Some(id) {
                    names.push(name(id));
                    last = Some(id);
                }
                i32::try_from(names.len() - 1).unwrap_or(i32::MAX)
            })
            .collect();
        let array = DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), Arc::new(StringArray::from(names)))?;
        emit(Arc::new(array))
    })
}

fn nulls<T>(batch: &[T], is_null: impl Fn(&T) -> bool) -> Option<NullBuffer> {
    batch
        .iter()
        .any(&is_null)
        .then(|| NullBuffer::new(BooleanBuffer::collect_bool(batch.len(), |i| !is_null(&batch[i]))))
}

fn batches<T>(
    mut values: impl Iterator<Item = T>,
    mut emit: impl FnMut(Vec<T>) -> Result<(), ParquetError>,
) -> Result<(), ParquetError> {
    loop {
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        batch.extend(values.by_ref().take(BATCH_ROWS));
        if batch.is_empty() {
            return Ok(());
        }
        emit(batch)?;
    }
}

/// One array of optional text.
pub(crate) fn optional_text<'n>(values: impl Iterator<Item = Option<&'n str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// One array of optional integers.
pub(crate) fn optional_integers(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}
