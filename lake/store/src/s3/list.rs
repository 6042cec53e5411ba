//! Listings, a page at a time, as they are consumed.

use aws_sdk_s3::types::Object;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta, Result};
use serde::Serialize;

use super::{S3Error, S3Store, time};

/// A multipart upload that was begun and neither completed nor given up: its parts are paid for and seen by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnfinishedUpload {
    /// Key of the object that it was to become.
    pub key: String,
    /// Name of the upload.
    pub id: String,
    /// Epoch ms of its beginning.
    pub started_ms: u64,
}

/// Where a listing goes on.
enum Next {
    First,
    After(String),
    End,
}

/// The objects below the folder `prefix`, in the order of their keys.
pub(super) fn objects(store: S3Store, prefix: Path, after: Option<String>) -> BoxStream<'static, Result<ObjectMeta>> {
    pages(store, prefix, after, None)
        .map_ok(|page| stream::iter(page.objects.into_iter().map(Ok)))
        .try_flatten()
        .boxed()
}

/// The pages of a listing of the folder `prefix`, each fetched when it is asked for.
pub(super) fn pages(
    store: S3Store,
    prefix: Path,
    after: Option<String>,
    delimiter: Option<&'static str>,
) -> BoxStream<'static, Result<ListResult>> {
    let first = (store, prefix, after, Next::First);
    stream::try_unfold(first, move |(store, prefix, after, next)| async move {
        let token = match next {
            Next::First => None,
            Next::After(token) => Some(token),
            Next::End => return Ok(None),
        };
        let (page, next) = page(&store, &prefix, after.as_deref(), delimiter, token).await?;
        Ok(Some((page, (store, prefix, after, next))))
    })
    .boxed()
}

async fn page(
    store: &S3Store,
    prefix: &Path,
    after: Option<&str>,
    delimiter: Option<&str>,
    token: Option<String>,
) -> Result<(ListResult, Next)> {
    let answer = store
        .sdk(prefix)
        .await?
        .list_objects_v2()
        .bucket(&*store.bucket)
        .prefix(folder(prefix))
        .set_start_after(after.map(str::to_owned))
        .set_delimiter(delimiter.map(str::to_owned))
        .set_continuation_token(token)
        .send()
        .await
        .map_err(|error| S3Error::new(error, &store.bucket).into_store(prefix))?;
    let objects = answer.contents().iter().map(meta).collect::<Result<_>>()?;
    let folders = answer.common_prefixes().iter().filter_map(|folder| folder.prefix());
    let common_prefixes = folders.map(|key| Ok(Path::parse(key)?)).collect::<Result<_>>()?;
    let next = match answer.next_continuation_token {
        Some(token) if answer.is_truncated == Some(true) => Next::After(token),
        _ => Next::End,
    };
    Ok((ListResult { objects, common_prefixes }, next))
}

/// The prefix of all keys in a folder.
fn folder(prefix: &Path) -> String {
    match prefix.as_ref() {
        "" => String::new(),
        path => format!("{path}/"),
    }
}

fn meta(object: &Object) -> Result<ObjectMeta> {
    Ok(ObjectMeta {
        location: Path::parse(object.key().unwrap_or_default())?,
        last_modified: time(object.last_modified()),
        size: object.size().unwrap_or(0).try_into().unwrap_or(0),
        e_tag: object.e_tag().map(str::to_owned),
        version: None,
    })
}

impl S3Store {
    /// The uploads below the folder `prefix` that nobody has finished.
    pub(crate) async fn unfinished_uploads(&self, prefix: &Path) -> Result<Vec<UnfinishedUpload>> {
        let mut found = Vec::new();
        let mut markers = (None, None);
        loop {
            let answer = self
                .sdk(prefix)
                .await?
                .list_multipart_uploads()
                .bucket(&*self.bucket)
                .prefix(folder(prefix))
                .set_key_marker(markers.0)
                .set_upload_id_marker(markers.1)
                .send()
                .await
                .map_err(|error| S3Error::new(error, &self.bucket).into_store(prefix))?;
            for upload in answer.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                let started_ms = time(upload.initiated()).timestamp_millis().try_into().unwrap_or(0);
                found.push(UnfinishedUpload { key: key.to_owned(), id: id.to_owned(), started_ms });
            }
            if answer.is_truncated != Some(true) {
                return Ok(found);
            }
            markers = (answer.next_key_marker, answer.next_upload_id_marker);
        }
    }

    /// Gives up an upload that nobody has finished; that it is gone is no error.
    pub(crate) async fn abort(&self, upload: &UnfinishedUpload) -> Result<()> {
        self.abort_upload(&Path::parse(&upload.key)?, &upload.id).await
    }
}
