//! Writes the parts of one table and one shard.

use std::io::Write;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{Field, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression as Codec, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use stedi_lake::options::Compression;
use stedi_lake::{CuratedTable, Customer};

use super::{EncodeError, PartStore, TableRows, columns};

/// Rows of a row group; only the last one of a part or of a slice has fewer.
pub const ROW_GROUP_ROWS: usize = 1 << 20;

/// A part that has reached this size takes no further row group.
pub const PART_BYTES_TARGET: u64 = 256 << 20;

/// Writes the parts of one table and one shard: a new part when the last one has reached its size.
pub struct TableEncoder<'s, S: PartStore> {
    store: &'s S,
    table: CuratedTable,
    shard: u32,
    next_n: u32,
    compression: Compression,
    open: Option<OpenPart<S::Part>>,
}

struct OpenPart<W: std::io::Write + Send> {
    writer: SerializedFileWriter<Counted<W>>,
    columns: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    row_groups: usize,
    rows: u64,
}

/// Counts the bytes that pass, the footer's too.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl<'s, S: PartStore> TableEncoder<'s, S> {
    /// An encoder that has written nothing yet.
    pub fn new(store: &'s S, table: CuratedTable, shard: u32, compression: Compression) -> Self {
        Self { store, table, shard, next_n: 0, compression, open: None }
    }

    /// The shard whose parts these are.
    pub(crate) fn shard(&self) -> u32 {
        self.shard
    }

    /// Writes one row group; its columns are encoded in parallel.
    pub(crate) fn write(&mut self, rows: &impl TableRows) -> Result<(), EncodeError> {
        assert_eq!(rows.table(), self.table, "rows of another table");
        let table = self.table;
        let parquet = |source| EncodeError::Parquet { table, source };
        let mut part = match self.open.take() {
            Some(part) => part,
            None => self.create()?,
        };
        let writers = part.columns.create_column_writers(part.row_groups).map_err(parquet)?;
        let chunks: Vec<ArrowColumnChunk> = writers
            .into_par_iter()
            .enumerate()
            .map(|(column, writer)| encode_column(rows, column, part.schema.field(column), writer))
            .collect::<Result<_, _>>()
            .map_err(parquet)?;
        let mut row_group = part.writer.next_row_group().map_err(parquet)?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group).map_err(|source| self.failed(source))?;
        }
        row_group.close().map_err(|source| self.failed(source))?;
        part.row_groups += 1;
        part.rows += rows.rows() as u64;
        self.open = Some(part);
        if self.open.as_ref().is_some_and(|p| p.writer.bytes_written() as u64 >= PART_BYTES_TARGET) {
            self.end_part()?;
        }
        Ok(())
    }

    /// Completes the part that is open, if any. The next rows begin a new one.
    ///
    /// # Errors
    /// What the store or the Parquet library returns.
    pub fn end_part(&mut self) -> Result<(), EncodeError> {
        let Some(part) = self.open.take() else { return Ok(()) };
        let Counted { inner, bytes } = part.writer.into_inner().map_err(|source| self.failed(source))?;
        self.store.finish(inner, part.rows, bytes).map_err(|source| EncodeError::Store { table: self.table, source })
    }

    fn create(&mut self) -> Result<OpenPart<S::Part>, EncodeError> {
        let sink = self
            .store
            .create(self.table, self.shard, self.next_n)
            .map_err(|source| EncodeError::Store { table: self.table, source })?;
        self.next_n += 1;
        let schema = self.table.arrow_schema();
        let open = || -> Result<_, ParquetError> {
            let descriptor = ArrowSchemaConverter::new().convert(&schema)?;
            let properties = Arc::new(part_properties(self.table, self.compression));
            let writer =
                SerializedFileWriter::new(Counted { inner: sink, bytes: 0 }, descriptor.root_schema_ptr(), properties)?;
            let columns = ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema));
            Ok(OpenPart { writer, columns, schema: Arc::clone(&schema), row_groups: 0, rows: 0 })
        };
        open().map_err(|source| self.failed(source))
    }

    /// An error of the Parquet library, or of the store below it.
    fn failed(&self, error: ParquetError) -> EncodeError {
        let table = self.table;
        match error {
            ParquetError::External(source) => match source.downcast::<std::io::Error>() {
                Ok(source) => EncodeError::Store { table, source: *source },
                Err(source) => EncodeError::Parquet { table, source: ParquetError::External(source) },
            },
            source => EncodeError::Parquet { table, source },
        }
    }
}

