//! What Glue and Athena say when they do not do what they were asked, sorted by what can be done about it.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_glue::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// An answer that is an error, or the want of an answer.
#[derive(Debug)]
pub struct CatalogError {
    /// What it is.
    pub reason: Reason,
    /// What was asked, as IAM calls it: `glue:UpdateTable`.
    pub action: &'static str,
    /// Of what: `table stedi.customer_trusted`.
    pub object: String,
    /// The rest of what is known, for people.
    detail: String,
}

/// Why a catalog did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no such database, table or workgroup.
    NotFound,
    /// It is there already.
    Exists,
    /// Somebody else has changed it meanwhile.
    Conflict,
    /// These credentials may not do this.
    Denied,
    /// The catalog asks to slow down. The request was not performed.
    Throttled,
    /// There was no answer, or one that says nothing: the request may have been performed.
    Ambiguous,
    /// The endpoint cannot be reached. The request was not performed.
    Unreachable,
    /// No region, no credentials, or such as the service does not take.
    Configuration,
    /// Anything else that will be refused again.
    Refused,
}

impl CatalogError {
    /// An error of this kind.
    pub fn new(reason: Reason, action: &'static str, object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason, action, object: object.into(), detail: detail.into() }
    }

    /// Whether the same request, made anew, may do better.
    pub fn is_passing(&self) -> bool {
        use Reason::{Ambiguous, Conflict, Exists, NotFound, Throttled, Unreachable};
        matches!(self.reason, NotFound | Exists | Conflict | Throttled | Ambiguous | Unreachable)
    }

    pub(crate) fn of_sdk<E>(action: &'static str, object: impl Into<String>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
        let code = meta.and_then(|meta| meta.code()).unwrap_or_default();
        let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
        let reason = match error {
            SdkError::ServiceError(_) => of_code(code).unwrap_or_else(|| of_status(status)),
            SdkError::ResponseError(_) if status >= 300 => of_status(status),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                // a connection that broke off, or a timeout: who knows what arrived
                Some(error) if error.is_timeout() => Reason::Ambiguous,
                Some(error) if error.is_io() => Reason::Unreachable,
                Some(error) if error.is_user() => Reason::Configuration,
                Some(_) => Reason::Ambiguous,
                None => Reason::Configuration,
            },
            SdkError::ConstructionFailure(_) => Reason::Configuration,
            _ => Reason::Ambiguous,
        };
        let detail = match meta.and_then(|meta| meta.message()) {
            Some(message) => format!("{code}: {message}"),
            None if code.is_empty() => causes(error),
            None => code.to_owned(),
        };
        Self::new(reason, action, object, detail)
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, object, detail, .. } = self;
        match self.reason {
            Reason::NotFound => write!(f, "there is no {object} ({action}: {detail})"),
            Reason::Exists => write!(f, "{object} exists already ({action}: {detail})"),
            Reason::Conflict => write!(f, "{object} was changed by somebody else meanwhile ({action}: {detail})"),
            Reason::Denied => write!(
                f,
                "no permission for {action} on {object}: give it to the role that runs this, as docs/iam/ has it ({detail})"
            ),
            Reason::Throttled => {
                write!(f, "{action} of {object} was throttled for longer than the retries lasted ({detail})")
            }
            Reason::Ambiguous => write!(f, "{action} of {object} failed for longer than the retries lasted ({detail})"),
            Reason::Unreachable => write!(
                f,
                "the service of {action} cannot be reached: check the network, AWS_REGION and AWS_ENDPOINT_URL ({detail})"
            ),
            Reason::Configuration => write!(
                f,
                "{action} needs AWS credentials and a region: set AWS_REGION and AWS_PROFILE, or give the machine or pod \
                 a role ({detail})"
            ),
            Reason::Refused => write!(f, "{action} of {object} was refused: {detail}"),
        }
    }
}

impl StdError for CatalogError {}

fn of_code(code: &str) -> Option<Reason> {
    Some(match code {
        "EntityNotFoundException" | "ResourceNotFoundException" | "MetadataException" => Reason::NotFound,
        "AlreadyExistsException" => Reason::Exists,
        "ConcurrentModificationException" | "ConcurrentRunsExceededException" | "VersionMismatchException" => {
            Reason::Conflict
        }
        "AccessDeniedException" | "AccessDenied" | "GlueEncryptionException" => Reason::Denied,
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => Reason::Throttled,
        "InternalServiceException"
        | "InternalServerException"
        | "OperationTimeoutException"
        | "ResourceNotReadyException"
        | "ServiceUnavailable" => Reason::Ambiguous,
        "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "InvalidClientTokenId" => Reason::Configuration,
        _ => return None,
    })
}

fn of_status(status: u16) -> Reason {
    match status {
        401 | 403 => Reason::Denied,
        429 => Reason::Throttled,
        500.. => Reason::Ambiguous,
        _ => Reason::Refused,
    }
}

/// What an error and its sources say, once each.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}
