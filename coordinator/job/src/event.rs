//! What happens to a job, and what it wants done about it. The state machine stands between the two and does nothing
//! itself: a shell tells it events, one at a time, and performs the actions that come back, in their order.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::JobError;
use crate::progress::{CommitInput, ProgressRecord};
use crate::task::{AttemptId, FailureClass, TaskCost, TaskOutput, Work};
use crate::user_set::UserSet;

/// One connection of one worker. The shell numbers the connections it accepts; a worker that comes back has a new id,
/// and what its old id held is granted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// Which coordinator of a run is speaking: each takes the next number, from 1, with an object created if absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The last epoch a run can have: attempt numbers hold 16 bits of it.
    pub const MAX: Self = Self(1 << 16);

    /// The number of the first attempt that this epoch grants of any task: `(epoch - 1) << 16`. What earlier epochs
    /// granted and never heard of again has smaller numbers, so that none is used twice though grants are not saved.
    pub fn first_attempt(self) -> u32 {
        self.0.saturating_sub(1) << 16
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The right to execute one attempt, as it is named between coordinator and worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The attempt.
    pub attempt: AttemptId,
    /// The coordinator that granted it.
    pub epoch: Epoch,
}

/// What a worker can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Tasks that it runs at once; 0 counts as 1.
    pub slots: u32,
    /// Memory for its tasks together.
    pub memory_bytes: u64,
    /// Whether it is there for tasks that run out of memory elsewhere, and takes no others.
    pub high_memory: bool,
}

/// Something that happened. None of them needs to arrive once only: repeated, late and reordered ones do no harm.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker has opened its stream and passed the version handshake.
    WorkerRegistered {
        /// Its new id.
        worker: WorkerId,
        /// What it calls itself (a pod's name), for messages.
        name: String,
        /// What it can take.
        capacity: Capacity,
    },
    /// A worker lives. Any event of a worker says that; this one also says what it is doing.
    Heartbeat {
        /// The worker.
        worker: WorkerId,
        /// Every lease that it works on. One that is missing for a while after it was granted, and whose outcome has not
        /// arrived, is lost: the grant or the outcome was.
        running: Vec<Lease>,
    },
    /// A worker will go soon: it takes nothing new, and finishes or hands back what it has.
    WorkerDraining {
        /// The worker.
        worker: WorkerId,
    },
    /// Whether a worker is to get nothing new: it finishes what it has, stays, and may be wanted again. Whoever makes
    /// workers takes those away that hold nothing.
    WorkerRetired {
        /// The worker.
        worker: WorkerId,
        /// Whether it is retired from now on.
        retired: bool,
    },
    /// Whoever makes workers may not make any for now, and somebody wants it so: to be sent at least every few seconds
    /// while it lasts. That no worker is there is no fault then, and no deadline runs.
    WorkersHeldBack,
    /// Whoever makes workers cannot make any, or they cannot do any work: the run cannot go on.
    FleetFailed {
        /// Why, and what to do about it.
        message: String,
    },
    /// A worker's stream is closed or broken.
    WorkerGone {
        /// The worker.
        worker: WorkerId,
        /// [`FailureClass::WorkerLost`] unless more is known, for instance [`FailureClass::OutOfMemory`].
        class: FailureClass,
        /// What is known, for people.
        message: String,
    },
    /// An attempt has finished: all its objects are there.
    TaskDone {
        /// Who says so; it may be a worker that was given up meanwhile.
        worker: WorkerId,
        /// The lease.
        lease: Lease,
        /// What it has made.
        output: TaskOutput,
        /// What it cost.
        cost: TaskCost,
    },
    /// An attempt has failed.
    TaskFailed {
        /// Who says so.
        worker: WorkerId,
        /// The lease.
        lease: Lease,
        /// Why.
        class: FailureClass,
        /// The error's text; it names objects, never data.
        message: String,
    },
    /// A draining worker hands a lease back unfinished.
    TaskReturned {
        /// The worker.
        worker: WorkerId,
        /// The lease.
        lease: Lease,
    },
    /// [`Action::Save`] has succeeded: the record is durable, or was already.
    Saved {
        /// The record's number.
        number: u64,
    },
    /// [`Action::Save`] has failed; what it wrote may exist nevertheless.
    SaveFailed {
        /// The record's number.
        number: u64,
        /// The error's text.
        message: String,
    },
    /// [`Action::WriteReaders`] has succeeded: the object is there, or was already.
    ReadersWritten,
    /// [`Action::WriteReaders`] has failed; what it wrote may exist nevertheless.
    ReadersFailed {
        /// The error's text.
        message: String,
    },
    /// [`Action::Commit`] has succeeded, or a commit of this run was there already.
    Committed {
        /// Sequence number of the commit record.
        seq: u64,
    },
    /// [`Action::Commit`] has failed, and reading back says that no commit of this run exists, or cannot say.
    CommitFailed {
        /// What to do about it.
        failure: CommitFailure,
        /// The error's text.
        message: String,
    },
    /// The store has refused one of these writes, and will again: no permission, or credentials that have expired.
    StoreRefused {
        /// The error's text.
        message: String,
    },
    /// Another coordinator has taken a later epoch of this run.
    Fenced {
        /// That epoch.
        by: Epoch,
    },
    /// Time has passed. To be sent about every 250 ms: deadlines are looked at then.
    Tick,
    /// The coordinator is asked to go (SIGTERM): what is done is saved, and the run can be resumed.
    Stop,
}

