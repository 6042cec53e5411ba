//! Writing an object in parts.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use async_trait::async_trait;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::FutureExt as _;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::client::COMPLETE_TIMEOUT;
use super::put::{WRITER, no_retries, writer_id};
use super::{S3Error, S3Store};

/// A multipart upload that was begun.
#[derive(Debug)]
pub(super) struct Upload {
    store: S3Store,
    path: Path,
    id: String,
    writer: String,
}

impl Upload {
    pub(super) async fn begin(store: &S3Store, path: &Path) -> Result<Self> {
        let writer = writer_id();
        let begun = store
            .sdk(path)
            .await?
            .create_multipart_upload()
            .bucket(&*store.bucket)
            .key(path.as_ref())
            .metadata(WRITER, &writer)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send()
            .await
            .map_err(|error| S3Error::new(error, &store.bucket).into_store(path))?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Self { store: store.clone(), path: path.clone(), id, writer })
    }

    /// Sends part `number`, from 1. Sent again, it takes the place of the first.
    pub(super) async fn send(&self, number: i32, bytes: Bytes) -> Result<CompletedPart> {
        let request = self.store.sdk(&self.path).await?.upload_part();
        let sent = request
            .bucket(&*self.store.bucket)
            .key(self.path.as_ref())
            .upload_id(&self.id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(bytes))
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .map_err(|error| self.failed(S3Error::new(error, &self.store.bucket)))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    /// Makes an object of the parts; with `only_new` only if there is none of its name.
    pub(super) async fn complete(&self, mut parts: Vec<CompletedPart>, only_new: bool) -> Result<PutResult> {
        parts.sort_unstable_by_key(|part| part.part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let patience =
            TimeoutConfig::builder().read_timeout(COMPLETE_TIMEOUT).operation_attempt_timeout(COMPLETE_TIMEOUT).build();
        let complete = || async {
            let request = self.store.sdk(&self.path).await?.complete_multipart_upload();
            let answer = request
                .bucket(&*self.store.bucket)
                .key(self.path.as_ref())
                .upload_id(&self.id)
                .set_if_none_match(only_new.then(|| "*".to_owned()))
                .multipart_upload(parts.clone())
                .customize()
                .config_override(no_retries().timeout_config(patience.clone()))
                .send()
                .await;
            match answer {
                Ok(answer) => Ok(Ok(PutResult { e_tag: answer.e_tag, version: answer.version_id })),
                Err(error) => Ok(Err(S3Error::new(error, &self.store.bucket))),
            }
        };
        self.store.settle(&self.path, &self.writer, complete).await
    }

    /// Gives the upload up and frees its parts.
    pub(super) async fn abort(&self) -> Result<()> {
        self.store.abort_upload(&self.path, &self.id).await
    }

    fn failed(&self, error: S3Error) -> object_store::Error {
        error.into_store(&self.path)
    }
}

impl S3Store {
    /// Gives an upload up and frees its parts; that there is none is no error.
    pub(super) async fn abort_upload(&self, path: &Path, id: &str) -> Result<()> {
        let request = self.sdk(path).await?.abort_multipart_upload();
        let aborted = request.bucket(&*self.bucket).key(path.as_ref()).upload_id(id).send().await;
        match aborted.map_err(|error| S3Error::new(error, &self.bucket)) {
            Err(error) if error.code != "NoSuchUpload" => Err(error.into_store(path)),
            _ => Ok(()),
        }
    }
}

/// A multipart upload as the storage port has it. What is there of that name is replaced.
#[derive(Debug)]
pub(super) struct Multipart {
    upload: Arc<Upload>,
    begun: i32,
    sent: Arc<Mutex<Vec<CompletedPart>>>,
}

impl Multipart {
    pub(super) async fn begin(store: &S3Store, path: &Path) -> Result<Self> {
        Ok(Self { upload: Arc::new(Upload::begin(store, path).await?), begun: 0, sent: Arc::default() })
    }
}

#[async_trait]
impl MultipartUpload for Multipart {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.begun += 1;
        let (upload, sent, number) = (Arc::clone(&self.upload), Arc::clone(&self.sent), self.begun);
        async move {
            let part = upload.send(number, data.into()).await?;
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(part);
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts = std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner));
        self.upload.complete(parts, false).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
