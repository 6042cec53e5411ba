//! The language of the goldens.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use stedi_job::event::{Capacity, CommitFailure, EndReason};
use stedi_job::plan::{PlanObject, TASK_BYTES};
use stedi_job::progress::ProgressRecord;
use stedi_job::task::{AttemptId, FailureClass, RunContext, Segment, Stage, TaskCost, TaskId, TaskOutput, Work};
use stedi_job::{Action, Epoch, Event, Job, JobConfig, Lease, Progress, RunPlan, WorkerId};
use stedi_lake::commit::Part;
use stedi_lake::options::{Compression, TableOptions};
use stedi_lake::{ConsentPolicy, CuratedTable, LandingTable, MatchMode, RunId};

/// A golden on its way.
#[derive(Default)]
pub(crate) struct Script {
    config: JobConfig,
    plan: Option<Arc<RunPlan>>,
    job: Option<Job>,
    epoch: u32,
    asked: BTreeMap<u64, ProgressRecord>,
    saved: Vec<ProgressRecord>,
}

/// `key=value` among words.
fn value<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn number<T: std::str::FromStr>(words: &[&str], key: &str) -> Option<T> {
    value(words, key).map(|text| text.parse().unwrap_or_else(|_| unreachable!("{key}={text} is no number")))
}

fn list(words: &[&str], key: &str) -> Option<Vec<u32>> {
    let items = value(words, key)?.split(',').filter(|item| !item.is_empty());
    Some(items.map(|item| item.parse().expect("numbers")).collect())
}

fn plan(words: &[&str]) -> RunPlan {
    let objects = |key| {
        let count: u64 = number(words, key).unwrap_or(1);
        let object =
            |i| PlanObject { key: format!("{key}/{i}").into(), etag: "e".into(), bytes: TASK_BYTES, splittable: false };
        (0..count).map(object).collect::<Vec<_>>()
    };
    let options = TableOptions {
        consent: ConsentPolicy::Latest,
        match_mode: MatchMode::Customer,
        dedupe: false,
        shards: number(words, "shards").unwrap_or(1),
        compression: Compression::Zstd,
    };
    let context = RunContext { run_id: RunId::new(1, 1), lake: "lake".to_owned(), options, slice_bytes: 1 };
    let landing = BTreeMap::from([
        (LandingTable::Customer, objects("customer")),
        (LandingTable::Accelerometer, objects("accelerometer")),
        (LandingTable::StepTrainer, objects("step-trainer")),
    ]);
    RunPlan::new(context, landing)
}

fn worker(word: &str) -> WorkerId {
    WorkerId(word.strip_prefix('w').and_then(|id| id.parse().ok()).expect("a worker such as w1"))
}

/// A word of the task types' own spelling.
fn spelled<T: serde::de::DeserializeOwned>(word: &str) -> T {
    serde_json::from_value(word.into()).expect("a known word")
}

