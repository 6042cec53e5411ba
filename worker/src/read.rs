//! Landing objects as streams of decompressed bytes.

mod ahead;
mod source;
mod window;

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::GetOptions;
use stedi_store::{LandingObject, StoreError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::memory::Budget;
use ahead::CutShort;
use source::Source;
pub use window::WindowTooLarge;
pub(crate) use window::{WINDOW_LOG_MAX, WINDOW_LOG_USUAL, ZstdWindow};

/// Bytes from an object's start that tell its compression and layout.
pub const SNIFF_BYTES: usize = 64 << 10;

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
    /// Decompressing takes more memory than there is for it.
    #[error(transparent)]
    Window(#[from] WindowTooLarge),
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
        // a frame, or a skippable one before it, as pzstd writes
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Opens landing objects.
#[derive(Clone, Debug)]
pub struct LandingReader {
    runtime: Handle,
    window: ZstdWindow,
    bytes_read: Arc<AtomicU64>,
}

/// An object that is being opened while others are read.
#[derive(Debug)]
pub(crate) struct Opening(JoinHandle<Result<Source, ReadError>>);

/// An object's bytes as stored, from some offset on, counted.
struct Stored {
    source: Source,
    read: Arc<AtomicU64>,
}

/// A whole object, decompressed as its first bytes say.
pub struct Opened {
    /// How it is compressed.
    pub compression: Compression,
    /// Whether it is a file, which may change while it is read. What another store sends is of one version.
    pub is_file: bool,
    /// Its bytes.
    pub bytes: Box<dyn Read>,
}

impl LandingReader {
    /// A reader whose requests run on `runtime`, which other threads must drive. Its methods block: call them outside
    /// of async code.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, window: ZstdWindow::default(), bytes_read: Arc::default() }
    }

    /// The same for objects that are read by all threads of `budget` at once.
    #[must_use]
    pub fn within(self, budget: &Budget) -> Self {
        Self { window: budget.zstd_window(), ..self }
    }

    /// Bytes, as stored, that were read through this reader.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Begins to open an object at `start`, of which little beyond `end` is wanted.
    pub(crate) fn begin(&self, object: &LandingObject, start: u64, end: u64) -> Opening {
        Opening(self.runtime.spawn(source::open(self.runtime.clone(), object.clone(), start, end)))
    }

    /// Opens a plain object at `start`, of which little beyond `end` is wanted, or ends what was begun with the same.
    /// Tells whether it is a file, too.
    pub(crate) fn open_at(
        &self,
        object: &LandingObject,
        start: u64,
        end: u64,
        begun: Option<Opening>,
    ) -> Result<(bool, impl Read + use<>), ReadError> {
        let stored = self.stored(object, start, end, begun)?;
        Ok((stored.source.is_file(), stored))
    }

    /// Opens a whole object and decompresses it as its first bytes say.
    ///
    /// # Errors
    /// If the object is gone, cannot be read, or is not the version that was listed.
    pub fn open(&self, object: &LandingObject) -> Result<Opened, ReadError> {
        self.open_begun(object, None)
    }

    /// As [`Self::open`], where [`Self::begin`] may have begun it.
    pub(crate) fn open_begun(&self, object: &LandingObject, begun: Option<Opening>) -> Result<Opened, ReadError> {
        let mut stored = self.stored(object, 0, object.bytes, begun)?;
        let is_file = stored.source.is_file();
        let mut magic = Vec::new();
        stored.by_ref().take(4).read_to_end(&mut magic).map_err(|error| failed(object, error))?;
        let compression = compression(&magic);
        let whole = Read::chain(io::Cursor::new(magic), stored);
        let buffered = |whole| BufReader::with_capacity(1 << 17, whole);
        let bytes: Box<dyn Read> = match compression {
            Compression::None => Box::new(whole),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
            Compression::Zstd => {
                Box::new(self.window.decoder(&object.key, buffered(whole)).map_err(|error| failed(object, error))?)
            }
        };
        Ok(Opened { compression, is_file, bytes })
    }

    /// The first bytes of an object as stored, [`SNIFF_BYTES`] unless it is shorter.
    ///
    /// # Errors
    /// If the object is gone, cannot be read, or is not the version that was listed.
    pub fn start(&self, object: &LandingObject) -> Result<Vec<u8>, ReadError> {
        let mut start = Vec::new();
        self.stored(object, 0, 1, None)?
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
        let head = GetOptions { head: true, ..GetOptions::default() };
        self.runtime.block_on(source::get(object, head)).map(|_| ())
    }

    fn stored(
        &self,
        object: &LandingObject,
        start: u64,
        end: u64,
        begun: Option<Opening>,
    ) -> Result<Stored, ReadError> {
        let source = match begun {
            Some(Opening(task)) => self
                .runtime
                .block_on(task)
                .unwrap_or_else(|lost| Err(ReadError::Io { key: object.key.clone(), source: io::Error::other(lost) })),
            None => self.runtime.block_on(source::open(self.runtime.clone(), object.clone(), start, end)),
        }?;
        Ok(Stored { source, read: Arc::clone(&self.bytes_read) })
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
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
        && !inner.is_some_and(|e| {
            e.is::<Shrunk>()
                || e.is::<CutShort>()
                || e.is::<WindowTooLarge>()
                || e.is::<ReadError>()
                || e.is::<object_store::Error>()
        })
}

/// The error of an object that could not be read to its end.
pub(crate) fn failed(object: &LandingObject, source: io::Error) -> ReadError {
    let key = object.key.clone();
    if source.get_ref().is_some_and(|e| e.is::<Shrunk>()) {
        return ReadError::Changed { key };
    }
    let source = match source.downcast::<ReadError>() {
        Ok(error) => return error,
        Err(source) => source,
    };
    let source = match source.downcast::<WindowTooLarge>() {
        Ok(error) => return error.into(),
        Err(source) => source,
    };
    ReadError::Io { key, source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
    use stedi_lake::LandingTable;

    use super::*;

    #[test]
    fn a_remote_object_reads_from_any_offset_and_not_once_it_changed() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
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
        let (is_file, mut from_three) = reader.open_at(&object, 3, 5, None).expect("readable");
        from_three.read_to_string(&mut text).expect("readable");
        assert_eq!((is_file, text.as_str()), (false, "3456789"));
        assert_eq!(reader.bytes_read(), 7);
        assert!(reader.check_unchanged(&object).is_ok());
        put("0123456780");
        assert!(matches!(reader.check_unchanged(&object), Err(ReadError::Changed { .. })));
        assert!(matches!(reader.start(&object), Err(ReadError::Changed { .. })));
    }

    #[test]
    fn a_remote_split_reads_on_beyond_its_window() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("a.json");
        let bytes: Vec<u8> = (0..3 * source::WINDOW_BYTES).map(|i| (i % 251) as u8).collect();
        let put = runtime.block_on(store.put(&path, PutPayload::from(bytes.clone()))).expect("memory takes it");
        let object = LandingObject {
            table: LandingTable::Customer,
            key: "a.json".into(),
            etag: put.e_tag.expect("memory has etags"),
            bytes: bytes.len() as u64,
            store,
            path,
        };
        let reader = LandingReader::new(runtime.handle().clone());
        let mut read = Vec::new();
        let begun = reader.begin(&object, 10, 20);
        reader.open_at(&object, 10, 20, Some(begun)).expect("readable").1.read_to_end(&mut read).expect("readable");
        assert!(read == bytes[10..]);
    }
}
