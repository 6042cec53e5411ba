//! One stream between this worker and the coordinator, from registration to its end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stedi_job::event::Lease;
use stedi_job::task::{FailureClass, TaskCost};
use stedi_proto::{DismissReason, FromWorker, PROTOCOL_VERSION, Register, Registered, ToWorker, WireError, wire};
use stedi_worker::fault;
use stedi_worker::task::Executor;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;
use tracing::Instrument as _;

use crate::attempts::{Finished, Granted};
use crate::connection;
use crate::work::{OpenError, Worker};

/// Messages to the coordinator that wait for the network. A full queue means that it does not take any.
const OUTBOX: usize = 1024;

/// The coordinator answers a registration within this time.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(30);

/// How a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// The coordinator said so.
    #[error("dismissed ({why:?}): {message}")]
    Dismissed { why: DismissReason, message: String },
    /// There is no coordinator.
    #[error("no connection")]
    NoConnection(#[source] tonic::transport::Error),
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Broken(String),
    /// The coordinator says what this version does not understand.
    #[error("the coordinator speaks another language")]
    Language(#[from] WireError),
    /// The lake cannot be worked on from here.
    #[error(transparent)]
    Lake(#[from] OpenError),
}

impl From<tonic::Status> for End {
    fn from(status: tonic::Status) -> Self {
        Self::Broken(format!("{:?}: {}", status.code(), status.message()))
    }
}

/// An open stream.
struct Stream {
    outbox: mpsc::Sender<wire::WorkerMessage>,
    inbox: Streaming<wire::CoordinatorMessage>,
}

impl Stream {
    async fn open(endpoint: &Endpoint, register: Register) -> Result<Self, End> {
        let mut client = connection::connect(endpoint).await.map_err(End::NoConnection)?;
        let (outbox, messages) = mpsc::channel(OUTBOX);
        Self::send_to(&outbox, FromWorker::Register(register))?;
        let opened = tokio::time::timeout(REGISTER_TIMEOUT, client.work(ReceiverStream::new(messages))).await;
        let inbox = opened.map_err(|_| End::Broken("no answer to the registration".to_owned()))??.into_inner();
        Ok(Self { outbox, inbox })
    }

    fn send(&self, message: FromWorker) -> Result<(), End> {
        Self::send_to(&self.outbox, message)
    }

    fn send_to(outbox: &mpsc::Sender<wire::WorkerMessage>, message: FromWorker) -> Result<(), End> {
        outbox.try_send(message.into()).map_err(|_| End::Broken("the coordinator takes no messages".to_owned()))
    }

    async fn receive(&mut self) -> Result<ToWorker, End> {
        match self.inbox.message().await? {
            Some(message) => Ok(message.try_into()?),
            None => Err(End::Broken("the coordinator closed it".to_owned())),
        }
    }
}

/// Registers, and works until the stream ends. What runs then is cancelled: its leases are lost.
pub(crate) async fn session(worker: &mut Worker) -> End {
    let Err(end) = serve(worker).await;
    worker.attempts.revoke_all();
    worker.metrics.registered.set(0);
    worker.health.set_ready(false);
    end
}

async fn serve(worker: &mut Worker) -> Result<Infallible, End> {
    let health = worker.health.clone();
    let (stream, registered, executor) = health.while_waiting(register(worker)).await?;
    tracing::info!(run = %registered.context.run_id, epoch = registered.epoch.0, "registered");
    worker.seen();
    worker.metrics.connections.inc();
    worker.metrics.registered.set(1);
    worker.health.set_ready(true);
    if worker.draining {
        drain(worker, &stream)?;
    }
    let span = tracing::info_span!("run", id = %registered.context.run_id);
    converse(worker, stream, &registered, &executor).instrument(span).await
}

/// Connects, registers, and makes ready for the run that the coordinator serves.
async fn register(worker: &mut Worker) -> Result<(Stream, Registered, Arc<Executor>), End> {
    let register = Register {
        protocol_version: PROTOCOL_VERSION,
        build_version: fault::version(env!("CARGO_PKG_VERSION")),
        worker: worker.name.clone(),
        slots: u32::try_from(worker.slots).unwrap_or(u32::MAX),
        memory_bytes: worker.memory_bytes,
        host: worker.host.clone(),
        pod: worker.args().pod_name.clone().unwrap_or_default(),
    };
    let mut stream = Stream::open(&worker.endpoint, register).await?;
    let first = tokio::time::timeout(REGISTER_TIMEOUT, stream.receive()).await;
    let registered = match first.map_err(|_| End::Broken("no answer to the registration".to_owned()))?? {
        ToWorker::Registered(registered) => registered,
        ToWorker::Dismiss { why, message } => return Err(End::Dismissed { why, message }),
        ToWorker::Grant { .. } | ToWorker::Revoke { .. } => {
            return Err(End::Broken("work before the answer to the registration".to_owned()));
        }
    };
    let executor = worker.executor(&registered).await?;
    Ok((stream, registered, executor))
}

async fn converse(
    worker: &mut Worker,
    mut stream: Stream,
    registered: &Registered,
    executor: &Arc<Executor>,
) -> Result<Infallible, End> {
    let interval = Duration::from_millis(registered.heartbeat_interval_ms.max(10));
    let mut heartbeat = tokio::time::interval(interval);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last_heartbeat = Instant::now();
    loop {
        worker.health.beat();
        worker.metrics.running.set(i64::try_from(worker.attempts.busy()).unwrap_or(i64::MAX));
        tokio::select! {
            message = stream.receive() => match message? {
                ToWorker::Grant { lease, valid_ms, sparing, work } if !worker.draining => {
                    tracing::info!(task = %lease.attempt.task, attempt = lease.attempt.attempt, stage = lease.attempt.task.stage.name(), sparing, "begin");
                    let (valid, executor) = (Duration::from_millis(valid_ms), Arc::clone(executor));
                    worker.attempts.grant(Granted { lease, work, sparing, valid, executor });
                }
                // it crossed the message that says so
                ToWorker::Grant { lease, .. } => stream.send(FromWorker::Returned { lease })?,
                ToWorker::Revoke { lease, why } => {
                    tracing::info!(task = %lease.attempt.task, attempt = lease.attempt.attempt, ?why, "revoked");
                    worker.attempts.revoke(lease);
                }
                ToWorker::Dismiss { why, message } => return Err(End::Dismissed { why, message }),
                ToWorker::Registered(_) => return Err(End::Broken("registered twice".to_owned())),
            },
            Some(finished) = worker.finished.recv() => {
                if worker.attempts.settle(&finished) {
                    stream.send(report(worker, finished))?;
                }
            }
            _ = heartbeat.tick() => {
                // this process stood still for so long that its leases are somebody else's by now
                if worker.attempts.outlived(last_heartbeat.elapsed()) {
                    return Err(End::Broken("stood still for longer than its leases last".to_owned()));
                }
                last_heartbeat = Instant::now();
                worker.seen();
                stream.send(FromWorker::Heartbeat { running: worker.attempts.leases() })?;
            }
            () = worker.terminate.wait(), if !worker.draining => {
                worker.begin_draining();
                drain(worker, &stream)?;
            }
        }
    }
}

/// Tells the coordinator that this worker goes, and hands back what has not begun.
fn drain(worker: &mut Worker, stream: &Stream) -> Result<(), End> {
    stream.send(FromWorker::Draining { why: "SIGTERM".to_owned() })?;
    for lease in worker.attempts.drain() {
        stream.send(FromWorker::Returned { lease })?;
    }
    Ok(())
}

/// What the coordinator is told of an attempt.
fn report(worker: &mut Worker, finished: Finished) -> FromWorker {
    let lease: Lease = finished.lease;
    let stage = lease.attempt.task.stage;
    match finished.result {
        Ok((output, cost)) => {
            let cost = TaskCost { requests: worker.requests_untold(), ..cost };
            tracing::info!(task = %lease.attempt.task, attempt = lease.attempt.attempt, stage = stage.name(), wall_ms = cost.wall_ms, "done");
            worker.metrics.done(stage, &cost);
            FromWorker::Done { lease, output, cost }
        }
        Err(error) if error.class == FailureClass::Cancelled && worker.draining => {
            tracing::info!(task = %lease.attempt.task, attempt = lease.attempt.attempt, stage = stage.name(), "handed back");
            worker.metrics.count(stage, "returned");
            FromWorker::Returned { lease }
        }
        Err(error) => {
            let (class, message) = (error.class, error.message);
            tracing::warn!(task = %lease.attempt.task, attempt = lease.attempt.attempt, stage = stage.name(), ?class, message, "failed");
            worker.metrics.count(stage, "failed");
            FromWorker::Failed { lease, class, message }
        }
    }
}