fn encode_column(
    rows: &impl TableRows,
    column: usize,
    field: &Field,
    mut writer: ArrowColumnWriter,
) -> Result<ArrowColumnChunk, ParquetError> {
    let mut written = 0;
    rows.emit_column(column, &mut |array: ArrayRef| {
        written += array.len();
        // text comes as a dictionary, which the field of the file's schema does not say
        let field = field.clone().with_data_type(array.data_type().clone());
        for leaf in compute_leaves(&field, &array)? {
            writer.write(&leaf)?;
        }
        Ok(())
    })?;
    assert_eq!(written, rows.rows(), "column {} must have a value for each row", field.name());
    writer.close()
}

/// How parts of `table` are written: zstd level 1 by default, statistics and page index for every column, times as
/// deltas, everything else with a dictionary as long as that pays.
pub fn part_properties(table: CuratedTable, compression: Compression) -> WriterProperties {
    let codec = match compression {
        Compression::Zstd => Codec::ZSTD(ZstdLevel::default()),
        Compression::Snappy => Codec::SNAPPY,
        Compression::None => Codec::UNCOMPRESSED,
    };
    let sorting = table
        .sort_order()
        .into_iter()
        .map(|column| SortingColumn {
            column_idx: i32::try_from(column).unwrap_or(i32::MAX),
            descending: false,
            nulls_first: true,
        })
        .collect();
    let mut properties = WriterProperties::builder()
        .set_compression(codec)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting));
    for time in ["timestamp", "sensorreadingtime"] {
        let path = ColumnPath::from(time);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// Writes a customer table as one part of shard 0, `rows` in the table's order; nothing if there are none.
///
/// # Errors
/// What the store or the Parquet library returns.
pub fn encode_customers<S: PartStore>(
    store: &S,
    table: CuratedTable,
    rows: &[&Customer],
    compression: Compression,
) -> Result<(), EncodeError> {
    let mut encoder = TableEncoder::new(store, table, 0, compression);
    for rows in rows.chunks(ROW_GROUP_ROWS) {
        encoder.write(&CustomerRows { table, rows })?;
    }
    encoder.end_part()
}

struct CustomerRows<'a> {
    table: CuratedTable,
    rows: &'a [&'a Customer],
}

impl TableRows for CustomerRows<'_> {
    fn table(&self) -> CuratedTable {
        self.table
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn emit_column(&self, column: usize, emit: super::Emit<'_>) -> Result<(), ParquetError> {
        let rows = self.rows.iter();
        emit(match column {
            0 => columns::optional_text(rows.map(|c| c.customer_name.as_deref())),
            1 => columns::optional_text(rows.map(|c| Some(&*c.email))),
            2 => columns::optional_text(rows.map(|c| c.phone.as_deref())),
            3 => columns::optional_text(rows.map(|c| c.birth_day.as_deref())),
            4 => columns::optional_text(rows.map(|c| Some(&*c.serial_number))),
            5 => columns::optional_integers(rows.map(|c| c.registration_date)),
            6 => columns::optional_integers(rows.map(|c| c.last_update_date)),
            7 => columns::optional_integers(rows.map(|c| c.share_with_research_as_of_date)),
            8 => columns::optional_integers(rows.map(|c| c.share_with_public_as_of_date)),
            _ => columns::optional_integers(rows.map(|c| c.share_with_friends_as_of_date)),
        })
    }
}
