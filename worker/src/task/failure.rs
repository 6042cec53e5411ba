//! Why attempts fail, as far as the next step depends on it.

use std::error::Error;
use std::io;

use stedi_engine::directory::CustomersError;
use stedi_engine::encode::EncodeError;
use stedi_job::readers::ReadersError;
use stedi_job::task::FailureClass;
use stedi_store::{ErrorClass, OpenError, StoreError};

use crate::WorkError;
use crate::read::ReadError;
use crate::scratch::ScratchError;

/// Why an attempt failed. It travels to the coordinator, so the causes are in the message and not behind it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// What to do about it depends on this.
    pub class: FailureClass,
    /// What happened, from the outermost cause to the innermost. Names objects, never what is in them.
    pub message: String,
}

impl TaskError {
    /// A failure without another cause.
    pub fn new(class: FailureClass, message: String) -> Self {
        Self { class, message }
    }

    /// The same, caused by `source`.
    pub(crate) fn caused_by(self, source: &dyn Error) -> Self {
        Self { message: chain(&self.message, Some(source)), ..self }
    }

    fn of(class: FailureClass, error: &dyn Error) -> Self {
        Self { class, message: chain(&error.to_string(), error.source()) }
    }
}

/// `text` and the causes behind it, each said once.
fn chain(text: &str, mut cause: Option<&dyn Error>) -> String {
    let mut message = text.to_owned();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

impl From<WorkError> for TaskError {
    fn from(error: WorkError) -> Self {
        let class = match &error {
            WorkError::Read(error) => of_read(error),
            WorkError::Scratch(error) => of_scratch(error),
            WorkError::Encode(EncodeError::Store { source, .. }) | WorkError::Quarantine(source) => of_writing(source),
            WorkError::Encode(EncodeError::Parquet { .. }) => FailureClass::Permanent,
            WorkError::Memory(_) => FailureClass::OutOfMemory,
            // there may be room for it in a moment, or on another machine
            WorkError::Thread(_) => FailureClass::TransientIo,
            WorkError::Cancelled => FailureClass::Cancelled,
        };
        Self::of(class, &error)
    }
}

/// An object that a task writes, or one that it reads and that another task has written.
impl From<StoreError> for TaskError {
    fn from(error: StoreError) -> Self {
        Self::of(of_class(error.class()), &error)
    }
}

impl From<CustomersError> for TaskError {
    fn from(error: CustomersError) -> Self {
        Self::of(FailureClass::BadInput, &error)
    }
}

impl From<ReadersError> for TaskError {
    fn from(error: ReadersError) -> Self {
        Self::of(FailureClass::BadInput, &error)
    }
}

impl From<OpenError> for TaskError {
    fn from(error: OpenError) -> Self {
        Self::of(FailureClass::Permanent, &error)
    }
}

/// What is written through [`io::Write`] fails with the store's error inside.
impl From<io::Error> for TaskError {
    fn from(error: io::Error) -> Self {
        Self::of(of_writing(&error), &error)
    }
}

fn of_class(class: ErrorClass) -> FailureClass {
    match class {
        ErrorClass::NotFound => FailureClass::BadInput,
        ErrorClass::Throttled => FailureClass::Throttled,
        ErrorClass::TransientIo => FailureClass::TransientIo,
        ErrorClass::Permanent => FailureClass::Permanent,
    }
}

fn of_read(error: &ReadError) -> FailureClass {
    match error {
        ReadError::Window(error) if error.is_for_want_of_memory() => FailureClass::OutOfMemory,
        ReadError::Changed { .. } | ReadError::Window(_) => FailureClass::BadInput,
        ReadError::Store { source, .. } => of_class(source.class()),
        ReadError::Io { source, .. } => of_class(ErrorClass::of(source).unwrap_or(ErrorClass::TransientIo)),
    }
}

fn of_writing(error: &io::Error) -> FailureClass {
    match ErrorClass::of(error) {
        // there is nothing to write to
        Some(ErrorClass::NotFound) => FailureClass::Permanent,
        _ if error.kind() == io::ErrorKind::AlreadyExists => FailureClass::Permanent,
        class => of_class(class.unwrap_or(ErrorClass::TransientIo)),
    }
}

fn of_scratch(error: &ScratchError) -> FailureClass {
    match error {
        ScratchError::Full { .. } => FailureClass::Permanent,
        ScratchError::Io { source, .. } => of_writing(source),
    }
}

/// The class of what keeps the scratch folder from being made, before there is any task: unless the name is wrong, another
/// machine may have a better disk.
pub(super) fn of_making(error: &io::Error) -> FailureClass {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        AlreadyExists | InvalidFilename | InvalidInput | NotADirectory | NotFound | PermissionDenied => {
            FailureClass::Permanent
        }
        _ => FailureClass::TransientIo,
    }
}

#[cfg(test)]
mod tests {
    use stedi_store::Action;

    use super::*;

    #[test]
    fn failures_are_sorted_where_they_happen() {
        let store = |kind: io::ErrorKind| StoreError::of_io(Action::Read, "a", kind.into());
        let read = |kind| TaskError::from(WorkError::Read(ReadError::Store { key: "k".into(), source: store(kind) }));
        assert_eq!(read(io::ErrorKind::NotFound).class, FailureClass::BadInput);
        assert_eq!(read(io::ErrorKind::PermissionDenied).class, FailureClass::Permanent);
        assert_eq!(read(io::ErrorKind::TimedOut).class, FailureClass::TransientIo);
        let changed = TaskError::from(WorkError::Read(ReadError::Changed { key: "k".into() }));
        assert_eq!(changed.class, FailureClass::BadInput);
        assert!(changed.message.contains('k'));
        let write = |kind| TaskError::from(WorkError::Quarantine(io::Error::from(store(kind))));
        assert_eq!(write(io::ErrorKind::StorageFull).class, FailureClass::Permanent);
        assert_eq!(write(io::ErrorKind::NotFound).class, FailureClass::Permanent);
        assert_eq!(write(io::ErrorKind::ConnectionReset).class, FailureClass::TransientIo);
        let gone = StoreError::of_io(Action::Write, "a", io::ErrorKind::NotFound.into());
        assert_eq!(TaskError::from(gone).class, FailureClass::TransientIo);
        assert_eq!(TaskError::from(WorkError::Cancelled).class, FailureClass::Cancelled);
        let full = ScratchError::Full { dir: "/s".into(), free_mib: 1, wanted_mib: 2 };
        assert_eq!(TaskError::from(WorkError::Scratch(full)).class, FailureClass::Permanent);
    }

    #[test]
    fn a_scratch_folder_that_cannot_be_made_is_its_names_fault_or_the_machines() {
        use rustix::io::Errno;
        let of = |errno: Errno| of_making(&errno.into());
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::IO] {
            assert_eq!(of(errno), FailureClass::TransientIo, "{errno:?}");
        }
        for errno in [Errno::ACCESS, Errno::PERM, Errno::NOTDIR, Errno::EXIST, Errno::NAMETOOLONG] {
            assert_eq!(of(errno), FailureClass::Permanent, "{errno:?}");
        }
    }

    #[test]
    fn a_message_says_each_cause_once() {
        let inner = StoreError::of_io(Action::Read, "a", io::Error::other("no route"));
        let error = TaskError::from(WorkError::Read(ReadError::Store { key: "k".into(), source: inner }));
        assert_eq!(error.message, "failed to read landing object k: failed to read a: no route");
    }
}
