//! A lake: one folder or bucket prefix, and the objects below it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, PutResult};
use stedi_lake::report::RequestCounts;
use stedi_lake::{CuratedTable, LandingTable, layout};
use tokio::runtime::Handle;

use crate::error::{Action, OpenError, StoreError};
use crate::fault;
use crate::landing::{self, ElsewhereError, LandingObject};
use crate::local::LocalLake;
use crate::part::PartWriter;
use crate::place::{S3Place, Uri};
use crate::s3::{S3Client, S3Part, S3Store, Transfers, UnfinishedUpload};

/// Deletions under way at once.
const DELETIONS: usize = 16;

/// An open lake. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    uri: String,
    store: Arc<dyn ObjectStore>,
    root: object_store::path::Path,
    place: Place,
    /// What goes to and from S3 at a time: of the lake, and of landing elsewhere.
    transfers: Transfers,
    /// Where the requests of threads that block run.
    runtime: Option<Handle>,
}

/// What a lake lies on, as far as writing goes.
#[derive(Clone, Debug)]
enum Place {
    Local(LocalLake),
    S3(S3Store),
}

/// What became of [`Lake::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutNew {
    /// The object is there now.
    Created,
    /// The name was taken; that object is as it was.
    Exists,
}

impl PutNew {
    pub(crate) fn of_store(put: object_store::Result<PutResult>, location: String) -> Result<Self, StoreError> {
        match put {
            Ok(_) => Ok(Self::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Self::Exists),
            Err(error) => Err(StoreError::of_store(Action::Write, location, error)),
        }
    }
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
    /// Opens the lake at `uri`: a path or `file://` URI of a folder that exists, or `s3://bucket/prefix`, which is not
    /// asked before it is used. S3 is reached as the environment says.
    ///
    /// # Errors
    /// If it is not such a folder or may not be read.
    pub fn open(uri: &str) -> Result<Self, OpenError> {
        Self::open_with(uri, &S3Client::of_environment())
    }

