//! The operations of S3 that STEDI uses, on [`Objects`].

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Extensions;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use crate::objects::{Condition, Object, Objects, Refusal, crc32};

/// Keys on a page of a listing at most.
const PAGE_KEYS: usize = 1000;

/// Bytes that are read from a file at once.
const READ_BYTES: u64 = 256 << 10;

/// Mark of a request whose conditions are not to be looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IgnoreConditions;

/// The service.
#[derive(Debug)]
pub(crate) struct Operations(pub(crate) Arc<Objects>);

impl Operations {
    fn bucket(&self, bucket: &str) -> S3Result<()> {
        if self.0.has_bucket(bucket) { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.bucket(bucket)?;
        self.0.get(bucket, key).ok_or_else(|| s3_error!(NoSuchKey))
    }
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(match refusal {
            Refusal::PreconditionFailed => S3ErrorCode::PreconditionFailed,
            Refusal::NoSuchUpload => S3ErrorCode::NoSuchUpload,
            Refusal::InvalidPart => S3ErrorCode::InvalidPart,
            Refusal::EntityTooSmall => S3ErrorCode::EntityTooSmall,
        })
    }
}

/// The condition on what a request puts.
fn condition(
    extensions: &Extensions,
    if_none_match: Option<&ETagCondition>,
    if_match: Option<&ETagCondition>,
) -> Condition {
    if extensions.get::<IgnoreConditions>().is_some() {
        return Condition::None;
    }
    match (if_none_match, if_match) {
        (Some(_), _) => Condition::Absent,
        (None, Some(ETagCondition::ETag(etag))) => Condition::Etag(etag.value().to_owned()),
        _ => Condition::None,
    }
}

/// The conditions on an object that is read.
fn check(object: &Object, if_match: Option<&ETagCondition>, if_none_match: Option<&ETagCondition>) -> S3Result<()> {
    let is = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    };
    if if_match.is_some_and(|condition| !is(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(is) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

async fn body(body: Option<StreamingBlob>) -> S3Result<Vec<u8>> {
    let Some(body) = body else { return Ok(Vec::new()) };
    let append = |mut all: Vec<u8>, bytes: Bytes| async move {
        all.extend_from_slice(&bytes);
        Ok(all)
    };
    body.try_fold(Vec::new(), append).await.map_err(|_| s3_error!(IncompleteBody))
}

/// Whoever writes says what the bytes are: S3 takes them without, but then nobody would notice that they changed.
fn check_crc32(bytes: &[u8], said: Option<&String>) -> S3Result<Option<String>> {
    let found = crc32(bytes);
    match said {
        Some(said) if Some(said) == found.as_ref() => Ok(found),
        Some(_) => Err(s3_error!(BadDigest)),
        None => Err(s3_error!(InvalidRequest, "there is no CRC32")),
    }
}

fn etag(object: &Object) -> Option<ETag> {
    Some(ETag::Strong(object.etag.clone()))
}

fn length(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

#[async_trait]
impl S3 for Operations {
    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let object = self.object(&input.bucket, &input.key)?;
        check(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let range = match input.range {
            Some(range) => range.check(object.bytes)?,
            None => 0..object.bytes,
        };
        let content_range = input.range.map(|_| format!("bytes {}-{}/{}", range.start, range.end - 1, object.bytes));
        let checksum_crc32 = input.range.is_none().then(|| input.checksum_mode.and(object.crc32.clone())).flatten();
        let (e_tag, last_modified, metadata) = (etag(&object), object.modified.into(), object.metadata.clone());
        let content_length = length(range.end - range.start);
        let starts = (range.start..range.end).step_by(usize::try_from(READ_BYTES).unwrap());
        let pieces = stream::iter(starts).map(move |start| {
            Ok::<_, std::io::Error>(Bytes::from(object.read_range(start..range.end.min(start + READ_BYTES))))
        });
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(pieces)),
            content_length,
            content_range,
            checksum_crc32,
            e_tag,
            last_modified: Some(last_modified),
            metadata,
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let object = self.object(&input.bucket, &input.key)?;
        check(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: length(object.bytes),
            e_tag: etag(&object),
            last_modified: Some(object.modified.into()),
            metadata: object.metadata,
            ..Default::default()
        }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        self.bucket(&input.bucket)?;
        let condition = condition(&req.extensions, input.if_none_match.as_ref(), input.if_match.as_ref());
        let bytes = body(input.body).await?;
        let checksum_crc32 = check_crc32(&bytes, input.checksum_crc32.as_ref())?;
        let object = self.0.put(&input.bucket, &input.key, &bytes, input.metadata, &condition)?;
        Ok(S3Response::new(PutObjectOutput { e_tag: etag(&object), checksum_crc32, ..Default::default() }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.bucket(&req.input.bucket)?;
        self.0.delete(&req.input.bucket, &req.input.key);
        Ok(S3Response::with_status(DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        self.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.clone().max(input.start_after.clone()).unwrap_or_default();
        let (page, more) = self.0.list(&input.bucket, &prefix, &after, PAGE_KEYS);
        let mut last = String::new();
        let mut folders = BTreeSet::new();
        let mut contents = Vec::new();
        for (key, object) in page {
            let folder = input.delimiter.as_ref().and_then(|delimiter| {
                key[prefix.len()..].find(delimiter).map(|at| key[..prefix.len() + at + delimiter.len()].to_owned())
            });
            match folder {
                Some(folder) => {
                    // the next page goes on behind the whole folder
                    last = format!("{folder}{}", char::MAX);
                    folders.insert(folder);
                }
                None => {
                    last.clone_from(&key);
                    contents.push(listed(key, &object));
                }
            }
        }
        let common_prefixes = folders.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            is_truncated: Some(more),
            next_continuation_token: more.then_some(last),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        self.bucket(&input.bucket)?;
        let upload_id = Some(self.0.begin(&input.bucket, &input.key, input.metadata));
        let (bucket, key) = (Some(input.bucket), Some(input.key));
        Ok(S3Response::new(CreateMultipartUploadOutput { bucket, key, upload_id, ..Default::default() }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let bytes = body(input.body).await?;
        let checksum_crc32 = check_crc32(&bytes, input.checksum_crc32.as_ref())?;
        let e_tag = Some(ETag::Strong(self.0.put_part(&input.upload_id, input.part_number, &bytes)?));
        Ok(S3Response::new(UploadPartOutput { e_tag, checksum_crc32, ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let condition = condition(&req.extensions, input.if_none_match.as_ref(), input.if_match.as_ref());
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut parts = Vec::new();
        for part in named {
            let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
                return Err(s3_error!(InvalidPart));
            };
            parts.push((number, etag.into_value()));
        }
        let object = self.0.complete(&input.upload_id, &parts, &condition)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: etag(&object),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.0.abort(&req.input.upload_id)?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        self.bucket(&input.bucket)?;
        let uploads = self.0.uploads(&input.bucket, input.prefix.as_deref().unwrap_or_default());
        let listed = uploads.into_iter().map(|upload| MultipartUpload {
            key: Some(upload.key),
            upload_id: Some(upload.id),
            initiated: Some(upload.started.into()),
            ..Default::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            uploads: Some(listed.collect()),
            is_truncated: Some(false),
            ..Default::default()
        }))
    }
}

fn listed(key: String, object: &Object) -> s3s::dto::Object {
    s3s::dto::Object {
        key: Some(key),
        size: length(object.bytes),
        e_tag: etag(object),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    }
}
