//! What the job wants written, each in a task of its own that reports back with an event.
//!
//! Before anything is written it is checked that no other coordinator has taken the run over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use stedi_endpoint::log::chain;
use stedi_job::Epoch;
use stedi_job::event::{CommitFailure, Event};
use stedi_job::progress::{CommitInput, ProgressRecord, progress_path};
use stedi_job::readers::encode_readers;
use stedi_job::report::{ShardReport, StageReport};
use stedi_job::user_set::UserSet;
use stedi_lake::options::TableOptions;
use stedi_lake::report::RunSummary;
use stedi_lake::{RunId, layout};
use stedi_run::{Curated, Inputs, Mode, Run, RunError, RunReport, clean_up};
use stedi_store::{CommitError, CommitLog, ErrorClass, Lake, StoreError, fault};
use tokio::sync::mpsc;

use crate::{epoch, plan};

/// What all effects of a run need.
pub(crate) struct Effects {
    pub(crate) lake: Lake,
    pub(crate) run: RunId,
    pub(crate) epoch: Epoch,
    pub(crate) inputs: Inputs,
    pub(crate) options: TableOptions,
    /// Number of the commit to be made.
    pub(crate) seq: u64,
    pub(crate) started: Instant,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// Whether this coordinator has begun to commit.
    pub(crate) committing: AtomicBool,
    /// What the commit said.
    pub(crate) summary: Mutex<Option<RunSummary>>,
}

impl Effects {
    fn tell(&self, event: Event) {
        // the loop is gone only when the run is over
        let _ = self.events.send(event);
    }

    /// Tells of a write that failed: with `again`, unless it would fail again.
    fn tell_failed(&self, error: &StoreError, again: impl FnOnce(String) -> Event) {
        let message = chain(error);
        self.tell(match error.class() {
            ErrorClass::Permanent => Event::StoreRefused { message },
            _ => again(message),
        });
    }

