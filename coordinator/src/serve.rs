//! One run, from opening the lake to the commit.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stedi_endpoint::{Health, TlsError, address, http, log};
use stedi_fleet::{Ending, Fleet, FleetSettings};
use stedi_job::event::EndReason;
use stedi_job::task::{RejectCount, Stage};
use stedi_job::{Epoch, Job, JobConfig, JobError, Progress, RunPlan};
use stedi_lake::LandingTable;
use stedi_lake::report::RunSummary;
use stedi_proto::wire::dispatch_server::DispatchServer;
use stedi_proto::{DESCRIPTORS, Registered, TO_COORDINATOR_BYTES_MAX, TO_WORKER_BYTES_MAX};
use stedi_run::{Inputs, clean_up, new_run_id, unchanged};
use stedi_store::{CommitLog, Lake, fault, probe};
use stedi_worker::memory::slice_bytes;
use stedi_worker::quarantine::RejectPlace;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Server, ServerTlsConfig};
use tracing::Instrument as _;

use crate::args::RunCommand;
use crate::crew::Crew;
use crate::drive::Drive;
use crate::effects::Effects;
use crate::error::ServeError;
use crate::metrics::{Failures, Metrics};
use crate::publish::Publisher;
use crate::service::{Input, Service};
use crate::{epoch, plan};

/// Events of workers that wait for the loop.
const INPUTS: usize = 4096;

/// How often a silent connection is asked whether it lives, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How much longer than its fleet a job waits for workers.
const AFTER_FLEET: Duration = Duration::from_secs(60);

/// Heartbeats for which a worker has time before it is given up: for a few that are late it is not.
const HEARTBEATS: u64 = 5;

/// How long dismissed workers may take to hang up.
const GOODBYE: Duration = Duration::from_secs(3);

/// Objects and reasons of bad records that are logged.
const REJECTS_TOLD: usize = 20;

/// A run that is planned and belongs to this coordinator.
struct Planned {
    plan: RunPlan,
    epoch: Epoch,
    progress: Progress,
    effects: Arc<Effects>,
    written: mpsc::UnboundedReceiver<stedi_job::Event>,
}

/// What there is to do.
enum Found {
    Nothing(RunSummary),
    Run(Box<Planned>),
}

/// Serves one run.
pub(crate) async fn serve(args: &RunCommand) -> Result<RunSummary, ServeError> {
    let started = Instant::now();
    let (mut term, mut int) = (listen_to(SignalKind::terminate())?, listen_to(SignalKind::interrupt())?);
    let (stop_now, stop) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        let _ = stop_now.send(());
    });
    let settings = args.fleet.settings()?;
    let tls = args.tls.server()?;
    if tls.is_none() && !args.insecure && settings.as_ref().is_none_or(|settings| settings.tls_secret.is_none()) {
        address::check_listen(args.listen)?;
    }
    let (health, metrics) = (Health::default(), Metrics::default());
    if let Some(address) = args.http {
        let bound = http::serve(address, health.clone(), metrics.registry()).await?;
        tracing::info!(%bound, "serving probes and metrics");
    }
    let publisher = Publisher::of(args).await?;
    let observed = (health.clone(), metrics);
    let work = serve_and_publish(args, settings, publisher.as_ref(), tls, stop, observed, started);
    Box::pin(work).await
}

/// Serves one run up to its commit and publishes that; makes and ends its fleet, if there is one.
async fn serve_and_publish(
    args: &RunCommand,
    settings: Option<FleetSettings>,
    publisher: Option<&Publisher>,
    tls: Option<ServerTlsConfig>,
    mut stop: oneshot::Receiver<()>,
    (health, metrics): (Health, Metrics),
    started: Instant,
) -> Result<RunSummary, ServeError> {
    let Some(settings) = settings else {
        let outcome = find_and_run(args, None, publisher, tls, stop, (health.clone(), metrics), started).await;
        return publish(outcome?.0, publisher, &health).await;
    };
    let fleet = tokio::select! {
        fleet = health.while_waiting(Fleet::connect(settings, metrics.fleet.clone())) => Arc::new(fleet?),
        _ = &mut stop => return Err(ServeError::Stopped),
    };
    let outcome = find_and_run(args, Some(&fleet), publisher, tls, stop, (health.clone(), metrics), started).await;
    // before it is published: workers have nothing to do there
    health.while_waiting(fleet.end(&ending(&outcome))).await;
    let published = match outcome {
        Ok((summary, _)) => publish(summary, publisher, &health).await,
        Err(error) => Err(error),
    };
    if let Err(error @ ServeError::Publish { .. }) = &published {
        fleet.publish_failed(log::chain(error));
    }
    if let Some(fleet) = Arc::into_inner(fleet) {
        health.while_waiting(fleet.finish()).await;
    }
    published
}

