//! Reading the parts of a table, row group by row group, and the guarantees that one part alone can break.

use std::cmp::Ordering;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::schema::types::SchemaDescriptor;
use rayon::prelude::*;
use stedi_lake::CuratedTable;
use stedi_lake::commit::Part;
use stedi_lake::table::{Column, ColumnType};

use super::VerifyError;
use super::objects::{Objects, PartFile, ReadFailed};
use super::report::{Findings, Rule};
use super::rows::Rows;

/// Rows in memory at a time, per thread, besides the compressed row group.
const BATCH_ROWS: usize = 8192;

/// Why a part could not be read to its end.
enum Fault {
    /// The store failed: nothing is known about the part.
    Store(VerifyError),
    /// The file is not what it should be.
    Damaged,
}

/// The parts of one table, all known to exist.
#[derive(Clone, Copy)]
pub(crate) struct TableParts<'a> {
    pub(crate) objects: &'a dyn Objects,
    pub(crate) table: CuratedTable,
    pub(crate) parts: &'a [Part],
}

impl<'a> TableParts<'a> {
    /// Checks what one part alone can break (readable, rows, schema, order) and shows its rows to `visit`, which
    /// gathers a state for each part. Parts are read in parallel; the states come back in the order of the parts.
    pub(crate) fn check<S: Default + Send>(
        self,
        findings: &mut Findings,
        visit: impl Fn(&mut S, &mut PartFindings<'_>, u64, &Rows) + Sync,
    ) -> Result<Vec<S>, VerifyError> {
        let check_part = |part: &'a Part| {
            let mut state = S::default();
            let mut found = Findings::default();
            let mut mine = PartFindings { found: &mut found, table: self.table, path: &part.path };
            match check_part(self.objects, part, &mut mine, |mine, first, rows| visit(&mut state, mine, first, rows)) {
                Ok(()) => {}
                Err(Fault::Damaged) => mine.part(Rule::PartReadable, String::new()),
                Err(Fault::Store(error)) => return Err(error),
            }
            Ok((state, found))
        };
        let checked: Vec<(S, Findings)> = self.parts.par_iter().map(check_part).collect::<Result<_, _>>()?;
        Ok(checked
            .into_iter()
            .map(|(state, found)| {
                findings.merge(found);
                state
            })
            .collect())
    }

    /// Shows all rows to `visit` again; the parts must have passed [`Self::check`].
    pub(crate) fn read<S: Default + Send>(
        self,
        visit: impl Fn(&mut S, &str, u64, &Rows) + Sync,
    ) -> Result<Vec<S>, VerifyError> {
        let read_part = |part: &'a Part| {
            let mut state = S::default();
            let read = open(self.objects, part).and_then(|metadata| {
                each_rows(self.objects, part, &metadata, |first, rows| visit(&mut state, &part.path, first, rows))
            });
            match read {
                Ok(()) => Ok(state),
                Err(Fault::Store(error)) => Err(error),
                Err(Fault::Damaged) => Err(VerifyError::Changed { path: part.path.clone() }),
            }
        };
        self.parts.par_iter().map(read_part).collect()
    }
}

/// Findings about one part.
pub(crate) struct PartFindings<'a> {
    found: &'a mut Findings,
    table: CuratedTable,
    path: &'a str,
}

impl PartFindings<'_> {
    /// A row breaks `rule`.
    pub(crate) fn row(&mut self, rule: Rule, row: u64) {
        self.found.row(rule, self.table, self.path, row);
    }

    fn part(&mut self, rule: Rule, detail: String) {
        self.found.add(rule, Some(self.table), Some(self.path), detail);
    }
}

