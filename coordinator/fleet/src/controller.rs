//! What is to be done about a fleet: told what is seen of Jobs and pods and what the run needs, it says what to change and
//! what to tell. Neither clock nor I/O; nothing is remembered that a look at the cluster would not show again, but for what
//! was said already and since when something lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use stedi_job::fleet_size::{FleetLimits, WorkLeft, fleet_size_for};
use stedi_job::task::FailureClass;

use crate::job::{JobEnd, JobView};
use crate::names::Pool;
use crate::pod::{Loss, LossCause, PodState, PodView};
use crate::scale::{Why, change};
use crate::story::{Happening, not_created, not_made};

/// Tasks that each slot should find, so that a worker is worth its start.
const TASKS_PER_SLOT: u32 = 4;

/// Time between two changes of a fleet's size.
const SCALE_INTERVAL_MS: u64 = 5_000;

/// A fleet must have been too large for so long before it shrinks.
const SHRINK_AFTER_MS: u64 = 30_000;

/// So long a Job may have fewer pods than it wants before that is told. Kubernetes makes them within a second or two, but
/// replaces one that failed after 10 s.
const CREATED_WITHIN_MS: u64 = 15_000;

/// What the run needs, as the state machine of `stedi_job` knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// What is left of the present stage and of those to come.
    pub stages: Vec<WorkLeft>,
    /// Tasks that a worker runs at once; unknown before the first has registered.
    pub slots_per_worker: Option<u32>,
    /// Tasks that need more memory than the usual workers have, and are not done.
    pub high_memory_tasks: u32,
    /// Registered workers.
    pub workers: u32,
    /// Those of them that are pods of this fleet.
    pub pods: Vec<PodLoad>,
}

/// A registered worker's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodLoad {
    /// Its name.
    pub pod: String,
    /// How many tasks it runs.
    pub running: usize,
}

/// What was seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// All pods there are.
    Pods(Vec<PodView>),
    /// A pod, new or changed.
    Pod(PodView),
    /// A pod is deleted.
    PodGone(String),
    /// All worker Jobs there are.
    Jobs(Vec<JobView>),
    /// A worker Job, new or changed.
    Job(JobView),
    /// A worker Job is deleted.
    JobGone(Pool),
}

/// What the coordinator's loop is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// A pod was told to go: when its worker's stream breaks, this is why.
    Leaving {
        /// Its name.
        pod: String,
        /// What that means for what it was executing.
        class: FailureClass,
        /// What is known.
        message: String,
    },
    /// A pod is gone.
    Lost {
        /// Its name.
        pod: String,
        /// What that means for what it was executing.
        class: FailureClass,
        /// What is known.
        message: String,
    },
    /// The workers of exactly these pods are to get nothing new.
    Retire {
        /// Their names.
        pods: BTreeSet<String>,
    },
    /// The fleet is suspended: that there are no workers is nobody's fault.
    HeldBack,
    /// The run cannot go on.
    Failed {
        /// Why, and what to do about it.
        message: String,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make the Job of a pool.
    Make {
        /// Whose workers.
        pool: Pool,
        /// How many.
        size: u32,
    },
    /// Change a Job, if it is still of this version.
    Scale {
        /// Whose workers.
        pool: Pool,
        /// Its version.
        version: String,
        /// How many from now on.
        size: u32,
        /// The person's number to be noted.
        fixed: Option<u32>,
        /// What to tell people when it is done.
        say: Happening,
    },
    /// Delete a Job that is of no use any more; another one is made when it is gone.
    Remove {
        /// Whose workers.
        pool: Pool,
    },
    /// Tell the coordinator's loop.
    Update(Update),
    /// Tell people.
    Say(Happening),
}

/// Numbers that a fleet is kept within.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At least so many workers while there is work.
    pub workers_min: u32,
    /// At most so many.
    pub workers_max: u32,
    /// How long a run may be without a worker because none can be started.
    pub pending_deadline: Duration,
}

impl Limits {
    /// The sizes that the Job of a pool may have.
    fn sizes(&self, pool: Pool) -> RangeInclusive<u32> {
        match pool {
            Pool::Standard => self.workers_min..=self.workers_max,
            // it is there for few tasks
            Pool::HighMemory => 1..=self.workers_max,
        }
    }

    fn fleet(&self) -> FleetLimits {
        FleetLimits {
            workers_min: self.workers_min,
            workers_max: self.workers_max,
            // few steps to any size, and yet not all at once
            step_max: self.workers_max.div_ceil(4).max(4),
            tasks_per_slot: TASKS_PER_SLOT,
        }
    }
}

