//! Parquet: rows of a table in, parts out.

mod column;
pub(crate) mod columns;
mod compress;
mod customers;
mod dictionary;
pub(crate) mod pack;
#[cfg(test)]
mod round_trip;
mod table;

use std::io;

use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::errors::ParquetError;
use stedi_lake::CuratedTable;
use stedi_lake::options::Compression;

pub(crate) use columns::Emit;
pub(crate) use customers::columns as customer_columns;
pub use customers::encode_customers;
pub use table::{PART_BYTES_TARGET, ROW_GROUP_ROWS, TableEncoder};

/// Where parts go. A part becomes visible whole or not at all.
pub trait PartStore: Sync {
    /// A part being written.
    type Part: io::Write + Send;

    /// Begins part `n` of a shard.
    ///
    /// # Errors
    /// What the store returns.
    fn create(&self, table: CuratedTable, shard: u32, n: u32) -> io::Result<Self::Part>;

    /// Completes a part of `rows` rows and `bytes` bytes.
    ///
    /// # Errors
    /// What the store returns.
    fn finish(&self, part: Self::Part, rows: u64, bytes: u64) -> io::Result<()>;
}

/// Why a table could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The store failed.
    #[error("failed to write a part of {}", table.name())]
    Store {
        /// The table.
        table: CuratedTable,
        /// What the store said.
        source: io::Error,
    },
    /// The Parquet library refused.
    #[error("failed to encode {}", table.name())]
    Parquet {
        /// The table.
        table: CuratedTable,
        /// What the library said.
        source: ParquetError,
    },
}

/// Rows of one row group, column by column.
pub(crate) trait TableRows: Sync {
    /// The table they belong to.
    fn table(&self) -> CuratedTable;

    /// How many there are.
    fn rows(&self) -> usize;

    /// Emits the values of column `column`, all rows in order.
    fn emit_column(&self, column: usize, emit: Emit<'_>) -> Result<(), ParquetError>;
}

/// The codec as the file's metadata names it.
fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(compress::ZSTD_LEVEL).unwrap_or_default()),
        Compression::Snappy => Codec::SNAPPY,
        Compression::None => Codec::UNCOMPRESSED,
    }
}

impl EncodeError {
    /// An error of the Parquet library, or of the store below it.
    fn new(table: CuratedTable, error: ParquetError) -> Self {
        match error {
            ParquetError::External(source) => match source.downcast::<io::Error>() {
                Ok(source) => Self::Store { table, source: *source },
                Err(source) => Self::Parquet { table, source: ParquetError::External(source) },
            },
            source => Self::Parquet { table, source },
        }
    }
}
