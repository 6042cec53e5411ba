//! What S3 says when it does not do what it was asked, sorted by what can be done about it.

use std::error::Error as StdError;
use std::{fmt, io};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use object_store::path::Path;

use crate::error::{ErrorClass, cause};

/// An answer of S3 that is an error, or the want of an answer.
#[derive(Debug)]
pub struct S3Error {
    /// What it is.
    pub reason: S3Reason,
    /// S3's own code, such as `SlowDown`; empty where there was no answer.
    pub code: String,
    /// The bucket.
    pub bucket: String,
    /// The rest of what is known, for people.
    detail: String,
}

/// Why S3 did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Reason {
    /// There is no such object.
    NoSuchKey,
    /// There is no such bucket.
    NoSuchBucket,
    /// The bucket is in another region.
    OtherRegion,
    /// These credentials may not do this.
    AccessDenied,
    /// There are no credentials.
    NoCredentials,
    /// The credentials have expired.
    ExpiredCredentials,
    /// What gives the credentials, such as STS, failed. The request was not performed.
    FailedCredentials,
    /// The store does not know the credentials.
    WrongCredentials,
    /// The clocks differ too much.
    ClockSkew,
    /// A condition of the request does not hold: the object is there already, or is another one.
    Precondition,
    /// The object is the one that the caller has.
    NotModified,
    /// Two requests for one name met; neither outcome is known to be this one's.
    Conflict,
    /// The store does not know a part of the request.
    Unsupported,
    /// The store asks to slow down. The request was not performed.
    Throttled,
    /// The configuration names no region.
    NoRegion,
    /// The endpoint cannot be reached. The request was not performed.
    Unreachable,
    /// The store failed, or its answer did not arrive: the request may have been performed.
    Ambiguous,
    /// The bytes are not those that were stored.
    Damaged,
    /// Anything else that will be refused again.
    Refused,
}

impl S3Error {
    pub(super) fn new<E>(error: SdkError<E, HttpResponse>, bucket: &str) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let bucket = bucket.to_owned();
        let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = meta.and_then(|meta| meta.code()).unwrap_or_default().to_owned();
        let raw = error.raw_response();
        let status = raw.map_or(0, |raw| raw.status().as_u16());
        let region = raw.and_then(|raw| raw.headers().get("x-amz-bucket-region")).unwrap_or_default().to_owned();
        let reason = match &error {
            SdkError::ServiceError(_) => of_code(&code).unwrap_or_else(|| of_status(status)),
            SdkError::ResponseError(_) if status >= 300 => of_status(status),
            SdkError::DispatchFailure(failure) => of_dispatch(failure.as_connector_error(), &error),
            SdkError::ConstructionFailure(_) => of_configuration(&error),
            _ => S3Reason::Ambiguous,
        };
        let detail = match reason {
            S3Reason::OtherRegion => region,
            _ => match meta.and_then(|meta| meta.message()) {
                Some(message) => format!("{code} ({status}): {message}"),
                None if code.is_empty() && status > 0 => format!("status {status}"),
                None if code.is_empty() => causes(&error),
                None => format!("{code} ({status})"),
            },
        };
        Self { reason, code, bucket, detail }
    }

    /// A body that broke off, or that is not what was stored.
    pub(super) fn of_body(bucket: &str, reason: S3Reason, error: &(dyn StdError + 'static)) -> Self {
        Self { reason, code: String::new(), bucket: bucket.to_owned(), detail: causes(error) }
    }

    pub(super) fn no_region(bucket: &str) -> Self {
        Self { reason: S3Reason::NoRegion, code: String::new(), bucket: bucket.to_owned(), detail: String::new() }
    }

    pub(super) fn refused(bucket: &str, detail: impl Into<String>) -> Self {
        Self { reason: S3Reason::Refused, code: String::new(), bucket: bucket.to_owned(), detail: detail.into() }
    }

    /// Whether the same request may do better later.
    pub fn class(&self) -> ErrorClass {
        match self.reason {
            S3Reason::NoSuchKey => ErrorClass::NotFound,
            S3Reason::Throttled => ErrorClass::Throttled,
            S3Reason::FailedCredentials
            | S3Reason::Unreachable
            | S3Reason::Ambiguous
            | S3Reason::Conflict
            | S3Reason::Damaged => ErrorClass::TransientIo,
            _ => ErrorClass::Permanent,
        }
    }

    /// As the storage port says it, of the object or folder `path`.
    pub(super) fn into_store(self, path: &Path) -> object_store::Error {
        use object_store::Error;
        let path = path.to_string();
        match self.reason {
            S3Reason::NoSuchKey => Error::NotFound { path, source: self.into() },
            S3Reason::AccessDenied => Error::PermissionDenied { path, source: self.into() },
            S3Reason::Precondition => Error::Precondition { path, source: self.into() },
            S3Reason::NotModified => Error::NotModified { path, source: self.into() },
            _ => Error::Generic { store: "S3", source: self.into() },
        }
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, detail, .. } = self;
        match self.reason {
            S3Reason::NoSuchKey => write!(f, "there is no such object"),
            S3Reason::NoSuchBucket => {
                write!(f, "there is no bucket {bucket}: check its name, and AWS_ENDPOINT_URL if the store is not AWS")
            }
            S3Reason::OtherRegion if detail.is_empty() => {
                write!(f, "the bucket {bucket} is in another region: set AWS_REGION to it")
            }
            S3Reason::OtherRegion => write!(f, "the bucket {bucket} is in the region {detail}: set AWS_REGION to it"),
            S3Reason::AccessDenied => write!(f, "these credentials may not do this"),
            S3Reason::NoCredentials => write!(
                f,
                "there are no AWS credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give \
                 the machine or pod a role ({detail})"
            ),
            S3Reason::ExpiredCredentials => {
                write!(f, "the AWS credentials have expired: renew them and run again ({detail})")
            }
            S3Reason::FailedCredentials => write!(
                f,
                "AWS credentials cannot be had: check the role, the profile's process or the token file that gives them, \
                 and whether STS can be reached ({detail})"
            ),
            S3Reason::WrongCredentials => write!(
                f,
                "the store refuses the AWS credentials: check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \
                 ({detail})"
            ),
            S3Reason::ClockSkew => {
                write!(f, "this machine's clock differs too much from the store's: set it right ({detail})")
            }
            S3Reason::Precondition => write!(f, "the object is there already, or is another one"),
            S3Reason::NotModified => write!(f, "the object has not changed"),
            S3Reason::Conflict => write!(f, "another request for the same object was under way ({detail})"),
            S3Reason::Unsupported => write!(f, "the store does not know a part of the request ({detail})"),
            S3Reason::Throttled => write!(
                f,
                "the store asked to slow down for longer than the retries lasted: run again later, or with fewer \
                 workers ({detail})"
            ),
            S3Reason::NoRegion => write!(f, "no AWS region is known: set AWS_REGION"),
            S3Reason::Unreachable => {
                write!(f, "the store cannot be reached: check the network and AWS_ENDPOINT_URL ({detail})")
            }
            S3Reason::Ambiguous => write!(f, "the store failed for longer than the retries lasted ({detail})"),
            S3Reason::Damaged => write!(f, "the bytes that arrived are not those that were stored ({detail})"),
            S3Reason::Refused => write!(f, "the store refused the request: {detail}"),
        }
    }
}