/// One pool, as far as it must be remembered.
#[derive(Debug, Default)]
struct Memory {
    /// Whether this coordinator has made its Job.
    made: bool,
    /// Whether its Job was seen at work, so that its end is news.
    at_work: bool,
    suspended: bool,
    scaled_ms: Option<u64>,
    too_large_since_ms: Option<u64>,
    workerless_since_ms: Option<u64>,
    pending_since_ms: Option<u64>,
    warned: bool,
    /// Since when pods are missing, and of how many that are wanted.
    missing_since: Option<(u64, u32)>,
    /// How many are missing, once that was told.
    missing: Option<u32>,
    /// Why its Job could not be made when that was tried last.
    refusal: Option<String>,
}

/// The fleet of one coordinator.
#[derive(Debug)]
pub struct Controller {
    limits: Limits,
    coordinator_job: String,
    owner: String,
    pods: BTreeMap<String, PodView>,
    pods_known: bool,
    jobs: BTreeMap<Pool, JobView>,
    jobs_known: bool,
    memory: BTreeMap<Pool, Memory>,
    retired: BTreeSet<String>,
    /// The pod that was lost last, and why.
    last_loss: BTreeMap<Pool, String>,
    /// What is in the way of workers, as it was said.
    said: BTreeSet<String>,
    failed: bool,
}

impl Controller {
    /// The fleet of the coordinator Job of this name and uid; nothing of it is known yet.
    pub fn new(limits: Limits, coordinator_job: String, owner_uid: String) -> Self {
        Self {
            limits,
            coordinator_job,
            owner: owner_uid,
            pods: BTreeMap::new(),
            pods_known: false,
            jobs: BTreeMap::new(),
            jobs_known: false,
            memory: Pool::ALL.into_iter().map(|pool| (pool, Memory::default())).collect(),
            retired: BTreeSet::new(),
            last_loss: BTreeMap::new(),
            said: BTreeSet::new(),
            failed: false,
        }
    }

    /// How many workers are wanted, none of a Job that is suspended, and how many are ready.
    pub fn sizes(&self) -> (u32, u32) {
        let asks = |job: &&JobView| !job.suspended && !job.deleting && job.ended.is_none();
        let wanted = self.jobs.values().filter(asks).map(|job| job.parallelism);
        let ready = self.pods.values().filter(|pod| pod.state == PodState::Running { ready: true }).count();
        (wanted.sum(), u32::try_from(ready).unwrap_or(u32::MAX))
    }

    /// Takes note of what was seen; what is to be told at once.
    pub fn see(&mut self, seen: Seen) -> Vec<Step> {
        let mut steps = Vec::new();
        match seen {
            Seen::Pods(pods) => {
                let now: BTreeSet<&String> = pods.iter().map(|pod| &pod.name).collect();
                let gone: Vec<String> = self.pods.keys().filter(|name| !now.contains(name)).cloned().collect();
                gone.iter().for_each(|name| self.pod_gone(name, &mut steps));
                pods.into_iter().for_each(|pod| self.pod(pod, &mut steps));
                self.pods_known = true;
            }
            Seen::Pod(pod) => self.pod(pod, &mut steps),
            Seen::PodGone(name) => self.pod_gone(&name, &mut steps),
            Seen::Jobs(jobs) => {
                self.jobs = jobs.into_iter().map(|job| (job.pool, job)).collect();
                self.jobs_known = true;
            }
            Seen::Job(job) => {
                self.jobs.insert(job.pool, job);
            }
            Seen::JobGone(pool) => {
                self.jobs.remove(&pool);
            }
        }
        steps
    }

    /// The Job of a pool could not be made, which may pass; what is to be told, if that is news.
    pub fn not_made(&mut self, pool: Pool, message: String) -> Option<Happening> {
        let before = self.memory_of(pool).refusal.replace(message.clone());
        let job = pool.job_name(&self.coordinator_job);
        (before.as_ref() != Some(&message)).then_some(Happening::NotMade { job, message })
    }

    fn pod(&mut self, pod: PodView, steps: &mut Vec<Step>) {
        let before = self.pods.insert(pod.name.clone(), pod.clone()).map(|before| before.state);
        if before.as_ref() == Some(&pod.state) {
            return;
        }
        let name = pod.name.clone();
        match pod.state {
            PodState::Leaving(loss) => {
                let (class, message) = (loss.cause.class(), loss.message);
                steps.push(Step::Update(Update::Leaving { pod: name, class, message }));
            }
            // what the coordinator that was here before has seen is old
            PodState::Lost(_) if !self.pods_known => {}
            // nor is it news twice
            PodState::Lost(_) if matches!(before, Some(PodState::Lost(_))) => {}
            PodState::Lost(loss) => self.lost(pod.pool, pod.index, name, loss, steps),
            PodState::Stuck(stuck) => {
                // of many pods that wait for the same, one is enough
                if self.said.insert(format!("{} {}", pod.pool, stuck.cause())) {
                    steps.push(Step::Say(Happening::Stuck { pod: name, stuck }));
                }
            }
            PodState::Coming | PodState::Running { .. } | PodState::Done => {}
        }
    }

