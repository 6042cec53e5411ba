//! The gRPC service: one task for each worker's stream, which turns messages into events and back, and decides nothing
//! but whether a worker speaks our language.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use stedi_job::WorkerId;
use stedi_job::event::{Capacity, Event};
use stedi_job::task::FailureClass;
use stedi_proto::wire::dispatch_server::Dispatch;
use stedi_proto::{DismissReason, FromWorker, PROTOCOL_VERSION, Register, Registered, ToWorker, wire};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Messages to one worker that wait for the network; one whose queue is full is given up.
const OUTBOX: usize = 1024;

/// A new stream registers within this time.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);

/// What the service tells the loop.
pub(crate) enum Input {
    /// A worker is there; what it is told goes into `outbox`.
    /// `pod` is the name of its pod, if it has one.
    Connected { worker: WorkerId, pod: Option<String>, outbox: mpsc::Sender<ToWorker>, event: Event },
    /// Something happened.
    Event(Event),
}

/// Serves workers.
pub(crate) struct Service {
    registered: Registered,
    inputs: mpsc::Sender<Input>,
    next_worker: AtomicU64,
}

impl Service {
    /// A service that answers registrations with `registered` and tells everything else to `inputs`.
    pub(crate) fn new(registered: Registered, inputs: mpsc::Sender<Input>) -> Self {
        Self { registered, inputs, next_worker: AtomicU64::new(1) }
    }
}

#[tonic::async_trait]
impl Dispatch for Service {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<wire::CoordinatorMessage, Status>> + Send>>;

    async fn work(
        &self,
        request: Request<Streaming<wire::WorkerMessage>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let mut messages = request.into_inner();
        let first = tokio::time::timeout(REGISTER_TIMEOUT, receive(&mut messages)).await;
        let register = match first {
            Ok(Ok(FromWorker::Register(register))) => register,
            Ok(Ok(_)) => return Err(Status::failed_precondition("the first message must be a registration")),
            Ok(Err(why)) => return Err(Status::invalid_argument(why)),
            Err(_) => return Err(Status::deadline_exceeded("no registration")),
        };
        let (outbox, outgoing) = mpsc::channel(OUTBOX);
        let outgoing = ReceiverStream::new(outgoing).map(|message: ToWorker| Ok(message.into())).boxed();
        if let Some(message) = refusal(&register) {
            tracing::warn!(worker = register.worker, message, "refused a worker");
            let _ = outbox.try_send(ToWorker::Dismiss { why: DismissReason::Refused, message });
            return Ok(Response::new(outgoing));
        }
        let worker = WorkerId(self.next_worker.fetch_add(1, Ordering::Relaxed));
        tracing::info!(
            id = worker.0,
            worker = register.worker,
            host = register.host,
            slots = register.slots,
            memory_bytes = register.memory_bytes,
            "a worker registers"
        );
        let _ = outbox.try_send(ToWorker::Registered(self.registered.clone()));
        let event = Event::WorkerRegistered {
            worker,
            name: register.worker,
            capacity: Capacity { slots: register.slots, memory_bytes: register.memory_bytes, high_memory: false },
        };
        let pod = Some(register.pod).filter(|pod| !pod.is_empty());
        let goes = |_| Status::unavailable("the coordinator goes");
        self.inputs.send(Input::Connected { worker, pod, outbox, event }).await.map_err(goes)?;
        tokio::spawn(listen(worker, messages, self.inputs.clone()));
        Ok(Response::new(outgoing))
    }
}

/// Turns what a worker says into events, until its stream ends.
async fn listen(worker: WorkerId, mut messages: Streaming<wire::WorkerMessage>, inputs: mpsc::Sender<Input>) {
    let message = loop {
        match receive(&mut messages).await {
            Ok(message) => {
                let Some(event) = event(worker, message) else { break "registered twice".to_owned() };
                if inputs.send(Input::Event(event)).await.is_err() {
                    return;
                }
            }
            Err(why) => break why,
        }
    };
    // the loop is gone only when the run is over
    let gone = Event::WorkerGone { worker, class: FailureClass::WorkerLost, message };
    let _ = inputs.send(Input::Event(gone)).await;
}

async fn receive(messages: &mut Streaming<wire::WorkerMessage>) -> Result<FromWorker, String> {
    match messages.message().await {
        Ok(Some(message)) => message.try_into().map_err(|error: stedi_proto::WireError| error.to_string()),
        Ok(None) => Err("it closed its stream".to_owned()),
        Err(status) => Err(format!("its stream broke: {}", status.message())),
    }
}

fn event(worker: WorkerId, message: FromWorker) -> Option<Event> {
    Some(match message {
        FromWorker::Register(_) => return None,
        FromWorker::Heartbeat { running } => Event::Heartbeat { worker, running },
        FromWorker::Done { lease, output, cost } => Event::TaskDone { worker, lease, output, cost },
        FromWorker::Failed { lease, class, message } => Event::TaskFailed { worker, lease, class, message },
        FromWorker::Returned { lease } => Event::TaskReturned { worker, lease },
        FromWorker::Draining { why } => {
            tracing::info!(id = worker.0, why, "a worker drains");
            Event::WorkerDraining { worker }
        }
    })
}

/// Why this worker cannot be used, if so.
fn refusal(register: &Register) -> Option<String> {
    let ours = env!("CARGO_PKG_VERSION");
    if register.protocol_version != PROTOCOL_VERSION {
        return Some(format!(
            "the worker {} is of version {} and speaks protocol {}, the coordinator is of version {ours} and speaks \
             protocol {PROTOCOL_VERSION}: use the same version for both",
            register.worker, register.build_version, register.protocol_version,
        ));
    }
    if register.build_version != ours {
        return Some(format!(
            "the worker {} is of version {}, the coordinator of version {ours}: use the same version for both, because \
             the bytes of parts depend on it",
            register.worker, register.build_version,
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_another_version_is_told_both() {
        let register = |protocol_version, build_version: &str| Register {
            protocol_version,
            build_version: build_version.to_owned(),
            worker: "w".to_owned(),
            slots: 1,
            memory_bytes: 1,
            host: "h".to_owned(),
            pod: String::new(),
        };
        let ours = env!("CARGO_PKG_VERSION");
        assert_eq!(refusal(&register(PROTOCOL_VERSION, ours)), None);
        let other = refusal(&register(PROTOCOL_VERSION, "9.8.7")).expect("refused");
        assert!(other.contains("9.8.7") && other.contains(ours), "{other}");
        let other = refusal(&register(PROTOCOL_VERSION + 1, "9.8.7")).expect("refused");
        assert!(other.contains("9.8.7") && other.contains(ours) && other.contains("protocol 2"), "{other}");
    }
}
