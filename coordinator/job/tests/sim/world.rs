//! A virtual cluster: coordinators, workers, a network and a store, in virtual time, driven by one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stedi_job::event::{CommitFailure, EndReason};
use stedi_job::plan::PlanObject;
use stedi_job::progress::{CommitInput, ProgressRecord};
use stedi_job::task::{AttemptId, RunContext, TaskId};
use stedi_job::{Action, Epoch, Event, Job, JobConfig, JobError, Lease, Progress, RunPlan, WorkerId};
use stedi_lake::options::{BadRecordLimit, TableOptions};
use stedi_lake::{LandingTable, RunId};

use crate::check;
use crate::faults::Faults;
use crate::lake::{Lake, ROW_BYTES};
use crate::machine::Machine;
use crate::rng::Rng;

/// A run that takes longer than this in virtual time is stuck.
const END_MS: u64 = 600_000;
const TICK_MS: u64 = 250;

/// What happens next.
#[derive(Debug)]
pub(crate) enum Item {
    Tick(usize),
    ToCoordinator(usize, Event),
    ToMachine(usize, (usize, WorkerId), Action),
    Heartbeat(usize),
    Finish(usize, Lease),
    Reconnect(usize),
    LostCoordinator(usize, usize),
    Kill(usize),
    NewMachine,
    Write(usize, Write, bool),
    NewCoordinator,
    Disaster,
}

/// What the store is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Save(Arc<ProgressRecord>),
    Readers(Vec<u32>),
    Commit(Arc<CommitInput>),
}

/// A coordinator process.
pub(crate) struct Coordinator {
    pub(crate) job: Job,
    pub(crate) epoch: Epoch,
    pub(crate) alive: bool,
    pub(crate) winners: BTreeMap<TaskId, u32>,
    pub(crate) workers: BTreeMap<WorkerId, u32>,
    pub(crate) draining: BTreeSet<WorkerId>,
    pub(crate) ended: bool,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now_ms: u64,
    pub(crate) faults: Faults,
    pub(crate) plan: Arc<RunPlan>,
    pub(crate) lake: Lake,
    pub(crate) machines: Vec<Machine>,
    pub(crate) coordinators: Vec<Coordinator>,
    pub(crate) granted: BTreeSet<AttemptId>,
    pub(crate) next_worker: u64,
    /// What the coordinators' clocks are wrong by.
    clock_error_ms: u64,
    items: BTreeMap<(u64, u64), Item>,
    next_item: u64,
    trace: Option<Trace>,
    outcome: Option<EndReason>,
}

/// Is given a line for each event.
pub(crate) type Trace = Box<dyn FnMut(String)>;

/// How a simulation went.
pub(crate) struct Outcome {
    pub(crate) end: EndReason,
    pub(crate) coordinators: usize,
    pub(crate) machines: usize,
    pub(crate) faults: Faults,
    pub(crate) virtual_ms: u64,
    pub(crate) speculative: u64,
}

fn config(high_memory: bool) -> JobConfig {
    JobConfig {
        worker_timeout_ms: 3_000,
        lease_grace_ms: 2_000,
        no_worker_ms: 20_000,
        deadline_ms: None,
        attempts_max: 6,
        losses_max: 12,
        backoff_ms: 100,
        backoff_ms_max: 2_000,
        straggler_ms: 3_000,
        first_straggler_ms: 8_000,
        attempt_ms_max: 20_000,
        save_interval_ms: 200,
        write_timeout_ms: 1_500,
        write_failures_max: 12,
        bad_records: BadRecordLimit::Fraction(0.0),
        high_memory,
    }
}

pub(crate) fn context(shards: u32) -> RunContext {
    let options = TableOptions { shards, ..TableOptions::default() };
    RunContext { run_id: RunId::new(1, 1), lake: "lake".to_owned(), options, slice_bytes: 1 }
}

