//! What is asked of the API server. Every call is bounded in time, and its error names verb and resource.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{
    Api, DeleteParams, ListParams, ObjectList, PartialObjectMeta, Patch, PatchParams, PostParams, Preconditions,
};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::error::{FleetError, Request};
use crate::names::{APPLIED_ANNOTATION, COORDINATOR_LABEL, FIELD_MANAGER, FIXED_ANNOTATION, JOB_NAME_LABEL};
use crate::template::count;

/// The API server has so long for an answer, with what the client repeats after a 429, 503 or 504.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How often it is looked whether pods are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// One namespace of a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster whose pod this is, or that `KUBECONFIG` names. Nothing is asked of it yet.
    ///
    /// # Errors
    /// If neither is there.
    pub async fn connect(namespace: &str) -> Result<Self, FleetError> {
        let mut config = Config::infer().await.map_err(|error| FleetError::Client(error.into()))?;
        config.connect_timeout = Some(Duration::from_secs(5));
        let client = Client::try_from(config).map_err(|error| FleetError::Client(error.into()))?;
        Ok(Self::new(client, namespace))
    }

    /// A namespace of the cluster that `client` speaks with.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The Jobs of the namespace.
    pub(crate) fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Its pods.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn request<'a>(&'a self, verb: &'static str, resource: &'static str, name: &'a str) -> Request<'a> {
        Request { verb, resource, name, namespace: &self.namespace }
    }

    /// A Job; nothing if it is not there.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn job(&self, name: &str) -> Result<Option<Job>, FleetError> {
        bounded(self.request("get", "jobs", name), self.jobs().get_opt(name)).await
    }

    /// The metadata of all Jobs of the namespace.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn all_jobs(&self) -> Result<ObjectList<Job>, FleetError> {
        bounded(self.request("list", "jobs", ""), self.jobs().list(&ListParams::default())).await
    }

    /// How many pods of a coordinator's workers there are, those that go included.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn worker_pods(&self, coordinator_job: &str) -> Result<usize, FleetError> {
        let selected = ListParams::default().labels(&format!("{COORDINATOR_LABEL}={coordinator_job}"));
        let list = async {
            let pods: ObjectList<PartialObjectMeta<Pod>> = self.pods().list_metadata(&selected).await?;
            Ok(pods.items.len())
        };
        bounded(self.request("list", "pods", ""), list).await
    }

    /// Whether a Job has a pod other than `pod` that has not ended.
    ///
    /// # Errors
    /// If the API server does not say.
    pub async fn has_other_pod(&self, job: &str, pod: &str) -> Result<bool, FleetError> {
        let selected = ListParams::default().labels(&format!("{JOB_NAME_LABEL}={job}"));
        let pods = bounded(self.request("list", "pods", ""), self.pods().list(&selected)).await?;
        let lives = |other: &Pod| {
            let phase = other.status.as_ref().and_then(|status| status.phase.as_deref());
            !matches!(phase, Some("Failed" | "Succeeded")) && other.metadata.name.as_deref() != Some(pod)
        };
        Ok(pods.items.iter().any(lives))
    }

    /// Makes a Job. If it is there already, its fields become those of `job` as far as Kubernetes allows.
    ///
    /// # Errors
    /// If the API server does not take it.
    pub async fn apply_job(&self, job: &Job, dry_run: bool) -> Result<Job, FleetError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let mut params = PatchParams::apply(FIELD_MANAGER).force();
        params.dry_run = dry_run;
        let patch = Patch::Apply(job);
        bounded(self.request("patch", "jobs", name), self.jobs().patch(name, &params, &patch)).await
    }

    /// Asks what the API server would say to a new Job, admission and quota included; none is made.
    ///
    /// # Errors
    /// If it would not take it.
    pub async fn try_job(&self, job: &Job) -> Result<(), FleetError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        bounded(self.request("create", "jobs", name), self.jobs().create(&params, job)).await.map(|_| ())
    }

    /// Changes the size of a Job that is still of this version.
    ///
    /// # Errors
    /// [`FleetError::Conflict`] if it is not, and others if the API server does not take it.
    pub async fn scale_job(&self, name: &str, version: &str, size: u32, fixed: Option<u32>) -> Result<Job, FleetError> {
        let patch = scale_patch(version, size, fixed);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        bounded(self.request("patch", "jobs", name), self.jobs().patch(name, &params, &Patch::Merge(&patch))).await
    }

    /// Deletes a Job and then its pods; that it is gone, or is another one by now, is no error.
    ///
    /// # Errors
    /// If the API server does not take it.
    pub async fn delete_job(&self, name: &str, uid: Option<&str>) -> Result<(), FleetError> {
        let mut params = DeleteParams::background();
        if let Some(uid) = uid {
            params = params.preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        }
        match bounded(self.request("delete", "jobs", name), self.jobs().delete(name, &params)).await {
            Ok(_) | Err(FleetError::NotFound { .. } | FleetError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until a coordinator has no pods of workers any more; whether that came true within `patience`.
    pub async fn wait_for_no_pods(&self, coordinator_job: &str, patience: Duration) -> bool {
        let wait = async {
            loop {
                match self.worker_pods(coordinator_job).await {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%error, "are they gone?"),
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }

    /// The data of a Secret.
    ///
    /// # Errors
    /// If it is not there, or the API server does not say.
    pub async fn secret(&self, name: &str) -> Result<BTreeMap<String, ByteString>, FleetError> {
        let read = bounded(self.request("get", "secrets", name), self.secrets().get(name)).await;
        match read {
            Ok(secret) => Ok(secret.data.unwrap_or_default()),
            Err(FleetError::NotFound { resource, namespace, .. }) => {
                Err(FleetError::NotFound { resource, namespace, hint: "the chart makes it, empty (tls.mode=run)" })
            }
            Err(error) => Err(error),
        }
    }

    /// Changes a Secret.
    ///
    /// # Errors
    /// If the API server does not take it.
    pub async fn patch_secret(&self, name: &str, patch: &Value) -> Result<(), FleetError> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let secrets = self.secrets();
        bounded(self.request("patch", "secrets", name), secrets.patch_metadata(name, &params, &Patch::Merge(patch)))
            .await
            .map(|_| ())
    }

    /// Whether this account may do something, by the API server's own answer.
    ///
    /// # Errors
    /// If it gives none.
    pub async fn may(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        name: Option<&str>,
    ) -> Result<SubjectAccessReviewStatus, FleetError> {
        let attributes = ResourceAttributes {
            namespace: Some(self.namespace.clone()),
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            name: name.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let params = PostParams::default();
        let request = self.request("create", "selfsubjectaccessreviews", "");
        let answer = bounded(request, reviews.create(&params, &review)).await?;
        Ok(answer.status.unwrap_or_default())
    }
}

/// The merge patch that changes the size of a Job. The version in it makes the API server refuse the patch if somebody
/// else has changed the Job since; the notes are part of the same patch, so that they never contradict the numbers.
fn scale_patch(version: &str, size: u32, fixed: Option<u32>) -> Value {
    json!({
        "metadata": {
            "resourceVersion": version,
            "annotations": {
                APPLIED_ANNOTATION: size.to_string(),
                FIXED_ANNOTATION: fixed.map(|fixed| fixed.to_string()),
            },
        },
        "spec": {"parallelism": count(size), "completions": count(size)},
    })
}

async fn bounded<T>(
    request: Request<'_>,
    call: impl Future<Output = Result<T, kube::Error>> + Send,
) -> Result<T, FleetError> {
    // the client's futures are large, and everything that waits for them would be
    match tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await {
        Ok(answer) => answer.map_err(|error| FleetError::of(request, &error)),
        Err(_) => Err(FleetError::timeout(request, ANSWER_TIMEOUT.as_secs())),
    }
}