    /// [`Self::open`], with S3 reached by `client`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(uri: &str, client: &S3Client) -> Result<Self, OpenError> {
        match Uri::parse(uri)? {
            Uri::Folder(folder) => Self::in_folder(&folder),
            Uri::S3(place) => Ok(Self::on_s3(&place, client)),
        }
    }

    /// Opens the lake at `uri`, and makes its folder first if it is missing. A bucket is not made.
    ///
    /// # Errors
    /// If there is something else, or it may not be made or read.
    pub fn create(uri: &str) -> Result<Self, OpenError> {
        let Uri::Folder(folder) = Uri::parse(uri)? else { return Self::open(uri) };
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
            transfers: Transfers::MOST,
            uri,
            runtime: None,
        })
    }

    fn on_s3(place: &S3Place, client: &S3Client) -> Self {
        let store = S3Store::new(&place.bucket, client.clone());
        Self {
            uri: place.uri(),
            store: Arc::new(store.clone()),
            root: place.prefix.clone(),
            place: Place::S3(store),
            transfers: Transfers::MOST,
            runtime: Handle::try_current().ok(),
        }
    }

    /// The same lake; what its [part writers](Self::part_writer) ask of S3 runs on `runtime`. A lake that was opened
    /// within a runtime uses that one.
    #[must_use]
    pub fn on_runtime(&self, runtime: &Handle) -> Self {
        Self { runtime: Some(runtime.clone()), ..self.clone() }
    }

    /// The same lake; what goes to and from S3, landing elsewhere too, takes about so much memory for each thread that
    /// reads and writes, or the least that S3 allows, 34 MiB.
    #[must_use]
    pub fn with_transfers_within(&self, bytes: u64) -> Self {
        let transfers = Transfers::within(bytes);
        match &self.place {
            Place::Local(_) => Self { transfers, ..self.clone() },
            Place::S3(store) => {
                let store = store.clone().with_transfers(transfers);
                Self { store: Arc::new(store.clone()), place: Place::S3(store), transfers, ..self.clone() }
            }
        }
    }

    /// The memory that each thread takes for what it reads from S3 and writes there. What goes to and from files takes none.
    pub fn transfer_bytes(&self) -> u64 {
        self.transfers.memory_bytes()
    }

    /// The same, if it may be `bytes`.
    pub fn transfer_bytes_within(bytes: u64) -> u64 {
        Transfers::within(bytes).memory_bytes()
    }

    /// What S3 is reached by.
    fn client(&self) -> S3Client {
        match &self.place {
            Place::Local(_) => S3Client::of_environment(),
            Place::S3(store) => store.client().clone(),
        }
    }

    /// Where the lake is: the absolute path of its folder, or `s3://bucket/prefix`.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The requests that were sent to S3 so far, by this lake and all others that share its client; of a lake in a folder
    /// those for landing that lies in S3.
    pub fn requests(&self) -> RequestCounts {
        self.client().requests()
    }

    /// The store that holds it.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The lake's folder, if it is on this machine.
    pub fn local_folder(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Local(local) => Some(local.file("")),
            Place::S3(_) => None,
        }
    }

    /// The path in [`Self::store`] of an object below the lake.
    pub fn path(&self, below: &str) -> object_store::path::Path {
        path_below(&self.root, below)
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
                Place::S3(_) => None,
            },
        };
        place.list(table).await
    }

    /// The objects of a landing table in a folder of its own outside the lake, sorted by key. Keys are whole URIs.
    ///
    /// # Errors
    /// If `uri` is not a folder or cannot be listed.
    pub async fn landing_elsewhere(
        &self,
        uri: &str,
        table: LandingTable,
    ) -> Result<Vec<LandingObject>, ElsewhereError> {
        match Uri::parse(uri)? {
            Uri::Folder(folder) => landing::in_folder(folder, table).await,
            Uri::S3(place) => {
                let store = S3Store::new(&place.bucket, self.client()).with_transfers(self.transfers);
                Ok(landing::on_s3(&place, store, table).await?)
            }
        }
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
        // such a URI has the path as it is, without escapes
        let (store, path): (Arc<dyn ObjectStore>, _) = if let Some(file) = key.strip_prefix("file://") {
            (Arc::new(LocalFileSystem::new()), path_below(&object_store::path::Path::ROOT, file))
        } else if key.contains("://") {
            let Uri::S3(place) = Uri::parse(key)? else { return Err(OpenError::UnknownScheme(key.to_owned())) };
            // connections belong to the client, which is kept: a store is no more than a bucket's name
            (Arc::new(S3Store::new(&place.bucket, self.client()).with_transfers(self.transfers)), place.prefix)
        } else {
            (Arc::clone(&self.store), self.path(key))
        };
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
            Place::S3(store) => {
                if below.starts_with(layout::LOG) {
                    fault::point("commit_synced");
                }
                let payload = PutPayload::from_bytes(bytes);
                let put = store.put_opts(&self.path(below), payload, PutMode::Create.into()).await;
                PutNew::of_store(put, self.location(below))
            }
        }
    }

    /// Creates an object of megabytes that nobody reads at once, as [`Self::put_new`] does and faster: a loss of power may
    /// still take it.
    ///
    /// # Errors
    /// As [`Self::put_new`].
    pub async fn put_cold(&self, below: &str, bytes: Bytes) -> Result<PutNew, StoreError> {
        match &self.place {
            Place::Local(local) => {
                let (local, below) = (local.clone(), below.to_owned());
                blocking(move || local.put_cold(&below, &bytes)).await
            }
            Place::S3(_) => self.put_new(below, bytes).await,
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

    /// Some bytes of an object.
    ///
    /// # Errors
    /// If it is not there, is shorter, or the store fails.
    pub async fn read_range(&self, below: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let failed = |error| StoreError::of_store(Action::Read, self.location(below), error);
        let wanted = range.end.saturating_sub(range.start);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.store.get_range(&self.path(below), range).await.map_err(failed)?;
        if bytes.len() as u64 == wanted {
            return Ok(bytes);
        }
        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
        Err(StoreError::of_io(Action::Read, self.location(below), short))
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

    /// Deletes objects, many at once; that one was not there is no error.
    ///
    /// # Errors
    /// The first failure; all others are tried nevertheless.
    pub async fn delete_all(&self, below: &[String]) -> Result<(), StoreError> {
        let deletions = below.iter().map(|below| self.delete(below));
        let done: Vec<_> = stream::iter(deletions).buffered(DELETIONS).collect().await;
        done.into_iter().collect()
    }

    /// Uploads of this lake's own objects to S3 that a dead writer left: nobody sees them, but they are paid for.
    ///
    /// # Errors
    /// If the store cannot list them.
    pub async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, StoreError> {
        let Place::S3(store) = &self.place else { return Ok(Vec::new()) };
        let mut uploads = Vec::new();
        // nothing of landing: what is uploaded there is somebody else's
        for folder in CuratedTable::ALL.map(CuratedTable::path).into_iter().chain([layout::STEDI]) {
            let listed = store.unfinished_uploads(&self.path(folder)).await;
            let failed = |error| StoreError::of_store(Action::List, self.location(folder), error);
            uploads.extend(listed.map_err(failed)?);
        }
        Ok(uploads)
    }

    /// Gives up an upload that [`Self::unfinished_uploads`] found; that it is gone is no error.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn abort_upload(&self, upload: &UnfinishedUpload) -> Result<(), StoreError> {
        let Place::S3(store) = &self.place else { return Ok(()) };
        let failed = |error| StoreError::of_store(Action::Delete, format!("the upload of {}", upload.key), error);
        store.abort(upload).await.map_err(failed)
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
            Place::S3(_) => Ok(()),
        }
    }

    /// Begins a part or another large object. Blocking: for the threads that compute, not for those of a runtime.
    ///
    /// # Errors
    /// If the store fails; on S3 also if there is no [runtime](Self::on_runtime).
    pub fn part_writer(&self, below: &str) -> Result<PartWriter, StoreError> {
        let location = self.location(below);
        match &self.place {
            Place::Local(local) => PartWriter::local(local.clone(), below.to_owned(), location),
            Place::S3(store) => {
                let runtime = match &self.runtime {
                    Some(runtime) => runtime.clone(),
                    None => Handle::try_current().map_err(|error| StoreError::Other {
                        action: Action::Write,
                        object: location.clone(),
                        source: error.into(),
                    })?,
                };
                let part = S3Part::new(store.clone(), self.path(below), runtime);
                Ok(PartWriter::s3(part, below.to_owned(), location))
            }
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
            // what S3 has confirmed is there for good
            Place::S3(_) => Ok(()),
        }
    }
}

/// `below` as a path in a store whose lake begins at `root`. Names stay as they are; those that no path may have, such as
/// `..`, are encoded.
fn path_below(root: &object_store::path::Path, below: &str) -> object_store::path::Path {
    let parts = || below.split('/').filter(|part| !part.is_empty());
    let joined = root.as_ref().split('/').filter(|part| !part.is_empty()).chain(parts()).collect::<Vec<_>>().join("/");
    object_store::path::Path::parse(joined).unwrap_or_else(|_| root.parts().chain(parts().map(Into::into)).collect())
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
