//! What goes wrong with a store, sorted by what the caller or the user can do about it.

use std::error::Error;
use std::{fmt, io};

use crate::s3::{S3Error, S3Reason};

/// Why a lake could not be opened or created.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there.
    #[error("there is no lake at {0}: check the path, or make a synthetic one with `stedi generate --lake {0}`")]
    Missing(String),
    /// Something else is there.
    #[error("{0} is not a folder: a lake is the folder that holds customer/, accelerometer/ and step_trainer/")]
    NotAFolder(String),
    /// It may not be read or made.
    #[error("no permission to open {0}: run as a user who may read and write it")]
    PermissionDenied(String),
    /// Not a way to name a lake.
    #[error("`{0}` does not name a lake: give a path, file:///path or s3://bucket/prefix")]
    UnknownScheme(String),
    /// Anything else.
    #[error("failed to open {uri}")]
    Io {
        /// The lake.
        uri: String,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn new(uri: &str, source: io::Error) -> Self {
        let uri = uri.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(uri),
            io::ErrorKind::NotADirectory => Self::NotAFolder(uri),
            io::ErrorKind::PermissionDenied => Self::PermissionDenied(uri),
            _ => Self::Io { uri, source },
        }
    }
}

/// What was being done when a store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reading an object.
    Read,
    /// Listing a folder.
    List,
    /// Creating an object.
    Write,
    /// Deleting an object.
    Delete,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Delete => "delete",
        })
    }
}

/// What can be done about a failure of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The object is gone or never was.
    NotFound,
    /// The store asked to slow down for longer than the retries lasted.
    Throttled,
    /// The store or the network failed for longer than the retries lasted; the same may succeed later, or elsewhere.
    TransientIo,
    /// It will fail again: no permission, no such bucket, wrong credentials, a full disk.
    Permanent,
}

impl ErrorClass {
    /// The class of the store's failure that is in `error` or in what caused it; `None` if no store failed.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = cause::<StoreError>(error) {
            return Some(error.class());
        }
        if let Some(error) = cause::<S3Error>(error) {
            return Some(error.class());
        }
        if let Some(error) = cause::<object_store::Error>(error) {
            return Some(match error {
                object_store::Error::NotFound { .. } => Self::NotFound,
                object_store::Error::Generic { .. } | object_store::Error::JoinError { .. } => Self::TransientIo,
                _ => Self::Permanent,
            });
        }
        cause::<io::Error>(error).map(|error| Self::of_kind(error.kind()))
    }

    fn of_kind(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::Unsupported => Self::Permanent,
            _ => Self::TransientIo,
        }
    }
}

