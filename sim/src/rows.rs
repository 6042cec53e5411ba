//! Rows of a table as a multiset that can be compared.

use std::fmt;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::arrow::util::pretty::pretty_format_columns;
use stedi_lake::CuratedTable;

/// How many rows a difference shows of each side.
const ROWS_SHOWN: usize = 8;

/// The rows of one table, duplicates counted, whatever order they came in.
pub struct Rows {
    table: CuratedTable,
    sorted: Vec<OwnedRow>,
}

/// The rows of `batch` in its order, each as bytes that compare as [`CuratedTable::sort_order`] says: text bytewise,
/// doubles by IEEE 754 total order, NULL lowest.
pub fn sort_keys(table: CuratedTable, batch: &RecordBatch) -> Vec<OwnedRow> {
    let columns: Vec<ArrayRef> = table.sort_order().into_iter().map(|i| batch.column(i).clone()).collect();
    let rows = converter(table).convert_columns(&columns).expect("the batch has the table's columns");
    rows.iter().map(|row| row.owned()).collect()
}

/// The first two rows of `batch` that are out of order, `None` if all are sorted.
pub fn out_of_order(table: CuratedTable, batch: &RecordBatch) -> Option<String> {
    let keys = sort_keys(table, batch);
    let row = keys.windows(2).position(|pair| pair[0] > pair[1])?;
    Some(format!("row {row}\n{}", show(table, &[&keys[row], &keys[row + 1]])))
}

fn converter(table: CuratedTable) -> RowConverter {
    let schema = table.arrow_schema();
    let fields = table.sort_order().into_iter().map(|i| SortField::new(schema.field(i).data_type().clone()));
    RowConverter::new(fields.collect()).expect("text and numbers have a row form")
}

impl Rows {
    /// The rows of `batches`, which have the columns of `table`.
    pub fn new(table: CuratedTable, batches: &[RecordBatch]) -> Self {
        let mut sorted: Vec<OwnedRow> = batches.iter().flat_map(|batch| sort_keys(table, batch)).collect();
        sorted.sort_unstable();
        Self { table, sorted }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The rows of `self` that `other` lacks, each as often as it lacks them.
    fn without<'a>(&'a self, other: &Self) -> Vec<&'a OwnedRow> {
        let mut theirs = other.sorted.iter().peekable();
        let mut lacking = Vec::new();
        for row in &self.sorted {
            while theirs.next_if(|their| *their < row).is_some() {}
            if theirs.next_if(|their| *their == row).is_none() {
                lacking.push(row);
            }
        }
        lacking
    }

    /// What differs if these are the rows found and `expected` those wanted; `None` if the two are the same multiset.
    pub fn difference(&self, expected: &Self) -> Option<String> {
        let (missing, extra) = (expected.without(self), self.without(expected));
        if missing.is_empty() && extra.is_empty() {
            return None;
        }
        Some(format!(
            "{}: {} rows instead of {}\n{} missing\n{}\n{} too many\n{}",
            self.table.name(),
            self.len(),
            expected.len(),
            missing.len(),
            show(self.table, &missing),
            extra.len(),
            show(self.table, &extra)
        ))
    }
}

/// The first few rows as a table of text, columns in sort order.
fn show(table: CuratedTable, rows: &[&OwnedRow]) -> String {
    let converter = converter(table);
    let parser = converter.parser();
    let shown = rows.iter().take(ROWS_SHOWN).map(|row| parser.parse(row.as_ref()));
    let columns = converter.convert_rows(shown).expect("the rows come from such a converter");
    let schema = table.arrow_schema();
    let named = table.sort_order().into_iter().zip(columns);
    let text: Vec<String> = named
        .map(|(i, column)| {
            let name = schema.field(i).name();
            pretty_format_columns(name, &[column]).expect("text and numbers print").to_string()
        })
        .collect();
    side_by_side(&text)
}

/// Puts blocks of lines next to each other.
fn side_by_side(blocks: &[String]) -> String {
    let lines = blocks.first().map_or(0, |block| block.lines().count());
    (0..lines)
        .map(|i| blocks.iter().map(|block| block.lines().nth(i).unwrap_or_default()).collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {}", self.len(), self.table.name())
    }
}
