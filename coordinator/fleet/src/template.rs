//! The Job of workers, as it is made.
//!
//! Its pod template comes from the environment of the coordinator's pod, which does not change for the life of the
//! coordinator's Job: a `helm upgrade` in the middle of a run changes the next run. What only the coordinator knows is
//! added here.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, KeyToPath, ObjectFieldSelector, PodSpec, PodTemplateSpec, ResourceRequirements,
    SecretVolumeSource, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::certificates::{self, WORKER_FILES};
use crate::error::FleetError;
use crate::names::{APPLIED_ANNOTATION, COORDINATOR_LABEL, POOL_LABEL, Pool, RUN_LABEL, WORKER_CONTAINER};
use crate::options::FleetSettings;

/// Where the workers' certificates are in their pods.
const TLS_DIR: &str = "/run/stedi/tls";
const TLS_VOLUME: &str = "stedi-tls";

/// Exit codes of a worker that say that starting it again does not help: the Job fails, and with it the run.
const PERMANENT_EXITS: std::ops::RangeInclusive<i32> = 64..=78;

/// How often a worker may fail under its index before it is not replaced any more. Evictions do not count.
const FAILURES_PER_INDEX: i32 = 6;

/// How long a worker may take to go. Its replacement waits for that.
const GRACE_SECONDS: i64 = 30;

/// How long a pod stays on a node that does not answer: heartbeats have given its work to others long before.
const UNREACHABLE_SECONDS: i64 = 20;

/// What a worker takes of its memory if it is not told, in tenths.
const OWN_SHARE_TENTHS: u64 = 7;

/// How long a finished worker Job is kept if nobody deletes it: a net, as coordinators do.
const KEPT_SECONDS: i32 = 600;

/// The coordinator's Job, which owns what the coordinator makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// The Job of a pool, of `size` workers.
///
/// It belongs to the coordinator's Job, not to its pod, so that a restarted coordinator takes it over; as an owner that is
/// not the controller, because a Job that another Job controls is nothing that Kueue would admit.
///
/// # Errors
/// If the memory of [`Pool::HighMemory`] cannot be computed.
pub fn worker_job(
    settings: &FleetSettings,
    pool: Pool,
    owner: &Owner,
    run: &str,
    size: u32,
) -> Result<Job, FleetError> {
    let template = pod_template(settings, pool, owner, run)?;
    let of_app = |label: &(&String, &String)| label.0.starts_with("app.kubernetes.io/");
    let of_template = template.metadata.iter().flat_map(|meta| &meta.labels).flatten();
    let mut labels: BTreeMap<String, String> =
        of_template.filter(of_app).map(|(name, value)| (name.clone(), value.clone())).collect();
    labels.extend(settings.job_labels.clone());
    labels.extend(our_labels(pool, owner, run));
    let mut annotations = settings.job_annotations.clone();
    annotations.insert(APPLIED_ANNOTATION.to_owned(), size.to_string());
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(pool.job_name(&owner.name)),
            namespace: Some(settings.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: owner.name.clone(),
                uid: owner.uid.clone(),
                controller: None,
                // with true, one would need rights on the finalizers of the coordinator's Job
                block_owner_deletion: Some(false),
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            completion_mode: Some("Indexed".to_owned()),
            parallelism: Some(count(size)),
            completions: Some(count(size)),
            backoff_limit_per_index: Some(FAILURES_PER_INDEX),
            pod_failure_policy: Some(failure_policy()),
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            template,
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// A number of workers as Kubernetes counts them.
pub(crate) fn count(size: u32) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

fn our_labels(pool: Pool, owner: &Owner, run: &str) -> [(String, String); 3] {
    [
        // a label has at most 63 bytes, as has the name of a Job
        (COORDINATOR_LABEL.to_owned(), owner.name.clone()),
        (POOL_LABEL.to_owned(), pool.name().to_owned()),
        (RUN_LABEL.to_owned(), run.to_owned()),
    ]
}

fn failure_policy() -> PodFailurePolicy {
    let disrupted =
        PodFailurePolicyOnPodConditionsPattern { type_: "DisruptionTarget".to_owned(), status: "True".to_owned() };
    let permanent = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(WORKER_CONTAINER.to_owned()),
        operator: "In".to_owned(),
        values: PERMANENT_EXITS.collect(),
    };
    // the first rule that fits counts; what fits none counts against the index
    let rules = vec![
        PodFailurePolicyRule {
            action: "Ignore".to_owned(),
            on_pod_conditions: Some(vec![disrupted]),
            on_exit_codes: None,
        },
        PodFailurePolicyRule { action: "FailJob".to_owned(), on_pod_conditions: None, on_exit_codes: Some(permanent) },
    ];
    PodFailurePolicy { rules }
}

fn pod_template(settings: &FleetSettings, pool: Pool, owner: &Owner, run: &str) -> Result<PodTemplateSpec, FleetError> {
    let mut template = settings.template.clone();
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(our_labels(pool, owner, run));
    let spec = template.spec.get_or_insert_default();
    spec.restart_policy = Some("Never".to_owned());
    spec.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
    for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        tolerate_briefly(spec, taint);
    }
    if let Some(secret) = &settings.tls_secret {
        spec.volumes.get_or_insert_default().push(tls_volume(secret, &owner.name));
    }
    let worker = spec.containers.iter_mut().find(|container| container.name == WORKER_CONTAINER);
    let worker = worker.ok_or(FleetError::NoWorkerContainer)?;
    equip(settings, worker);
    if pool == Pool::HighMemory {
        enlarge(worker, settings.high_memory.as_deref())?;
    }
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(keep_last_of_each_name);
    Ok(template)
}

