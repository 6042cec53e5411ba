//! What the column encoder writes, the parquet crate's reader reads: values, nulls, statistics and page index.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use stedi_lake::options::Compression;

use super::column::ColumnEncoder;
use super::columns::Values;
use crate::decode::NULL_I64;

/// A file of one column whose pages hold what `pages` says.
fn file(column: &str, compression: Compression, pages: &[Values<'_>]) -> Bytes {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {column}; }}")).expect("a schema"));
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default())).expect("a Vec");
    let mut encoder = ColumnEncoder::new(writer.schema_descr().column(0), compression).expect("a codec");
    pages.iter().for_each(|page| encoder.page(page).expect("encodable"));
    let column = encoder.close().expect("encodable");
    let mut row_group = writer.next_row_group().expect("open");
    row_group.append_column(&column.bytes, column.close).expect("one column");
    row_group.close().expect("complete");
    writer.into_inner().expect("a Vec").into()
}

fn read<T>(bytes: Bytes, take: impl Fn(&dyn arrow_array::Array) -> Vec<T>) -> Vec<T> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet").build().expect("readable");
    reader.flat_map(|batch| take(batch.expect("readable").column(0))).collect()
}

/// Whether chunk statistics and page index agree on the number of nulls and pages.
fn check_index(bytes: &Bytes, pages: usize, nulls: u64) {
    let options = ReadOptionsBuilder::new().with_page_index().build();
    let reader = SerializedFileReader::new_with_options(bytes.clone(), options).expect("Parquet with a page index");
    let metadata = reader.metadata();
    let statistics = metadata.row_group(0).column(0).statistics();
    assert_eq!(statistics.and_then(|s| s.null_count_opt()), Some(nulls));
    assert_eq!(metadata.offset_index().expect("an offset index")[0][0].page_locations().len(), pages);
    assert!(metadata.column_index().is_some());
}

/// The least and the greatest double of the chunk, as its statistics tell them.
fn doubles_bounds(bytes: &Bytes) -> Option<(f64, f64)> {
    let reader = SerializedFileReader::new(bytes.clone()).expect("Parquet");
    match reader.metadata().row_group(0).column(0).statistics() {
        Some(Statistics::Double(found)) => Some((*found.min_opt()?, *found.max_opt()?)),
        other => panic!("statistics of doubles: {other:?}"),
    }
}

const COMPRESSIONS: [Compression; 3] = [Compression::Zstd, Compression::Snappy, Compression::None];

fn compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(COMPRESSIONS.to_vec())
}

/// Pages of few distinct values, of one value, and of so many that the dictionary overflows.
fn number_pages() -> impl Strategy<Value = Vec<Vec<i64>>> {
    let few = prop::collection::vec(prop_oneof![Just(NULL_I64), -3..3_i64], 1..600);
    let same = (any::<i64>(), 1..600_usize).prop_map(|(value, count)| vec![value; count]);
    let many = prop::collection::vec(any::<i64>(), 1..6000);
    prop::collection::vec(prop_oneof![few, same, many], 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn integers_round_trip(pages in number_pages(), compression in compression()) {
        let values: Vec<Values<'_>> = pages.iter().map(|page| Values::BigInt(page)).collect();
        let bytes = file("optional int64 c", compression, &values);
        let expected: Vec<Option<i64>> = pages.iter().flatten().map(|&v| (v != NULL_I64).then_some(v)).collect();
        check_index(&bytes, pages.len(), expected.iter().filter(|v| v.is_none()).count() as u64);
        prop_assert_eq!(read(bytes, |a| a.as_primitive::<Int64Type>().iter().collect()), expected);
    }

    #[test]
    fn doubles_round_trip(pages in number_pages(), compression in compression()) {
        // any bit pattern is a double; those that are NaN are missing
        let pages: Vec<Vec<f64>> =
            pages.into_iter().map(|page| page.into_iter().map(|v| f64::from_bits(v.cast_unsigned())).collect()).collect();
        let values: Vec<Values<'_>> = pages.iter().map(|page| Values::Double(page)).collect();
        let bytes = file("optional double c", compression, &values);
        let there = || pages.iter().flatten().copied().filter(|v| !v.is_nan());
        let expected_bounds = there().next().map(|v| (there().fold(v, f64::min), there().fold(v, f64::max)));
        prop_assert_eq!(doubles_bounds(&bytes), expected_bounds);
        let expected: Vec<Option<u64>> = pages.iter().flatten().map(|v| (!v.is_nan()).then_some(v.to_bits())).collect();
        check_index(&bytes, pages.len(), expected.iter().filter(|v| v.is_none()).count() as u64);
        let back = read(bytes, |a| a.as_primitive::<Float64Type>().iter().map(|v| v.map(f64::to_bits)).collect());
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn times_round_trip(
        pages in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<i64>(), 1..700),
            prop::collection::vec(1_655_560_000_000..1_655_561_000_000_i64, 1..700),
        ], 1..4),
        compression in compression(),
    ) {
        let values: Vec<Values<'_>> = pages.iter().map(|page| Values::Time(page)).collect();
        let bytes = file("required int64 c", compression, &values);
        check_index(&bytes, pages.len(), 0);
        prop_assert_eq!(read(bytes, |a| a.as_primitive::<Int64Type>().values().to_vec()), pages.concat());
    }

    #[test]
    fn names_round_trip(
        pages in prop::collection::vec(prop::collection::vec((0..40_u32, 1..60_usize), 1..100), 1..4),
        long in any::<bool>(),
        compression in compression(),
    ) {
        // names that sort as their ids do; long ones fill the dictionary
        let names: Vec<String> =
            (0..40).map(|id| format!("{id:02}{}", "é".repeat(if long { 20_000 } else { 3 }))).collect();
        let name = |id: u32| names[id as usize].as_str();
        let pages: Vec<Vec<u32>> = pages
            .into_iter()
            .map(|runs| runs.into_iter().flat_map(|(id, count)| std::iter::repeat_n(id, if long { 1 } else { count })).collect())
            .collect();
        let values: Vec<Values<'_>> = pages.iter().map(|page| Values::Text(page, &name)).collect();
        let bytes = file("required binary c (UTF8)", compression, &values);
        check_index(&bytes, pages.len(), 0);
        let back = read(bytes, |a| a.as_string::<i32>().iter().flatten().map(str::to_owned).collect());
        let expected: Vec<String> = pages.iter().flatten().map(|&id| name(id).to_owned()).collect();
        prop_assert_eq!(back, expected);
    }
}
