//! A distributed run in one process, on real data, in an order that a seed decides: the state machine of `stedi_job`,
//! workers that execute what it grants, and everything that goes wrong in between. The simulation of `stedi_job` itself
//! has more faults and a clock, but rows that are numbers; this one has tables.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use stedi_job::event::{Action, Capacity, CommitFailure, EndReason, Event, Lease, WorkerId};
use stedi_job::plan::PlanObject;
use stedi_job::progress::{CommitInput, ProgressRecord};
use stedi_job::readers::encode_readers;
use stedi_job::task::{FailureClass, RunContext, Work};
use stedi_job::{Epoch, Job, JobConfig, Progress, RunPlan};
use stedi_lake::LandingTable;
use stedi_lake::options::BadRecordLimit;
use stedi_run::{Curated, Inputs, Run, RunConfig, RunError, new_run_id};
use stedi_store::{CommitError, Lake};
use stedi_worker::read::LandingReader;
use stedi_worker::scan::is_splittable;
use stedi_worker::task::Executor;
use tokio::runtime::Runtime;

use crate::oracle::Curation;

/// Bytes of a scan task: a small object, or a piece of one that is larger.
const TASK_BYTES: u64 = 10 << 10;

/// Memory of a worker.
const MEMORY_BYTES: u64 = 128 << 20;

/// A run that takes more steps than this is stuck.
const STEPS_MAX: u32 = 100_000;

/// What went wrong, by name.
pub type Mishaps = BTreeMap<&'static str, u32>;

struct Worker {
    executor: Executor,
    leases: Vec<(Lease, Work)>,
    /// The coordinator has given it up; it goes on all the same.
    lost: bool,
}

struct Simulation {
    random: Xoshiro256PlusPlus,
    runtime: Runtime,
    lake: Lake,
    inputs: Inputs,
    plan: Arc<RunPlan>,
    job: Job,
    epoch: Epoch,
    saved: BTreeMap<(u32, u64), ProgressRecord>,
    workers: BTreeMap<WorkerId, Worker>,
    next_worker: u64,
    inbox: Vec<Event>,
    now_ms: u64,
    mishaps: Mishaps,
    end: Option<EndReason>,
}

/// Curates the landing of the lake at `folder`, and commits. What takes more than `slice_bytes` is joined in slices. The seed
/// decides what goes wrong; the run ends well.
///
/// # Panics
/// If it does not.
pub fn simulate(folder: &Path, curation: Curation, shards: u32, slice_bytes: u64, seed: u64) -> Mishaps {
    let mut simulation = Simulation::new(folder, curation, shards, slice_bytes, seed);
    for _ in 0..STEPS_MAX {
        match &simulation.end {
            Some(EndReason::Committed { .. }) => return simulation.mishaps,
            Some(reason) => unreachable!("seed {seed}: {reason:?} after {:?}", simulation.mishaps),
            None => simulation.step(),
        }
    }
    unreachable!("seed {seed}: no end after {STEPS_MAX} steps")
}

/// As patient as it takes to end well whatever goes wrong.
fn patient() -> JobConfig {
    JobConfig {
        attempts_max: u8::MAX,
        losses_max: u8::MAX,
        no_worker_ms: u64::MAX / 2,
        write_failures_max: u32::MAX,
        backoff_ms: 10,
        backoff_ms_max: 100,
        straggler_ms: 3_000,
        save_interval_ms: 500,
        bad_records: BadRecordLimit::Fraction(1.0),
        ..JobConfig::default()
    }
}

fn plan(lake: &Lake, inputs: &Inputs, config: &RunConfig, slice_bytes: u64, runtime: &Runtime) -> RunPlan {
    let context = RunContext {
        run_id: new_run_id().expect("random numbers"),
        lake: lake.uri().to_owned(),
        options: inputs.table_options(config),
        slice_bytes,
    };
    let reader = LandingReader::new(runtime.handle().clone());
    let objects = |table| {
        let planned = inputs.objects(table).iter().map(|object| PlanObject {
            key: object.key.as_str().into(),
            etag: object.etag.as_str().into(),
            bytes: object.bytes,
            splittable: is_splittable(object, &reader).expect("landing can be read"),
        });
        (table, planned.collect())
    };
    RunPlan::with_task_bytes(context, LandingTable::ALL.map(objects).into(), TASK_BYTES)
}

