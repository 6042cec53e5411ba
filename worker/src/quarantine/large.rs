//! A record of megabytes, written from where the decoder has it: every copy of it would be beyond `--memory`.

use std::io::{Chain, Cursor, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnDescPtr;

use super::Row;

/// Writes a Parquet file of this row to `sink`. Its raw bytes are neither copied nor compressed.
///
/// # Errors
/// What `sink` or the Parquet library returns.
pub(super) fn write(sink: impl Write + Send, row: &Row<'_>) -> Result<(), ParquetError> {
    let schema = ArrowSchemaConverter::new().convert(&super::schema())?;
    let raw_column = schema.column(schema.num_columns() - 1);
    // the library wants an offset index of all columns or of none
    let properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build();
    let mut writer = SerializedFileWriter::new(sink, schema.root_schema_ptr(), Arc::new(properties))?;
    let mut columns = writer.next_row_group()?;
    value::<ByteArrayType, _>(&mut columns, row.table.name().into())?;
    value::<ByteArrayType, _>(&mut columns, row.object.into())?;
    value::<Int64Type, _>(&mut columns, row.offset.cast_signed())?;
    value::<Int64Type, _>(&mut columns, row.bytes.cast_signed())?;
    value::<ByteArrayType, _>(&mut columns, row.reason.into())?;
    let page = OnePage::new(row.raw)?;
    columns.append_column(&page, page.close(raw_column)?)?;
    columns.close()?;
    writer.close().map(|_| ())
}

fn value<T: DataType, W: Write + Send>(
    columns: &mut SerializedRowGroupWriter<'_, W>,
    value: T::T,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the quarantine has fewer columns than a record".to_owned());
    let mut column = columns.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(&[value], None, None)?;
    column.close()
}

/// A column chunk of one page with one value.
struct OnePage<'a> {
    /// The page's header, and the value's length.
    head: Vec<u8>,
    value: &'a [u8],
}

impl<'a> OnePage<'a> {
    fn new(value: &'a [u8]) -> Result<Self, ParquetError> {
        let length = u32::try_from(value.len()).map_err(|error| ParquetError::External(error.into()))?;
        let page_bytes = length.saturating_add(4);
        // `PageHeader` of parquet.thrift in the compact protocol of Thrift, where a field begins with the distance of its
        // number from that of the last one and its type: 5 is i32, 12 is a struct. Numbers are zigzag varints.
        let mut head = vec![0x15, 0]; // 1: a data page
        for _ in ["2: plain bytes", "3: compressed bytes"] {
            head.push(0x15);
            push_zigzag(page_bytes, &mut head);
        }
        // 5: of one value, in encoding PLAIN (0), with levels, of which there are none, in RLE (3)
        head.extend([0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0]);
        head.extend(length.to_le_bytes());
        Ok(Self { head, value })
    }

    fn close(&self, descriptor: ColumnDescPtr) -> Result<ColumnCloseResult, ParquetError> {
        let bytes = self.len();
        let metadata = ColumnChunkMetaData::builder(descriptor)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_total_compressed_size(bytes.cast_signed())
            .set_total_uncompressed_size(bytes.cast_signed())
            .set_num_values(1)
            .set_data_page_offset(0)
            .build()?;
        Ok(ColumnCloseResult {
            bytes_written: bytes,
            rows_written: 1,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        })
    }
}

fn push_zigzag(value: u32, bytes: &mut Vec<u8>) {
    let mut left = u64::from(value) << 1;
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

impl Length for OnePage<'_> {
    fn len(&self) -> u64 {
        (self.head.len() + self.value.len()) as u64
    }
}

impl<'a> ChunkReader for OnePage<'a> {
    type T = Chain<Cursor<Vec<u8>>, &'a [u8]>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        assert_eq!(start, 0, "it is written from its start");
        Ok(Cursor::new(self.head.clone()).chain(self.value))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = Vec::new();
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}