/// Why a commit did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFailure {
    /// Another run has committed meanwhile.
    Conflict,
    /// What the run has written is not what must be committed (see [`crate::invariants`]).
    Invariant,
    /// Landing is not what a commit may be made of.
    Landing,
    /// The store failed, or did not answer: to be tried again.
    Store,
}

/// Something to be done by the shell. Doing one twice does no harm; doing one never is made good by a later one.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Gives a worker a task.
    Grant {
        /// To whom.
        worker: WorkerId,
        /// The lease.
        lease: Lease,
        /// How long the worker may go on without hearing from the coordinator. A duration, because clocks differ; a
        /// heartbeat that the coordinator received renews it.
        valid_ms: u64,
        /// Whether it is to take as little memory as it can: an earlier attempt ran out of it.
        sparing: bool,
        /// What is to be done.
        work: Work,
    },
    /// Tells a worker to stop working on a lease, or to drop what it has made, and to forget it. No answer is needed.
    /// Nobody deletes what the attempt has written: an earlier epoch may have recorded it. `gc` removes the rest.
    Revoke {
        /// To whom.
        worker: WorkerId,
        /// The lease.
        lease: Lease,
        /// Why.
        why: RevokeReason,
    },
    /// Creates the progress object [`crate::progress::progress_path`] if absent, then sends [`Event::Saved`]. If an
    /// object of this name exists, it is this one: names hold the epoch.
    Save {
        /// What to save. One is on its way at any time.
        record: Arc<ProgressRecord>,
    },
    /// Creates the set of users with readings if absent, then sends [`Event::ReadersWritten`]. An object of this name
    /// holds the same set, whoever wrote it.
    WriteReaders {
        /// Path below the lake.
        path: String,
        /// The users.
        users: Arc<UserSet>,
    },
    /// Tells a worker to go, and closes its stream.
    Dismiss {
        /// Whom.
        worker: WorkerId,
        /// Why, and so what the worker does next.
        why: DismissReason,
    },
    /// Checks what was written and makes the run's commit, unless it is there; then sends [`Event::Committed`].
    Commit {
        /// What to commit.
        input: Arc<CommitInput>,
    },
    /// The job is over. Nothing but [`Action::Dismiss`] comes after it.
    End {
        /// How it ended.
        reason: EndReason,
    },
}

/// Why a lease is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeReason {
    /// Another attempt of the task was faster.
    DoneElsewhere,
    /// An earlier coordinator granted it.
    OldEpoch,
    /// This coordinator has given the lease up, or never granted it to this worker.
    NotHeld,
    /// The attempt takes longer than any attempt may.
    TooLong,
}

/// Why a worker is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DismissReason {
    /// The run is committed: exit with 0.
    RunOver,
    /// The run has failed: exit with 0, there is nothing left to do.
    RunFailed,
    /// It was draining, and holds nothing any more: exit with 143.
    Drained,
    /// It is not known (any more), for instance because it was silent for too long: register again.
    NotRegistered,
    /// The coordinator goes; another one may come: connect again.
    CoordinatorGoes,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The tables are visible.
    Committed {
        /// Sequence number of the commit record.
        seq: u64,
    },
    /// Asked to stop; everything that was done is saved, or the store did not take it.
    Stopped,
    /// The run cannot go on.
    Failed(JobError),
}
