//! The loop between the cluster and the coordinator: what is seen and needed goes into the [`Controller`], and what it says
//! is done.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::Resource as _;
use stedi_endpoint::tls::RunCertificates;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::certificates;
use crate::cluster::Cluster;
use crate::controller::{Controller, Limits, Need, Seen, Step, Update};
use crate::error::FleetError;
use crate::job::{JobView, is_over};
use crate::leftovers;
use crate::metrics::FleetMetrics;
use crate::names::Pool;
use crate::options::FleetSettings;
use crate::story::{Happening, Teller};
use crate::template::{Owner, worker_job};

/// How often it is looked what is to be done.
const DECIDE: Duration = Duration::from_secs(2);

/// Updates that wait for the coordinator's loop.
const UPDATES: usize = 1024;

/// Pauses between the tries of what is asked before a run and after it.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// How long workers may take to be gone at the end: their grace period, and something for the cluster.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// How long the end of a Job may be told after its pods were.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// How long the last events may take.
const STORY_WITHIN: Duration = Duration::from_secs(10);

/// The workers of one coordinator.
#[derive(Debug)]
pub struct Fleet {
    cluster: Cluster,
    settings: FleetSettings,
    owner: Owner,
    teller: Teller,
    metrics: FleetMetrics,
}

/// How the coordinator's process ends, as far as its fleet is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The run is committed.
    Committed(String),
    /// There was nothing to do.
    Unchanged,
    /// The run has failed.
    Failed(String),
    /// This process was told to go. Another one goes on with the run and its workers, unless the coordinator's Job goes, has
    /// ended or is suspended.
    Stopped,
    /// Another coordinator has taken the run over. It goes on with these workers if it is a pod of the same Job.
    Fenced,
}

/// A fleet at work.
#[derive(Debug)]
pub struct Running {
    needs: watch::Sender<Need>,
    updates: mpsc::Receiver<Update>,
    task: JoinHandle<()>,
}

impl Running {
    /// Says what the run needs now.
    pub fn need(&self, need: Need) {
        self.needs.send_if_modified(|before| {
            let differs = *before != need;
            *before = need;
            differs
        });
    }

    /// The next thing that the coordinator's loop must know. Never, when the fleet has ended.
    pub async fn update(&mut self) -> Update {
        match self.updates.recv().await {
            Some(update) => update,
            None => std::future::pending().await,
        }
    }

    /// Lets the fleet be as it is.
    pub async fn stop(self) {
        self.task.abort();
        // one that was in the middle of a request may have made a Job: who deletes it must come later
        let _ = self.task.await;
    }
}

impl Fleet {
    /// Finds the coordinator's Job, and so what belongs to this coordinator.
    ///
    /// # Errors
    /// If the API server cannot be reached, or the Job is not there.
    pub async fn connect(settings: FleetSettings, metrics: FleetMetrics) -> Result<Self, FleetError> {
        let cluster = Cluster::connect(&settings.namespace).await?;
        Self::new(cluster, settings, metrics).await
    }

    /// The same with a cluster that is connected.
    ///
    /// # Errors
    /// If the coordinator's Job is not there, the API server does not say, or the template is not good for all workers.
    pub async fn new(cluster: Cluster, settings: FleetSettings, metrics: FleetMetrics) -> Result<Self, FleetError> {
        let name = settings.job_name.clone().ok_or(FleetError::Missing { name: "STEDI_JOB_NAME" })?;
        if settings.advertise.is_none() {
            return Err(FleetError::Missing { name: "STEDI_ADVERTISE" });
        }
        let job = patiently(|| cluster.job(&name)).await?.ok_or_else(|| FleetError::NotFound {
            resource: format!("jobs {name}"),
            namespace: settings.namespace.clone(),
            hint: "the coordinator must run as the pod of that Job (STEDI_JOB_NAME)",
        })?;
        // what cannot be seen cannot be looked after: better said now than after a run without workers
        patiently(|| cluster.worker_pods(&name)).await?;
        let owner = Owner { name, uid: job.metadata.uid.clone().unwrap_or_default() };
        // what cannot be made should not be found out when it is needed, in the midst of a run
        for pool in Pool::ALL {
            worker_job(&settings, pool, &owner, "", settings.workers_min)?;
        }
        let teller = Teller::start(cluster.client().clone(), job.object_ref(&()), &settings.pod_name);
        Ok(Self { cluster, settings, owner, teller, metrics })
    }

