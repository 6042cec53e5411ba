//! What the worker executes: leases that wait for a thread, and leases that have one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stedi_job::event::Lease;
use stedi_job::task::{FailureClass, TaskCost, TaskOutput, Work};
use stedi_worker::fault;
use stedi_worker::task::{Executor, TaskError};
use tokio::sync::mpsc;

/// The outcome of an attempt.
pub(crate) struct Finished {
    /// Its lease.
    pub(crate) lease: Lease,
    /// The session that granted it.
    session: u64,
    /// What came of it.
    pub(crate) result: Result<(TaskOutput, TaskCost), TaskError>,
}

/// A lease, and what it takes to execute it.
pub(crate) struct Granted {
    pub(crate) lease: Lease,
    pub(crate) work: Work,
    /// Whether the attempt is to take as little memory as it can.
    pub(crate) sparing: bool,
    /// How long the worker may go on without hearing from the coordinator.
    pub(crate) valid: Duration,
    pub(crate) executor: Arc<Executor>,
}

struct Running {
    cancel: Arc<AtomicBool>,
    valid: Duration,
}

/// All attempts of this worker. A cancelled attempt keeps its thread until it notices, and only then makes place.
pub(crate) struct Attempts {
    slots: usize,
    session: u64,
    waiting: VecDeque<Granted>,
    running: BTreeMap<Lease, Running>,
    busy: usize,
    finished: mpsc::UnboundedSender<Finished>,
}

impl Attempts {
    /// None yet; outcomes arrive at the other end of the channel, at most as many as there are slots.
    pub(crate) fn new(slots: usize) -> (Self, mpsc::UnboundedReceiver<Finished>) {
        let (finished, outcomes) = mpsc::unbounded_channel();
        let attempts =
            Self { slots, session: 0, waiting: VecDeque::new(), running: BTreeMap::new(), busy: 0, finished };
        (attempts, outcomes)
    }

    /// Takes a lease; it begins when a thread is free.
    pub(crate) fn grant(&mut self, granted: Granted) {
        let lease = granted.lease;
        if self.running.contains_key(&lease) || self.waiting.iter().any(|waiting| waiting.lease == lease) {
            return;
        }
        self.waiting.push_back(granted);
        self.begin_next();
    }

    /// Every lease that this worker works on or will.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.running.keys().copied().chain(self.waiting.iter().map(|granted| granted.lease)).collect()
    }

    /// Number of attempts on a thread.
    pub(crate) fn busy(&self) -> usize {
        self.busy
    }

    /// Forgets a lease.
    pub(crate) fn revoke(&mut self, lease: Lease) {
        self.waiting.retain(|granted| granted.lease != lease);
        if let Some(running) = self.running.remove(&lease) {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets all leases: they were granted in a session that is over.
    pub(crate) fn revoke_all(&mut self) {
        self.session += 1;
        self.waiting.clear();
        for running in std::mem::take(&mut self.running).into_values() {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Asks all attempts to stop, but keeps their leases; those that wait for a thread are given back.
    pub(crate) fn drain(&mut self) -> Vec<Lease> {
        for running in self.running.values() {
            running.cancel.store(true, Ordering::Relaxed);
        }
        std::mem::take(&mut self.waiting).into_iter().map(|granted| granted.lease).collect()
    }

    /// Whether the coordinator has not heard of this worker for longer than one of its leases lasts.
    pub(crate) fn outlived(&self, silence: Duration) -> bool {
        let waiting = self.waiting.iter().map(|granted| granted.valid);
        self.running.values().map(|running| running.valid).chain(waiting).any(|valid| silence > valid)
    }

    /// Makes place for the next attempt; whether the coordinator wants to hear of this one.
    pub(crate) fn settle(&mut self, finished: &Finished) -> bool {
        self.busy -= 1;
        let wanted = finished.session == self.session && self.running.remove(&finished.lease).is_some();
        self.begin_next();
        wanted
    }

    fn begin_next(&mut self) {
        while self.busy < self.slots {
            let Some(granted) = self.waiting.pop_front() else { return };
            let (lease, valid) = (granted.lease, granted.valid);
            let cancel = Arc::new(AtomicBool::new(false));
            self.running.insert(lease, Running { cancel: Arc::clone(&cancel), valid });
            self.busy += 1;
            let (session, finished) = (self.session, self.finished.clone());
            tokio::spawn(async move {
                let attempt = tokio::task::spawn_blocking(move || execute(&granted, &cancel)).await;
                let result = attempt.unwrap_or_else(|panic| Err(panicked(&panic)));
                // the receiver goes only when the process does
                let _ = finished.send(Finished { lease, session, result });
            });
        }
    }
}

/// Executes an attempt on this thread.
fn execute(granted: &Granted, cancel: &AtomicBool) -> Result<(TaskOutput, TaskCost), TaskError> {
    let Granted { lease, work, sparing, executor, .. } = granted;
    let stage = lease.attempt.task.stage;
    fault::task_point(stage.name(), "begun");
    let result = executor.execute(lease.attempt, work, *sparing, cancel);
    fault::task_point(stage.name(), "done");
    result
}

/// What a panic said is on standard error already; it may hold data, and is not sent.
fn panicked(_: &tokio::task::JoinError) -> TaskError {
    TaskError { class: FailureClass::Panic, message: "the task panicked: see the worker's log".to_owned() }
}
