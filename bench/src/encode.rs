//! Encodes tables that are in memory, with the engine's properties and as the engine does it: row group by row group,
//! text as dictionaries, the columns of a row group in parallel.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::file::writer::SerializedFileWriter;
use rayon::prelude::*;
use stedi_engine::encode::{ROW_GROUP_ROWS, part_properties};
use stedi_lake::commit::CommitRecord;
use stedi_lake::options::Compression;
use stedi_lake::{CuratedTable, layout};

const BATCH_ROWS: usize = 8192;

/// The batches of each row group of a table.
type RowGroups = Vec<Vec<RecordBatch>>;

/// The files of the current commit of the lake in the folder `lake`.
pub(crate) fn current_parts(lake: &Path) -> anyhow::Result<BTreeMap<CuratedTable, Vec<PathBuf>>> {
    let names = fs::read_dir(lake.join(layout::LOG))?.map(|entry| Ok(entry?.path()));
    let newest = names.collect::<anyhow::Result<Vec<_>>>()?.into_iter().max().context("the lake has no commit")?;
    let commit: CommitRecord = serde_json::from_slice(&fs::read(newest)?)?;
    let files = |parts: &[stedi_lake::commit::Part]| parts.iter().map(|part| lake.join(&part.path)).collect();
    Ok(commit.tables.iter().map(|(&table, listed)| (table, files(&listed.parts))).collect())
}

/// Reads a table into memory, in row groups as large as the engine's.
pub(crate) fn load(table: CuratedTable, parts: &[PathBuf]) -> anyhow::Result<RowGroups> {
    let schema = dictionaries(&table.arrow_schema());
    let mut groups = Vec::new();
    for part in parts {
        let options = ArrowReaderOptions::new().with_schema(schema.clone());
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(part)?, options)?
            .with_batch_size(BATCH_ROWS)
            .build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        groups.extend(batches.chunks(ROW_GROUP_ROWS / BATCH_ROWS).map(<[_]>::to_vec));
    }
    Ok(groups)
}

/// Encodes the row groups as one file in memory; returns its size.
pub(crate) fn encode(table: CuratedTable, groups: &RowGroups) -> anyhow::Result<usize> {
    let schema = table.arrow_schema();
    let descriptor = ArrowSchemaConverter::new().convert(&schema)?;
    let properties = Arc::new(part_properties(table, Compression::Zstd));
    let mut writer = SerializedFileWriter::new(Vec::new(), descriptor.root_schema_ptr(), properties)?;
    for (n, batches) in groups.iter().enumerate() {
        let writers = ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema)).create_column_writers(n)?;
        let chunks: Vec<ArrowColumnChunk> = writers
            .into_par_iter()
            .enumerate()
            .map(|(column, writer)| encode_column(batches, column, schema.field(column), writer))
            .collect::<anyhow::Result<_>>()?;
        let mut row_group = writer.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
    }
    writer.finish()?;
    Ok(writer.bytes_written())
}

fn encode_column(
    batches: &[RecordBatch],
    column: usize,
    field: &Field,
    mut writer: ArrowColumnWriter,
) -> anyhow::Result<ArrowColumnChunk> {
    for batch in batches {
        let values = batch.column(column);
        let field = field.clone().with_data_type(values.data_type().clone());
        for leaf in compute_leaves(&field, values)? {
            writer.write(&leaf)?;
        }
    }
    Ok(writer.close()?)
}

fn dictionaries(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => {
            let keyed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(keyed))
        }
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}