/// Why a store did not do what it was asked. `object` is the full path or URI.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is gone or never was.
    #[error("failed to {action} {object}: it does not exist")]
    NotFound {
        /// What was being done.
        action: Action,
        /// To what.
        object: String,
    },
    /// The user that runs this may not.
    #[error("no permission to {action} {object}: give access to the user or role that runs this")]
    PermissionDenied {
        /// What was being done.
        action: Action,
        /// To what.
        object: String,
    },
    /// The disk is full, or a quota is used up.
    #[error("no space left to {action} {object}: free some, or collect what old runs left with `stedi gc`")]
    DiskFull {
        /// What was being done.
        action: Action,
        /// To what.
        object: String,
    },
    /// A name in landing that the store would pass over in silence.
    #[error("cannot read landing object {object}: {why}; rename or remove it")]
    Unlistable {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file system cannot give a file its name only if it is free.
    #[error(
        "failed to write {object}: its file system has no hard links, without which no commit is safe; use another"
    )]
    NoLinks {
        /// The object.
        object: String,
    },
    /// Anything else.
    #[error("failed to {action} {object}")]
    Other {
        /// What was being done.
        action: Action,
        /// To what.
        object: String,
        /// What the store said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Sorts an error of the object store.
    pub fn of_store(action: Action, object: impl Into<String>, error: object_store::Error) -> Self {
        let object = object.into();
        match &error {
            object_store::Error::NotFound { .. } => return Self::NotFound { action, object },
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                return Self::PermissionDenied { action, object };
            }
            _ => {}
        }
        let error = match error {
            // it says all that the port's own error says
            object_store::Error::Generic { source, .. } if source.is::<S3Error>() => {
                return Self::Other { action, object, source };
            }
            error => error,
        };
        // a listing fails somewhere below the folder it was asked for
        let place =
            cause::<walkdir::Error>(&error).and_then(walkdir::Error::path).map(|path| path.display().to_string());
        match cause::<io::Error>(&error).map(io::Error::kind) {
            Some(kind) => Self::of_kind(kind, action, place.unwrap_or(object), error.into()),
            None => Self::Other { action, object: place.unwrap_or(object), source: error.into() },
        }
    }

    /// Sorts an error of the file system.
    pub fn of_io(action: Action, object: impl Into<String>, error: io::Error) -> Self {
        Self::of_kind(error.kind(), action, object.into(), error.into())
    }

    fn of_kind(kind: io::ErrorKind, action: Action, object: String, source: Box<dyn Error + Send + Sync>) -> Self {
        match kind {
            io::ErrorKind::NotFound => Self::NotFound { action, object },
            // a file where a folder should be: whatever is read below it is not there
            io::ErrorKind::NotADirectory if action == Action::Read => Self::NotFound { action, object },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied { action, object }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { action, object },
            _ => Self::Other { action, object, source },
        }
    }

    /// What can be done about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            // what is written need not have been there: somebody removed the folder, and the next try makes it again
            Self::NotFound { action: Action::Write, .. } => ErrorClass::TransientIo,
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::PermissionDenied { .. } | Self::DiskFull { .. } | Self::Unlistable { .. } | Self::NoLinks { .. } => {
                ErrorClass::Permanent
            }
            Self::Other { source, .. } => ErrorClass::of(&**source).unwrap_or(ErrorClass::TransientIo),
        }
    }

    /// Whether the store does not know what a part of the request means.
    pub(crate) fn is_unsupported(&self) -> bool {
        let Self::Other { source, .. } = self else { return false };
        cause::<S3Error>(&**source).is_some_and(|error| error.reason == S3Reason::Unsupported)
    }

    /// The kind of [`io::Error`] that is nearest.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::NotFound { .. } => io::ErrorKind::NotFound,
            Self::PermissionDenied { .. } => io::ErrorKind::PermissionDenied,
            Self::DiskFull { .. } => io::ErrorKind::StorageFull,
            Self::NoLinks { .. } => io::ErrorKind::Unsupported,
            Self::Unlistable { .. } | Self::Other { .. } => io::ErrorKind::Other,
        }
    }
}

/// For code that writes through [`io::Write`]: the store's error is inside, and `downcast` gets it back.
impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

/// The first error of type `T` in `error` and what caused it.
pub(crate) fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // an io::Error that holds another error does not count that as its source, but that one's source
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: io::ErrorKind) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: Box::new(io::Error::from(kind)) }
    }

    #[test]
    fn errors_are_sorted_by_what_to_do() {
        let sorted = |kind| StoreError::of_store(Action::Write, "a", generic(kind));
        assert!(matches!(sorted(io::ErrorKind::StorageFull), StoreError::DiskFull { .. }));
        assert!(matches!(sorted(io::ErrorKind::PermissionDenied), StoreError::PermissionDenied { .. }));
        assert!(matches!(sorted(io::ErrorKind::NotFound), StoreError::NotFound { .. }));
        assert!(matches!(sorted(io::ErrorKind::TimedOut), StoreError::Other { .. }));
        assert!(matches!(sorted(io::ErrorKind::NotADirectory), StoreError::Other { .. }));
        let read = StoreError::of_store(Action::Read, "a", generic(io::ErrorKind::NotADirectory));
        assert!(matches!(read, StoreError::NotFound { .. }));
    }

    #[test]
    fn what_is_not_there_to_be_written_to_may_be_there_next_time() {
        let gone = |action| StoreError::of_io(action, "a", io::ErrorKind::NotFound.into()).class();
        assert_eq!(gone(Action::Write), ErrorClass::TransientIo);
        assert_eq!(gone(Action::Read), ErrorClass::NotFound);
    }

    #[test]
    fn a_store_error_survives_the_way_through_io() {
        let error = io::Error::from(StoreError::of_io(Action::Write, "part", io::ErrorKind::StorageFull.into()));
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(matches!(error.downcast::<StoreError>(), Ok(StoreError::DiskFull { object, .. }) if object == "part"));
    }
}