/// Of variables of one name the last one counts in a pod. Applied, a list with both would be refused.
fn keep_last_of_each_name(container: &mut Container) {
    let Some(env) = &mut container.env else { return };
    let mut names = std::collections::BTreeSet::new();
    let mut kept: Vec<EnvVar> =
        std::mem::take(env).into_iter().rev().filter(|var| names.insert(var.name.clone())).collect();
    kept.reverse();
    *env = kept;
}

fn tolerate_briefly(spec: &mut PodSpec, taint: &str) {
    let tolerations = spec.tolerations.get_or_insert_default();
    if tolerations.iter().all(|given| given.key.as_deref() != Some(taint)) {
        tolerations.push(Toleration {
            key: Some(taint.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some("NoExecute".to_owned()),
            toleration_seconds: Some(UNREACHABLE_SECONDS),
            value: None,
        });
    }
}

/// What a worker must know that only the coordinator does.
fn equip(settings: &FleetSettings, worker: &mut Container) {
    let pod_name = EnvVarSource {
        field_ref: Some(ObjectFieldSelector { api_version: None, field_path: "metadata.name".to_owned() }),
        ..EnvVarSource::default()
    };
    set(worker, EnvVar { name: "STEDI_POD_NAME".to_owned(), value: None, value_from: Some(pod_name) });
    if let Some(advertise) = &settings.advertise {
        set(worker, var("STEDI_COORDINATOR", advertise));
    }
    if settings.tls_secret.is_some() {
        set(worker, var("STEDI_TLS_DIR", TLS_DIR));
        let mount = VolumeMount {
            name: TLS_VOLUME.to_owned(),
            mount_path: TLS_DIR.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        worker.volume_mounts.get_or_insert_default().push(mount);
    }
    // the last lines of a worker that failed are then in its pod's status, and so in our message, when the pod is gone
    worker.termination_message_policy.get_or_insert_with(|| "FallbackToLogsOnError".to_owned());
}

fn var(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

fn set(container: &mut Container, var: EnvVar) {
    let env = container.env.get_or_insert_default();
    match env.iter_mut().find(|given| given.name == var.name) {
        Some(given) => *given = var,
        None => env.push(var),
    }
}

/// The workers' part of the Secret, under the names that `--tls-dir` reads.
fn tls_volume(secret: &str, coordinator_job: &str) -> Volume {
    let item =
        |file: &&str| KeyToPath { key: certificates::key(coordinator_job, file), path: (*file).to_owned(), mode: None };
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items: Some(WORKER_FILES.iter().map(item).collect()),
        // workers are not root, and there is nobody else in their container
        default_mode: Some(0o444),
        optional: None,
    };
    Volume { name: TLS_VOLUME.to_owned(), secret: Some(source), ..Volume::default() }
}

/// Gives a worker more memory: the container, and what the worker may use of it in the same proportion, but no more than
/// a worker takes by itself: who is here was killed for its memory, and perhaps because the proportion was too large.
fn enlarge(worker: &mut Container, high_memory: Option<&str>) -> Result<(), FleetError> {
    let resources = worker.resources.get_or_insert_with(ResourceRequirements::default);
    let limits = resources.limits.get_or_insert_default();
    let usual = limits.get("memory").map(|quantity| bytes(&quantity.0)).transpose()?;
    let high = match (high_memory, usual) {
        (Some(text), _) => bytes(text)?,
        (None, Some(usual)) => usual.saturating_mul(2),
        // without a limit there is nothing to enlarge: a worker takes what its node has
        (None, None) => return Ok(()),
    };
    if let (Some(text), Some(quantity)) = (high_memory, limits.get("memory"))
        && usual.is_some_and(|usual| high <= usual)
    {
        return Err(FleetError::NotMoreMemory { high: text.to_owned(), usual: quantity.0.clone() });
    }
    limits.insert("memory".to_owned(), Quantity(high.to_string()));
    if let Some(request) = resources.requests.as_mut().and_then(|requests| requests.get_mut("memory")) {
        *request = Quantity(high.to_string());
    }
    let budget = worker.env.iter_mut().flatten().find(|var| var.name == "STEDI_MEMORY");
    if let (Some(usual), Some(text)) = (usual, budget.and_then(|var| var.value.as_mut())) {
        let given = bytes(text)?;
        let in_proportion = u64::try_from(u128::from(given) * u128::from(high) / u128::from(usual.max(1)));
        *text = in_proportion.unwrap_or(u64::MAX).min(high / 10 * OWN_SHARE_TENTHS).to_string();
    }
    Ok(())
}

/// The bytes of a memory quantity, of Kubernetes (`2Gi`, `500M`, `1e9`) or as our own options take it (`2GiB`).
fn bytes(text: &str) -> Result<u64, FleetError> {
    let wrong = || FleetError::Quantity { text: text.to_owned() };
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E').unwrap_or(trimmed.len());
    // `1E` is an exabyte, `1E3` and `1e3` a thousand
    let end = if trimmed[..end].ends_with(['E', 'e']) { end - 1 } else { end };
    let number: f64 = trimmed[..end].trim().parse().map_err(|_| wrong())?;
    let unit = match trimmed[end..].trim_end_matches('B') {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        _ => return Err(wrong()),
    };
    let bytes = number * unit;
    if !(1.0..9.0e18).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just seen to be in range")]
    Ok(bytes as u64)
}

#[cfg(test)]
pub(crate) mod tests;
