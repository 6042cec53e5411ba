//! The consent stage: all customers, by all threads, to the directory.

use bytes::Bytes;
use stedi_engine::directory::{Directory, encode_customers_object};
use stedi_job::task::{FailureClass, ObjectSplit, TaskOutput};
use stedi_lake::{LandingTable, layout};
use stedi_store::PutNew;

use super::{Attempt, Executor, TaskError};
use crate::customers;

impl Executor {
    pub(super) fn consent(&self, attempt: &mut Attempt<'_>, splits: &[ObjectSplit]) -> Result<TaskOutput, TaskError> {
        let landing = self.landing(attempt, LandingTable::Customer, splits)?;
        let options = &self.context.options;
        let budget = attempt.budget;
        let threads = if attempt.sparing { 1 } else { self.slots };
        let ((trusted, counts), rejects) =
            self.with_scan(attempt, &landing, threads, |scan| customers::trusted(scan, options.consent, &budget))?;
        let counts = landing.counts(attempt, counts);
        attempt.check_cancelled()?;
        let path = layout::consent_path(self.context.run_id, &attempt.id.to_string());
        let bytes = encode_customers_object(&trusted).map_err(|error| {
            TaskError::new(FailureClass::Permanent, "failed to encode the directory".to_owned()).caused_by(&error)
        })?;
        attempt.cost.written_bytes += bytes.len() as u64;
        if self.runtime.block_on(self.lake(attempt).put_new(&path, Bytes::from(bytes)))? == PutNew::Exists {
            return Err(self.taken(&path));
        }
        let directory = Directory::new(trusted, options.shards, options.match_mode);
        let output = TaskOutput::Consent {
            directory: path.clone(),
            users: u32::try_from(directory.user_count()).unwrap_or(u32::MAX),
            directory_memory_bytes: directory.memory_bytes() as u64,
            counts,
            rejects,
        };
        self.shared.keep(path, directory);
        Ok(output)
    }

    /// The error of an attempt whose name is in use.
    pub(super) fn taken(&self, path: &str) -> TaskError {
        let text = format!("{} exists already: another process ran this attempt", self.lake.location(path));
        TaskError::new(FailureClass::Permanent, text)
    }
}
