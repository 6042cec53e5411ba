//! Reading: bodies that go on where they broke, and large ranges in pieces at once.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{Attributes, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, Result};
use tokio::task::JoinHandle;

use super::client::pause;
use super::transfers::PIECE_BYTES;
use super::{S3Error, S3Reason, S3Store, time};

/// Times that a body may break off, whatever its length.
const BREAKS_MAX: u32 = 16;

/// Reads an object. A body without a range is one request, whose checksum is verified where the store sends one.
pub(super) async fn get(store: &S3Store, path: &Path, options: GetOptions) -> Result<GetResult> {
    if options.head {
        let meta = head(store, path, &options).await?;
        let payload = GetResultPayload::Stream(stream::empty().boxed());
        return Ok(GetResult { payload, range: 0..meta.size, meta, attributes: Attributes::default() });
    }
    let wanted = options.range.clone();
    let first = match &wanted {
        Some(GetRange::Bounded(range)) if range.start >= range.end => {
            let why = format!("the range {}..{} is empty", range.start, range.end);
            return Err(S3Error::refused(&store.bucket, why).into_store(path));
        }
        Some(GetRange::Bounded(range)) => {
            Some(GetRange::Bounded(range.start..range.end.min(range.start + PIECE_BYTES)))
        }
        Some(GetRange::Offset(at)) => Some(GetRange::Bounded(*at..at.saturating_add(PIECE_BYTES))),
        other => other.clone(),
    };
    let answer = request(store, path, &options, first.as_ref()).await?;
    let (range, size) = range_of(store, path, &answer)?;
    let meta = ObjectMeta {
        location: path.clone(),
        last_modified: time(answer.last_modified()),
        size,
        e_tag: answer.e_tag().map(str::to_owned),
        version: answer.version_id().map(str::to_owned),
    };
    let end = match &wanted {
        Some(GetRange::Bounded(range)) => range.end.min(size),
        Some(GetRange::Offset(_)) => size,
        _ => range.end,
    };
    let source = Source { store: store.clone(), path: path.clone(), etag: meta.e_tag.clone() };
    let start = range.start;
    let ahead = source.pieces(range.end..end);
    let payload = source.body(range, answer.body).chain(ahead).boxed();
    Ok(GetResult {
        payload: GetResultPayload::Stream(payload),
        meta,
        range: start..end,
        attributes: Attributes::default(),
    })
}

/// Names the object, its version and the conditions in a request; the SDK has a type of its own for each operation.
macro_rules! about {
    ($request:expr, $store:expr, $path:expr, $options:expr) => {
        $request
            .bucket(&*$store.bucket)
            .key($path.as_ref())
            .set_version_id($options.version.clone())
            .set_if_match($options.if_match.clone())
            .set_if_none_match($options.if_none_match.clone())
            .set_if_modified_since($options.if_modified_since.map(sdk_time))
            .set_if_unmodified_since($options.if_unmodified_since.map(sdk_time))
    };
}

async fn head(store: &S3Store, path: &Path, options: &GetOptions) -> Result<ObjectMeta> {
    let head = about!(store.sdk(path).await?.head_object(), store, path, options)
        .send()
        .await
        .map_err(|error| S3Error::new(error, &store.bucket).into_store(path))?;
    Ok(ObjectMeta {
        location: path.clone(),
        last_modified: time(head.last_modified()),
        size: head.content_length().unwrap_or(0).try_into().unwrap_or(0),
        e_tag: head.e_tag,
        version: head.version_id,
    })
}

async fn request(
    store: &S3Store,
    path: &Path,
    options: &GetOptions,
    range: Option<&GetRange>,
) -> Result<GetObjectOutput> {
    about!(store.sdk(path).await?.get_object(), store, path, options)
        .checksum_mode(ChecksumMode::Enabled)
        .set_range(range.map(|range| format!("{range}")))
        .send()
        .await
        .map_err(|error| S3Error::new(error, &store.bucket).into_store(path))
}