impl Script {
    /// Runs a golden, each event so many times; the golden as it should be.
    pub(crate) fn run(mut self, golden: &str, times: usize) -> String {
        let mut found = String::new();
        for line in golden.lines().filter(|line| !line.starts_with('>')) {
            found.push_str(line);
            found.push('\n');
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] | ["#", ..] => {}
                ["plan", ..] => self.plan = Some(Arc::new(plan(&words))),
                ["config", ..] => self.configure(&words),
                ["restart", epoch] => {
                    self.epoch = epoch.parse().expect("an epoch");
                    self.job = None;
                }
                [from, "ticks", to] => {
                    let (from, to): (u64, u64) = (from.parse().expect("a time"), to.parse().expect("a time"));
                    for now_ms in (from..=to).step_by(250) {
                        for action in self.tell(now_ms, Event::Tick) {
                            let _ = writeln!(found, "> {now_ms}: {action}");
                        }
                    }
                }
                [at, ref event @ ..] => {
                    for _ in 0..times {
                        let event = self.event(event);
                        for action in self.tell(at.parse().expect("a time"), event) {
                            let _ = writeln!(found, "> {action}");
                        }
                    }
                }
            }
        }
        found
    }

    fn configure(&mut self, words: &[&str]) {
        if let Some(ms) = number(words, "deadline") {
            self.config.deadline_ms = Some(ms);
        }
        if let Some(ms) = number(words, "no-worker") {
            self.config.no_worker_ms = ms;
        }
        if let Some(count) = number(words, "losses") {
            self.config.losses_max = count;
        }
        if let Some(count) = number(words, "write-failures") {
            self.config.write_failures_max = count;
        }
        self.config.high_memory |= words.contains(&"high-memory");
        if let Some(limit) = value(words, "bad-records") {
            self.config.bad_records = limit.parse().expect("a limit");
        }
    }

    fn plan(&self) -> Arc<RunPlan> {
        self.plan.clone().expect("a golden begins with its plan")
    }

    fn tell(&mut self, now_ms: u64, event: Event) -> Vec<String> {
        if self.job.is_none() {
            let plan = self.plan();
            let mut progress = Progress::new(&plan);
            for record in &self.saved {
                // as it would be read from the store
                let json = serde_json::to_string(record).expect("a record is JSON");
                progress.add(serde_json::from_str(&json).expect("and back")).expect("of this plan");
            }
            let epoch = Epoch(self.epoch.max(1));
            self.job = Some(Job::new(self.config.clone(), plan, progress, epoch, now_ms));
        }
        if let Event::Saved { number } = event {
            self.saved.extend(self.asked.remove(&number));
        }
        let actions = self.job.as_mut().expect("it was made").handle_event(now_ms, event);
        for action in &actions {
            if let Action::Save { record } = action {
                self.asked.insert(record.number, ProgressRecord::clone(record));
            }
        }
        actions.iter().map(shown).collect()
    }

    fn lease(&self, word: &str) -> Lease {
        let (attempt, epoch) = match word.split_once('@') {
            Some((attempt, epoch)) => (attempt, epoch.parse().expect("an epoch")),
            None => (word, self.epoch.max(1)),
        };
        let mut parts = attempt.rsplitn(3, '-');
        let mut next = || parts.next().expect("a lease such as join-00001-0");
        let (number, index, stage) = (next(), next(), next());
        let stage = Stage::ALL.into_iter().find(|known| known.name() == stage).expect("a stage");
        let index = index.parse().expect("a task's number");
        let number: u32 = number.parse().expect("an attempt's number");
        let attempt = AttemptId { task: TaskId { stage, index }, attempt: Epoch(epoch).first_attempt() + number };
        Lease { attempt, epoch: Epoch(epoch) }
    }

    fn event(&self, words: &[&str]) -> Event {
        let rest = |from: usize| words[from..].join(" ");
        match words[0] {
            "register" => Event::WorkerRegistered {
                worker: worker(words[1]),
                name: format!("pod-{}", words[1]),
                capacity: Capacity {
                    slots: number(words, "slots").unwrap_or(1),
                    memory_bytes: number(words, "memory").unwrap_or(1),
                    high_memory: words.contains(&"high-memory"),
                },
            },
            "heartbeat" => Event::Heartbeat {
                worker: worker(words[1]),
                running: words[2..].iter().map(|word| self.lease(word)).collect(),
            },
            "drain" => Event::WorkerDraining { worker: worker(words[1]) },
            "retire" => Event::WorkerRetired { worker: worker(words[1]), retired: true },
            "unretire" => Event::WorkerRetired { worker: worker(words[1]), retired: false },
            "held-back" => Event::WorkersHeldBack,
            "fleet-failed" => Event::FleetFailed { message: rest(1) },
            "gone" => Event::WorkerGone { worker: worker(words[1]), class: spelled(words[2]), message: rest(3) },
            "done" => {
                let lease = self.lease(words[2]);
                let output = self.output(lease, words);
                let cost = TaskCost { cpu_ms: 1, ..TaskCost::default() };
                Event::TaskDone { worker: worker(words[1]), lease, output, cost }
            }
            "failed" => {
                let class: FailureClass = spelled(words[3]);
                Event::TaskFailed { worker: worker(words[1]), lease: self.lease(words[2]), class, message: rest(4) }
            }
            "returned" => Event::TaskReturned { worker: worker(words[1]), lease: self.lease(words[2]) },
            "saved" => Event::Saved { number: words[1].parse().expect("a number") },
            "save-failed" => Event::SaveFailed { number: words[1].parse().expect("a number"), message: rest(2) },
            "readers-written" => Event::ReadersWritten,
            "readers-failed" => Event::ReadersFailed { message: rest(1) },
            "committed" => Event::Committed { seq: words[1].parse().expect("a number") },
            "commit-failed" => {
                let failure = match words[1] {
                    "conflict" => CommitFailure::Conflict,
                    "invariant" => CommitFailure::Invariant,
                    "landing" => CommitFailure::Landing,
                    _ => CommitFailure::Store,
                };
                Event::CommitFailed { failure, message: rest(2) }
            }
            "refused" => Event::StoreRefused { message: rest(1) },
            "fenced" => Event::Fenced { by: Epoch(words[1].parse().expect("an epoch")) },
            "stop" => Event::Stop,
            "tick" => Event::Tick,
            other => unreachable!("{other} is no event"),
        }
    }

    /// Readers 0 and 1, and a row in each shard, unless the words say otherwise.
    fn output(&self, lease: Lease, words: &[&str]) -> TaskOutput {
        let task = lease.attempt.task;
        let counts = vec![stedi_job::task::ObjectCounts {
            object: task.index,
            kept: 9,
            filtered: 0,
            quarantined: number(words, "bad").unwrap_or(0),
        }];
        match task.stage {
            Stage::Consent => TaskOutput::Consent {
                directory: format!("directory-{}", lease.attempt),
                users: 10,
                directory_memory_bytes: 1,
                counts,
                rejects: Vec::new(),
            },
            Stage::ScanAccelerometer | Stage::ScanStepTrainer => {
                let shards = list(words, "shards").unwrap_or_else(|| (0..self.plan().shards()).collect());
                let segment = |shard: u32| Segment {
                    shard,
                    offset: u64::from(shard) * 10,
                    bytes: 10 + u64::from(shard),
                    rows: 1,
                };
                let default = if task.stage == Stage::ScanAccelerometer { vec![0, 1] } else { Vec::new() };
                let readers = list(words, "readers").unwrap_or(default);
                let shuffle = Some(format!("shuffle-{}", lease.attempt));
                TaskOutput::Scan {
                    shuffle,
                    segments: shards.into_iter().map(segment).collect(),
                    readers,
                    counts,
                    rejects: Vec::new(),
                }
            }
            Stage::Join => {
                let part = Part { path: format!("part-{}", task.index), rows: 1, bytes: 1 };
                TaskOutput::Parts(vec![(CuratedTable::AccelerometerTrusted, part)])
            }
        }
    }
}

