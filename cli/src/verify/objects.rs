//! What `verify` reads: a small port, so that its checks run on any store and in tests.

use std::io;
use std::ops::Range;

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// Reads a lake. Paths are relative to the lake.
pub trait Objects: Sync {
    /// The objects whose path starts with `folder` and a `/`, with their sizes.
    ///
    /// # Errors
    /// If the store cannot be listed. A folder that does not exist has no objects.
    fn list(&self, folder: &str) -> io::Result<Vec<Listed>>;

    /// The bytes of an object in `range`.
    ///
    /// # Errors
    /// If the object cannot be read; [`io::ErrorKind::NotFound`] if it does not exist.
    fn read(&self, path: &str, range: Range<u64>) -> io::Result<Bytes>;

    /// A landing object as it is now; `None` if it is gone. `key` is as the ledger has it: relative to the lake, or a
    /// whole URI.
    ///
    /// # Errors
    /// If the store does not answer.
    fn landing(&self, key: &str) -> io::Result<Option<LandingObject>>;

    /// The bytes of a landing object in `range`.
    ///
    /// # Errors
    /// If the object cannot be read.
    fn read_landing(&self, key: &str, range: Range<u64>) -> io::Result<Bytes>;
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Path below the lake.
    pub path: String,
    /// Size.
    pub bytes: u64,
}

/// A landing object as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingObject {
    /// Size as stored.
    pub bytes: u64,
    /// The store's ETag.
    pub etag: String,
}

/// The footer side of a part: read where the parquet crate asks.
#[derive(Clone, Copy)]
pub(crate) struct PartFile<'a> {
    pub(crate) objects: &'a dyn Objects,
    pub(crate) path: &'a str,
    pub(crate) bytes: u64,
}

impl PartFile<'_> {
    /// A window on the part that holds the bytes of `range`.
    pub(crate) fn window(self, range: Range<u64>) -> parquet::errors::Result<Window> {
        Ok(Window { start: range.start, file_bytes: self.bytes, held: self.range(range)? })
    }

    fn range(self, range: Range<u64>) -> parquet::errors::Result<Bytes> {
        if range.start > range.end || range.end > self.bytes {
            return Err(ParquetError::EOF("a range outside the file".to_owned()));
        }
        let held = self
            .objects
            .read(self.path, range.clone())
            .map_err(|error| ParquetError::External(Box::new(ReadFailed(error))))?;
        if held.len() as u64 == range.end - range.start {
            Ok(held)
        } else {
            Err(ParquetError::EOF("the object is shorter than its listing says".to_owned()))
        }
    }
}

/// Marks, inside a parquet error, that the store failed and not the file.
#[derive(Debug, thiserror::Error)]
#[error("the object cannot be read")]
pub(crate) struct ReadFailed(#[source] pub(crate) io::Error);

impl Length for PartFile<'_> {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for PartFile<'_> {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.range(start..self.bytes)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.range(start..start.saturating_add(length as u64))
    }
}

/// The bytes of one row group: one read of the store for each.
#[derive(Clone)]
pub(crate) struct Window {
    start: u64,
    file_bytes: u64,
    held: Bytes,
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.file_bytes
    }
}

impl ChunkReader for Window {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let from = self.from(start)?;
        if length > from.len() {
            return Err(ParquetError::EOF("a page outside its row group".to_owned()));
        }
        Ok(from.slice(..length))
    }
}

impl Window {
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let skip = start.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        match skip {
            Some(skip) if skip <= self.held.len() => Ok(self.held.slice(skip..)),
            _ => Err(ParquetError::EOF("a page outside its row group".to_owned())),
        }
    }
}
