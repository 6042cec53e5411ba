//! A lake: one folder or bucket prefix, and the objects below it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _};
use stedi_lake::LandingTable;

use crate::error::{Action, OpenError, StoreError};
use crate::landing::{self, LandingObject};
use crate::local::LocalLake;
use crate::part::PartWriter;

/// An open lake. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    uri: String,
    store: Arc<dyn ObjectStore>,
    root: object_store::path::Path,
    place: Place,
}

/// What a lake lies on, as far as writing goes.
#[derive(Clone, Debug)]
enum Place {
    Local(LocalLake),
}

/// What became of [`Lake::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutNew {
    /// The object is there now.
    Created,
    /// The name was taken; that object is as it was.
    Exists,
}

/// An object that a listing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Path below the lake.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Epoch ms of its last change.
    pub modified_ms: u64,
    /// The store's ETag.
    pub etag: String,
}

impl Lake {
    /// Opens the lake at `uri`: a path or `file://` URI of a folder that exists.
    ///
    /// # Errors
    /// If it is not such a folder or may not be read.
    pub fn open(uri: &str) -> Result<Self, OpenError> {
        let folder = folder_of_uri(uri)?;
        Self::in_folder(&folder)
    }

    /// Opens the lake at `uri`, and makes its folder first if it is missing.
    ///
    /// # Errors
    /// If there is something else, or it may not be made or read.
    pub fn create(uri: &str) -> Result<Self, OpenError> {
        let folder = folder_of_uri(uri)?;
        match fs::create_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(OpenError::new(uri, error)),
            _ => Self::in_folder(&folder),
        }
    }

    fn in_folder(folder: &Path) -> Result<Self, OpenError> {
        let uri = folder.display().to_string();
        // reading the folder tells whether it is one and may be read
        fs::read_dir(folder).map_err(|error| OpenError::new(&uri, error))?;
        Ok(Self {
            store: Arc::new(local_store(folder, &uri)?),
            root: object_store::path::Path::ROOT,
            place: Place::Local(LocalLake::new(folder.to_owned())),
            uri,
        })
    }

    /// Where the lake is: the absolute path of its folder.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The store that holds it.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The lake's folder, if it is on this machine.
    pub fn local_folder(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Local(local) => Some(local.file("")),
        }
    }

    /// The path in [`Self::store`] of an object below the lake.
    pub fn path(&self, below: &str) -> object_store::path::Path {
        object_store::path::Path::from_iter(
            self.root.parts().chain(below.split('/').filter(|p| !p.is_empty()).map(Into::into)),
        )
    }

    /// The full path or URI of an object below the lake, for people.
    pub fn location(&self, below: &str) -> String {
        format!("{}/{below}", self.uri.trim_end_matches('/'))
    }

    /// The objects of a landing table, sorted by key; hidden and empty ones are left out. Keys are relative to the lake.
    ///
    /// # Errors
    /// If the store cannot list all of them.
    pub async fn landing(&self, table: LandingTable) -> Result<Vec<LandingObject>, StoreError> {
        let place = landing::Place {
            store: &self.store,
            prefix: self.path(table.path()),
            key_prefix: table.path().to_owned(),
            location: self.location(table.path()),
            local: match &self.place {
                Place::Local(local) => Some(local.file(table.path())),
            },
        };
        place.list(table).await
    }

    /// A landing object that was listed before, perhaps by another process. `key` is relative to the lake, or a whole
    /// URI where landing lies elsewhere. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// If the key is a URI that names no object.
    #[expect(clippy::unused_async, reason = "a store that must be asked first would not change its callers")]
    pub async fn landing_object(
        &self,
        table: LandingTable,
        key: &str,
        etag: &str,
        bytes: u64,
    ) -> Result<LandingObject, OpenError> {
        let (store, path) = match key.strip_prefix("file://") {
            Some(path) => (Arc::new(local_store(Path::new("/"), key)?) as Arc<dyn ObjectStore>, path.to_owned()),
            None => (Arc::clone(&self.store), format!("{}/{key}", self.root)),
        };
        // keys are paths as they were listed: nothing in them is to be escaped again
        let path = object_store::path::Path::parse(path.trim_start_matches('/'))
            .map_err(|_| OpenError::UnknownScheme(key.to_owned()))?;
        Ok(LandingObject { table, key: key.to_owned(), etag: etag.to_owned(), bytes, store, path })
    }

    /// The objects below the folder `below`, sorted by path. A folder that is not there holds none.
    ///
    /// # Errors
    /// If the store cannot list all of them.
    pub async fn list(&self, below: &str) -> Result<Vec<StoredObject>, StoreError> {
        let prefix = self.path(below);
        let failed = |error| StoreError::of_store(Action::List, self.location(below), error);
        let mut objects = Vec::new();
        let mut listing = self.store.list(Some(&prefix));
        while let Some(meta) = listing.try_next().await.map_err(failed)? {
            let Some(below_root) = below_prefix(&meta.location, &self.root) else { continue };
            objects.push(StoredObject {
                path: below_root,
                bytes: meta.size,
                modified_ms: meta.last_modified.timestamp_millis().try_into().unwrap_or(0),
                etag: meta.e_tag.unwrap_or_default(),
            });
        }
        objects.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(objects)
    }

    /// Creates an object, unless one of that name is there: of many who try, one wins. It is there whole or not at all,
    /// and once this returns, for good.
    ///
    /// # Errors
    /// If the store fails. The object may be there nevertheless: read back before deciding.
    pub async fn put_new(&self, below: &str, bytes: Bytes) -> Result<PutNew, StoreError> {
        match &self.place {
            Place::Local(local) => {
                let (local, below) = (local.clone(), below.to_owned());
                blocking(move || local.put_new(&below, &bytes)).await
            }
        }
    }

    /// The bytes of an object.
    ///
    /// # Errors
    /// If it is not there or the store fails.
    pub async fn read(&self, below: &str) -> Result<Bytes, StoreError> {
        let failed = |error| StoreError::of_store(Action::Read, self.location(below), error);
        self.store.get(&self.path(below)).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Deletes an object; that it was not there is no error.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, below: &str) -> Result<(), StoreError> {
        match self.store.delete(&self.path(below)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::of_store(Action::Delete, self.location(below), error)),
        }
    }

    /// Removes the folder `below` as far as there are no files in it. Where folders are only prefixes, this does nothing.
    ///
    /// # Errors
    /// If an empty folder may not be removed.
    pub async fn remove_empty_folders(&self, below: &str) -> Result<(), StoreError> {
        match &self.place {
            Place::Local(local) => {
                let (local, below) = (local.clone(), below.to_owned());
                blocking(move || local.remove_empty_folders(&below)).await
            }
        }
    }

    /// Begins a part or another large object. Blocking: for the threads that compute.
    ///
    /// # Errors
    /// If the store fails.
    pub fn part_writer(&self, below: &str) -> Result<PartWriter, StoreError> {
        match &self.place {
            Place::Local(local) => PartWriter::new(local.clone(), below.to_owned()),
        }
    }

    /// Makes finished parts survive a loss of power. Before a commit names a part, this must have returned.
    ///
    /// # Errors
    /// If one of them cannot be synced; then it must not be committed.
    pub async fn sync_all(&self, below: Vec<String>) -> Result<(), StoreError> {
        match &self.place {
            Place::Local(local) => {
                let local = local.clone();
                blocking(move || local.sync_all(&below)).await
            }
        }
    }
}