    fn pod_gone(&mut self, name: &str, steps: &mut Vec<Step>) {
        let Some(pod) = self.pods.remove(name) else { return };
        let loss = match pod.state {
            PodState::Lost(_) | PodState::Done => return,
            PodState::Leaving(loss) => loss,
            _ => Loss { cause: LossCause::Deleted, message: "its pod is gone".to_owned() },
        };
        self.lost(pod.pool, pod.index, pod.name, loss, steps);
    }

    fn lost(&mut self, pool: Pool, index: u32, pod: String, loss: Loss, steps: &mut Vec<Step>) {
        let (class, message) = (loss.cause.class(), loss.message.clone());
        steps.push(Step::Update(Update::Lost { pod: pod.clone(), class, message: message.clone() }));
        // pods beyond the size of their Job are taken away by it, as are those of one that is deleted or suspended
        let job = self.jobs.get(&pool);
        let unwanted = job.is_none_or(|job| job.deleting || job.suspended || index >= job.parallelism);
        if loss.cause == LossCause::Permanent {
            self.fail(format!("worker {pod} ended with {message}"), steps);
        }
        if !(unwanted && loss.cause == LossCause::Deleted) {
            let hint = match loss.cause {
                LossCause::OutOfMemory => {
                    ": give workers more memory (workers.resources), or the run more shards (--shards)"
                }
                _ => "",
            };
            self.last_loss.insert(pool, format!("; the last worker lost was {pod}: {message}{hint}"));
            steps.push(Step::Say(Happening::Lost { pod, loss }));
        }
    }

    fn fail(&mut self, message: String, steps: &mut Vec<Step>) {
        if !std::mem::replace(&mut self.failed, true) {
            steps.push(Step::Update(Update::Failed { message }));
        }
    }

