//! How many completions a second the state machine takes, and in how much memory, with a million landing objects and a
//! thousand workers: `cargo bench -p stedi-job --bench scale`.
//!
//! Everything that a coordinator's shell would do besides (network, store) is left out; making the workers' outputs is
//! included. Memory is that of the process.

#![expect(clippy::print_stdout, reason = "a measurement is to be read")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stedi_job::event::Capacity;
use stedi_job::plan::PlanObject;
use stedi_job::task::{ObjectCounts, RunContext, Segment, Stage, TaskCost, TaskId, TaskOutput, Work};
use stedi_job::{Action, Epoch, Event, Job, JobConfig, Lease, Progress, RunPlan, WorkerId};
use stedi_lake::commit::Part;
use stedi_lake::options::TableOptions;
use stedi_lake::{CuratedTable, LandingTable, RunId};

const WORKERS: u64 = 1_000;
const SLOTS: u32 = 4;
const USERS: u32 = 1_000_000;
/// Virtual time goes on so that this many completions happen in a second.
const COMPLETIONS_A_SECOND: u64 = 5_000;

fn plan(objects: u64, object_bytes: u64, shards: u32) -> RunPlan {
    let of = |table: LandingTable, count: u64| {
        let object = |i: u64| PlanObject {
            key: format!("{}/landing/2024/05/17/13/firehose-{i:020}-0123456789ab.json.gz", table.name()).into(),
            etag: format!("\"{i:032x}\"").into(),
            bytes: object_bytes,
            splittable: false,
        };
        (table, (0..count).map(object).collect())
    };
    let landing = BTreeMap::from([
        of(LandingTable::Customer, 1_000),
        of(LandingTable::Accelerometer, objects * 7 / 10 - 1_000),
        of(LandingTable::StepTrainer, objects * 3 / 10),
    ]);
    let options = TableOptions { shards, ..TableOptions::default() };
    let context =
        RunContext { run_id: RunId::new(1, 1), lake: "s3://bucket/lake".to_owned(), options, slice_bytes: 1 << 28 };
    RunPlan::new(context, landing)
}

/// The objects that a task reads. A coordinator sends work away; so it must not pile up here either.
fn objects(work: &Work) -> Range<u32> {
    match work {
        Work::Consent { splits } | Work::ScanAccelerometer { splits, .. } | Work::ScanStepTrainer { splits, .. } => {
            splits.first().map_or(0, |split| split.object)..splits.last().map_or(0, |split| split.object + 1)
        }
        Work::JoinShard { .. } | Work::WriteCustomers { .. } => 0..0,
    }
}

fn output(lease: Lease, objects: Range<u32>, shards: u32) -> TaskOutput {
    let counts = objects.map(|object| ObjectCounts { object, kept: 900, filtered: 99, quarantined: 1 }).collect();
    match lease.attempt.task.stage {
        Stage::Consent => TaskOutput::Consent {
            directory: "_stedi/runs/r/directory".to_owned(),
            users: USERS,
            directory_memory_bytes: 1 << 26,
            counts,
            rejects: Vec::new(),
        },
        Stage::ScanAccelerometer | Stage::ScanStepTrainer => {
            let bytes = |shard| 400_000 + u64::from(shard) * 37 + u64::from(lease.attempt.task.index % 1000);
            let segments = (0..shards)
                .map(|shard| Segment { shard, offset: u64::from(shard) * 400_000, bytes: bytes(shard), rows: 9_000 })
                .collect();
            let first = (lease.attempt.task.index * 997) % (USERS - 1000);
            let readers = match lease.attempt.task.stage {
                Stage::ScanAccelerometer => (first..first + 1000).collect(),
                _ => Vec::new(),
            };
            let shuffle = Some(format!("_stedi/runs/01J0000000000000000000000/shuffle/{}.rows", lease.attempt));
            TaskOutput::Scan { shuffle, segments, readers, counts, rejects: Vec::new() }
        }
        Stage::Join => {
            let part = |table: CuratedTable| {
                let path = format!("{}/run=01J0000000000000000000000/part-{}.parquet", table.path(), lease.attempt);
                (table, Part { path, rows: 1_000_000, bytes: 1 << 27 })
            };
            TaskOutput::Parts(CuratedTable::ALL.into_iter().map(part).collect())
        }
    }
}