/// A lease with the attempt's number within its epoch.
fn shown_lease(lease: &Lease) -> String {
    let AttemptId { task, attempt } = lease.attempt;
    format!("{task}-{}@{}", attempt - lease.epoch.first_attempt(), lease.epoch)
}

fn shown_work(work: &Work) -> String {
    match work {
        Work::Consent { splits } => format!("splits={}", splits.len()),
        Work::ScanAccelerometer { splits, directory } => format!("splits={} {directory}", splits.len()),
        Work::ScanStepTrainer { splits, directory, readers } => {
            format!("splits={} {directory} {readers}", splits.len())
        }
        Work::JoinShard { shard, readings, steps, .. } => {
            let paths = |refs: &[stedi_job::task::SegmentRef]| {
                refs.iter().map(|part| format!("{}+{}", part.path, part.offset)).collect::<Vec<_>>().join(",")
            };
            format!("shard={shard} readings={} steps={}", paths(readings), paths(steps))
        }
        Work::WriteCustomers { .. } => "customers".to_owned(),
    }
}

fn shown(action: &Action) -> String {
    match action {
        Action::Grant { worker, lease, sparing, work, .. } => {
            let how = if *sparing { " sparing" } else { "" };
            format!("grant w{} {}{how} {}", worker.0, shown_lease(lease), shown_work(work))
        }
        Action::Revoke { worker, lease, why } => format!("revoke w{} {} {why:?}", worker.0, shown_lease(lease)),
        Action::Save { record } => {
            let tasks = record.tasks.iter().map(|of| {
                let readers = match &of.output {
                    TaskOutput::Scan { readers, .. } => format!(" readers={readers:?}"),
                    _ => String::new(),
                };
                shown_lease(&Lease { attempt: of.attempt, epoch: record.epoch }) + &readers
            });
            format!("save {}: {}", record.number, tasks.collect::<Vec<_>>().join(", "))
        }
        Action::WriteReaders { path, users } => {
            format!("write-readers {path} {:?} of {}", users.iter().collect::<Vec<_>>(), users.users())
        }
        Action::Dismiss { worker, why } => format!("dismiss w{} {why:?}", worker.0),
        Action::Commit { input } => {
            let parts: Vec<_> = input.tables.values().flatten().map(|part| part.path.as_str()).collect();
            let rows: u64 = input.landing.values().flatten().map(|of| of.kept).sum();
            format!("commit parts={} kept={rows}", parts.join(","))
        }
        Action::End { reason } => match reason {
            EndReason::Failed(error) => format!("end failed: {error}"),
            other => format!("end {other:?}"),
        },
    }
}
