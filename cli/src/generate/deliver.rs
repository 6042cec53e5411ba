//! The I/O of generating: makes objects on the rayon pool and puts them into the lake.

use std::sync::Arc;

use futures::channel::oneshot;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use stedi_lake::LandingTable;

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
    /// The store refused.
    #[error("cannot {action} `{path}`: check that the lake exists and may be written")]
    Store {
        /// What was tried.
        action: &'static str,
        /// On which object or prefix.
        path: String,
        /// What the store said.
        source: object_store::Error,
    },
}

/// Generates a landing below `root`, with its [manifest](Manifest) last. Needs a tokio runtime if the store needs one.
///
/// Objects are made on the current rayon pool, a few more than it has threads at once, each of about 16 MiB.
///
/// # Errors
/// If the configuration makes no landing, if any landing prefix has objects already, or if the store refuses. Objects
/// put before the failure stay.
pub async fn generate(
    config: GenerateConfig,
    store: &dyn ObjectStore,
    root: &Path,
) -> Result<GenerateReport, GenerateError> {
    check(&config)?;
    refuse_landing(store, root).await?;
    let specs = plan(&config);
    let config = Arc::new(config);
    let in_flight = rayon::current_num_threads() + WAITING_OBJECTS;
    let objects: Vec<ManifestObject> = futures::stream::iter(specs)
        .map(|spec| deliver(Arc::clone(&config), spec, store, root))
        .buffered(in_flight)
        .try_collect()
        .await?;
    let manifest = Manifest::new(&config, objects);
    let json = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
    put(store, root, MANIFEST_PATH, json).await?;
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

async fn refuse_landing(store: &dyn ObjectStore, root: &Path) -> Result<(), GenerateError> {
    for table in LandingTable::ALL {
        let prefix = below(root, table.path());
        let first = store.list(Some(&prefix)).next().await.transpose();
        let first =
            first.map_err(|source| GenerateError::Store { action: "list", path: prefix.to_string(), source })?;
        if let Some(found) = first {
            let (object, prefix) = (found.location.to_string(), prefix.to_string());
            return Err(GenerateError::LandingNotEmpty { object, prefix });
        }
    }
    Ok(())
}

async fn deliver(
    config: Arc<GenerateConfig>,
    spec: ObjectSpec,
    store: &dyn ObjectStore,
    root: &Path,
) -> Result<ManifestObject, GenerateError> {
    let (sender, made) = oneshot::channel();
    rayon::spawn(move || {
        let object = object(&config, &spec);
        // nobody waits any more if another object failed
        let _ = sender.send((ManifestObject::new(&spec, &object), object.bytes));
    });
    let (entry, bytes) = made.await.expect("the maker sends before it ends");
    put(store, root, &entry.key, bytes).await?;
    Ok(entry)
}

async fn put(store: &dyn ObjectStore, root: &Path, path: &str, bytes: Vec<u8>) -> Result<(), GenerateError> {
    let location = below(root, path);
    match store.put(&location, PutPayload::from(bytes)).await {
        Ok(_) => Ok(()),
        Err(source) => Err(GenerateError::Store { action: "write", path: location.to_string(), source }),
    }
}

fn below(root: &Path, path: &str) -> Path {
    root.parts().chain(Path::from(path).parts()).collect()
}
