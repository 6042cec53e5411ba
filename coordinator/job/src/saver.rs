//! Making finished tasks durable, many at once, one write at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::JobConfig;
use crate::error::JobError;
use crate::event::Epoch;
use crate::progress::{Effort, ProgressRecord, TaskRecord};
use crate::task::{Stage, TaskOutput};

/// Tasks in one record at most.
const RECORD_TASKS_MAX: usize = 4_096;

/// What waits to be saved may hold so many segments, readers and counts before no more work is given out: some 200 MB.
const UNSAVED_WEIGHT_MAX: usize = 6_000_000;

/// A write that is on its way, and is asked for again until it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    what: &'static str,
    failures: u32,
    /// Whether the failure is known; otherwise no answer until `due_ms` is one.
    answered: bool,
    due_ms: u64,
}

impl Write {
    /// A write that is asked for now.
    pub(crate) fn new(what: &'static str, config: &JobConfig, now_ms: u64) -> Self {
        Self { what, failures: 0, answered: false, due_ms: now_ms + config.write_timeout_ms }
    }

    /// Whether it must be asked for again: then that is so from now on.
    pub(crate) fn again(&mut self, config: &JobConfig, now_ms: u64) -> Result<bool, JobError> {
        if now_ms < self.due_ms {
            return Ok(false);
        }
        if !self.answered {
            self.failed(config, now_ms, format!("no answer for {} ms", config.write_timeout_ms))?;
        }
        self.answered = false;
        self.due_ms = now_ms + config.write_timeout_ms;
        Ok(true)
    }

    /// It has failed.
    pub(crate) fn failed(&mut self, config: &JobConfig, now_ms: u64, message: String) -> Result<(), JobError> {
        self.failures += 1;
        self.answered = true;
        self.due_ms = now_ms + config.backoff(self.failures);
        if self.failures < config.write_failures_max {
            return Ok(());
        }
        Err(JobError::Store { what: self.what, failures: self.failures, message })
    }
}

/// What is done and not yet durable.
#[derive(Clone, Debug)]
pub(crate) struct Saver {
    epoch: Epoch,
    next_number: u64,
    queue: Vec<TaskRecord>,
    efforts: BTreeMap<Stage, Effort>,
    weight: usize,
    on_its_way: Option<(Arc<ProgressRecord>, Write)>,
    last_begin_ms: Option<u64>,
}

impl Saver {
    pub(crate) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            next_number: 0,
            queue: Vec::new(),
            efforts: BTreeMap::new(),
            weight: 0,
            on_its_way: None,
            last_begin_ms: None,
        }
    }

    pub(crate) fn push(&mut self, record: TaskRecord) {
        self.weight += weight(&record);
        self.queue.push(record);
    }

    pub(crate) fn effort(&mut self, stage: Stage) -> &mut Effort {
        self.efforts.entry(stage).or_default()
    }

    /// Whether everything that was pushed is durable.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.on_its_way.is_none()
    }

    /// Whether so much waits that nothing should be added.
    pub(crate) fn is_full(&self) -> bool {
        self.weight > UNSAVED_WEIGHT_MAX
    }

    /// The record to save now, if any: the one on its way again if it was not answered, or the next one. Without
    /// `hurry` a next one is not begun too soon after the last, so that it holds more.
    ///
    /// Efforts alone are not worth a record.
    pub(crate) fn next(
        &mut self,
        config: &JobConfig,
        now_ms: u64,
        hurry: bool,
    ) -> Result<Option<Arc<ProgressRecord>>, JobError> {
        if let Some((record, write)) = &mut self.on_its_way {
            return Ok(write.again(config, now_ms)?.then(|| Arc::clone(record)));
        }
        let too_soon = self.last_begin_ms.is_some_and(|last| now_ms < last + config.save_interval_ms);
        let full = self.queue.len() >= RECORD_TASKS_MAX || self.is_full();
        if self.queue.is_empty() || (too_soon && !hurry && !full) {
            return Ok(None);
        }
        let rest = self.queue.split_off(self.queue.len().min(RECORD_TASKS_MAX));
        let record = Arc::new(ProgressRecord {
            epoch: self.epoch,
            number: self.next_number,
            tasks: std::mem::replace(&mut self.queue, rest),
            efforts: std::mem::take(&mut self.efforts),
        });
        self.next_number += 1;
        self.last_begin_ms = Some(now_ms);
        self.on_its_way = Some((Arc::clone(&record), Write::new("saving progress", config, now_ms)));
        Ok(Some(record))
    }

    /// A record is durable.
    pub(crate) fn saved(&mut self, number: u64) {
        if let Some((record, _)) = self.on_its_way.take_if(|(record, _)| record.number == number) {
            self.weight = self.weight.saturating_sub(record.tasks.iter().map(weight).sum());
        }
    }

    /// A record was not saved, or nobody knows.
    pub(crate) fn failed(
        &mut self,
        number: u64,
        config: &JobConfig,
        now_ms: u64,
        message: String,
    ) -> Result<(), JobError> {
        match &mut self.on_its_way {
            Some((record, write)) if record.number == number => write.failed(config, now_ms, message),
            _ => Ok(()),
        }
    }
}

/// Entries of the lists in a record.
fn weight(record: &TaskRecord) -> usize {
    match &record.output {
        TaskOutput::Consent { counts, rejects, .. } => counts.len() + rejects.len(),
        TaskOutput::Scan { segments, readers, counts, rejects, .. } => {
            segments.len() + readers.len() + counts.len() + rejects.len()
        }
        TaskOutput::Parts(parts) => parts.len(),
    }
}