fn plan(rng: &mut Rng) -> RunPlan {
    let mut landing = BTreeMap::new();
    for table in LandingTable::ALL {
        let count = if rng.chance(100) { 0 } else { rng.below(9) };
        let objects = (0..count)
            .map(|i| PlanObject {
                key: format!("{}/{i}", table.name()).into(),
                etag: "e".into(),
                bytes: rng.below(20) * ROW_BYTES + rng.below(3),
                splittable: rng.chance(500),
            })
            .collect();
        landing.insert(table, objects);
    }
    let shards = rng.between(1, 6) as u32;
    RunPlan::new(context(shards), landing)
}

impl World {
    fn new(seed: u64, trace: Option<Trace>) -> Self {
        let mut rng = Rng::new(seed);
        let plan = plan(&mut rng);
        let faults = Faults::new(&mut rng, &plan);
        let mut world = Self {
            rng,
            now_ms: 0,
            faults,
            plan: Arc::new(plan),
            lake: Lake::default(),
            machines: Vec::new(),
            coordinators: Vec::new(),
            granted: BTreeSet::new(),
            next_worker: 0,
            clock_error_ms: 5_000_000,
            items: BTreeMap::new(),
            next_item: 0,
            trace,
            outcome: None,
        };
        world.after(0, Item::NewCoordinator);
        for _ in 0..world.rng.between(1, 5) {
            let delay_ms = world.rng.below(3_000);
            world.after(delay_ms, Item::NewMachine);
        }
        world.after(1_000, Item::Disaster);
        world
    }

    pub(crate) fn after(&mut self, delay_ms: u64, item: Item) {
        self.items.insert((self.now_ms + delay_ms, self.next_item), item);
        self.next_item += 1;
    }

    /// Whether something goes wrong that happens in so many of a thousand cases.
    pub(crate) fn bad_luck(&mut self, permille: u64) -> bool {
        permille > 0 && self.now_ms < self.faults.calm_ms && self.rng.chance(permille)
    }

    fn step(&mut self, item: Item) {
        match item {
            Item::Tick(coordinator) => {
                if self.coordinators[coordinator].alive {
                    self.tell(coordinator, Event::Tick);
                    self.tend_high_memory(coordinator);
                    let stall_ms = if self.bad_luck(self.faults.clock_jumps / 4) { 8_000 } else { 0 };
                    self.after(TICK_MS + stall_ms, Item::Tick(coordinator));
                }
            }
            Item::ToCoordinator(coordinator, event) => self.tell(coordinator, event),
            Item::ToMachine(machine, connection, action) => self.machine_hears(machine, connection, action),
            Item::Heartbeat(machine) => self.heartbeat(machine),
            Item::Finish(machine, lease) => self.finish(machine, lease),
            Item::Reconnect(machine) => self.connect(machine),
            Item::LostCoordinator(machine, coordinator) => self.lost_coordinator(machine, coordinator),
            Item::Kill(machine) => self.kill(machine),
            Item::NewMachine => self.new_machine(false),
            Item::Write(coordinator, write, answer) => self.write(coordinator, &write, answer),
            Item::NewCoordinator => self.new_coordinator(),
            Item::Disaster => self.disaster(),
        }
    }

    /// A coordinator is told something and does what follows.
    fn tell(&mut self, coordinator: usize, event: Event) {
        if !self.coordinators[coordinator].alive || self.outcome.is_some() {
            return;
        }
        let clock_ms = self.now_ms + self.clock_error_ms;
        let of = &mut self.coordinators[coordinator];
        check::before(of, &event);
        let said = self.trace.is_some().then(|| format!("{} {coordinator} {event:?}", self.now_ms));
        let actions = of.job.handle_event(clock_ms, event);
        if let (Some(trace), Some(said)) = (&mut self.trace, said) {
            trace(format!("{said} -> {actions:?}"));
        }
        check::after(self, coordinator, &actions);
        for action in actions {
            let times = if self.bad_luck(self.faults.action_twice) { 2 } else { 1 };
            for _ in 0..times {
                self.perform(coordinator, action.clone());
            }
        }
    }

