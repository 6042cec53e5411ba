//! What attempts of one process share: the directory, the users that have readings, and the memory for joins.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use stedi_engine::directory::{CustomersError, Directory, decode_customers_object};
use stedi_job::readers::decode_readers;

use super::{Attempt, Executor, TaskError};
use crate::join::gate::Gate;

/// Objects of which one is enough in memory, however many attempts need it. Whoever comes first loads it while the
/// others wait.
#[derive(Debug, Default)]
pub(super) struct Shared {
    directory: Mutex<Option<Arc<SharedDirectory>>>,
    readers: Mutex<Option<Arc<SharedReaders>>>,
    gate: OnceLock<Gate>,
}

/// The directory at `path`.
#[derive(Debug)]
pub(super) struct SharedDirectory {
    path: String,
    pub(super) customers: Directory,
}

/// The users that have readings, as the object at `path` tells, and what follows from it.
#[derive(Debug)]
pub(super) struct SharedReaders {
    path: String,
    pub(super) has_reading: Vec<bool>,
    pub(super) curated_serials: Vec<bool>,
}

impl Shared {
    /// The gate for joins; `total` is looked at the first time.
    pub(super) fn gate(&self, total: usize) -> &Gate {
        self.gate.get_or_init(|| Gate::new(total))
    }

    /// Keeps a directory that this process made itself.
    pub(super) fn keep(&self, path: String, customers: Directory) {
        *lock(&self.directory) = Some(Arc::new(SharedDirectory { path, customers }));
    }
}

impl Executor {
    pub(super) fn directory(&self, attempt: &mut Attempt<'_>, path: &str) -> Result<Arc<SharedDirectory>, TaskError> {
        let mut kept = lock(&self.shared.directory);
        if let Some(directory) = kept.as_ref().filter(|directory| directory.path == path) {
            return Ok(Arc::clone(directory));
        }
        // of two that are alike one is too many
        *kept = None;
        let bytes = self.load(attempt, path)?;
        let named = |error: CustomersError| {
            let TaskError { class, message } = TaskError::from(error);
            TaskError::new(class, format!("{path}: {message}"))
        };
        let rows = decode_customers_object(&bytes).map_err(named)?;
        drop(bytes);
        let options = &self.context.options;
        let customers = Directory::new(rows, options.shards, options.match_mode);
        let directory = Arc::new(SharedDirectory { path: path.to_owned(), customers });
        *kept = Some(Arc::clone(&directory));
        Ok(directory)
    }

    pub(super) fn readers(
        &self,
        attempt: &mut Attempt<'_>,
        path: &str,
        directory: &SharedDirectory,
    ) -> Result<Arc<SharedReaders>, TaskError> {
        let mut kept = lock(&self.shared.readers);
        let customers = &directory.customers;
        if let Some(readers) =
            kept.as_ref().filter(|readers| readers.path == path && readers.has_reading.len() == customers.user_count())
        {
            return Ok(Arc::clone(readers));
        }
        let bytes = self.load(attempt, path)?;
        let has_reading = decode_readers(&bytes, customers.user_count())?;
        let curated_serials = customers.curated_serials(&has_reading);
        let readers = Arc::new(SharedReaders { path: path.to_owned(), has_reading, curated_serials });
        *kept = Some(Arc::clone(&readers));
        Ok(readers)
    }

    fn load(&self, attempt: &mut Attempt<'_>, path: &str) -> Result<Bytes, TaskError> {
        attempt.check_cancelled()?;
        let bytes = self.runtime.block_on(self.lake.read(path))?;
        attempt.cost.read_bytes += bytes.len() as u64;
        Ok(bytes)
    }
}

/// A load that panicked has left nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
