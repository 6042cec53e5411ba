//! A [`Lake`] as the objects that `verify` reads.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use stedi_lake::LandingTable;
use stedi_store::{ElsewhereError, Lake, StoreError};

use super::objects::{LandingObject, Listed, Objects};

/// Reads a lake from threads that may block.
pub(super) struct LakeObjects<'a> {
    lake: &'a Lake,
    runtime: tokio::runtime::Runtime,
    /// Landing outside the lake, by key, as far as it was listed.
    elsewhere: Mutex<HashMap<String, stedi_store::LandingObject>>,
}

impl<'a> LakeObjects<'a> {
    pub(super) fn new(lake: &'a Lake) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { lake, runtime, elsewhere: Mutex::default() })
    }

    /// Waits for `future` on this thread.
    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The landing object of a key that is a whole URI: its folder is listed as the run did.
    fn object_elsewhere(&self, key: &str) -> io::Result<Option<stedi_store::LandingObject>> {
        let mut known = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = known.get(key) {
            return Ok(Some(object.clone()));
        }
        let Some((folder, _)) = key.rsplit_once('/') else { return Ok(None) };
        match self.wait(self.lake.landing_elsewhere(folder, LandingTable::Customer)) {
            Ok(objects) => known.extend(objects.into_iter().map(|object| (object.key.clone(), object))),
            Err(ElsewhereError::Open(_) | ElsewhereError::Store(StoreError::NotFound { .. })) => {}
            Err(ElsewhereError::Store(error)) => return Err(io::Error::other(error)),
        }
        Ok(known.get(key).cloned())
    }
}

fn is_uri(key: &str) -> bool {
    key.contains("://")
}

fn store_error(error: object_store::Error) -> io::Error {
    match error {
        object_store::Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
        _ => io::Error::other(error),
    }
}

impl Objects for LakeObjects<'_> {
    fn list(&self, folder: &str) -> io::Result<Vec<Listed>> {
        let listed = self.wait(self.lake.list(folder)).map_err(io::Error::other)?;
        Ok(listed.into_iter().map(|object| Listed { path: object.path, bytes: object.bytes }).collect())
    }

    fn read(&self, path: &str, range: Range<u64>) -> io::Result<Bytes> {
        self.wait(self.lake.store().get_range(&self.lake.path(path), range)).map_err(store_error)
    }

    fn landing(&self, key: &str) -> io::Result<Option<LandingObject>> {
        if is_uri(key) {
            let object = self.object_elsewhere(key)?;
            return Ok(object.map(|object| LandingObject { bytes: object.bytes, etag: object.etag }));
        }
        match self.wait(self.lake.store().head(&self.lake.path(key))) {
            Ok(meta) => Ok(Some(LandingObject { bytes: meta.size, etag: meta.e_tag.unwrap_or_default() })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn read_landing(&self, key: &str, range: Range<u64>) -> io::Result<Bytes> {
        if !is_uri(key) {
            return self.read(key, range);
        }
        let object = self.object_elsewhere(key)?.ok_or(io::ErrorKind::NotFound)?;
        self.wait(object.store.get_range(&object.path, range)).map_err(store_error)
    }
}
