//! Workers as pods: what Kubernetes says of a pod becomes what the job is told of its worker, and the other way round.
//!
//! When a container is killed, its stream breaks at once, and its pod says why a moment later. So a worker that has a pod
//! and whose stream breaks gets nothing new, and is given up when its pod has said why, or after [`PATIENCE_MS`].
//! Without a fleet nothing here makes a difference.

use std::collections::{BTreeMap, BTreeSet};

use stedi_fleet::{Need, PodLoad, Update};
use stedi_job::event::Event;
use stedi_job::task::{FailureClass, Stage};
use stedi_job::{Job, WorkerId};

/// How long a pod may take to say why its worker's stream broke.
const PATIENCE_MS: u64 = 10_000;

/// A worker that has a pod.
#[derive(Debug)]
struct Member {
    pod: String,
    slots: u32,
    high_memory: bool,
}

/// A worker whose stream broke.
#[derive(Debug)]
struct Broken {
    since_ms: u64,
    message: String,
}

/// The workers that are pods of this coordinator's fleet.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    members: BTreeMap<WorkerId, Member>,
    broken: BTreeMap<WorkerId, Broken>,
    /// What is known of pods that were told to go.
    leaving: BTreeMap<String, (FailureClass, String)>,
    retired: BTreeSet<String>,
}

impl Crew {
    /// A worker has registered, as this pod.
    pub(crate) fn join(&mut self, worker: WorkerId, pod: String, high_memory: bool, event: Event) -> Vec<Event> {
        let Event::WorkerRegistered { name, mut capacity, .. } = event else { return vec![event] };
        // it lives, so its earlier stream broke for no reason of its own
        let mut events = self.lose(&pod, |broken| (FailureClass::WorkerLost, broken.to_owned()));
        capacity.high_memory = high_memory;
        events.push(Event::WorkerRegistered { worker, name, capacity });
        if self.retired.contains(&pod) {
            events.push(Event::WorkerRetired { worker, retired: true });
        }
        self.members.insert(worker, Member { pod, slots: capacity.slots.max(1), high_memory });
        events
    }

    /// A worker says something, or its stream has ended.
    pub(crate) fn hear(&mut self, event: Event, now_ms: u64) -> Vec<Event> {
        let Event::WorkerGone { worker, class: FailureClass::WorkerLost, message } = event else { return vec![event] };
        let Some(member) = self.members.get(&worker) else {
            return vec![Event::WorkerGone { worker, class: FailureClass::WorkerLost, message }];
        };
        if let Some((class, why)) = self.leaving.get(&member.pod) {
            let (class, message) = (*class, format!("{message}; {why}"));
            self.members.remove(&worker);
            return vec![Event::WorkerGone { worker, class, message }];
        }
        self.broken.insert(worker, Broken { since_ms: now_ms, message });
        vec![Event::WorkerRetired { worker, retired: true }]
    }