    /// Deletes what earlier coordinators have left behind. That some of it cannot be deleted now is no reason to stop.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub async fn tidy(&self) -> Result<(), FleetError> {
        // before the Jobs: who has written certificates by now has a Job that is listed then
        let certified = match &self.settings.tls_secret {
            Some(secret) => Some((secret, patiently(|| self.cluster.secret(secret)).await?)),
            None => None,
        };
        let jobs = patiently(|| self.cluster.all_jobs()).await?.items;
        for left in leftovers::worker_jobs(&jobs) {
            tracing::info!(job = left.name, "deleting the workers of a coordinator that is gone");
            if let Err(error) = self.cluster.delete_job(&left.name, left.uid.as_deref()).await {
                tracing::warn!(%error, "left behind");
            }
        }
        let Some((secret, data)) = certified else { return Ok(()) };
        let old = leftovers::without_job(&certificates::jobs(&data), &jobs);
        let old: Vec<&str> = old.into_iter().filter(|job| *job != self.owner.name).collect();
        if !old.is_empty() {
            tracing::info!(jobs = old.len(), "removing the certificates of coordinators that are gone");
            let patch = certificates::remove(old);
            if let Err(error) = self.cluster.patch_secret(secret, &patch).await {
                tracing::warn!(%error, "left behind");
            }
        }
        Ok(())
    }

    /// The certificates of the run, if the chart has given a Secret for them: those that a coordinator before this one has
    /// made, so that workers come back to this one, or new ones.
    ///
    /// # Errors
    /// If they can be neither read nor kept.
    pub async fn certificates(&self) -> Result<Option<RunCertificates>, FleetError> {
        let Some(secret) = &self.settings.tls_secret else { return Ok(None) };
        let data = patiently(|| self.cluster.secret(secret)).await?;
        if let Some(kept) = certificates::read(&data, &self.owner.name) {
            return Ok(Some(kept));
        }
        let made = RunCertificates::make()?;
        let patch = certificates::write(&made, &self.owner.name);
        patiently(|| self.cluster.patch_secret(secret, &patch)).await?;
        Ok(Some(made))
    }

    /// Whether a worker of this pod has more memory than the others.
    pub fn is_high_memory(&self, pod: &str) -> bool {
        let job = Pool::HighMemory.job_name(&self.owner.name);
        pod.strip_prefix(&job).is_some_and(|rest| rest.starts_with('-'))
    }

    /// How long a run may be without a worker because none can be started.
    pub fn pending_deadline(&self) -> Duration {
        self.settings.pending_deadline
    }

    /// Makes workers for a run, and looks after them until it is stopped.
    pub fn start(self: &Arc<Self>, run: String) -> Running {
        let (needs, need) = watch::channel(Need::default());
        let (sender, updates) = mpsc::channel(UPDATES);
        let task = tokio::spawn(Arc::clone(self).attend(run, need, sender));
        Running { needs, updates, task }
    }

    async fn attend(self: Arc<Self>, run: String, need: watch::Receiver<Need>, updates: mpsc::Sender<Update>) {
        let limits = Limits {
            workers_min: self.settings.workers_min,
            workers_max: self.settings.workers_max,
            pending_deadline: self.settings.pending_deadline,
        };
        let mut controller = Controller::new(limits, self.owner.name.clone(), self.owner.uid.clone());
        let mut seen = pin!(crate::watch::watch(&self.cluster, &self.owner.name));
        let mut tick = tokio::time::interval(DECIDE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let started = Instant::now();
        loop {
            let steps = tokio::select! {
                Some(seen) = seen.next() => controller.see(seen),
                _ = tick.tick() => {
                    let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let need = need.borrow().clone();
                    controller.decide(now_ms, &need)
                }
            };
            for step in steps {
                let to_make = if let Step::Make { pool, .. } = step { Some(pool) } else { None };
                match self.perform(step, &run, &updates).await {
                    // what was changed is known at once, and not decided again before the watch tells
                    Ok(Some(job)) => drop(controller.see(Seen::Job(job))),
                    Ok(None) => {}
                    Err(error) if error.is_transient() || (to_make.is_some() && error.may_pass()) => {
                        tracing::warn!(%error, "trying again");
                        if let Some(news) = to_make.and_then(|pool| controller.not_made(pool, error.to_string())) {
                            self.teller.tell(news);
                        }
                    }
                    Err(error) => {
                        let message = stedi_endpoint::log::chain(&error);
                        let _ = updates.send(Update::Failed { message }).await;
                    }
                }
            }
            let (wanted, ready) = controller.sizes();
            self.metrics.sizes(wanted, ready);
        }
    }

    async fn perform(
        &self,
        step: Step,
        run: &str,
        updates: &mpsc::Sender<Update>,
    ) -> Result<Option<JobView>, FleetError> {
        match step {
            Step::Make { pool, size } => {
                let job = worker_job(&self.settings, pool, &self.owner, run, size)?;
                let made = self.cluster.apply_job(&job, false).await?;
                self.teller.tell(Happening::Made { pool, job: pool.job_name(&self.owner.name), size });
                Ok(JobView::of(&made))
            }
            Step::Scale { pool, version, size, fixed, say } => {
                let name = pool.job_name(&self.owner.name);
                match self.cluster.scale_job(&name, &version, size, fixed).await {
                    Ok(scaled) => {
                        self.teller.tell(say);
                        Ok(JobView::of(&scaled))
                    }
                    // a run goes on with the workers that it has
                    Err(error) => {
                        tracing::warn!(%error, "the fleet stays as it is");
                        Ok(None)
                    }
                }
            }
            Step::Remove { pool } => {
                let name = pool.job_name(&self.owner.name);
                tracing::info!(job = name, "deleting a worker Job that is of no use any more");
                self.cluster.delete_job(&name, None).await.map(|()| None)
            }
            Step::Update(update) => {
                // the loop is gone only when the run is over
                let _ = updates.send(update).await;
                Ok(None)
            }
            Step::Say(happening) => {
                if let Happening::Lost { loss, .. } = &happening {
                    self.metrics.lost(loss.cause);
                }
                self.teller.tell(happening);
                Ok(None)
            }
        }
    }

    /// Tells how the run ended, and takes everything away that was made for it. To be called when the fleet is stopped.
    pub async fn end(&self, ending: &Ending) {
        match ending {
            Ending::Committed(message) => self.teller.tell(Happening::Committed { message: message.clone() }),
            Ending::Failed(message) => self.teller.tell(Happening::Failed { message: message.clone() }),
            Ending::Unchanged | Ending::Stopped | Ending::Fenced => {}
        }
        if self.is_over(ending).await {
            self.remove_everything().await;
        }
    }

    /// Tells that the commit stands, and that the catalog does not show it.
    pub fn publish_failed(&self, message: String) {
        self.teller.tell(Happening::PublishFailed { message });
    }

    /// Waits a moment until everything is told.
    pub async fn finish(self) {
        self.teller.end(STORY_WITHIN).await;
    }

    /// Whether nobody will need the workers any more. If the API server does not say, somebody may.
    async fn is_over(&self, ending: &Ending) -> bool {
        let over = match ending {
            Ending::Committed(_) | Ending::Unchanged | Ending::Failed(_) => return true,
            Ending::Fenced => {
                self.cluster.has_other_pod(&self.owner.name, &self.settings.pod_name).await.map(|other| !other)
            }
            Ending::Stopped => self.has_next().await.map(|next| !next),
        };
        over.unwrap_or_else(|error| {
            tracing::warn!(%error, "the workers are left to the next coordinator");
            false
        })
    }

    /// Whether the coordinator's Job makes another pod when this one is gone.
    async fn has_next(&self) -> Result<bool, FleetError> {
        if !self.job_goes_on().await? {
            return Ok(false);
        }
        // Kubernetes deletes the pods of a Job that has failed just before it says so
        tokio::time::sleep(SAID_WITHIN).await;
        self.job_goes_on().await
    }

    async fn job_goes_on(&self) -> Result<bool, FleetError> {
        let goes_on = |job: &Job| {
            job.metadata.uid.as_deref() == Some(self.owner.uid.as_str())
                && job.metadata.deletion_timestamp.is_none()
                && !is_over(job)
                && job.spec.as_ref().is_none_or(|spec| spec.suspend != Some(true))
        };
        Ok(self.cluster.job(&self.owner.name).await?.as_ref().is_some_and(goes_on))
    }

    async fn remove_everything(&self) {
        for pool in Pool::ALL {
            let name = pool.job_name(&self.owner.name);
            if let Err(error) = patiently(|| self.cluster.delete_job(&name, None)).await {
                tracing::warn!(%error, "left behind: Kubernetes deletes it with the coordinator's Job");
            }
        }
        if let Some(secret) = &self.settings.tls_secret {
            let patch = certificates::remove([self.owner.name.as_str()]);
            if let Err(error) = patiently(|| self.cluster.patch_secret(secret, &patch)).await {
                tracing::warn!(%error, "certificates are left behind: the next coordinator removes them");
            }
        }
        if !self.cluster.wait_for_no_pods(&self.owner.name, GONE_WITHIN).await {
            tracing::warn!("some workers are not gone yet: Kubernetes goes on to delete them");
        }
    }
}

/// Asks again what failed for reasons that may pass.
async fn patiently<T, F: Future<Output = Result<T, FleetError>>>(ask: impl Fn() -> F) -> Result<T, FleetError> {
    for pause in PAUSES {
        match ask().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "asking again in {} s", pause.as_secs());
                tokio::time::sleep(pause).await;
            }
            answer => return answer,
        }
    }
    ask().await
}

#[cfg(test)]
mod tests;