    /// Whether this coordinator may still write; tells the job if not.
    async fn may_write(&self) -> Result<bool, StoreError> {
        match self.replaced_by().await? {
            Some(by) => {
                self.tell(Event::Fenced { by });
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// The epoch of the coordinator that has taken this run over, if one has.
    pub(crate) async fn replaced_by(&self) -> Result<Option<Epoch>, StoreError> {
        match epoch::later(&self.lake, self.run, self.epoch).await? {
            Some(by) => Ok(Some(by)),
            // who has committed this run has removed the epochs, and one of them was later than ours
            None => Ok(self.is_committed_by_another().await.then_some(Epoch(self.epoch.0 + 1))),
        }
    }

    /// Removes what the run has written, because nobody can resume it; unless somebody has taken it over.
    pub(crate) async fn give_up(&self, keep_quarantine: bool) {
        match epoch::close(&self.lake, self.run, self.epoch).await {
            Ok(true) => {
                // first, so that nobody finds a run of which half is gone
                let _ = self.lake.delete(&plan::path(self.run)).await;
                clean_up(&self.lake, self.run, keep_quarantine).await;
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what the run has written is left to gc"),
        }
    }

    async fn is_committed_by_another(&self) -> bool {
        let committed = CommitLog::new(&self.lake).read(self.seq).await;
        committed.is_ok_and(|record| record.run_id == self.run) && !self.committing.load(Ordering::Relaxed)
    }

    /// Looks whether this coordinator is still the one, even if there is nothing to write.
    pub(crate) fn look_around(self: &Arc<Self>) {
        let effects = Arc::clone(self);
        tokio::spawn(async move {
            // that it cannot be told now is no reason to stop: it is asked again
            let _ = effects.may_write().await;
        });
    }

    /// Saves a progress record.
    pub(crate) fn save(self: &Arc<Self>, record: Arc<ProgressRecord>) {
        let effects = Arc::clone(self);
        tokio::spawn(async move {
            let number = record.number;
            match effects.try_save(&record).await {
                Ok(true) => effects.tell(Event::Saved { number }),
                Ok(false) => {}
                Err(error) => effects.tell_failed(&error, |message| Event::SaveFailed { number, message }),
            }
        });
    }

    async fn try_save(&self, record: &ProgressRecord) -> Result<bool, StoreError> {
        if !self.may_write().await? {
            return Ok(false);
        }
        let text = serde_json::to_vec(record).expect("a record has no map with keys other than names");
        self.lake.put_new(&progress_path(self.run, record.epoch, record.number), Bytes::from(text)).await?;
        fault::point("progress_saved");
        Ok(true)
    }

    /// Writes the set of users with readings.
    pub(crate) fn write_readers(self: &Arc<Self>, path: String, users: Arc<UserSet>) {
        let effects = Arc::clone(self);
        tokio::spawn(async move {
            let ids: Vec<u32> = users.iter().collect();
            match effects.lake.put_new(&path, encode_readers(&ids, users.users()).into()).await {
                Ok(_) => {
                    fault::point("readers_written");
                    effects.tell(Event::ReadersWritten);
                }
                Err(error) => effects.tell_failed(&error, |message| Event::ReadersFailed { message }),
            }
        });
    }

    /// Checks what was written and commits it.
    pub(crate) fn commit(self: &Arc<Self>, input: Arc<CommitInput>) {
        self.committing.store(true, Ordering::Relaxed);
        let effects = Arc::clone(self);
        tokio::spawn(async move {
            match effects.try_commit(&input).await {
                Ok(true) => effects.tell(Event::Committed { seq: effects.seq }),
                Ok(false) => {}
                Err(error) => {
                    let failure = match &error {
                        // the log says that nothing was committed, or it was not even tried
                        RunError::Store(error) | RunError::Commit(CommitError::Store(error)) => {
                            let again = |message| Event::CommitFailed { failure: CommitFailure::Store, message };
                            return effects.tell_failed(error, again);
                        }
                        RunError::Commit(CommitError::Conflict { .. }) => CommitFailure::Conflict,
                        RunError::Violation(_) => CommitFailure::Invariant,
                        RunError::Emptied { .. } | RunError::NoLanding(_) => CommitFailure::Landing,
                        _ => CommitFailure::Store,
                    };
                    effects.tell(Event::CommitFailed { failure, message: chain(&error) });
                }
            }
        });
    }

    async fn try_commit(&self, input: &CommitInput) -> Result<bool, RunError> {
        let run = Run { lake: &self.lake, id: self.run, inputs: &self.inputs, options: &self.options };
        let parts = input.tables.iter().flat_map(|(&table, parts)| parts.iter().map(move |part| (table, part.clone())));
        let curated = Curated { counts: input.landing.clone(), parts: parts.collect() };
        let record = run.prepare(curated, self.seq).await?;
        if !self.may_write().await? {
            return Ok(false);
        }
        let summary = match run.commit(&record, self.started).await {
            // an earlier try, or an earlier coordinator, of this very run
            Err(RunError::Commit(CommitError::Conflict { seq, by })) if by == self.run => {
                run.summary(&CommitLog::new(&self.lake).read(seq).await?, self.started)
            }
            outcome => outcome?,
        };
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
        Ok(true)
    }

    /// After the commit: writes the report, removes what only a run in progress needs.
    pub(crate) async fn finish(&self, stages: Vec<StageReport>, shards: ShardReport) -> Option<RunSummary> {
        let summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let run = Run { lake: &self.lake, id: self.run, inputs: &self.inputs, options: &self.options };
        run.report(&RunReport::new(summary.clone(), Mode::Distributed, stages, shards, self.lake.requests())).await;
        self.clean_up().await;
        Some(summary)
    }

    /// Removes what only a run in progress needs. What cannot be removed now is left to `gc`.
    async fn clean_up(&self) {
        let Ok(objects) = self.lake.list(&layout::run_dir(self.run)).await else { return };
        let scratch = objects.into_iter().map(|object| object.path).filter(|path| layout::is_run_scratch(path));
        let _ = self.lake.delete_all(&scratch.collect::<Vec<_>>()).await;
        let _ = self.lake.remove_empty_folders(&layout::run_dir(self.run)).await;
        fault::point("cleaned");
    }
}
