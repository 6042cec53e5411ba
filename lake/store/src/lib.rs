//! The lake as storage: what is in landing, immutable objects, part files, and the log of commits.
//!
//! Reading goes through [`object_store::ObjectStore`], the storage port as it is. Everything that is written is written
//! once, under a name that did not exist before, and is there whole or not at all. On a local file system that is a
//! temporary file under `_stedi/`, given its name by link(2); on S3 a put or the end of an upload, with If-None-Match.

pub mod aws;
pub mod error;
pub mod fault;
pub mod lake;
mod landing;
mod local;
pub mod log;
pub mod part;
mod place;
pub mod probe;
pub mod s3;

pub use error::{Action, ErrorClass, OpenError, StoreError};
pub use lake::{Lake, PutNew, StoredObject};
pub use landing::{ElsewhereError, LandingObject};
pub use log::{CommitError, CommitLog, LogError};
pub use part::PartWriter;
pub use place::{absolute, is_on_s3};
pub use probe::{ProbeError, probe};
pub use s3::{S3Client, UnfinishedUpload};
