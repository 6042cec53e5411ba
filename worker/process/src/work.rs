//! The life of the process: connect, serve a session, and again, until there is a reason to end.

use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stedi_endpoint::log::chain;
use stedi_endpoint::{Health, http};
use stedi_job::task::{FailureClass, RunContext};
use stedi_lake::report::RequestCounts;
use stedi_proto::{DismissReason, Registered};
use stedi_store::{CommitLog, Lake};
use stedi_worker::task::{Executor, TaskError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tonic::transport::Endpoint;

use crate::args::Args;
use crate::attempts::{Attempts, Finished};
use crate::connection;
use crate::exit::Exit;
use crate::metrics::Metrics;
use crate::session::{End, session};

/// The first pause before connecting again; each next one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A lake that this worker cannot work on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Lake(#[from] stedi_store::OpenError),
    #[error("failed to prepare for the run: {0}")]
    Executor(TaskError),
    #[error("failed to prepare for the run: {0}")]
    Panicked(JoinError),
}

impl OpenError {
    /// How the worker ends with it.
    fn exit(&self) -> Exit {
        match self {
            Self::Lake(stedi_store::OpenError::PermissionDenied(_)) => Exit::NoPermission,
            Self::Lake(_) => Exit::Config,
            Self::Executor(error) if error.class == FailureClass::Permanent => Exit::Config,
            Self::Executor(_) | Self::Panicked(_) => Exit::System,
        }
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct Terminate {
    term: Signal,
    int: Signal,
}

impl Terminate {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// The run that the coordinator served last.
struct KnownRun {
    context: RunContext,
    lake: Lake,
    executor: Arc<Executor>,
}

/// What lives as long as the process.
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) slots: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) endpoint: Endpoint,
    pub(crate) attempts: Attempts,
    pub(crate) finished: mpsc::UnboundedReceiver<Finished>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) terminate: Terminate,
    pub(crate) draining: bool,
    args: Args,
    run: Option<KnownRun>,
    /// Requests to the store that coordinators were told of.
    requests_told: RequestCounts,
    last_seen: Instant,
}

