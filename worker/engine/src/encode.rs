//! Parquet: rows of a table in, parts out.

pub(crate) mod columns;
mod table;

use std::io;

use arrow_array::ArrayRef;
use stedi_lake::CuratedTable;

pub use table::{PART_BYTES_TARGET, ROW_GROUP_ROWS, TableEncoder, encode_customers, part_properties};

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
        source: parquet::errors::ParquetError,
    },
}

/// Takes the values of a column, batch by batch.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(ArrayRef) -> Result<(), parquet::errors::ParquetError>;

/// Rows of one row group, column by column.
pub(crate) trait TableRows: Sync {
    /// The table they belong to.
    fn table(&self) -> CuratedTable;

    /// How many there are.
    fn rows(&self) -> usize;

    /// Emits the values of column `column`, all rows in order.
    fn emit_column(&self, column: usize, emit: Emit<'_>) -> Result<(), parquet::errors::ParquetError>;
}
