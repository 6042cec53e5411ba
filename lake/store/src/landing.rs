//! What is in landing.

use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt as _;
use object_store::ObjectStore;
use stedi_lake::{LandingTable, layout};

use crate::error::{Action, OpenError, StoreError};
use crate::lake::{below_prefix, blocking, local_store};
use crate::local;
use crate::place::S3Place;
use crate::s3::S3Store;

/// A landing object: where to read it, and what makes it the same object later.
#[derive(Clone, Debug)]
pub struct LandingObject {
    /// The table it belongs to.
    pub table: LandingTable,
    /// Its key: relative to the lake, or a whole URI where landing lies elsewhere.
    pub key: String,
    /// The store's ETag.
    pub etag: String,
    /// Its size as stored; never 0.
    pub bytes: u64,
    /// The store that holds it.
    pub store: Arc<dyn ObjectStore>,
    /// Its path in that store.
    pub path: object_store::path::Path,
}

/// Why landing outside the lake could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ElsewhereError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could not be listed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Landing in a folder outside the lake.
pub(crate) async fn in_folder(folder: PathBuf, table: LandingTable) -> Result<Vec<LandingObject>, ElsewhereError> {
    let given = folder.display().to_string();
    // one folder has one name from here on, so that the same objects by two names are not two
    let folder = folder.canonicalize().map_err(|error| elsewhere(&given, table, error))?;
    let name = folder.display().to_string();
    std::fs::read_dir(&folder).map_err(|error| elsewhere(&name, table, error))?;
    let store: Arc<dyn ObjectStore> = Arc::new(local_store(&folder, &name)?);
    let place = Place {
        store: &store,
        prefix: object_store::path::Path::ROOT,
        key_prefix: format!("file://{}", name.trim_end_matches('/')),
        location: name,
        local: Some(folder),
    };
    Ok(place.list(table).await?)
}

/// Landing in S3 outside the lake; `store` is the bucket.
pub(crate) async fn on_s3(
    place: &S3Place,
    store: S3Store,
    table: LandingTable,
) -> Result<Vec<LandingObject>, StoreError> {
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let uri = place.uri();
    let prefix = place.prefix.clone();
    let place = Place { store: &store, prefix, key_prefix: uri.clone(), location: uri.clone(), local: None };
    let objects = place.list(table).await?;
    if objects.is_empty() {
        // where folders are only prefixes, a mistyped one looks like an empty one
        return Err(missing(&uri, table));
    }
    Ok(objects)
}

fn elsewhere(name: &str, table: LandingTable, error: std::io::Error) -> ElsewhereError {
    match error.kind() {
        std::io::ErrorKind::NotFound => missing(name, table).into(),
        _ => OpenError::new(name, error).into(),
    }
}

fn missing(name: &str, table: LandingTable) -> StoreError {
    StoreError::NotFound { action: Action::List, object: format!("the folder {name} of {}", table.name()) }
}

/// A folder of landing objects.
pub(crate) struct Place<'a> {
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    pub(crate) prefix: object_store::path::Path,
    pub(crate) key_prefix: String,
    /// The folder's name in errors.
    pub(crate) location: String,
    /// The same folder, if it is on this machine.
    pub(crate) local: Option<PathBuf>,
}

impl Place<'_> {
    pub(crate) async fn list(self, table: LandingTable) -> Result<Vec<LandingObject>, StoreError> {
        let mut objects = Vec::new();
        let mut listing = self.store.list(Some(&self.prefix));
        let failed = |error| StoreError::of_store(Action::List, self.location.as_str(), error);
        while let Some(meta) = listing.try_next().await.map_err(failed)? {
            let Some(below) = below_prefix(&meta.location, &self.prefix) else { continue };
            if meta.size == 0 || layout::is_hidden(&below) {
                continue;
            }
            objects.push(LandingObject {
                table,
                key: format!("{}/{below}", self.key_prefix),
                etag: meta.e_tag.unwrap_or_default(),
                bytes: meta.size,
                store: Arc::clone(self.store),
                path: meta.location,
            });
        }
        if let Some(folder) = self.local {
            blocking(move || local::check_listable(&folder, layout::is_hidden)).await?;
        }
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }
}
