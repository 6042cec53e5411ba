//! The I/O of generating: makes objects on the rayon pool and puts them into the lake.

use std::sync::Arc;

use futures::channel::oneshot;
use futures::{StreamExt, TryStreamExt};
use stedi_lake::LandingTable;
use stedi_store::{Action, Lake, PutNew, StoreError};

use super::manifest::{GenerateReport, MANIFEST_PATH, Manifest, ManifestObject};
use super::plan::{ObjectSpec, plan};
use super::{CUSTOMERS_MAX, DAYS_MAX, GenerateConfig, object};

/// Objects that exist in memory at once beyond those that the rayon pool is making.
const WAITING_OBJECTS: usize = 2;

/// Why a landing was not generated, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// A number that makes no landing.
    #[error("`--{option} {value}` is out of range: give a number from 1 to {max}")]
    OutOfRange {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: u64,
        /// What is possible.
        max: u64,
    },
    /// There is landing already.
    #[error("`{object}` is already there: choose another lake, or remove what lies below `{prefix}/` first")]
    LandingNotEmpty {
        /// One of the objects.
        object: String,
        /// The landing prefix.
        prefix: String,
    },
    /// An object appeared meanwhile.
    #[error("`{object}` appeared while landing was generated: let only one `stedi generate` write to a lake at a time")]
    Exists {
        /// The object.
        object: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Generates a landing in `lake`, with its [manifest](Manifest) last. Needs a tokio runtime if the lake needs one.
///
/// Objects are made on the current rayon pool, a few more than it has threads at once, each of about 16 MiB.
///
/// # Errors
/// If the configuration makes no landing, if any landing prefix has objects already or gets one meanwhile, or if the store
/// refuses. Objects put before the failure stay.
pub async fn generate(config: GenerateConfig, lake: &Lake) -> Result<GenerateReport, GenerateError> {
    check(&config)?;
    refuse_landing(lake).await?;
    // of landing that was removed
    lake.delete(MANIFEST_PATH).await?;
    let specs = plan(&config);
    let config = Arc::new(config);
    let in_flight = rayon::current_num_threads() + WAITING_OBJECTS;
    let objects: Vec<ManifestObject> = futures::stream::iter(specs)
        .map(|spec| deliver(Arc::clone(&config), spec, lake))
        .buffered(in_flight)
        .try_collect()
        .await?;
    let manifest = Manifest::new(&config, objects);
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
    put(lake, MANIFEST_PATH, json).await?;
    Ok(manifest.report())
}

fn check(config: &GenerateConfig) -> Result<(), GenerateError> {
    let options = [("customers", config.customers, CUSTOMERS_MAX), ("days", config.days.into(), DAYS_MAX)];
    for (option, value, max) in options {
        if !(1..=max).contains(&value) {
            return Err(GenerateError::OutOfRange { option, value, max });
        }
    }
    Ok(())
}

async fn refuse_landing(lake: &Lake) -> Result<(), GenerateError> {
    for table in LandingTable::ALL {
        // one will do: a listing of all may be long
        let first = lake.store().list(Some(&lake.path(table.path()))).try_next().await;
        let failed = |error| StoreError::of_store(Action::List, lake.location(table.path()), error);
        if let Some(found) = first.map_err(failed)? {
            let (object, prefix) = (found.location.to_string(), lake.path(table.path()).to_string());
            return Err(GenerateError::LandingNotEmpty { object, prefix });
        }
    }
    Ok(())
}

async fn deliver(config: Arc<GenerateConfig>, spec: ObjectSpec, lake: &Lake) -> Result<ManifestObject, GenerateError> {
    let (sender, made) = oneshot::channel();
    rayon::spawn(move || {
        let object = object(&config, &spec);
        // nobody waits any more if another object failed
        let _ = sender.send((ManifestObject::new(&spec, &object), object.bytes));
    });
    let (entry, bytes) = made.await.expect("the maker sends before it ends");
    put(lake, &entry.key, bytes).await?;
    Ok(entry)
}

async fn put(lake: &Lake, path: &str, bytes: Vec<u8>) -> Result<(), GenerateError> {
    match lake.put_cold(path, bytes.into()).await? {
        PutNew::Created => Ok(()),
        // somebody else generates, too
        PutNew::Exists => Err(GenerateError::Exists { object: lake.location(path) }),
    }
}