/// The folder that `uri` names, as an absolute path.
pub(crate) fn folder_of_uri(uri: &str) -> Result<PathBuf, OpenError> {
    let unknown = || OpenError::UnknownScheme(uri.to_owned());
    match uri.split_once("://") {
        Some(("file", _)) => url::Url::parse(uri).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(unknown),
        Some(("s3" | "s3a" | "s3n", _)) => Err(OpenError::NoS3(uri.to_owned())),
        Some(_) => Err(unknown()),
        None if uri.is_empty() => Err(unknown()),
        // components() takes `a/./b/` for `a/b`
        None => std::path::absolute(uri).map(|p| p.components().collect()).map_err(|error| OpenError::new(uri, error)),
    }
}

pub(crate) fn local_store(folder: &Path, uri: &str) -> Result<LocalFileSystem, OpenError> {
    LocalFileSystem::new_with_prefix(folder)
        .map_err(|error| OpenError::Io { uri: uri.to_owned(), source: io::Error::other(error) })
}

/// What is left of `path` below `prefix`.
pub(crate) fn below_prefix(path: &object_store::path::Path, prefix: &object_store::path::Path) -> Option<String> {
    let rest = path.as_ref().strip_prefix(prefix.as_ref())?;
    Some(rest.strip_prefix('/').unwrap_or(rest).to_owned())
}

/// Runs what blocks where it holds up no other future.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => match runtime.spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
        Err(_) => work(),
    }
}