/// Works until there is a reason to end.
pub(crate) async fn work(args: Args) -> Exit {
    let mut worker = match Worker::new(args).await {
        Ok(worker) => worker,
        Err((exit, error)) => {
            tracing::error!(error, "failed to start");
            return exit;
        }
    };
    let deadline = worker.args.coordinator_deadline;
    let mut pause = PAUSE_MIN;
    loop {
        let registered_before = worker.last_seen;
        let end = session(&mut worker).await;
        worker.health.beat();
        if let Some(exit) = exit_of(&worker, &end) {
            return exit;
        }
        if worker.last_seen != registered_before {
            pause = PAUSE_MIN;
        }
        if worker.run_is_committed().await {
            tracing::info!("the run is over: the lake says so, and there is no coordinator any more");
            return Exit::RunOver;
        }
        if worker.last_seen.elapsed() + pause > deadline {
            tracing::error!(
                url = worker.args.coordinator,
                "no coordinator for {}: check its address, DNS and network policies",
                humantime::format_duration(deadline)
            );
            return Exit::NoCoordinator;
        }
        tracing::warn!(reason = chain(&end), "connecting again in {} ms", pause.as_millis());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = worker.terminate.wait() => return Exit::Drained,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The exit code, if this is the end of the process.
fn exit_of(worker: &Worker, end: &End) -> Option<Exit> {
    match end {
        End::Dismissed { why: DismissReason::RunOver | DismissReason::RunFailed, message } => {
            tracing::info!(message, "the run is over");
            Some(Exit::RunOver)
        }
        End::Dismissed { why: DismissReason::Refused, message } => {
            tracing::error!(message, "refused by the coordinator");
            Some(Exit::Refused)
        }
        End::Language(error) => {
            tracing::error!(%error, "the coordinator speaks another language: use the same version");
            Some(Exit::Refused)
        }
        End::Lake(error) => {
            tracing::error!(%error, "failed to open the lake");
            Some(error.exit())
        }
        End::Dismissed { why: DismissReason::Drained, .. } => Some(Exit::Drained),
        // a worker that was told to go does not come back for a stream
        _ if worker.draining => Some(Exit::Drained),
        End::Dismissed { .. } | End::NoConnection(_) | End::Broken(_) => None,
    }
}

impl Worker {
    async fn new(args: Args) -> Result<Self, (Exit, String)> {
        let endpoint = connection::endpoint(&args).map_err(|error| (Exit::Config, chain(&error)))?;
        let terminate = Terminate::listen().map_err(|error| (Exit::System, error.to_string()))?;
        let (health, metrics) = (Health::default(), Metrics::default());
        if let Some(address) = args.http {
            let served = http::serve(address, health.clone(), metrics.registry()).await;
            let bound = served.map_err(|error| (Exit::Config, chain(&error)))?;
            tracing::info!(%bound, "serving probes and metrics");
        }
        let slots = args.slots();
        let (attempts, finished) = Attempts::new(slots);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Self {
            // in a container every process has the same id
            name: args.pod_name.clone().unwrap_or_else(|| format!("{host}-{}", process::id())),
            host,
            slots,
            memory_bytes: args.memory_bytes(),
            endpoint,
            attempts,
            finished,
            health,
            metrics,
            terminate,
            draining: false,
            args,
            run: None,
            requests_told: RequestCounts::default(),
            last_seen: Instant::now(),
        })
    }

    /// The command line.
    pub(crate) fn args(&self) -> &Args {
        &self.args
    }

    /// The coordinator was there a moment ago.
    pub(crate) fn seen(&mut self) {
        self.last_seen = Instant::now();
    }

    /// SIGTERM came: from now on there is only so much time.
    pub(crate) fn begin_draining(&mut self) {
        tracing::info!(running = self.attempts.busy(), "SIGTERM: handing back what runs");
        self.draining = true;
        let patience = self.args.drain;
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            tracing::warn!("attempts did not stop in time: their leases end with the stream");
            process::exit(i32::from(Exit::Drained.code()));
        });
    }

    /// What executes tasks of the run that the coordinator serves; the same as before if it is the same run.
    pub(crate) async fn executor(&mut self, registered: &Registered) -> Result<Arc<Executor>, OpenError> {
        let context = &registered.context;
        if let Some(known) = &self.run
            && known.context == *context
        {
            return Ok(Arc::clone(&known.executor));
        }
        let (uri, runtime) = (context.lake.clone(), tokio::runtime::Handle::current());
        let (wanted, bytes, slots, scratch) = (context.clone(), self.memory_bytes, self.slots, self.args.scratch());
        let opened = tokio::task::spawn_blocking(move || {
            let lake = Lake::open(&uri)?;
            let executor = Executor::new(lake.clone(), wanted, bytes, slots, scratch, runtime);
            Ok::<_, OpenError>((lake, executor.map_err(OpenError::Executor)?))
        });
        let (lake, executor) = opened.await.map_err(OpenError::Panicked)??;
        let executor = Arc::new(executor);
        self.run = Some(KnownRun { context: context.clone(), lake, executor: Arc::clone(&executor) });
        Ok(executor)
    }

    /// Requests to the store that no coordinator was told of yet; they count as told from now on.
    pub(crate) fn requests_untold(&mut self) -> RequestCounts {
        let all = self.run.as_ref().map_or_else(RequestCounts::default, |run| run.lake.requests());
        let untold = all.since(&self.requests_told);
        self.requests_told = all;
        untold
    }

    /// Whether the commit of the run that this worker knows is there: a coordinator that has made it does not wait for
    /// workers that are away.
    async fn run_is_committed(&self) -> bool {
        let Some(run) = &self.run else { return false };
        let latest = self.health.while_waiting(CommitLog::new(&run.lake).latest()).await;
        latest.is_ok_and(|latest| latest.is_some_and(|commit| commit.run_id == run.context.run_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_may_be_this_machines_fault_does_not_end_the_run() {
        let executor = |class| OpenError::Executor(TaskError::new(class, "why".to_owned()));
        assert_eq!(executor(FailureClass::Permanent).exit(), Exit::Config);
        assert_eq!(executor(FailureClass::TransientIo).exit(), Exit::System);
        let ended = tokio::spawn(std::future::pending::<()>());
        ended.abort();
        assert_eq!(OpenError::Panicked(ended.await.expect_err("aborted")).exit(), Exit::System);
        let missing = stedi_store::Lake::open("s3://").expect_err("no bucket");
        assert_eq!(OpenError::from(missing).exit(), Exit::Config);
    }
}