/// Publishes what is committed, if somebody wants that. Also if there was nothing to do: the coordinator that committed may
/// have died before it published.
async fn publish(
    summary: RunSummary,
    publisher: Option<&Publisher>,
    health: &Health,
) -> Result<RunSummary, ServeError> {
    if let Some(publisher) = publisher {
        Box::pin(health.while_waiting(publisher.publish_committed())).await?;
    }
    Ok(summary)
}

/// What the outcome of a run means for its fleet.
fn ending(outcome: &Result<(RunSummary, Option<u64>), ServeError>) -> Ending {
    match outcome {
        Ok((summary, Some(seq))) => Ending::Committed(format!("run {} is commit {seq}", summary.run_id)),
        Ok((_, None)) => Ending::Unchanged,
        Err(ServeError::Stopped) => Ending::Stopped,
        Err(ServeError::Job(JobError::Fenced { .. })) => Ending::Fenced,
        Err(error) => Ending::Failed(log::chain(error)),
    }
}

/// Looks what there is to do and does it; the number of the commit, if one was made.
async fn find_and_run(
    args: &RunCommand,
    fleet: Option<&Arc<Fleet>>,
    publisher: Option<&Publisher>,
    tls: Option<ServerTlsConfig>,
    mut stop: oneshot::Receiver<()>,
    (health, metrics): (Health, Metrics),
    started: Instant,
) -> Result<(RunSummary, Option<u64>), ServeError> {
    let prepare = async {
        if let Some(fleet) = fleet {
            fleet.tidy().await?;
        }
        if let Some(publisher) = publisher {
            Box::pin(publisher.finish_interrupted()).await;
        }
        prepare(args, started).await
    };
    let found = tokio::select! {
        found = health.while_waiting(prepare) => found?,
        _ = &mut stop => return Err(ServeError::Stopped),
    };
    let planned = match found {
        Found::Nothing(summary) => return Ok((summary, None)),
        Found::Run(planned) => *planned,
    };
    let kept = match fleet {
        Some(fleet) => health.while_waiting(fleet.certificates()).await?,
        None => None,
    };
    let tls = kept.map(|kept| kept.server_config()).or(tls);
    run(args, planned, fleet, tls, stop, (health, metrics), started).await.map(|(summary, seq)| (summary, Some(seq)))
}

fn listen_to(kind: SignalKind) -> Result<tokio::signal::unix::Signal, ServeError> {
    signal(kind).map_err(ServeError::Start)
}

/// Looks what there is to do, and takes the run.
async fn prepare(args: &RunCommand, started: Instant) -> Result<Found, ServeError> {
    let config = args.config();
    let lake = Lake::open(&args.lake)?;
    let visitor = new_run_id()?;
    let current = CommitLog::new(&lake).latest().await?;
    probe(&lake, visitor).await?;
    fault::point("after_probe");
    let inputs = Inputs::list(&lake, &config).await?.following(current.as_ref(), config.allow_empty)?;
    fault::point("after_list");
    let options = inputs.table_options(&config);
    if let Some(current) = current.as_ref().filter(|_| !config.force)
        && inputs.are_curated_in(&lake, current, &options).await?
    {
        clean_up(&lake, visitor, false).await;
        return Ok(Found::Nothing(unchanged(&lake, current, started)));
    }
    let slice_bytes = slice_bytes(config.memory_bytes);
    let header = plan::Header::new(&inputs, &options, slice_bytes, current.as_ref());
    let seq = header.seq();
    let holder = format!("{} {}", args.listen, std::process::id());
    let (plan, epoch, progress) = match resume(&lake, &header, &holder).await? {
        Some(resumed) => resumed,
        None => {
            let plan = plan::make(&lake, &inputs, header).await?;
            fault::point("plan_written");
            let epoch = epoch::take(&lake, plan.context.run_id, &holder).await?;
            let progress = Progress::new(&plan);
            (plan, epoch, progress)
        }
    };
    fault::point("epoch_taken");
    let run = plan.context.run_id;
    let (events, written) = mpsc::unbounded_channel();
    let effects = Arc::new(Effects {
        lake,
        run,
        epoch,
        inputs,
        options,
        seq,
        started,
        events,
        committing: AtomicBool::new(false),
        summary: Mutex::new(None),
    });
    Ok(Found::Run(Box::new(Planned { plan, epoch, progress, effects, written })))
}

