//! Compression of pages, with one context for all pages of a column chunk.

use parquet::errors::ParquetError;
use stedi_lake::options::Compression;

/// zstd level of the pages: on readings, higher levels cost several times as much for a few percent.
pub(super) const ZSTD_LEVEL: i32 = 1;

pub(super) enum Compressor {
    Zstd(zstd::bulk::Compressor<'static>),
    Snappy(Box<snap::raw::Encoder>),
    None,
}

impl Compressor {
    pub(super) fn new(compression: Compression) -> Result<Self, ParquetError> {
        Ok(match compression {
            Compression::Zstd => Self::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
            Compression::Snappy => Self::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::None => Self::None,
        })
    }

    pub(super) fn compress(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ParquetError> {
        let mut compressed = match self {
            Self::Zstd(encoder) => encoder.compress(bytes)?,
            Self::Snappy(encoder) => encoder.compress_vec(bytes).map_err(|e| ParquetError::External(e.into()))?,
            Self::None => bytes.to_vec(),
        };
        // pages wait in memory for their row group
        compressed.shrink_to_fit();
        Ok(compressed)
    }
}
