//! An object's bytes as stored: from a file, or from a store elsewhere.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore as _};
use stedi_store::{Action, LandingObject, StoreError};
use tokio::runtime::Handle;

use super::ahead::{CutShort, ReadAhead};
use super::{ReadError, Shrunk};

/// What a split asks of a remote store beyond its end, where its last record may go on.
const OVERREAD_BYTES: u64 = 64 << 10;

/// A larger object is asked for as a range even if all of it is wanted: S3 then brings pieces of it at once.
const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// What is asked for next when that was too little.
pub(super) const WINDOW_BYTES: u64 = 1 << 20;

/// Where an object's bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file of this machine.
    File {
        /// The file.
        file: File,
        /// Offset of the next byte.
        at: u64,
        /// Size that was listed.
        end: u64,
    },
    /// Another store.
    Remote(Remote),
}

/// An object elsewhere, asked for window by window; the bytes of a window arrive while earlier ones are decoded.
#[derive(Debug)]
pub(crate) struct Remote {
    runtime: Handle,
    object: LandingObject,
    at: u64,
    window_end: u64,
    ahead: ReadAhead,
}

/// Opens `object` at `start`; little beyond `end` is wanted.
pub(super) async fn open(runtime: Handle, object: LandingObject, start: u64, end: u64) -> Result<Source, ReadError> {
    let end = end.saturating_add(OVERREAD_BYTES).min(object.bytes);
    let result = get(&object, window(&object, start, end)).await?;
    Ok(match result.payload {
        GetResultPayload::File(file, _) => Source::File { file, at: start, end: object.bytes },
        GetResultPayload::Stream(stream) => {
            let ahead = ReadAhead::new(&runtime, stream);
            Source::Remote(Remote { runtime, object, at: start, window_end: end, ahead })
        }
    })
}

/// Asks for the version of `object` that was listed.
pub(super) async fn get(object: &LandingObject, options: GetOptions) -> Result<GetResult, ReadError> {
    let key = || object.key.clone();
    let options = GetOptions { if_match: Some(object.etag.clone()), ..options };
    match object.store.get_opts(&object.path, options).await {
        Ok(result) if result.meta.size == object.bytes => Ok(result),
        Ok(_) | Err(object_store::Error::Precondition { .. }) => Err(ReadError::Changed { key: key() }),
        Err(error) => {
            Err(ReadError::Store { key: key(), source: StoreError::of_store(Action::Read, object.key.as_str(), error) })
        }
    }
}

fn window(object: &LandingObject, start: u64, end: u64) -> GetOptions {
    let in_pieces = start > 0 || end < object.bytes || object.bytes > WHOLE_BYTES_MAX;
    let range = in_pieces.then_some(GetRange::Bounded(start..end));
    GetOptions { range, ..GetOptions::default() }
}

impl Source {
    /// Whether the bytes may change while they are read: a store elsewhere sends those of one version.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, at, end } => read_file(file, at, *end, buffer),
            Self::Remote(remote) => remote.read(buffer),
        }
    }
}

fn read_file(file: &File, at: &mut u64, end: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let left = usize::try_from(end - *at).unwrap_or(usize::MAX);
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

impl Remote {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.window_end && self.at < self.object.bytes {
            self.window_end = (self.at + WINDOW_BYTES).min(self.object.bytes);
            let next = get(&self.object, window(&self.object, self.at, self.window_end));
            let result = self.runtime.block_on(next).map_err(io::Error::other)?;
            self.ahead = ReadAhead::new(&self.runtime, result.into_stream());
        }
        let read = self.ahead.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.at < self.window_end {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, CutShort));
        }
        self.at += read as u64;
        Ok(read)
    }
}