/// Takes over the unfinished run with this header, if there is one and it can be gone on with.
async fn resume(
    lake: &Lake,
    header: &plan::Header,
    holder: &str,
) -> Result<Option<(RunPlan, Epoch, Progress)>, ServeError> {
    let Some(plan) = plan::find(lake, header).await? else { return Ok(None) };
    let run = plan.context.run_id;
    let epoch = epoch::take(lake, run, holder).await?;
    if epoch::is_closed(lake, run).await? {
        return Ok(None);
    }
    let Some(progress) = plan::progress(lake, &plan).await? else { return Ok(None) };
    tracing::info!(%run, epoch = epoch.0, "resuming");
    Ok(Some((plan, epoch, progress)))
}

/// Serves workers until the job ends.
async fn run(
    args: &RunCommand,
    planned: Planned,
    fleet: Option<&Arc<Fleet>>,
    tls: Option<ServerTlsConfig>,
    stop: oneshot::Receiver<()>,
    (health, metrics): (Health, Metrics),
    started: Instant,
) -> Result<(RunSummary, u64), ServeError> {
    let Planned { plan, epoch, progress, effects, written } = planned;
    metrics.progress(&progress);
    let done: u32 = Stage::ALL.into_iter().map(|stage| progress.done(stage)).sum();
    let config = job_config(args, fleet.map(|fleet| fleet.pending_deadline()));
    let (inputs_sender, inputs) = mpsc::channel(INPUTS);
    let registered = Registered {
        context: plan.context.clone(),
        heartbeat_interval_ms: (config.worker_timeout_ms / HEARTBEATS).clamp(100, 5000),
        epoch,
    };
    let server = start_server(args, tls, registered, inputs_sender).await?;
    tracing::info!(run = %plan.context.run_id, epoch = epoch.0, address = %server.address, done, "serving workers");
    fault::point("serving");
    let failures = Failures::since(&progress);
    let job = Job::new(config, Arc::new(plan), progress, epoch, 0);
    health.set_ready(true);
    let fleet = fleet.map(|fleet| (Arc::clone(fleet), fleet.start(effects.run.to_string())));
    let mut drive = Drive {
        job,
        effects: Arc::clone(&effects),
        inputs,
        written,
        stop,
        health: health.clone(),
        metrics,
        failures,
        started,
        crew: Crew::default(),
        fleet,
    };
    let reason = drive.drive_to_end().instrument(tracing::info_span!("run", id = %effects.run)).await;
    health.set_ready(false);
    tell_rejects(&drive.job);
    let (stages, shards) = (drive.job.progress().stage_reports(), drive.job.progress().shard_report());
    let running = drive.fleet.take();
    let last = async {
        if let Some((_, running)) = running {
            health.while_waiting(running.stop()).await;
        }
        let outcome = match reason {
            EndReason::Committed { seq } => {
                tracing::info!(run = %effects.run, commit = seq, "committed");
                let summary = effects.finish(stages, shards).await;
                Ok((summary.expect("whoever says that it is committed has left a summary"), seq))
            }
            EndReason::Stopped => Err(ServeError::Stopped),
            EndReason::Failed(error) => Err(failed(&effects, error).await.into()),
        };
        server.end().await;
        outcome
    };
    drive.say_goodbye(last).await
}

/// Says which records could not be read: where and why, not what is in them.
fn tell_rejects(job: &Job) {
    let place = |(table, object, reject): (LandingTable, &str, RejectCount)| {
        let RejectCount { reason, records, first_offset, .. } = reject;
        RejectPlace { table, object: object.to_owned(), reason, records, first_offset }
    };
    for rejects in job.rejects().take(REJECTS_TOLD).map(place) {
        tracing::warn!(table = rejects.table.name(), "cannot be read: {rejects}");
    }
    if let Some(more) = job.rejects().count().checked_sub(REJECTS_TOLD).filter(|more| *more > 0) {
        tracing::warn!("and records for {more} more reasons and objects: see the run's quarantine");
    }
}

