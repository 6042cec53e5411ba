//! What is to be done: the lake's unfinished run if it is the same one, or a new one.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use stedi_job::progress::progress_dir;
use stedi_job::task::RunContext;
use stedi_job::{Progress, RunPlan};
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION};
use stedi_lake::options::TableOptions;
use stedi_lake::{RunId, layout};
use stedi_run::{Inputs, new_run_id, run_plan};
use stedi_store::{CommitLog, Lake, PutNew};
use stedi_worker::read::LandingReader;

use crate::error::ServeError;

/// What makes two runs the same: whoever finds a plan with this header for what it was told may resume it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    format_version: u32,
    build_version: String,
    fingerprint: String,
    options: TableOptions,
    slice_bytes: u64,
    base_seq: u64,
}

impl Header {
    pub(crate) fn new(
        inputs: &Inputs,
        options: &TableOptions,
        slice_bytes: u64,
        current: Option<&CommitRecord>,
    ) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            build_version: env!("CARGO_PKG_VERSION").to_owned(),
            fingerprint: inputs.fingerprint().to_owned(),
            options: options.clone(),
            slice_bytes,
            base_seq: current.map_or(0, |commit| commit.seq),
        }
    }

    /// The number of the commit that the run will make.
    pub(crate) fn seq(&self) -> u64 {
        self.base_seq + 1
    }
}

/// The plan object: written once, before the first task.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    header: Header,
    plan: RunPlan,
}

/// Where the plan of a run lies.
pub(crate) fn path(run: RunId) -> String {
    format!("{}/plan.json", layout::run_dir(run))
}

/// Finds the newest unfinished run with this header.
pub(crate) async fn find(lake: &Lake, header: &Header) -> Result<Option<RunPlan>, ServeError> {
    let committed: BTreeSet<RunId> = CommitLog::new(lake).all().await?.iter().map(|commit| commit.run_id).collect();
    let objects = lake.list(layout::RUNS).await?;
    let planned = objects.iter().filter_map(|object| {
        let run = layout::run_of_object(&object.path)?;
        (object.path == path(run) && !committed.contains(&run)).then_some(run)
    });
    for run in planned.collect::<BTreeSet<_>>().into_iter().rev() {
        let Ok(stored) = serde_json::from_slice::<Stored>(&lake.read(&path(run)).await?) else { continue };
        if stored.header == *header && stored.plan.check().is_ok() {
            return Ok(Some(stored.plan));
        }
    }
    Ok(None)
}

/// Plans a new run and writes its plan.
pub(crate) async fn make(lake: &Lake, inputs: &Inputs, header: Header) -> Result<RunPlan, ServeError> {
    let context = RunContext {
        run_id: new_run_id()?,
        lake: lake.uri().to_owned(),
        options: header.options.clone(),
        slice_bytes: header.slice_bytes,
    };
    let inputs = inputs.clone();
    let reader = LandingReader::new(tokio::runtime::Handle::current());
    let planned = tokio::task::spawn_blocking(move || run_plan(&inputs, context, &reader)).await;
    let plan = planned.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    let run = plan.context.run_id;
    let stored = Stored { header, plan };
    let text = Bytes::from(serde_json::to_vec(&stored).map_err(ServeError::Encode)?);
    // of another one nobody knows the id, so what exists was written by a first try whose reply was lost
    let (PutNew::Created | PutNew::Exists) = lake.put_new(&path(run), text).await?;
    Ok(stored.plan)
}

/// What earlier coordinators of the run have saved; nothing if it cannot be used, which is said. To be called when this one
/// has its epoch: they save no more then, or it is told.
pub(crate) async fn progress(lake: &Lake, plan: &RunPlan) -> Result<Option<Progress>, ServeError> {
    let mut progress = Progress::new(plan);
    for object in lake.list(&progress_dir(plan.context.run_id)).await? {
        let bytes = lake.read(&object.path).await?;
        let record = serde_json::from_slice(&bytes).map_err(|error| error.to_string());
        let added = record.and_then(|record| progress.add(record).map_err(|error| error.to_string()));
        if let Err(why) = added {
            let object = lake.location(&object.path);
            tracing::warn!(object, why, "what is saved of an unfinished run cannot be used: it is left alone");
            return Ok(None);
        }
    }
    Ok(Some(progress))
}
