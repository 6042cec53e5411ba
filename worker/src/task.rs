//! Attempts of tasks: work in, names of objects and numbers out.
//!
//! What a task needs of another one it reads from the lake, and what another one needs of it it writes there. So no
//! worker holds anything that is missed when it is gone. An attempt writes under names of its own (directory, shuffle),
//! or the same bytes as any other attempt of its task (parts, quarantine); nothing is ever overwritten.

mod consent;
mod cost;
mod failure;
mod join;
mod scan;
mod segments;
mod shared;
mod shuffle_file;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use stedi_job::task::{AttemptId, FailureClass, RunContext, TaskCost, TaskOutput, Work};
use stedi_lake::LandingTable;
use stedi_store::Lake;
use tokio::runtime::Handle;

use crate::join::gate::Gate;
use crate::join::spaces::Spaces;
use crate::memory::{Budget, MemoryPlan};
use crate::panics;
use crate::parts::LakeParts;
use crate::progress::Progress;
use crate::{WorkError, customers};
use cost::CpuMeter;
pub use failure::TaskError;
use shared::{Shared, SharedDirectory};

/// Executes attempts of one run's tasks in one worker process.
pub struct Executor {
    lake: Lake,
    /// The same, with as little memory for what is on its way as can be.
    sparing_lake: Lake,
    context: RunContext,
    budget: Budget,
    slots: usize,
    scratch: PathBuf,
    runtime: Handle,
    pool: rayon::ThreadPool,
    shared: Shared,
    spaces: Spaces,
    cpu: CpuMeter,
    progress: Progress,
}

/// One attempt being executed, and what it has cost so far.
struct Attempt<'a> {
    id: AttemptId,
    /// Whether it is to take as little memory as it can.
    sparing: bool,
    /// Landing may be in S3 where the lake is not.
    budget: Budget,
    cancel: &'a AtomicBool,
    cost: TaskCost,
}

impl Executor {
    /// An executor that takes up to `memory_bytes` for up to `slots` attempts at a time. `scratch` is the folder for
    /// what does not fit in memory. Requests run on `runtime`, which other threads must drive.
    ///
    /// # Errors
    /// [`FailureClass::Permanent`] if what was given is wrong: memory is too little for S3, or there can be no scratch folder
    /// of that name. Another class if it may be this machine's fault: it has no threads, or its disk is full.
    pub fn new(
        lake: Lake,
        context: RunContext,
        memory_bytes: u64,
        slots: usize,
        scratch: PathBuf,
        runtime: Handle,
    ) -> Result<Self, TaskError> {
        let slots = slots.max(1);
        let budget = Budget::new(memory_bytes, Some(slots), stedi_store::is_on_s3(lake.uri()));
        budget.check_s3().map_err(|error| TaskError::new(FailureClass::Permanent, error.to_string()))?;
        let lake = budget.lake(&lake.on_runtime(&runtime));
        let sparing_lake = lake.with_transfers_within(0);
        std::fs::create_dir_all(&scratch).map_err(|error| {
            let text = format!("failed to make scratch folder {}; name another with --scratch", scratch.display());
            TaskError::new(failure::of_making(&error), text).caused_by(&error)
        })?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(slots)
            .start_handler(|_| panics::set_quiet(true))
            .build()
            .map_err(|error| {
                TaskError::new(FailureClass::TransientIo, "failed to start threads".to_owned()).caused_by(&error)
            })?;
        Ok(Self {
            lake,
            sparing_lake,
            context,
            budget,
            slots,
            scratch,
            runtime,
            pool,
            shared: Shared::default(),
            spaces: Spaces::default(),
            cpu: CpuMeter::default(),
            progress: Progress::default(),
        })
    }

    /// What all attempts have read so far, those that failed too.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Runs one attempt to its end; one that is `sparing` takes as little memory as it can, and makes the same. `cancel` is
    /// looked at often. Several attempts may run at once, one a slot.
    ///
    /// Blocks: for threads that compute, never for those of the runtime.
    ///
    /// # Errors
    /// If the attempt fails; then nothing that it wrote counts. A panic is such an error, told by its place alone.
    pub fn execute(
        &self,
        attempt: AttemptId,
        work: &Work,
        sparing: bool,
        cancel: &AtomicBool,
    ) -> Result<(TaskOutput, TaskCost), TaskError> {
        let started = std::time::Instant::now();
        let cpu = self.cpu.start();
        let outcome = panics::catch(|| {
            let budget = self.budget_of(work)?;
            let mut attempt = Attempt { id: attempt, sparing, budget, cancel, cost: TaskCost::default() };
            let output = self.perform(&mut attempt, work)?;
            Ok((output, attempt.cost))
        });
        let cpu_ms = cpu.end_ms();
        let (output, mut cost) = outcome.unwrap_or_else(|place| {
            Err(TaskError::new(FailureClass::Panic, format!("the task panicked at {place}; please report this")))
        })?;
        cost.cpu_ms = cpu_ms;
        cost.wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok((output, cost))
    }

