//! Statistics and page index: there, and true of the rows they speak of.

use std::iter;
use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UInt64Array};
use datafusion::arrow::row::{RowConverter, SortField};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use stedi_lake::commit::Part;

/// What a part says of the values of one column in consecutive ranges of rows.
struct Claims {
    ranges: Vec<Range<usize>>,
    mins: ArrayRef,
    maxes: ArrayRef,
    nulls: UInt64Array,
}

/// Checks the row group and page statistics of every column of a part that holds `batch`.
pub(super) fn check(part: &Part, metadata: &ParquetMetaData, batch: &RecordBatch) {
    for (i, field) in batch.schema_ref().fields().iter().enumerate() {
        let parquet_schema = metadata.file_metadata().schema_descr();
        let statistics = StatisticsConverter::try_new(field.name(), batch.schema_ref(), parquet_schema)
            .expect("the schema was checked");
        let what = |kind| format!("{} of {} in {}", kind, field.name(), part.path);
        check_claims(&what("row group statistics"), &row_group_claims(metadata, &statistics), batch.column(i));
        check_claims(&what("page index"), &page_claims(metadata, &statistics), batch.column(i));
    }
}

fn row_group_claims(metadata: &ParquetMetaData, statistics: &StatisticsConverter<'_>) -> Claims {
    let groups = || metadata.row_groups().iter();
    Claims {
        ranges: ranges(groups().map(|group| usize::try_from(group.num_rows()).expect("rows are not negative"))),
        mins: statistics.row_group_mins(groups()).expect("minima read"),
        maxes: statistics.row_group_maxes(groups()).expect("maxima read"),
        nulls: statistics.row_group_null_counts(groups()).expect("null counts read"),
    }
}

fn page_claims(metadata: &ParquetMetaData, statistics: &StatisticsConverter<'_>) -> Claims {
    let columns = metadata.column_index().expect("the column index is there");
    let offsets = metadata.offset_index().expect("the offset index is there");
    let groups: Vec<usize> = (0..metadata.num_row_groups()).collect();
    let rows = statistics.data_page_row_counts(offsets, metadata.row_groups(), &groups);
    let rows = rows.expect("row counts read").expect("the column is there");
    Claims {
        ranges: ranges(rows.values().iter().map(|&rows| usize::try_from(rows).expect("rows fit memory"))),
        mins: statistics.data_page_mins(columns, offsets, &groups).expect("minima read"),
        maxes: statistics.data_page_maxes(columns, offsets, &groups).expect("maxima read"),
        nulls: statistics.data_page_null_counts(columns, offsets, &groups).expect("null counts read"),
    }
}

fn ranges(lengths: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    lengths
        .scan(0, |start, rows| {
            let range = *start..*start + rows;
            *start = range.end;
            Some(range)
        })
        .collect()
}

fn check_claims(what: &str, claims: &Claims, values: &ArrayRef) {
    assert_eq!(claims.ranges.last().map(|last| last.end), Some(values.len()), "{what}: rows they cover");
    let count = claims.ranges.len();
    assert!(
        iter::once(&claims.mins).chain([&claims.maxes]).all(|bounds| bounds.len() == count)
            && claims.nulls.len() == count,
        "{what}: one entry each"
    );
    let converter =
        RowConverter::new(vec![SortField::new(values.data_type().clone())]).expect("values have a row form");
    let rows = |values: &ArrayRef| converter.convert_columns(std::slice::from_ref(values)).expect("values convert");
    let (all, mins, maxes) = (rows(values), rows(&claims.mins), rows(&claims.maxes));
    for (i, range) in claims.ranges.iter().enumerate() {
        let present: Vec<usize> = range.clone().filter(|&row| values.is_valid(row)).collect();
        assert!(claims.nulls.is_valid(i), "{what}: null count {i} is missing");
        assert_eq!(claims.nulls.value(i), (range.len() - present.len()) as u64, "{what}: null count {i}");
        if present.is_empty() {
            continue;
        }
        assert!(claims.mins.is_valid(i) && claims.maxes.is_valid(i), "{what}: bounds {i} are missing");
        let inside = present.iter().all(|&row| mins.row(i) <= all.row(row) && all.row(row) <= maxes.row(i));
        assert!(inside, "{what}: bounds {i} exclude a value of rows {range:?}");
    }
}