    /// Looks what is to be done now.
    pub fn decide(&mut self, now_ms: u64, need: &Need) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.jobs_known || !self.pods_known || self.failed {
            return steps;
        }
        for pool in Pool::ALL {
            let wanted = match pool {
                Pool::Standard => self.limits.workers_min.max(1),
                Pool::HighMemory => high_memory_workers(need.high_memory_tasks).min(self.limits.workers_max),
            };
            match self.jobs.get(&pool).cloned() {
                None => {
                    self.watch_pending(pool, now_ms, need, &mut steps);
                    if wanted > 0 && !self.failed {
                        self.memory_of(pool).made = true;
                        steps.push(Step::Make { pool, size: wanted });
                    }
                }
                Some(job) => self.look_after(&job, wanted, now_ms, need, &mut steps),
            }
        }
        self.forget_what_passed();
        steps
    }

    fn look_after(&mut self, job: &JobView, wanted: u32, now_ms: u64, need: &Need, steps: &mut Vec<Step>) {
        let (pool, name) = (job.pool, job.pool.job_name(&self.coordinator_job));
        let memory = self.memory_of(pool);
        memory.refusal = None;
        let first_look = !std::mem::replace(&mut memory.at_work, job.ended.is_none() && !job.deleting);
        if job.deleting {
            self.memory_of(pool).missing_since = None;
            return;
        }
        if job.owner.as_deref() != Some(self.owner.as_str()) {
            // of a coordinator of the same name that is gone
            steps.push(Step::Remove { pool });
            return;
        }
        match &job.ended {
            // it ended before this coordinator looked
            Some(_) if first_look => steps.push(Step::Remove { pool }),
            Some(JobEnd::Failed { message }) => {
                self.fail(format!("the worker Job {name} has failed: {message}{}", self.last_loss(pool)), steps);
            }
            // workers leave with 0 only when told that the run is over, so somebody's meddling has ended it
            Some(JobEnd::Complete) => steps.push(Step::Remove { pool }),
            None => {
                if first_look && !self.memory_of(pool).made {
                    steps.push(Step::Say(Happening::Adopted { job: name.clone(), size: job.parallelism }));
                }
                self.suspension(job, &name, steps);
                if !job.suspended {
                    self.resize(job, &name, wanted, now_ms, need, steps);
                    self.watch_missing(job, &name, now_ms, steps);
                    self.watch_pending(pool, now_ms, need, steps);
                }
            }
        }
    }

    fn memory_of(&mut self, pool: Pool) -> &mut Memory {
        self.memory.entry(pool).or_default()
    }

    fn suspension(&mut self, job: &JobView, name: &str, steps: &mut Vec<Step>) {
        let memory = self.memory_of(job.pool);
        let before = std::mem::replace(&mut memory.suspended, job.suspended);
        if job.suspended {
            (memory.workerless_since_ms, memory.pending_since_ms) = (None, None);
            (memory.missing_since, memory.missing) = (None, None);
            steps.push(Step::Update(Update::HeldBack));
        }
        match (before, job.suspended) {
            (false, true) => steps.push(Step::Say(Happening::Suspended { job: name.to_owned() })),
            (true, false) => steps.push(Step::Say(Happening::Resumed { job: name.to_owned() })),
            _ => {}
        }
    }

    /// Grows a Job at once, and shrinks it as far as those who are to go hold nothing.
    fn resize(&mut self, job: &JobView, name: &str, wanted: u32, now_ms: u64, need: &Need, steps: &mut Vec<Step>) {
        let target = match job.pool {
            Pool::Standard => self.target(job, now_ms, need),
            // what is too much of it stays to the end of the run: where one task needs more, others will
            Pool::HighMemory => job.parallelism.max(wanted),
        };
        let Some(change) = change(job, target, self.limits.sizes(job.pool)) else {
            if job.pool == Pool::Standard {
                self.retire(BTreeSet::new(), steps);
            }
            return;
        };
        let by_person = matches!(change.why, Why::Person { .. });
        let rested = self.memory_of(job.pool).scaled_ms.is_none_or(|at| now_ms.saturating_sub(at) >= SCALE_INTERVAL_MS);
        if !by_person && !rested {
            return;
        }
        let mut size = change.size;
        if !by_person && size < job.parallelism {
            match self.size_without_the_idle(job.pool, size, need, steps) {
                Some(smaller) if smaller < job.parallelism => size = smaller,
                _ => return,
            }
        }
        self.memory_of(job.pool).scaled_ms = Some(now_ms);
        let say = Happening::Scaled { job: name.to_owned(), from: job.parallelism, to: size, why: change.why };
        let version = job.version.clone();
        steps.push(Step::Scale { pool: job.pool, version, size, fixed: change.fixed, say });
    }

    /// Retires who is beyond `size`, and says how small the Job may be now, if that is known yet. It gives up its highest
    /// indexes only, so who still works keeps all below, but not those above.
    fn size_without_the_idle(&mut self, pool: Pool, size: u32, need: &Need, steps: &mut Vec<Step>) -> Option<u32> {
        let leaving: BTreeMap<String, u32> = self
            .pods
            .values()
            .filter(|pod| pod.pool == pool && pod.index >= size)
            .map(|pod| (pod.name.clone(), pod.index))
            .collect();
        let names: BTreeSet<String> = leaving.keys().cloned().collect();
        let told = self.retired.is_superset(&names);
        self.retire(names, steps);
        let busy = need.pods.iter().filter(|load| load.running > 0).filter_map(|load| leaving.get(&load.pod));
        // what was granted before they were retired is not in `need` yet
        told.then(|| busy.max().map_or(size, |index| index + 1))
    }

    /// How many workers the run would like to have.
    fn target(&mut self, job: &JobView, now_ms: u64, need: &Need) -> u32 {
        let limits = self.limits.fleet();
        let present = job.parallelism;
        let wanted = match need.slots_per_worker {
            Some(slots) => fleet_size_for(present, slots, &need.stages, limits),
            None => present.max(limits.workers_min),
        };
        let memory = self.memory_of(job.pool);
        if wanted >= present || wanted == 0 {
            memory.too_large_since_ms = None;
            return wanted.max(present);
        }
        let since_ms = *memory.too_large_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since_ms) >= SHRINK_AFTER_MS { wanted } else { present }
    }

    fn retire(&mut self, pods: BTreeSet<String>, steps: &mut Vec<Step>) {
        if self.retired != pods {
            self.retired.clone_from(&pods);
            steps.push(Step::Update(Update::Retire { pods }));
        }
    }

    /// Tells once of pods that are not made. Nobody says so but Events of the worker Job, which a coordinator may not read.
    fn watch_missing(&mut self, job: &JobView, name: &str, now_ms: u64, steps: &mut Vec<Step>) {
        let wanted = job.parallelism;
        // one that failed is there until its replacement is
        let there = |pod: &&PodView| pod.pool == job.pool && pod.index < wanted;
        let indexes: BTreeSet<u32> = self.pods.values().filter(there).map(|pod| pod.index).collect();
        let missing = wanted.saturating_sub(u32::try_from(indexes.len()).unwrap_or(u32::MAX));
        let memory = self.memory_of(job.pool);
        if missing == 0 {
            (memory.missing_since, memory.missing) = (None, None);
            return;
        }
        let (since_ms, of) = *memory.missing_since.get_or_insert((now_ms, wanted));
        if of != wanted {
            // those of a new size have their time, too
            memory.missing_since = Some((now_ms, wanted));
        } else if now_ms.saturating_sub(since_ms) >= CREATED_WITHIN_MS && memory.missing.replace(missing).is_none() {
            steps.push(Step::Say(Happening::NotCreated { job: name.to_owned(), missing, wanted }));
        }
    }

    /// Without any worker for longer than the deadline the run fails, and says what is in the way.
    fn watch_pending(&mut self, pool: Pool, now_ms: u64, need: &Need, steps: &mut Vec<Step>) {
        let here = |load: &PodLoad| self.pods.get(&load.pod).is_some_and(|pod| pod.pool == pool);
        let (needed, workers) = match pool {
            Pool::Standard => (true, need.workers > 0),
            Pool::HighMemory => (need.high_memory_tasks > 0, need.pods.iter().any(here)),
        };
        let deadline_ms = u64::try_from(self.limits.pending_deadline.as_millis()).unwrap_or(u64::MAX);
        let pending = self.pods.values().any(|pod| pod.pool == pool && matches!(pod.state, PodState::Stuck(_)));
        let memory = self.memory_of(pool);
        let over = |since: &mut Option<u64>, lasts: bool| {
            *since = lasts.then(|| since.unwrap_or(now_ms));
            since.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= deadline_ms)
        };
        let workerless = over(&mut memory.workerless_since_ms, needed && !workers);
        let pending = over(&mut memory.pending_since_ms, pending);
        let warn = pending && !std::mem::replace(&mut memory.warned, pending);
        if workerless {
            let (waited, cause) = (humantime::format_duration(self.limits.pending_deadline), self.in_the_way(pool));
            let lost = self.last_loss(pool);
            self.fail(format!("no {pool} worker has started for {waited} (--pending-deadline): {cause}{lost}"), steps);
        } else if warn {
            steps.push(Step::Say(Happening::StillPending { cause: self.in_the_way(pool) }));
        }
    }

    /// What became of the last worker that was lost, to be added to a message.
    fn last_loss(&self, pool: Pool) -> String {
        self.last_loss.get(&pool).cloned().unwrap_or_default()
    }

    /// Why the pods of a pool do not come.
    fn in_the_way(&self, pool: Pool) -> String {
        let job = &pool.job_name(&self.coordinator_job);
        let memory = self.memory.get(&pool);
        if let Some(message) = memory.and_then(|memory| memory.refusal.as_deref()) {
            return not_made(job, message);
        }
        let pods = || self.pods.values().filter(|pod| pod.pool == pool);
        let stuck = pods().find_map(|pod| match &pod.state {
            PodState::Stuck(stuck) => Some(format!("pod {} does not start: {stuck}", pod.name)),
            _ => None,
        });
        let waiting = || {
            let pod = pods().find(|pod| matches!(pod.state, PodState::Coming | PodState::Running { .. }))?;
            Some(format!(
                "pod {0} is there but no worker of it: look at kubectl describe pod {0} and its log",
                pod.name
            ))
        };
        let wanted = self.jobs.get(&pool).map_or(0, |job| job.parallelism);
        let missing = memory.and_then(|memory| memory.missing);
        let missing = missing.map(|missing| not_created(job, missing, wanted));
        let causes: Vec<String> = stuck.or_else(waiting).into_iter().chain(missing).collect();
        if causes.is_empty() {
            return format!("there are no pods: kubectl describe job {job} says what it has done");
        }
        causes.join("; ")
    }

    /// What is in nobody's way any more is worth saying again when it comes back.
    fn forget_what_passed(&mut self) {
        let stuck = self.pods.values().filter_map(|pod| match &pod.state {
            PodState::Stuck(stuck) => Some(format!("{} {}", pod.pool, stuck.cause())),
            _ => None,
        });
        let stuck: BTreeSet<String> = stuck.collect();
        self.said.retain(|said| stuck.contains(said));
    }
}

/// How many workers with more memory so many tasks are worth: a few at once, many in turn.
fn high_memory_workers(tasks: u32) -> u32 {
    tasks.div_ceil(TASKS_PER_SLOT).max(tasks.min(TASKS_PER_SLOT))
}

#[cfg(test)]
mod tests;