    fn perform(&self, attempt: &mut Attempt<'_>, work: &Work) -> Result<TaskOutput, TaskError> {
        attempt.check_cancelled()?;
        match work {
            Work::Consent { splits } => self.consent(attempt, splits),
            Work::ScanAccelerometer { splits, directory } => {
                let directory = self.directory(attempt, directory)?;
                self.scan(attempt, LandingTable::Accelerometer, splits, &directory, None)
            }
            Work::ScanStepTrainer { splits, directory, readers } => {
                let directory = self.directory(attempt, directory)?;
                let readers = self.readers(attempt, readers, &directory)?;
                self.scan(attempt, LandingTable::StepTrainer, splits, &directory, Some(&readers.curated_serials))
            }
            Work::JoinShard { shard, directory, readings, steps } => {
                let directory = self.directory(attempt, directory)?;
                self.join_shard(attempt, *shard, &directory, readings, steps)
            }
            Work::WriteCustomers { directory, readers } => {
                let directory = self.directory(attempt, directory)?;
                let readers = self.readers(attempt, readers, &directory)?;
                let parts = LakeParts::of_task(self.lake(attempt), self.context.run_id, &self.runtime);
                let compression = self.context.options.compression;
                let written = self
                    .pool
                    .install(|| customers::write(&directory.customers, &readers.has_reading, compression, &parts));
                written.map_err(WorkError::Encode)?;
                attempt.cost.rows += directory.customers.customers().len() as u64;
                Ok(attempt.parts(parts))
            }
        }
    }

    fn lake(&self, attempt: &Attempt<'_>) -> &Lake {
        if attempt.sparing { &self.sparing_lake } else { &self.lake }
    }

    /// Memory for `work`, which may read from S3 although the lake is not there.
    fn budget_of(&self, work: &Work) -> Result<Budget, TaskError> {
        let splits = match work {
            Work::Consent { splits }
            | Work::ScanAccelerometer { splits, .. }
            | Work::ScanStepTrainer { splits, .. } => splits.as_slice(),
            Work::JoinShard { .. } | Work::WriteCustomers { .. } => &[],
        };
        if !splits.iter().any(|split| stedi_store::is_on_s3(&split.key)) {
            return Ok(self.budget);
        }
        let with_s3 = Budget::new(self.budget.total_bytes, Some(self.slots), true);
        with_s3.check_s3().map_err(|error| TaskError::new(FailureClass::Permanent, error.to_string()))?;
        Ok(with_s3)
    }

    /// How memory is divided beside this directory.
    fn memory(&self, attempt: &Attempt<'_>, directory: &SharedDirectory) -> Result<MemoryPlan, TaskError> {
        let shards = self.context.options.shards;
        let held = directory.customers.memory_bytes();
        let plan = MemoryPlan::new(&attempt.budget, shards, held).map_err(WorkError::Memory)?;
        let plan = plan.of_stage(usize::try_from(self.context.slice_bytes).unwrap_or(usize::MAX));
        Ok(if attempt.sparing { plan.sparing() } else { plan })
    }

    fn gate(&self, memory: &MemoryPlan) -> &Gate {
        self.shared.gate(memory.stage_bytes)
    }
}

impl Attempt<'_> {
    fn check_cancelled(&self) -> Result<(), TaskError> {
        if self.cancel.load(Ordering::Relaxed) { Err(WorkError::Cancelled.into()) } else { Ok(()) }
    }

    /// The output of a task that wrote parts.
    fn parts(&mut self, parts: LakeParts<'_>) -> TaskOutput {
        let mut written = parts.into_written();
        written.sort_unstable_by(|(table, a), (other, b)| table.cmp(other).then_with(|| a.path.cmp(&b.path)));
        self.cost.written_bytes += written.iter().map(|(_, part)| part.bytes).sum::<u64>();
        TaskOutput::Parts(written)
    }
}
