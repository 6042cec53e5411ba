//! Rows of a part, column by column: typed access, the order of rows, hashes of rows.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};

/// One column of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Text(StringArray),
    Int(Int64Array),
    Double(Float64Array),
}

/// Some rows of a part.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) len: usize,
}

impl Rows {
    /// `None` if a column is neither text nor bigint nor double.
    pub(crate) fn new(batch: &RecordBatch) -> Option<Self> {
        let typed = |array: &std::sync::Arc<dyn Array>| {
            array
                .as_string_opt::<i32>()
                .map(|a| Column::Text(a.clone()))
                .or_else(|| array.as_primitive_opt::<Int64Type>().map(|a| Column::Int(a.clone())))
                .or_else(|| array.as_primitive_opt::<Float64Type>().map(|a| Column::Double(a.clone())))
        };
        Some(Self { columns: batch.columns().iter().map(typed).collect::<Option<_>>()?, len: batch.num_rows() })
    }

    /// The text at `row`, "" where the column has none.
    pub(crate) fn text(&self, column: usize, row: usize) -> &str {
        match &self.columns[column] {
            Column::Text(a) => a.value(row),
            Column::Int(_) | Column::Double(_) => "",
        }
    }

    /// The integer at `row`; `None` is NULL.
    pub(crate) fn int(&self, column: usize, row: usize) -> Option<i64> {
        match &self.columns[column] {
            Column::Int(a) if a.is_valid(row) => Some(a.value(row)),
            _ => None,
        }
    }

    /// Compares row `i` of `self` with row `j` of `other` by the columns of `order`: NULL first, text by its bytes,
    /// doubles by IEEE 754 totalOrder.
    pub(crate) fn compare(&self, i: usize, other: &Self, j: usize, order: &[usize]) -> Ordering {
        for &column in order {
            let by_column = match (&self.columns[column], &other.columns[column]) {
                (Column::Text(a), Column::Text(b)) => text_at(a, i).cmp(&text_at(b, j)),
                (Column::Int(a), Column::Int(b)) => int_at(a, i).cmp(&int_at(b, j)),
                (Column::Double(a), Column::Double(b)) => compare_doubles(double_at(a, i), double_at(b, j)),
                _ => Ordering::Equal,
            };
            if by_column != Ordering::Equal {
                return by_column;
            }
        }
        Ordering::Equal
    }

    /// The last row alone, to be compared with the first one of the next rows.
    pub(crate) fn last(&self) -> Option<Self> {
        let last = self.len.checked_sub(1)?;
        let slice = |column: &Column| match column {
            Column::Text(a) => Column::Text(a.slice(last, 1)),
            Column::Int(a) => Column::Int(a.slice(last, 1)),
            Column::Double(a) => Column::Double(a.slice(last, 1)),
        };
        Some(Self { columns: self.columns.iter().map(slice).collect(), len: 1 })
    }

    /// A hash of the values of `columns` at `row`: NULL differs from every value, -0.0 from 0.0.
    pub(crate) fn hash(&self, columns: &[usize], row: usize) -> u64 {
        let mut hash = 0;
        for &column in columns {
            let (present, bits) = match &self.columns[column] {
                Column::Int(a) => (a.is_valid(row), a.value(row).cast_unsigned()),
                Column::Double(a) => (a.is_valid(row), a.value(row).to_bits()),
                Column::Text(_) => unreachable!("text is compared, not hashed"),
            };
            hash = mix(mix(hash, u64::from(present)), if present { bits } else { 0 });
        }
        hash
    }
}

fn text_at(array: &StringArray, row: usize) -> Option<&[u8]> {
    array.is_valid(row).then(|| array.value(row).as_bytes())
}

fn int_at(array: &Int64Array, row: usize) -> Option<i64> {
    array.is_valid(row).then(|| array.value(row))
}

fn double_at(array: &Float64Array, row: usize) -> Option<f64> {
    array.is_valid(row).then(|| array.value(row))
}

fn compare_doubles(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// One step of a 64-bit hash: the finaliser of SplitMix64 (Steele, Lea, Flood 2014) over the running hash and `word`.
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    let mut z = hash.rotate_left(23) ^ word;
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
