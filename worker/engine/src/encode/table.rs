//! Writes the parts of one reading table and one shard.

use std::io::Write;
use std::sync::Arc;

use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use stedi_lake::CuratedTable;
use stedi_lake::options::Compression;

use super::column::{ColumnEncoder, EncodedColumn};
use super::{EncodeError, PartStore, TableRows};

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
    part_bytes_target: u64,
    open: Option<OpenPart<S::Part>>,
}

struct OpenPart<W: Write + Send> {
    writer: SerializedFileWriter<Counted<W>>,
    rows: u64,
}

/// Counts the bytes that pass, the footer's too.
struct Counted<W> {
    inner: W,
    bytes: u64,
    /// What comes last, once it is asked for: where that cannot be written, the library would not tell the cause.
    footer: Option<Vec<u8>>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = match &mut self.footer {
            Some(footer) => footer.write(bytes)?,
            None => self.inner.write(bytes)?,
        };
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
        Self { store, table, shard, next_n: 0, compression, part_bytes_target: PART_BYTES_TARGET, open: None }
    }

    /// The shard whose parts these are.
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// Writes one row group; its columns are encoded in parallel.
    pub(crate) fn write(&mut self, rows: &impl TableRows) -> Result<(), EncodeError> {
        assert_eq!(rows.table(), self.table, "rows of another table");
        let mut part = match self.open.take() {
            Some(part) => part,
            None => self.create()?,
        };
        self.write_row_group(&mut part, rows).map_err(|error| EncodeError::new(self.table, error))?;
        part.rows += rows.rows() as u64;
        let is_full = part.writer.bytes_written() as u64 >= self.part_bytes_target;
        self.open = Some(part);
        if is_full { self.end_part() } else { Ok(()) }
    }

    fn write_row_group(&self, part: &mut OpenPart<S::Part>, rows: &impl TableRows) -> Result<(), ParquetError> {
        let compression = self.compression;
        let columns: Vec<EncodedColumn> = part
            .writer
            .schema_descr()
            .columns()
            .to_vec()
            .into_par_iter()
            .enumerate()
            .map(|(column, descriptor)| {
                let mut encoder = ColumnEncoder::new(descriptor, compression)?;
                rows.emit_column(column, &mut |values| encoder.page(&values))?;
                encoder.close()
            })
            .collect::<Result<_, _>>()?;
        let mut row_group = part.writer.next_row_group()?;
        for column in columns {
            assert_eq!(column.close.rows_written, rows.rows() as u64, "a column must have a value for each row");
            row_group.append_column(&column.bytes, column.close)?;
        }
        row_group.close()?;
        Ok(())
    }

    /// Completes the part that is open, if any. The next rows begin a new one.
    ///
    /// # Errors
    /// What the store or the Parquet library returns.
    pub fn end_part(&mut self) -> Result<(), EncodeError> {
        let Some(mut part) = self.open.take() else { return Ok(()) };
        let table = self.table;
        part.writer.inner_mut().footer = Some(Vec::new());
        let written = part.writer.into_inner().map_err(|error| EncodeError::new(table, error))?;
        let Counted { mut inner, bytes, footer } = written;
        inner
            .write_all(&footer.unwrap_or_default())
            .and_then(|()| self.store.finish(inner, part.rows, bytes))
            .map_err(|source| EncodeError::Store { table, source })
    }

    fn create(&mut self) -> Result<OpenPart<S::Part>, EncodeError> {
        let table = self.table;
        let inner =
            self.store.create(table, self.shard, self.next_n).map_err(|source| EncodeError::Store { table, source })?;
        self.next_n += 1;
        let open = || -> Result<_, ParquetError> {
            let schema = ArrowSchemaConverter::new().convert(&table.arrow_schema())?;
            let properties = Arc::new(properties(table, self.compression));
            let writer = SerializedFileWriter::new(
                Counted { inner, bytes: 0, footer: None },
                schema.root_schema_ptr(),
                properties,
            )?;
            Ok(OpenPart { writer, rows: 0 })
        };
        open().map_err(|error| EncodeError::new(table, error))
    }
}

