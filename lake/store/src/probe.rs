//! Whether a store keeps the promise that every commit rests on.

use bytes::Bytes;
use stedi_lake::{RunId, layout};

use crate::error::StoreError;
use crate::lake::{Lake, PutNew};

/// Why a lake must not be written.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It replaced an object that was there.
    #[error(
        "the store of {lake} does not honour create-if-absent: two runs could overwrite each other's commit; \
         use a store that does (on S3: If-None-Match)"
    )]
    NotHonoured {
        /// The lake.
        lake: String,
    },
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates one object twice; the second time must find it there. It lies in the folder of `run`, so that it is nobody
/// else's, and is gone afterwards; so is the folder, if that was all.
///
/// # Errors
/// If the lake must not, or cannot, be written.
pub async fn probe(lake: &Lake, run: RunId) -> Result<(), ProbeError> {
    let path = format!("{}/probe", layout::run_dir(run));
    let not_honoured = || ProbeError::NotHonoured { lake: lake.uri().to_owned() };
    let first = match lake.put_new(&path, Bytes::from_static(b"first")).await {
        Err(error) if error.is_unsupported() => return Err(not_honoured()),
        first => first?,
    };
    let second = lake.put_new(&path, Bytes::from_static(b"second")).await;
    let kept = lake.read(&path).await;
    lake.delete(&path).await?;
    lake.remove_empty_folders(&layout::run_dir(run)).await?;
    match (first, second?, kept?.as_ref()) {
        (PutNew::Created, PutNew::Exists, b"first") => Ok(()),
        _ => Err(not_honoured()),
    }
}