fn check_part(
    objects: &dyn Objects,
    part: &Part,
    found: &mut PartFindings<'_>,
    mut visit: impl FnMut(&mut PartFindings<'_>, u64, &Rows),
) -> Result<(), Fault> {
    let metadata = open(objects, part)?;
    let file = metadata.metadata().file_metadata();
    if u64::try_from(file.num_rows()) != Ok(part.rows) {
        found.part(Rule::RowCount, format!("the commit says {}, the footer {}", part.rows, file.num_rows()));
    }
    if let Some(difference) = schema_difference(file.schema_descr(), found.table.columns()) {
        found.part(Rule::Schema, difference);
        return Ok(());
    }
    let order = found.table.sort_order();
    let mut previous: Option<Rows> = None;
    let mut read = 0;
    each_rows(objects, part, &metadata, |first, rows| {
        let mut ordered = |before: &Rows, i: usize, j: usize| {
            if before.compare(i, rows, j, &order) == Ordering::Greater {
                found.row(Rule::Sorted, first + j as u64);
            }
        };
        if let Some(before) = &previous {
            ordered(before, 0, 0);
        }
        (1..rows.len).for_each(|row| ordered(rows, row - 1, row));
        visit(found, first, rows);
        previous = rows.last();
        read += rows.len as u64;
    })?;
    if u64::try_from(file.num_rows()) != Ok(read) {
        found.part(Rule::RowCount, format!("the footer says {}, {read} can be read", file.num_rows()));
    }
    Ok(())
}

/// Reads the footer. The Arrow schema that a writer may have left in it is ignored: the Parquet schema counts.
fn open(objects: &dyn Objects, part: &Part) -> Result<ArrowReaderMetadata, Fault> {
    let file = PartFile { objects, path: &part.path, bytes: part.bytes };
    ArrowReaderMetadata::load(&file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))
        .map_err(|error| fault(error, part))
}

fn each_rows(
    objects: &dyn Objects,
    part: &Part,
    metadata: &ArrowReaderMetadata,
    mut visit: impl FnMut(u64, &Rows),
) -> Result<(), Fault> {
    let file = PartFile { objects, path: &part.path, bytes: part.bytes };
    let mut first_row = 0;
    for (group, row_group) in metadata.metadata().row_groups().iter().enumerate() {
        let window = file.window(bytes_of(row_group)).map_err(|error| fault(error, part))?;
        let batches = ParquetRecordBatchReaderBuilder::new_with_metadata(window, metadata.clone())
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| fault(error, part))?;
        for batch in batches {
            let batch = batch.map_err(|_| Fault::Damaged)?;
            let rows = Rows::new(&batch).ok_or(Fault::Damaged)?;
            visit(first_row, &rows);
            first_row += rows.len as u64;
        }
    }
    Ok(())
}

fn bytes_of(row_group: &RowGroupMetaData) -> std::ops::Range<u64> {
    let ranges = || row_group.columns().iter().map(|column| column.byte_range());
    let start = ranges().map(|(start, _)| start).min().unwrap_or(0);
    start..ranges().map(|(start, length)| start.saturating_add(length)).max().unwrap_or(0)
}

fn fault(error: ParquetError, part: &Part) -> Fault {
    match error {
        ParquetError::External(source) => match source.downcast::<ReadFailed>() {
            Ok(failed) => Fault::Store(VerifyError::Read { path: part.path.clone(), source: failed.0 }),
            Err(_) => Fault::Damaged,
        },
        _ => Fault::Damaged,
    }
}

/// How the schema of a file differs from `columns`, in words.
fn schema_difference(schema: &SchemaDescriptor, columns: &[Column]) -> Option<String> {
    if schema.num_columns() != columns.len() {
        return Some(format!("{} columns instead of {}", schema.num_columns(), columns.len()));
    }
    for ((found, wanted), id) in schema.columns().iter().zip(columns).zip(1..) {
        let info = found.self_type().get_basic_info();
        let (physical, text) = match wanted.ty {
            ColumnType::String => (PhysicalType::BYTE_ARRAY, true),
            ColumnType::BigInt => (PhysicalType::INT64, false),
            ColumnType::Double => (PhysicalType::DOUBLE, false),
        };
        let repetition = if wanted.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let is_text = matches!(info.logical_type_ref(), Some(LogicalType::String));
        let plain =
            info.logical_type_ref().is_none() || matches!(info.logical_type_ref(), Some(LogicalType::Integer { .. }));
        let difference = if found.path().parts() != [wanted.name] {
            "another name"
        } else if found.physical_type() != physical || (text && !is_text) || (!text && !plain) {
            "another type"
        } else if info.repetition() != repetition {
            "another nullability"
        } else if !info.has_id() || info.id() != id {
            "another field id"
        } else {
            continue;
        };
        return Some(format!("column {id}, which should be {}, has {difference}", wanted.name));
    }
    None
}