/// What the file's metadata says of `table`: codec and sort order. Statistics and page index are there for every column.
pub(super) fn properties(table: CuratedTable, compression: Compression) -> WriterProperties {
    let sorting = table
        .sort_order()
        .into_iter()
        .map(|column| SortingColumn {
            column_idx: i32::try_from(column).unwrap_or(i32::MAX),
            descending: false,
            nulls_first: true,
        })
        .collect();
    WriterProperties::builder()
        .set_compression(super::codec(compression))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(sorting))
        .build()
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::encode::{Emit, columns};

    /// Keeps the numbers, rows and bytes of parts.
    #[derive(Default)]
    pub(in crate::encode) struct Sizes(Mutex<Vec<(u32, u64, u64)>>);

    impl Sizes {
        pub(in crate::encode) fn into_parts(self) -> Vec<(u32, u64, u64)> {
            self.0.into_inner().expect("no panic")
        }
    }

    pub(in crate::encode) struct Numbered {
        n: u32,
        bytes: Vec<u8>,
    }

    impl Write for Numbered {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl PartStore for Sizes {
        type Part = Numbered;

        fn create(&self, _: CuratedTable, _: u32, n: u32) -> io::Result<Self::Part> {
            Ok(Numbered { n, bytes: Vec::new() })
        }

        fn finish(&self, part: Numbered, rows: u64, bytes: u64) -> io::Result<()> {
            assert_eq!(part.bytes.len() as u64, bytes);
            self.0.lock().expect("no panic").push((part.n, rows, bytes));
            Ok(())
        }
    }

    /// Has no room for a footer.
    struct Full;

    struct UpToTheFooter(Vec<u8>);

    impl Write for UpToTheFooter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.0.is_empty() && bytes.ends_with(b"PAR1") {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl PartStore for Full {
        type Part = UpToTheFooter;

        fn create(&self, _: CuratedTable, _: u32, _: u32) -> io::Result<Self::Part> {
            Ok(UpToTheFooter(Vec::new()))
        }

        fn finish(&self, _: UpToTheFooter, _: u64, _: u64) -> io::Result<()> {
            unreachable!("it is not whole")
        }
    }

    #[test]
    fn a_footer_that_cannot_be_written_is_the_stores_error() {
        let mut encoder = TableEncoder::new(&Full, CuratedTable::AccelerometerTrusted, 0, Compression::None);
        encoder.write(&Readings(9000)).expect("there is room");
        let error = encoder.end_part().expect_err("there is no room");
        let EncodeError::Store { source, .. } = error else { panic!("{error}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    }

    /// So many readings of one user, no two alike.
    struct Readings(u32);

    impl TableRows for Readings {
        fn table(&self) -> CuratedTable {
            CuratedTable::AccelerometerTrusted
        }

        fn rows(&self) -> usize {
            self.0 as usize
        }

        fn emit_column(&self, column: usize, emit: Emit<'_>) -> Result<(), ParquetError> {
            let rows = 0..self.0;
            match column {
                0 => columns::text(rows.map(|_| 0), |_| "a@test.com", emit),
                1 => columns::time(rows.map(i64::from), emit),
                _ => columns::double(rows.map(|row| f64::from(row).sqrt()), emit),
            }
        }
    }

    #[test]
    fn parts_end_near_their_target() {
        const TARGET: u64 = 200_000;
        let store = Sizes::default();
        let mut encoder = TableEncoder::new(&store, CuratedTable::AccelerometerTrusted, 3, Compression::None);
        assert_eq!(encoder.part_bytes_target, 256 << 20);
        encoder.part_bytes_target = TARGET;
        let groups = [1_000; 25].into_iter().chain([50_000, 10]);
        groups.for_each(|rows| encoder.write(&Readings(rows)).expect("a Vec"));
        encoder.end_part().expect("a Vec");
        let parts = store.into_parts();
        let rows: Vec<(u32, u64)> = parts.iter().map(|(n, rows, _)| (*n, *rows)).collect();
        assert_eq!(rows, [(0, 8_000), (1, 8_000), (2, 8_000), (3, 51_000), (4, 10)], "{parts:?}");
        assert!(parts[..3].iter().all(|(_, _, bytes)| (TARGET..TARGET + 50_000).contains(bytes)), "{parts:?}");
    }
}
