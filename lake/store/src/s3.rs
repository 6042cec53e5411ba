//! S3 behind [`ObjectStore`], through AWS's own SDK.
//!
//! What the port does not say, this store does: a create whose answer was lost is settled by asking whose object is
//! there; a body that breaks off is read on from where it broke; a range of many MiB is read in pieces at once.

pub mod client;
mod count;
pub mod error;
mod get;
mod list;
mod part;
mod put;
mod transfers;
mod upload;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

pub use client::S3Client;
pub use error::{S3Error, S3Reason};
pub use list::UnfinishedUpload;
pub(crate) use part::S3Part;
pub(crate) use transfers::Transfers;

/// Deletions under way at once.
const DELETES: usize = 16;

/// A bucket as an [`ObjectStore`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct S3Store {
    bucket: Arc<str>,
    client: S3Client,
    transfers: Transfers,
}

impl S3Store {
    /// The bucket of that name.
    pub fn new(bucket: &str, client: S3Client) -> Self {
        Self { bucket: bucket.into(), client, transfers: Transfers::MOST }
    }

    /// The same bucket, with so much of it in memory at a time.
    pub(crate) fn with_transfers(self, transfers: Transfers) -> Self {
        Self { transfers, ..self }
    }

    /// The client that asks.
    pub fn client(&self) -> &S3Client {
        &self.client
    }

    async fn sdk(&self, path: &Path) -> Result<&Client> {
        self.client.get(&self.bucket).await.map_err(|error| error.into_store(path))
    }

    /// Deletes an object; that it was not there is no error.
    async fn remove(&self, path: &Path) -> Result<()> {
        let deleted = self.sdk(path).await?.delete_object().bucket(&*self.bucket).key(path.as_ref()).send().await;
        deleted.map(|_| ()).map_err(|error| S3Error::new(error, &self.bucket).into_store(path))
    }
}

impl fmt::Display for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if !opts.attributes.is_empty() {
            return Err(not_supported("attributes of objects"));
        }
        let bytes = Bytes::from(payload);
        match opts.mode {
            PutMode::Overwrite => self.put_over(location, bytes).await,
            PutMode::Create => self.put_new(location, bytes).await,
            PutMode::Update(version) => self.put_instead(location, bytes, version).await,
        }
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(not_supported("attributes of objects"));
        }
        Ok(Box::new(upload::Multipart::begin(self, location).await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        get::get(self, location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .map(move |path| {
                let store = store.clone();
                async move {
                    let path = path?;
                    store.remove(&path).await.map(|()| path)
                }
            })
            .buffered(DELETES)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        list::objects(self.clone(), prefix.cloned().unwrap_or_default(), None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        list::objects(self.clone(), prefix.cloned().unwrap_or_default(), Some(offset.to_string()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let pages = list::pages(self.clone(), prefix.cloned().unwrap_or_default(), None, Some("/"));
        let merge = |mut all: ListResult, page: ListResult| async move {
            all.objects.extend(page.objects);
            all.common_prefixes.extend(page.common_prefixes);
            Ok(all)
        };
        let none = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        pages.try_fold(none, merge).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_supported("copying: nothing in a lake is ever copied or renamed"))
    }
}

fn not_supported(what: &str) -> object_store::Error {
    object_store::Error::NotSupported { source: format!("s3:// has no {what}").into() }
}

/// A time of the SDK as the port has it.
fn time(time: Option<&aws_sdk_s3::primitives::DateTime>) -> chrono::DateTime<chrono::Utc> {
    let millis = time.and_then(|time| time.to_millis().ok()).unwrap_or(0);
    chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default()
}