    fn perform(&mut self, coordinator: usize, action: Action) {
        match action {
            Action::Grant { worker, .. } | Action::Revoke { worker, .. } | Action::Dismiss { worker, .. } => {
                let connection = (coordinator, worker);
                let machine = self.machines.iter().position(|machine| machine.connection == Some(connection));
                if let Some(machine) = machine {
                    self.send(Item::ToMachine(machine, connection, action));
                }
            }
            Action::Save { record } => self.ask_store(coordinator, Write::Save(record)),
            Action::WriteReaders { users, .. } => {
                self.ask_store(coordinator, Write::Readers(users.iter().collect()));
            }
            Action::Commit { input } => self.ask_store(coordinator, Write::Commit(input)),
            Action::End { reason } => self.end(coordinator, reason),
        }
    }

    fn end(&mut self, coordinator: usize, reason: EndReason) {
        if !self.coordinators[coordinator].alive {
            return;
        }
        self.coordinators[coordinator].alive = false;
        match reason {
            EndReason::Stopped => {
                let delay_ms = self.rng.between(100, 2_000);
                self.after(delay_ms, Item::NewCoordinator);
                self.leave(coordinator);
            }
            EndReason::Failed(JobError::Fenced { .. }) => self.leave(coordinator),
            reason => self.outcome = Some(reason),
        }
    }

    /// The machines of a coordinator that is no more find out, some time.
    fn leave(&mut self, coordinator: usize) {
        for machine in 0..self.machines.len() {
            let delay_ms = self.rng.between(50, 1_500);
            self.after(delay_ms, Item::LostCoordinator(machine, coordinator));
        }
    }

    /// Something is under way on the network.
    pub(crate) fn send(&mut self, item: Item) {
        if self.bad_luck(self.faults.message_lost) {
            return;
        }
        let slow = self.bad_luck(self.faults.message_slow);
        let delay_ms = if slow { self.rng.between(100, 4_000) } else { self.rng.between(1, 40) };
        if self.bad_luck(self.faults.message_twice)
            && let Item::ToCoordinator(coordinator, event) = &item
        {
            let again_ms = self.rng.between(1, 3_000);
            let again = Item::ToCoordinator(*coordinator, event.clone());
            self.after(again_ms, again);
        }
        self.after(delay_ms, item);
    }

    fn ask_store(&mut self, coordinator: usize, write: Write) {
        let failed = match &write {
            Write::Save(record) => Event::SaveFailed { number: record.number, message: "503".to_owned() },
            Write::Readers(_) => Event::ReadersFailed { message: "503".to_owned() },
            Write::Commit(_) if self.faults.conflict => {
                Event::CommitFailed { failure: CommitFailure::Conflict, message: "conflict".to_owned() }
            }
            Write::Commit(_) => Event::CommitFailed { failure: CommitFailure::Store, message: "503".to_owned() },
        };
        let soon_ms = self.rng.between(5, 60);
        let later_ms = if self.bad_luck(self.faults.store_slow) { self.rng.between(500, 5_000) } else { soon_ms };
        let conflict = self.faults.conflict && matches!(write, Write::Commit(_));
        if self.bad_luck(self.faults.store_refuses) {
            let refused = Event::StoreRefused { message: "403".to_owned() };
            self.after(later_ms, Item::ToCoordinator(coordinator, refused));
        } else if conflict || self.bad_luck(self.faults.store_fails) {
            self.after(later_ms, Item::ToCoordinator(coordinator, failed));
        } else if self.bad_luck(self.faults.store_lies) {
            self.after(later_ms, Item::Write(coordinator, write, false));
            self.after(soon_ms, Item::ToCoordinator(coordinator, failed));
        } else if self.bad_luck(self.faults.store_silent) {
            if self.rng.chance(500) {
                self.after(later_ms, Item::Write(coordinator, write, false));
            }
        } else {
            self.after(later_ms, Item::Write(coordinator, write, true));
        }
    }