/// A line of `/proc/self/status` in MiB; nothing where there is none.
fn memory_mib(line: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let found = status.lines().find_map(|text| text.strip_prefix(line))?;
    Some(found.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// CPU seconds of this process so far: other processes do not disturb them. Linux counts them in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let ticks = |n: usize| after_name.split_whitespace().nth(n)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

struct Cluster {
    job: Job,
    shards: u32,
    running: VecDeque<(WorkerId, Lease, Range<u32>)>,
    held: BTreeMap<WorkerId, BTreeSet<Lease>>,
    in_job: Duration,
    slowest: Duration,
    saved_tasks: usize,
    committed: bool,
}

impl Cluster {
    fn tell(&mut self, now_ms: u64, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let begin = Instant::now();
            let actions = self.job.handle_event(now_ms, event);
            let took = begin.elapsed();
            self.in_job += took;
            self.slowest = self.slowest.max(took);
            for action in actions {
                match action {
                    Action::Grant { worker, lease, work, .. } => {
                        self.held.entry(worker).or_default().insert(lease);
                        self.running.push_back((worker, lease, objects(&work)));
                    }
                    Action::Save { record } => {
                        self.saved_tasks += record.tasks.len();
                        events.push_back(Event::Saved { number: record.number });
                    }
                    Action::WriteReaders { .. } => events.push_back(Event::ReadersWritten),
                    Action::Commit { .. } => events.push_back(Event::Committed { seq: 1 }),
                    Action::End { .. } => self.committed = true,
                    Action::Revoke { .. } | Action::Dismiss { .. } => {}
                }
            }
        }
    }
}

fn measure(name: &str, objects: u64, object_bytes: u64, shards: u32) {
    let plan = Arc::new(plan(objects, object_bytes, shards));
    let tasks: Vec<u32> = Stage::ALL.into_iter().map(|stage| plan.tasks(stage)).collect();
    println!("{name}: {objects} objects, {shards} shards, tasks {tasks:?}");
    println!("  plan: {:?} MiB", memory_mib("VmRSS"));
    let job = Job::new(JobConfig::default(), Arc::clone(&plan), Progress::new(&plan), Epoch(1), 0);
    let mut cluster = Cluster {
        job,
        shards,
        running: VecDeque::new(),
        held: BTreeMap::new(),
        in_job: Duration::ZERO,
        slowest: Duration::ZERO,
        saved_tasks: 0,
        committed: false,
    };
    let (begin, cpu_begin) = (Instant::now(), cpu_seconds());
    for id in 0..WORKERS {
        let capacity = Capacity { slots: SLOTS, memory_bytes: 8 << 30, high_memory: false };
        cluster.tell(0, Event::WorkerRegistered { worker: WorkerId(id), name: format!("pod-{id}"), capacity });
    }
    let (mut now_ms, mut done, mut ticks) = (0, 0u64, 0u64);
    while !cluster.committed {
        if let Some((worker, lease, objects)) = cluster.running.pop_front() {
            cluster.held.entry(worker).or_default().remove(&lease);
            let output = output(lease, objects, cluster.shards);
            let cost = TaskCost {
                wall_ms: 500,
                cpu_ms: 400,
                read_bytes: 1 << 27,
                written_bytes: 1 << 26,
                rows: 1000,
                ..TaskCost::default()
            };
            cluster.tell(now_ms, Event::TaskDone { worker, lease, output, cost });
            done += 1;
        }
        if done % (COMPLETIONS_A_SECOND / 4) == 0 || cluster.running.is_empty() {
            now_ms += 250;
            ticks += 1;
            cluster.tell(now_ms, Event::Tick);
            // each worker every five seconds
            for id in (0..WORKERS).filter(|id| id % 20 == ticks % 20) {
                let worker = WorkerId(id);
                let running = cluster.held.get(&worker).into_iter().flatten().copied().collect();
                cluster.tell(now_ms, Event::Heartbeat { worker, running });
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let in_job = cluster.in_job.as_secs_f64();
    let cpu = cpu_seconds().zip(cpu_begin).map_or(seconds, |(end, begin)| end - begin);
    println!(
        "  {done} completions ({} saved): {:.0} a CPU second with the bench's own work, {cpu:.2} CPU s in {seconds:.2} s, \
         {in_job:.2} s of them in the job; slowest event {:.1} ms",
        cluster.saved_tasks,
        done as f64 / cpu,
        cluster.slowest.as_secs_f64() * 1e3,
    );
    println!("  memory: {:?} MiB, {:?} MiB at most", memory_mib("VmRSS"), memory_mib("VmHWM"));
    let join = TaskId { stage: Stage::Join, index: 0 };
    println!(
        "  skew {:.2}, join 0 done: {}",
        cluster.job.progress().shard_report().skew,
        cluster.job.progress().is_done(join)
    );
}

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        // as a test, it is enough that it is built
        return;
    }
    let which = std::env::args().nth(1).filter(|arg| !arg.starts_with("--"));
    let cases: [(&str, u64, u64, u32); 3] = [
        ("a terabyte", 1_000_000, 1 << 20, 244),
        ("a task an object", 1_000_000, 128 << 20, 8),
        ("ten terabytes", 1_000_000, 10 << 20, 2_500),
    ];
    for (name, objects, bytes, shards) in cases {
        if which.as_deref().is_none_or(|which| name.contains(which)) {
            measure(name, objects, bytes, shards);
        }
    }
}