/// The range of an answer's body, and the size of the object.
fn range_of(store: &S3Store, path: &Path, answer: &GetObjectOutput) -> Result<(Range<u64>, u64)> {
    let bytes = answer.content_length().and_then(|bytes| u64::try_from(bytes).ok());
    let found = match (answer.content_range(), bytes) {
        (Some(text), _) => content_range(text),
        (None, Some(bytes)) => Some((0..bytes, bytes)),
        (None, None) => None,
    };
    found.ok_or_else(|| S3Error::refused(&store.bucket, "the answer does not say which bytes it has").into_store(path))
}

/// `bytes 0-99/1000`, RFC 9110 section 14.4.
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?..last.parse::<u64>().ok()? + 1, size.parse().ok()?))
}

fn sdk_time(time: chrono::DateTime<chrono::Utc>) -> DateTime {
    DateTime::from_millis(time.timestamp_millis())
}

/// One version of an object.
#[derive(Clone, Debug)]
struct Source {
    store: S3Store,
    path: Path,
    etag: Option<String>,
}

/// What is left of a body.
struct Rest {
    source: Source,
    body: ByteStream,
    range: Range<u64>,
    breaks: u32,
}

impl Source {
    /// The bytes of `range`, which `body` brings; where that breaks off, another request goes on.
    fn body(&self, range: Range<u64>, body: ByteStream) -> BoxStream<'static, Result<Bytes>> {
        let rest = Rest { source: self.clone(), body, range, breaks: 0 };
        stream::try_unfold(rest, |mut rest| async move {
            loop {
                match rest.body.try_next().await {
                    Ok(Some(bytes)) => {
                        rest.range.start += bytes.len() as u64;
                        return Ok(Some((bytes, rest)));
                    }
                    Ok(None) if rest.range.is_empty() => return Ok(None),
                    Ok(None) => {
                        let short = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                        rest.go_on(&short).await?;
                    }
                    Err(error) if rest.range.is_empty() => {
                        // all is there, but not what the checksum says
                        return Err(rest.source.failed(S3Reason::Damaged, &error));
                    }
                    Err(error) => rest.go_on(&error).await?,
                }
            }
        })
        .boxed()
    }

    /// The bytes of `range`, read in pieces ahead of their use; on tasks of their own, so that they arrive while the
    /// reader computes.
    fn pieces(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let source = self.clone();
        let end = range.end;
        let starts = stream::iter((range.start..end).step_by(usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX)));
        starts
            .map(move |start| source.clone().piece(start..end.min(start + PIECE_BYTES)))
            .map(Task::spawn)
            .buffered(self.store.transfers.pieces_ahead)
            .map_ok(|piece| stream::iter(piece.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn piece(self, range: Range<u64>) -> Result<Vec<Bytes>> {
        let answer = self.request(range.clone()).await?;
        self.body(range, answer.body).try_collect().await
    }

    async fn request(&self, range: Range<u64>) -> Result<GetObjectOutput> {
        let options = GetOptions { if_match: self.etag.clone(), ..GetOptions::default() };
        request(&self.store, &self.path, &options, Some(&GetRange::Bounded(range))).await
    }

    fn failed(&self, reason: S3Reason, error: &(dyn std::error::Error + 'static)) -> object_store::Error {
        S3Error::of_body(&self.store.bucket, reason, error).into_store(&self.path)
    }
}

impl Rest {
    async fn go_on(&mut self, error: &(dyn std::error::Error + Send + Sync + 'static)) -> Result<()> {
        self.breaks += 1;
        if self.breaks > BREAKS_MAX {
            return Err(self.source.failed(S3Reason::Ambiguous, error));
        }
        tokio::time::sleep(pause(self.breaks)).await;
        self.body = self.source.request(self.range.clone()).await?.body;
        Ok(())
    }
}

/// A future on a task of its own, which ends when nobody waits for it any more.
struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context).map(|joined| match joined {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_has_an_inclusive_end() {
        assert_eq!(content_range("bytes 4-7/1000"), Some((4..8, 1000)));
        assert_eq!(content_range("bytes 4-7/*"), None);
        assert_eq!(content_range("4-7/1000"), None);
    }
}