    /// The fleet says something.
    pub(crate) fn heed(&mut self, update: Update) -> Vec<Event> {
        match update {
            Update::Leaving { pod, class, message } => {
                let events = self.lose_broken(&pod, class, &message);
                self.leaving.insert(pod, (class, message));
                events
            }
            Update::Lost { pod, class, message } => {
                self.leaving.remove(&pod);
                self.lose(&pod, |_| (class, message.clone()))
            }
            Update::Retire { pods } => {
                let changed = |member: &&Member| pods.contains(&member.pod) != self.retired.contains(&member.pod);
                let members =
                    self.members.iter().filter(|(id, member)| changed(member) && !self.broken.contains_key(id));
                let events = members
                    .map(|(&worker, member)| Event::WorkerRetired { worker, retired: pods.contains(&member.pod) });
                let events = events.collect();
                self.retired = pods;
                events
            }
            Update::HeldBack => vec![Event::WorkersHeldBack],
            Update::Failed { message } => vec![Event::FleetFailed { message }],
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Vec<Event> {
        let over = |broken: &Broken| now_ms.saturating_sub(broken.since_ms) >= PATIENCE_MS;
        let silent: Vec<WorkerId> = self.broken.iter().filter(|(_, broken)| over(broken)).map(|(id, _)| *id).collect();
        let mut events: Vec<Event> = silent
            .into_iter()
            .filter_map(|worker| {
                self.members.remove(&worker);
                let Broken { message, .. } = self.broken.remove(&worker)?;
                Some(Event::WorkerGone { worker, class: FailureClass::WorkerLost, message })
            })
            .collect();
        events.push(Event::Tick);
        events
    }

    /// What the run needs of its fleet.
    pub(crate) fn need(&self, job: &Job) -> Need {
        let to_come = Stage::ALL.into_iter().filter(|stage| *stage >= job.stage());
        let usual = self.members.values().filter(|member| !member.high_memory);
        let loads = job.loads().filter(|(worker, _)| !self.broken.contains_key(worker));
        let pods = loads
            .filter_map(|(worker, running)| Some(PodLoad { pod: self.members.get(&worker)?.pod.clone(), running }));
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Need {
            stages: to_come.map(|stage| job.work_left(stage)).collect(),
            slots_per_worker: usual.map(|member| member.slots).min(),
            high_memory_tasks: count(job.high_memory_tasks()),
            workers: count(job.workers().saturating_sub(self.broken.len())),
            pods: pods.collect(),
        }
    }

    /// The workers of a pod are gone; `why` gets what its broken stream said.
    fn lose(&mut self, pod: &str, why: impl Fn(&str) -> (FailureClass, String)) -> Vec<Event> {
        let of_pod = self.members.iter().filter(|(_, member)| member.pod == pod);
        let workers: Vec<WorkerId> = of_pod.map(|(id, _)| *id).collect();
        let gone = workers.into_iter().map(|worker| {
            self.members.remove(&worker);
            let said = self.broken.remove(&worker).map_or_else(|| "it came back".to_owned(), |broken| broken.message);
            let (class, message) = why(&said);
            Event::WorkerGone { worker, class, message }
        });
        gone.collect()
    }

    /// The same for those alone whose stream broke.
    fn lose_broken(&mut self, pod: &str, class: FailureClass, message: &str) -> Vec<Event> {
        let is_broken = |member: &Member, id: &WorkerId| member.pod == pod && self.broken.contains_key(id);
        let broken = self.members.iter().find(|(id, member)| is_broken(member, id)).map(|(id, _)| *id);
        let Some(worker) = broken else { return Vec::new() };
        self.members.remove(&worker);
        self.broken.remove(&worker);
        vec![Event::WorkerGone { worker, class, message: message.to_owned() }]
    }
}

#[cfg(test)]
mod tests {
    use stedi_job::event::Capacity;

    use super::*;

    const W1: WorkerId = WorkerId(1);

    fn capacity(high_memory: bool) -> Capacity {
        Capacity { slots: 2, memory_bytes: 1, high_memory }
    }

    fn registered(worker: WorkerId, high_memory: bool) -> Event {
        Event::WorkerRegistered { worker, name: "w".to_owned(), capacity: capacity(high_memory) }
    }

    fn crew() -> Crew {
        let mut crew = Crew::default();
        assert_eq!(crew.join(W1, "p1".to_owned(), false, registered(W1, false)), [registered(W1, false)]);
        crew
    }

    fn broke(worker: WorkerId) -> Event {
        Event::WorkerGone { worker, class: FailureClass::WorkerLost, message: "broke".to_owned() }
    }

    fn gone(worker: WorkerId, class: FailureClass, message: &str) -> Event {
        Event::WorkerGone { worker, class, message: message.to_owned() }
    }

    fn lost(class: FailureClass) -> Update {
        Update::Lost { pod: "p1".to_owned(), class, message: "why".to_owned() }
    }

    #[test]
    fn a_broken_stream_waits_for_its_pod_to_say_why() {
        let mut crew = crew();
        assert_eq!(crew.hear(broke(W1), 0), [Event::WorkerRetired { worker: W1, retired: true }]);
        assert_eq!(crew.tick(9_999), [Event::Tick]);
        assert_eq!(crew.heed(lost(FailureClass::OutOfMemory)), [gone(W1, FailureClass::OutOfMemory, "why")]);
        assert_eq!(crew.tick(19_999), [Event::Tick]);
    }

    #[test]
    fn and_not_for_ever() {
        let mut crew = crew();
        crew.hear(broke(W1), 100);
        assert_eq!(crew.tick(10_100), [broke(W1), Event::Tick]);
        assert_eq!(crew.heed(lost(FailureClass::OutOfMemory)), []);
    }

    #[test]
    fn a_worker_that_comes_back_was_not_killed() {
        let mut crew = crew();
        crew.hear(broke(W1), 0);
        let again = WorkerId(2);
        let events = crew.join(again, "p1".to_owned(), false, registered(again, false));
        assert_eq!(events, [broke(W1), registered(again, false)]);
    }

    #[test]
    fn a_pod_that_was_told_to_go_is_no_lost_worker() {
        let leaving =
            || Update::Leaving { pod: "p1".to_owned(), class: FailureClass::Preempted, message: "evicted".to_owned() };
        let mut first = crew();
        assert_eq!(first.heed(leaving()), []);
        assert_eq!(first.hear(broke(W1), 0), [gone(W1, FailureClass::Preempted, "broke; evicted")]);
        let mut second = crew();
        second.hear(broke(W1), 0);
        assert_eq!(second.heed(leaving()), [gone(W1, FailureClass::Preempted, "evicted")]);
    }

    #[test]
    fn a_pod_that_is_gone_takes_its_worker_with_it() {
        // the node is gone, and nobody has closed the stream
        assert_eq!(crew().heed(lost(FailureClass::Preempted)), [gone(W1, FailureClass::Preempted, "why")]);
    }

    #[test]
    fn retirement_is_told_to_those_whom_it_concerns() {
        let mut crew = crew();
        let retire = |pods: &[&str]| Update::Retire { pods: pods.iter().map(|&pod| pod.to_owned()).collect() };
        assert_eq!(crew.heed(retire(&["p1", "p9"])), [Event::WorkerRetired { worker: W1, retired: true }]);
        assert_eq!(crew.heed(retire(&["p1"])), []);
        assert_eq!(crew.heed(retire(&[])), [Event::WorkerRetired { worker: W1, retired: false }]);
        // one that registers late hears of it too
        crew.heed(retire(&["p2"]));
        let late = WorkerId(2);
        let events = crew.join(late, "p2".to_owned(), true, registered(late, false));
        assert_eq!(events, [registered(late, true), Event::WorkerRetired { worker: late, retired: true }]);
    }

    #[test]
    fn workers_without_a_pod_are_as_ever() {
        let mut crew = Crew::default();
        assert_eq!(crew.hear(broke(W1), 0), [broke(W1)]);
        let heartbeat = Event::Heartbeat { worker: W1, running: Vec::new() };
        assert_eq!(crew.hear(heartbeat.clone(), 0), [heartbeat]);
    }
}