/// Why the run failed, after everything was removed that is of no use to anybody.
async fn failed(effects: &Effects, error: JobError) -> JobError {
    // whatever went wrong, for a coordinator that was replaced that is the reason
    match effects.replaced_by().await {
        Ok(Some(by)) => return JobError::Fenced { by: by.0 },
        Ok(None) => {}
        Err(_) => return error,
    }
    if let JobError::BadRecords(_) | JobError::Landing { .. } | JobError::Conflict { .. } | JobError::Invariant { .. } =
        error
    {
        effects.give_up(matches!(error, JobError::BadRecords(_))).await;
    }
    error
}

/// `pending_deadline` is that of the fleet, if there is one.
fn job_config(args: &RunCommand, pending_deadline: Option<Duration>) -> JobConfig {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // the fleet is the first to give up, as it knows why there are no workers
    let no_worker =
        pending_deadline.map_or(args.worker_deadline, |pending| args.worker_deadline.max(pending + AFTER_FLEET));
    JobConfig {
        worker_timeout_ms: ms(args.lease),
        lease_grace_ms: ms(args.lease),
        no_worker_ms: ms(no_worker),
        deadline_ms: args.deadline.map(ms),
        bad_records: args.config().max_bad_records,
        high_memory: pending_deadline.is_some(),
        ..JobConfig::default()
    }
}

/// The gRPC server.
struct Running {
    address: std::net::SocketAddr,
    shutdown: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Waits a moment for workers to hang up, then ends.
    async fn end(self) {
        let _ = self.shutdown.send(());
        let _ = tokio::time::timeout(GOODBYE, self.task).await;
    }
}

async fn start_server(
    args: &RunCommand,
    tls: Option<ServerTlsConfig>,
    registered: Registered,
    inputs: mpsc::Sender<Input>,
) -> Result<Running, ServeError> {
    let failed = |source| ServeError::Listen { address: args.listen, source };
    let listener = TcpListener::bind(args.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<DispatchServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .map_err(|error| ServeError::Start(std::io::Error::other(error)))?;
    let dispatch = DispatchServer::new(Service::new(registered, inputs))
        .max_decoding_message_size(TO_COORDINATOR_BYTES_MAX)
        .max_encoding_message_size(TO_WORKER_BYTES_MAX);
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .tcp_nodelay(true);
    if let Some(tls) = tls {
        server = server.tls_config(tls).map_err(TlsError::Unusable)?;
    }
    let routes = server.add_service(dispatch).add_service(health).add_service(reflection);
    let (shutdown, ended) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let until = async {
            let _ = ended.await;
        };
        if let Err(error) = routes.serve_with_incoming_shutdown(TcpListenerStream::new(listener), until).await {
            tracing::error!(%error, "no more gRPC");
        }
    });
    Ok(Running { address, shutdown, task })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;
    use stedi_job::progress::{ProgressRecord, TaskRecord, progress_path};
    use stedi_job::task::{AttemptId, TaskCost, TaskId, TaskOutput};

    use super::*;
    use crate::args::{Args, Command};

    async fn planned(args: &RunCommand) -> Planned {
        match prepare(args, Instant::now()).await.expect("it can be planned") {
            Found::Run(planned) => *planned,
            Found::Nothing(_) => unreachable!("nothing is committed"),
        }
    }

    #[tokio::test]
    async fn a_run_whose_progress_cannot_be_read_is_left_alone_and_the_next_one_is_resumed() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = folder.path();
        std::fs::create_dir_all(lake.join("customer/landing")).expect("a folder");
        std::fs::write(lake.join("customer/landing/a.json"), "{}\n").expect("a file");
        let line = ["x", "run", "--listen", "127.0.0.1:0", "--force", "--lake", lake.to_str().expect("text")];
        let Command::Run(args) = Args::parse_from(line).command else { unreachable!("it says run") };
        let task = TaskId { stage: Stage::Join, index: 9_999 };
        let (attempt, cost) = (AttemptId { task, attempt: 0 }, TaskCost::default());
        let tasks = vec![TaskRecord { attempt, output: TaskOutput::Parts(Vec::new()), cost }];
        let unknown = ProgressRecord { epoch: Epoch(1), number: 0, tasks, efforts: BTreeMap::new() };
        let mut last = planned(&args).await;
        for record in ["{".to_owned(), serde_json::to_string(&unknown).expect("JSON")] {
            let run = last.effects.run;
            let path = progress_path(run, last.epoch, 0);
            last.effects.lake.put_new(&path, record.into()).await.expect("there is room");
            let next = planned(&args).await;
            assert_ne!(next.effects.run, run);
            last = planned(&args).await;
            assert_eq!((last.effects.run, last.epoch), (next.effects.run, Epoch(2)), "a good one is resumed");
        }
    }
}
