//! Landing objects as streams of decompressed bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore};
use stedi_store::{LandingObject, StoreError};
use tokio::runtime::Handle;

/// Bytes from an object's start that tell its compression and layout.
pub const SNIFF_BYTES: usize = 64 << 10;

/// A larger object is asked for as a range even from its start: S3 then brings pieces of it at once.
const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// Why a landing object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The object is not the one that was listed.
    #[error("{key} changed while the run was reading it; nothing was committed, run again when landing is quiet")]
    Changed {
        /// Its key.
        key: String,
    },
    /// The store failed.
    #[error("failed to read landing object {key}")]
    Store {
        /// Its key.
        key: String,
        /// What the store said.
        source: StoreError,
    },
    /// Reading failed.
    #[error("failed to read landing object {key}")]
    Io {
        /// Its key.
        key: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How an object is compressed; its first bytes tell, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Plain JSON.
    None,
    /// RFC 1952; several members are read as one stream.
    Gzip,
    /// RFC 8878; several frames are read as one stream.
    Zstd,
}

/// Tells the compression from the first bytes of an object.
pub fn compression(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Opens landing objects.
#[derive(Clone, Debug)]
pub struct LandingReader {
    runtime: Handle,
}

/// An object's bytes as stored, from some offset on.
enum Stored {
    File { file: File, at: u64, end: u64 },
    Stream { runtime: Handle, stream: BoxStream<'static, object_store::Result<Bytes>>, chunk: Bytes },
}

impl LandingReader {
    /// A reader whose requests run on `runtime`. Its methods block: call them outside of async code.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime }
    }

    /// Opens a plain object at `offset`.
    ///
    /// # Errors
    /// If the object is gone, cannot be read, or is not the version that was listed.
    pub fn open_at(&self, object: &LandingObject, offset: u64) -> Result<impl Read + use<>, ReadError> {
        self.stored(object, offset)
    }

    /// Opens a whole object and decompresses it as its first bytes say.
    ///
    /// # Errors
    /// As [`Self::open_at`].
    pub fn open(&self, object: &LandingObject) -> Result<(Compression, Box<dyn Read>), ReadError> {
        let mut stored = self.stored(object, 0)?;
        let mut magic = Vec::new();
        stored.by_ref().take(4).read_to_end(&mut magic).map_err(|error| failed(object, error))?;
        let compression = compression(&magic);
        let whole = Read::chain(io::Cursor::new(magic), stored);
        let buffered = |whole| BufReader::with_capacity(1 << 17, whole);
        Ok((
            compression,
            match compression {
                Compression::None => Box::new(whole),
                Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
                Compression::Zstd => Box::new(
                    zstd::stream::read::Decoder::with_buffer(buffered(whole)).map_err(|error| failed(object, error))?,
                ),
            },
        ))
    }

    /// The first bytes of an object as stored, [`SNIFF_BYTES`] unless it is shorter.
    ///
    /// # Errors
    /// As [`Self::open_at`].
    pub fn start(&self, object: &LandingObject) -> Result<Vec<u8>, ReadError> {
        let mut start = Vec::new();
        self.stored(object, 0)?
            .take(SNIFF_BYTES as u64)
            .read_to_end(&mut start)
            .map_err(|error| failed(object, error))?;
        Ok(start)
    }

    /// Checks that an object that was read is still the version that was listed.
    ///
    /// # Errors
    /// [`ReadError::Changed`] if it is not.
    pub fn check_unchanged(&self, object: &LandingObject) -> Result<(), ReadError> {
        self.get(object, GetOptions { head: true, ..GetOptions::default() }).map(|_| ())
    }

    fn stored(&self, object: &LandingObject, offset: u64) -> Result<Stored, ReadError> {
        let in_pieces = offset > 0 || object.bytes > WHOLE_BYTES_MAX;
        let range = in_pieces.then_some(GetRange::Offset(offset));
        let result = self.get(object, GetOptions { range, ..GetOptions::default() })?;
        Ok(match result.payload {
            GetResultPayload::File(file, _) => Stored::File { file, at: offset, end: object.bytes },
            GetResultPayload::Stream(stream) => {
                Stored::Stream { runtime: self.runtime.clone(), stream, chunk: Bytes::new() }
            }
        })
    }

    fn get(&self, object: &LandingObject, options: GetOptions) -> Result<object_store::GetResult, ReadError> {
        let key = || object.key.clone();
        let options = GetOptions { if_match: Some(object.etag.clone()), ..options };
        match self.runtime.block_on(object.store.get_opts(&object.path, options)) {
            Ok(result) if result.meta.size == object.bytes => Ok(result),
            Ok(_) | Err(object_store::Error::Precondition { .. }) => Err(ReadError::Changed { key: key() }),
            Err(error) => Err(ReadError::Store {
                key: key(),
                source: StoreError::of_store(stedi_store::Action::Read, object.key.as_str(), error),
            }),
        }
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, at, end } => {
                let left = usize::try_from(*end - *at).unwrap_or(usize::MAX);
                let wanted = buffer.len().min(left);
                if wanted == 0 {
                    return Ok(0);
                }
                let read = file.read_at(&mut buffer[..wanted], *at)?;
                if read == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, Shrunk));
                }
                *at += read as u64;
                Ok(read)
            }
            Self::Stream { runtime, stream, chunk } => {
                while chunk.is_empty() {
                    match runtime.block_on(stream.next()) {
                        Some(next) => *chunk = next?,
                        None => return Ok(0),
                    }
                }
                let read = buffer.len().min(chunk.len());
                chunk.copy_to_slice(&mut buffer[..read]);
                Ok(read)
            }
        }
    }
}

/// Tells a file that shrank from compressed data that ends early.
#[derive(Debug, thiserror::Error)]
#[error("the file is shorter than it was when it was listed")]
struct Shrunk;

/// Whether reading failed because of what the object holds: compressed data that is damaged or cut off.
pub(crate) fn is_damage(compression: Compression, error: &io::Error) -> bool {
    let inner = error.get_ref();
    compression != Compression::None
        && error.raw_os_error().is_none()
        && !inner.is_some_and(|e| e.is::<Shrunk>() || e.is::<object_store::Error>())
}

/// The error of an object that could not be read to its end.
pub(crate) fn failed(object: &LandingObject, source: io::Error) -> ReadError {
    let key = object.key.clone();
    if source.get_ref().is_some_and(|e| e.is::<Shrunk>()) {
        return ReadError::Changed { key };
    }
    ReadError::Io { key, source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStoreExt, PutPayload};
    use stedi_lake::LandingTable;

    use super::*;

    #[test]
    fn a_remote_object_reads_from_any_offset_and_not_once_it_changed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("a.json");
        let put = |text: &'static str| {
            runtime.block_on(store.put(&path, PutPayload::from_static(text.as_bytes()))).expect("memory takes it")
        };
        let etag = put("0123456789").e_tag.expect("memory has etags");
        let object = LandingObject {
            table: LandingTable::Customer,
            key: "a.json".into(),
            etag,
            bytes: 10,
            store: Arc::clone(&store),
            path: path.clone(),
        };
        let reader = LandingReader::new(runtime.handle().clone());
        let mut text = String::new();
        let mut from_three = reader.open_at(&object, 3).expect("readable");
        from_three.read_to_string(&mut text).expect("readable");
        assert_eq!(text, "3456789");
        assert!(reader.check_unchanged(&object).is_ok());
        put("0123456780");
        assert!(matches!(reader.check_unchanged(&object), Err(ReadError::Changed { .. })));
        assert!(matches!(reader.start(&object), Err(ReadError::Changed { .. })));
    }
}