impl StdError for S3Error {}

fn of_code(code: &str) -> Option<S3Reason> {
    Some(match code {
        "NoSuchKey" | "NotFound" => S3Reason::NoSuchKey,
        "NoSuchBucket" => S3Reason::NoSuchBucket,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => S3Reason::OtherRegion,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => S3Reason::AccessDenied,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => S3Reason::ExpiredCredentials,
        "InvalidAccessKeyId" | "InvalidToken" | "SignatureDoesNotMatch" | "InvalidSecurity" => {
            S3Reason::WrongCredentials
        }
        "RequestTimeTooSkewed" | "RequestExpired" => S3Reason::ClockSkew,
        "PreconditionFailed" => S3Reason::Precondition,
        "NotModified" => S3Reason::NotModified,
        "ConditionalRequestConflict" | "OperationAborted" => S3Reason::Conflict,
        "NotImplemented" => S3Reason::Unsupported,
        "SlowDown"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded" => S3Reason::Throttled,
        // the first request of this kind may have been performed and its answer lost
        "NoSuchUpload" | "InternalError" | "RequestTimeout" | "RequestTimeoutException" => S3Reason::Ambiguous,
        _ => return None,
    })
}

fn of_status(status: u16) -> S3Reason {
    match status {
        301 | 307 => S3Reason::OtherRegion,
        304 => S3Reason::NotModified,
        403 => S3Reason::AccessDenied,
        404 => S3Reason::NoSuchKey,
        409 => S3Reason::Conflict,
        412 => S3Reason::Precondition,
        429 | 503 => S3Reason::Throttled,
        501 => S3Reason::Unsupported,
        408 | 500.. => S3Reason::Ambiguous,
        _ => S3Reason::Refused,
    }
}

fn of_dispatch(connector: Option<&ConnectorError>, error: &(dyn StdError + 'static)) -> S3Reason {
    match of_configuration(error) {
        S3Reason::Refused => {}
        reason => return reason,
    }
    let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    match connector {
        Some(_) if cause::<io::Error>(error).is_some_and(is_refused) => S3Reason::Unreachable,
        // no name, no route, no TLS: there never was a connection
        Some(connector) if connector.is_io() && connector.connection_metadata().is_none() => S3Reason::Unreachable,
        _ => S3Reason::Ambiguous,
    }
}

/// What kept a request from being sent at all.
fn of_configuration(error: &(dyn StdError + 'static)) -> S3Reason {
    match cause::<CredentialsError>(error) {
        Some(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)) => {
            S3Reason::NoCredentials
        }
        // a provider that failed or was too slow: the next attempt may do better
        Some(_) => S3Reason::FailedCredentials,
        None => S3Reason::Refused,
    }
}

/// The last of the causes of `error`, which says most.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
