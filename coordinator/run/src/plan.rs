//! What a run would do, and the tasks of a distributed one.

use std::collections::BTreeMap;
use std::panic;
use std::thread;

use serde::Serialize;
use stedi_job::RunPlan;
use stedi_job::plan::{PlanObject, StageTasks, table_task_bytes};
use stedi_job::task::RunContext;
use stedi_lake::LandingTable;
use stedi_lake::options::TableOptions;
use stedi_store::{CommitLog, Lake, LandingObject};
use stedi_worker::WorkError;
use stedi_worker::memory::slice_bytes;
use stedi_worker::read::{LandingReader, ReadError};
use stedi_worker::scan::is_splittable;
use tokio::runtime::Runtime;

use crate::{Inputs, RunConfig, RunError, new_run_id};

/// Landing objects that are looked into at once.
const SNIFFERS: usize = 16;

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Landing objects and bytes.
    pub landing: BTreeMap<LandingTable, PlannedLanding>,
    /// Number of shards.
    pub shards: u32,
    /// The tasks that a coordinator would give to workers, stage by stage.
    pub tasks: Vec<StageTasks>,
    /// Options that decide what the tables hold.
    pub options: TableOptions,
    /// Whether landing and options are those of the current commit: a run would do nothing.
    pub unchanged: bool,
    /// Sequence number of the current commit.
    pub current_seq: Option<u64>,
}

/// One landing table of a plan.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PlannedLanding {
    /// Number of objects.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
}

/// What a run with this configuration would do; reads nothing but listings, the commit log and the beginnings of large
/// landing objects. Blocks; call it outside of async code, with a runtime whose own threads drive it.
///
/// # Errors
/// If landing cannot be listed or looked into, there is none, or the log cannot be read.
pub fn plan(lake: &Lake, config: &RunConfig, runtime: &Runtime) -> Result<Plan, RunError> {
    let current = runtime.block_on(CommitLog::new(lake).latest())?;
    let inputs = runtime.block_on(Inputs::list(lake, config))?;
    let options = inputs.table_options(config);
    let context = RunContext {
        run_id: new_run_id()?,
        lake: lake.uri().to_owned(),
        options: options.clone(),
        slice_bytes: slice_bytes(config.memory_bytes),
    };
    let reader = LandingReader::new(runtime.handle().clone());
    let tasks = run_plan(&inputs, context, &reader).map_err(WorkError::Read)?.stages();
    let landing = LandingTable::ALL.map(|table| {
        let objects = inputs.objects(table);
        let bytes = objects.iter().map(|o| o.bytes).sum();
        (table, PlannedLanding { objects: objects.len() as u64, bytes })
    });
    Ok(Plan {
        landing: BTreeMap::from(landing),
        shards: options.shards,
        tasks,
        unchanged: current.as_ref().is_some_and(|current| inputs.are_those_of(current, &options)),
        current_seq: current.map(|c| c.seq),
        options,
    })
}

/// Plans a distributed run over `inputs`. Blocks, as `reader` does.
///
/// # Errors
/// If a large landing object cannot be looked into.
pub fn run_plan(inputs: &Inputs, context: RunContext, reader: &LandingReader) -> Result<RunPlan, ReadError> {
    let mut landing = BTreeMap::new();
    for table in LandingTable::ALL {
        let objects = inputs.objects(table);
        let bytes = objects.iter().map(|object| object.bytes);
        let task_bytes = table_task_bytes(bytes, inputs.bytes(), context.options.shards);
        let planned =
            objects.iter().zip(splittable(objects, task_bytes, reader)?).map(|(object, splittable)| PlanObject {
                key: object.key.as_str().into(),
                etag: object.etag.as_str().into(),
                bytes: object.bytes,
                splittable,
            });
        landing.insert(table, planned.collect());
    }
    Ok(RunPlan::new(context, landing))
}

/// Which objects are to be read from the middle. Only those that are larger than a task are looked into.
fn splittable(objects: &[LandingObject], task_bytes: u64, reader: &LandingReader) -> Result<Vec<bool>, ReadError> {
    let look = |object: &LandingObject| -> Result<bool, ReadError> {
        Ok(object.bytes > task_bytes && is_splittable(object, reader)?)
    };
    thread::scope(|scope| {
        let chunks = objects.chunks(objects.len().div_ceil(SNIFFERS).max(1));
        let threads: Vec<_> = chunks.map(|chunk| scope.spawn(move || chunk.iter().map(look).collect())).collect();
        let mut found = Vec::with_capacity(objects.len());
        for thread in threads {
            let of_chunk: Result<Vec<bool>, ReadError> =
                thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
            found.extend(of_chunk?);
        }
        Ok(found)
    })
}