impl Simulation {
    fn new(folder: &Path, curation: Curation, shards: u32, slice_bytes: u64, seed: u64) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let lake = Lake::open(&folder.display().to_string()).expect("the lake is there");
        let config = RunConfig {
            consent: curation.consent,
            match_mode: curation.match_mode,
            dedupe: curation.dedupe,
            shards: Some(shards),
            ..RunConfig::default()
        };
        let inputs = runtime.block_on(Inputs::list(&lake, &config)).expect("landing lists");
        let plan = Arc::new(plan(&lake, &inputs, &config, slice_bytes, &runtime));
        let job = Job::new(patient(), Arc::clone(&plan), Progress::new(&plan), Epoch(1), 0);
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            runtime,
            lake,
            inputs,
            plan,
            job,
            epoch: Epoch(1),
            saved: BTreeMap::new(),
            workers: BTreeMap::new(),
            next_worker: 1,
            inbox: Vec::new(),
            now_ms: 0,
            mishaps: Mishaps::new(),
            end: None,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random.next_u64() % end.max(1) as u64).try_into().expect("it is below a usize")
    }

    /// Whether this goes wrong, as it does in so many of a hundred cases.
    fn mishap(&mut self, name: &'static str, percent: usize) -> bool {
        let happens = self.below(100) < percent;
        if happens {
            *self.mishaps.entry(name).or_default() += 1;
        }
        happens
    }

    fn step(&mut self) {
        if self.workers.values().filter(|worker| !worker.lost).count() < 2 {
            self.new_worker();
        }
        match self.below(100) {
            0..40 => self.attempt(),
            40..75 if !self.inbox.is_empty() => {
                let next = self.below(self.inbox.len());
                let event = self.inbox.swap_remove(next);
                self.tell(event);
            }
            75..85 => {
                self.now_ms += 1 + self.below(1_000) as u64;
                self.tell(Event::Tick);
            }
            85..87 if self.mishap("coordinator crashes", 20) => self.restart(),
            87..88 => self.lose_worker(),
            _ => self.heartbeat(),
        }
    }

    fn new_worker(&mut self) {
        let worker = WorkerId(self.next_worker);
        self.next_worker += 1;
        let scratch = self.lake.local_folder().expect("a folder").join("_stedi/scratch");
        let (lake, runtime) = (self.lake.clone(), self.runtime.handle().clone());
        let executor = Executor::new(lake, self.plan.context.clone(), MEMORY_BYTES, 1, scratch, runtime);
        let executor = executor.expect("a thread");
        self.workers.insert(worker, Worker { executor, leases: Vec::new(), lost: false });
        let capacity = Capacity { slots: 2, memory_bytes: MEMORY_BYTES, high_memory: false };
        self.tell(Event::WorkerRegistered { worker, name: format!("w{}", worker.0), capacity });
    }

    /// Some worker executes one of its leases.
    fn attempt(&mut self) {
        let busy: Vec<WorkerId> =
            self.workers.iter().filter(|(_, w)| !w.leases.is_empty()).map(|(id, _)| *id).collect();
        if busy.is_empty() {
            return;
        }
        let id = busy[self.below(busy.len())];
        let which = self.below(self.workers[&id].leases.len());
        let fails = self.mishap("attempt fails", 5);
        // as after one that ran out of memory
        let sparing = self.below(4) == 0;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (lease, work) = worker.leases.swap_remove(which);
        if fails {
            let (class, message) = (FailureClass::TransientIo, "503".to_owned());
            self.inbox.push(Event::TaskFailed { worker: id, lease, class, message });
            return;
        }
        let done = worker.executor.execute(lease.attempt, &work, sparing, &AtomicBool::new(false));
        let (output, cost) = done.unwrap_or_else(|error| unreachable!("{lease:?}: {error:?}"));
        if self.mishap("worker dies with what it has done", 5) {
            self.workers.remove(&id);
            self.gone(id);
            return;
        }
        let event = Event::TaskDone { worker: id, lease, output, cost };
        if self.mishap("told twice", 10) {
            self.inbox.push(event.clone());
        }
        self.inbox.push(event);
    }

    fn gone(&mut self, worker: WorkerId) {
        self.inbox.push(Event::WorkerGone { worker, class: FailureClass::WorkerLost, message: "gone".to_owned() });
    }

    /// The coordinator loses a worker, which goes on with what it has.
    fn lose_worker(&mut self) {
        let here: Vec<WorkerId> = self.workers.iter().filter(|(_, w)| !w.lost).map(|(id, _)| *id).collect();
        let id = here[self.below(here.len())];
        if self.mishap("worker lost", 50) {
            self.workers.get_mut(&id).expect("it is there").lost = true;
            self.gone(id);
        }
    }

    fn heartbeat(&mut self) {
        let beats: Vec<(WorkerId, Vec<Lease>)> = self
            .workers
            .iter()
            .filter(|(_, worker)| !worker.lost)
            .map(|(id, worker)| (*id, worker.leases.iter().map(|(lease, _)| *lease).collect()))
            .collect();
        for (worker, running) in beats {
            self.tell(Event::Heartbeat { worker, running });
        }
    }

    /// Another coordinator goes on with what was saved. Workers of the old one do so with what they have.
    fn restart(&mut self) {
        self.epoch = Epoch(self.epoch.0 + 1);
        let mut progress = Progress::new(&self.plan);
        for record in self.saved.values() {
            progress.add(record.clone()).expect("it fits the plan");
        }
        self.job = Job::new(patient(), Arc::clone(&self.plan), progress, self.epoch, self.now_ms);
        self.inbox.clear();
        self.workers.values_mut().for_each(|worker| worker.lost = true);
    }

    fn tell(&mut self, event: Event) {
        for action in self.job.handle_event(self.now_ms, event) {
            match action {
                Action::Grant { worker, lease, work, .. } => {
                    if let Some(worker) = self.workers.get_mut(&worker).filter(|worker| !worker.lost) {
                        worker.leases.push((lease, work));
                    }
                }
                Action::Revoke { worker, lease, .. } => {
                    if let Some(worker) = self.workers.get_mut(&worker) {
                        worker.leases.retain(|(held, _)| *held != lease);
                    }
                }
                Action::Dismiss { worker, .. } => {
                    self.workers.remove(&worker);
                }
                Action::Save { record } => self.save(&record),
                Action::WriteReaders { path, users } => {
                    let ids: Vec<u32> = users.iter().collect();
                    let put = self.lake.put_new(&path, encode_readers(&ids, users.users()).into());
                    self.runtime.block_on(put).expect("there is room");
                    let answer = Event::ReadersFailed { message: "reset".to_owned() };
                    self.answer(Event::ReadersWritten, answer);
                }
                Action::Commit { input } => self.commit(&input),
                Action::End { reason } => self.end = Some(reason),
            }
        }
    }

    /// The store has done it, and says so or not.
    fn answer(&mut self, done: Event, failed: Event) {
        let event = if self.mishap("reply lost", 20) { failed } else { done };
        self.inbox.push(event);
    }

    fn save(&mut self, record: &ProgressRecord) {
        let number = record.number;
        let failed = Event::SaveFailed { number, message: "503".to_owned() };
        if self.mishap("not saved", 10) {
            self.inbox.push(failed);
            return;
        }
        self.saved.entry((record.epoch.0, number)).or_insert_with(|| record.clone());
        self.answer(Event::Saved { number }, failed);
    }

    fn commit(&mut self, input: &CommitInput) {
        let context = &self.plan.context;
        let run = Run { lake: &self.lake, id: context.run_id, inputs: &self.inputs, options: &context.options };
        let parts = input.tables.iter().flat_map(|(&table, parts)| parts.iter().map(move |part| (table, part.clone())));
        let curated = Curated { counts: input.landing.clone(), parts: parts.collect() };
        let committed = self.runtime.block_on(async {
            let record = run.prepare(curated, 1).await?;
            run.commit(&record, std::time::Instant::now()).await
        });
        match committed {
            Ok(_) => {}
            Err(RunError::Commit(CommitError::Conflict { by, .. })) if by == context.run_id => {}
            Err(error) => unreachable!("{error:?} after {:?}", self.mishaps),
        }
        let failed = Event::CommitFailed { failure: CommitFailure::Store, message: "reset".to_owned() };
        self.answer(Event::Committed { seq: 1 }, failed);
    }
}
