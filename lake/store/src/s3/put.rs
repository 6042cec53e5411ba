//! Writing an object in one request.

use std::fmt::Write as _;

use aws_sdk_s3::config::Config;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{PutResult, Result, UpdateVersion};

use super::client::pause;
use super::{S3Error, S3Reason, S3Store};

/// Name of the metadata that tells who made an object.
pub(super) const WRITER: &str = "stedi-writer";

/// Who makes an object: a number nobody else has, kept with it. Where an answer was lost, it tells whether the object
/// that is there is this writer's.
pub(super) fn writer_id() -> String {
    let mut bytes = [0; 16];
    // without randomness the id is nobody's: a lost answer then counts as somebody else's object, which is safe
    if getrandom::fill(&mut bytes).is_err() {
        return String::new();
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl S3Store {
    /// Writes an object, whatever is there.
    pub(super) async fn put_over(&self, path: &Path, bytes: Bytes) -> Result<PutResult> {
        let request = self.put_request(path, bytes).await?;
        let put = request.customize().disable_payload_signing().send().await;
        let put = put.map_err(|error| S3Error::new(error, &self.bucket).into_store(path))?;
        Ok(PutResult { e_tag: put.e_tag, version: put.version_id })
    }

    /// Writes an object if the one that is there is `version`. An answer that is lost is an error.
    pub(super) async fn put_instead(&self, path: &Path, bytes: Bytes, version: UpdateVersion) -> Result<PutResult> {
        let request = self.put_request(path, bytes).await?.set_if_match(version.e_tag);
        let put = request.customize().disable_payload_signing().config_override(no_retries()).send().await;
        let put = put.map_err(|error| S3Error::new(error, &self.bucket).into_store(path))?;
        Ok(PutResult { e_tag: put.e_tag, version: put.version_id })
    }

    /// Creates an object, unless one is there.
    pub(super) async fn put_new(&self, path: &Path, bytes: Bytes) -> Result<PutResult> {
        let writer = writer_id();
        let create = || async {
            let request = self.put_request(path, bytes.clone()).await?;
            let request = request.if_none_match("*").metadata(WRITER, &writer);
            let put = request.customize().disable_payload_signing().config_override(no_retries()).send().await;
            match put {
                Ok(put) => Ok(Ok(PutResult { e_tag: put.e_tag, version: put.version_id })),
                Err(error) => Ok(Err(S3Error::new(error, &self.bucket))),
            }
        };
        self.settle(path, &writer, create).await
    }

    /// Sends a create again until it is known what became of it. Nothing but this decides: a retry below it would take
    /// this writer's own object, whose answer was lost, for somebody else's.
    ///
    /// # Errors
    /// `AlreadyExists` if somebody else's object is there; any other error says that it is not known, or refused.
    pub(super) async fn settle<F>(&self, path: &Path, writer: &str, mut create: impl FnMut() -> F) -> Result<PutResult>
    where
        F: Future<Output = Result<Result<PutResult, S3Error>>>,
    {
        let mut failures = 0;
        // whether an attempt that got no answer may have made the object
        let mut in_doubt = false;
        loop {
            let error = match create().await? {
                Ok(put) => return Ok(put),
                Err(error) => error,
            };
            match error.reason {
                S3Reason::Precondition if !in_doubt => return Err(exists(path, error)),
                S3Reason::Precondition => {
                    return match self.owner(path).await? {
                        Some((owner, put)) if owner == writer && !writer.is_empty() => Ok(put),
                        _ => Err(exists(path, error)),
                    };
                }
                S3Reason::Ambiguous => {
                    in_doubt = true;
                    match self.owner(path).await {
                        Ok(Some((owner, put))) if owner == writer && !writer.is_empty() => return Ok(put),
                        Ok(Some(_)) => return Err(exists(path, error)),
                        Ok(None) if error.code == "NoSuchUpload" => return Err(error.into_store(path)),
                        _ => {}
                    }
                }
                S3Reason::Throttled | S3Reason::Conflict | S3Reason::FailedCredentials | S3Reason::Unreachable => {}
                _ => return Err(error.into_store(path)),
            }
            failures += 1;
            if failures >= self.client.attempts() {
                return Err(error.into_store(path));
            }
            tokio::time::sleep(pause(failures)).await;
        }
    }

    /// Who made the object; `None` if there is none.
    async fn owner(&self, path: &Path) -> Result<Option<(String, PutResult)>> {
        let head = self.sdk(path).await?.head_object().bucket(&*self.bucket).key(path.as_ref()).send().await;
        match head.map_err(|error| S3Error::new(error, &self.bucket)) {
            Ok(head) => {
                let owner = head.metadata.unwrap_or_default().remove(WRITER).unwrap_or_default();
                Ok(Some((owner, PutResult { e_tag: head.e_tag, version: head.version_id })))
            }
            Err(error) if error.reason == S3Reason::NoSuchKey => Ok(None),
            Err(error) => Err(error.into_store(path)),
        }
    }

    async fn put_request(&self, path: &Path, bytes: Bytes) -> Result<PutObjectFluentBuilder> {
        let request = self.sdk(path).await?.put_object().bucket(&*self.bucket).key(path.as_ref());
        Ok(request.checksum_algorithm(ChecksumAlgorithm::Crc32).body(ByteStream::from(bytes)))
    }
}

/// For requests that must not be repeated blindly.
pub(super) fn no_retries() -> aws_sdk_s3::config::Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

fn exists(path: &Path, error: S3Error) -> object_store::Error {
    object_store::Error::AlreadyExists { path: path.to_string(), source: error.into() }
}