    fn write(&mut self, coordinator: usize, write: &Write, answer: bool) {
        let event = match write {
            Write::Save(record) => {
                self.lake.save(record);
                Event::Saved { number: record.number }
            }
            Write::Readers(users) => {
                self.lake.write_readers(&self.plan, users.clone());
                Event::ReadersWritten
            }
            Write::Commit(input) => {
                self.lake.commit(&self.plan, input);
                Event::Committed { seq: 1 }
            }
        };
        if answer {
            self.after(1, Item::ToCoordinator(coordinator, event));
        }
    }

    fn new_coordinator(&mut self) {
        let epoch = Epoch(self.coordinators.len() as u32 + 1);
        let mut progress = Progress::new(&self.plan);
        for record in self.lake.progress.values() {
            progress.add(record.clone()).expect("progress of this plan");
        }
        let clock_ms = self.now_ms + self.clock_error_ms;
        let job = Job::new(config(self.faults.high_memory), Arc::clone(&self.plan), progress, epoch, clock_ms);
        for older in 0..self.coordinators.len() {
            if self.coordinators[older].alive {
                let delay_ms = self.rng.between(100, 3_000);
                self.after(delay_ms, Item::ToCoordinator(older, Event::Fenced { by: epoch }));
            }
        }
        self.coordinators.push(Coordinator {
            job,
            epoch,
            alive: true,
            winners: BTreeMap::new(),
            workers: BTreeMap::new(),
            draining: BTreeSet::new(),
            ended: false,
        });
        self.after(TICK_MS, Item::Tick(self.coordinators.len() - 1));
    }

    /// Once a second, something may happen to a coordinator or its clock.
    fn disaster(&mut self) {
        self.after(1_000, Item::Disaster);
        let Some(coordinator) = self.coordinators.iter().rposition(|c| c.alive) else { return };
        if self.bad_luck(self.faults.coordinator_crashes) {
            self.coordinators[coordinator].alive = false;
            let delay_ms = self.rng.between(200, 3_000);
            self.after(delay_ms, Item::NewCoordinator);
            self.leave(coordinator);
        } else if self.bad_luck(self.faults.coordinator_stops) {
            self.tell(coordinator, Event::Stop);
        } else if self.bad_luck(self.faults.two_coordinators) {
            self.after(0, Item::NewCoordinator);
        }
        if self.bad_luck(self.faults.clock_jumps) {
            let hour_ms = 3_600_000;
            self.clock_error_ms = if self.rng.chance(500) {
                self.clock_error_ms + hour_ms
            } else {
                self.clock_error_ms.saturating_sub(hour_ms)
            };
        }
    }
}

/// Runs one simulation to its end.
///
/// # Panics
/// If something happens that must not.
pub(crate) fn simulate(seed: u64, trace: Option<Trace>) -> Outcome {
    let mut world = World::new(seed, trace);
    while world.outcome.is_none() {
        let ((at_ms, _), item) = world.items.pop_first().expect("coordinators tick");
        assert!(at_ms < END_MS, "stuck: {:?}", world.coordinators.last().map(|c| &c.job));
        world.now_ms = at_ms;
        world.step(item);
    }
    let end = world.outcome.expect("the loop is over");
    match &end {
        EndReason::Committed { .. } => assert_eq!(world.lake.commits.len(), 1, "said to be committed"),
        EndReason::Failed(error) => assert!(world.faults.explain(error), "{error}, with {:?}", world.faults),
        EndReason::Stopped => unreachable!("stopped runs are resumed"),
    }
    let reports = world.coordinators.last().map(|c| c.job.progress().stage_reports()).unwrap_or_default();
    Outcome {
        end,
        coordinators: world.coordinators.len(),
        machines: world.machines.len(),
        faults: world.faults,
        virtual_ms: world.now_ms,
        speculative: reports.iter().map(|report| report.speculative).sum(),
    }
}
