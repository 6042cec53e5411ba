//! What the coordinator is told about its fleet: by people, and by the chart through the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;
use k8s_openapi::DeepMerge as _;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use crate::error::FleetError;
use crate::names::WORKER_CONTAINER;

/// Who makes workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FleetKind {
    /// Whoever likes to.
    #[default]
    None,
    /// The coordinator, as a Job beside its own.
    Kubernetes,
}

/// The command line of the fleet. What only the chart says is hidden.
#[derive(Clone, Debug, clap::Args)]
pub struct FleetOptions {
    /// Who makes the workers: you, or the coordinator on Kubernetes
    #[arg(
        long,
        env = "STEDI_FLEET",
        value_name = "none|kubernetes",
        default_value = "none",
        hide_possible_values = true
    )]
    fleet: FleetKind,
    /// With --fleet kubernetes: at least so many workers while there is work
    #[arg(long, env = "STEDI_WORKERS_MIN", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers_min: u32,
    /// With --fleet kubernetes: at most so many workers
    #[arg(long, env = "STEDI_WORKERS_MAX", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers_max: u32,
    /// With --fleet kubernetes: stop if no worker could be started for this time
    #[arg(long, env = "STEDI_PENDING_DEADLINE", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pending_deadline: Duration,
    /// Namespace of the coordinator's pod
    #[arg(long, env = "STEDI_POD_NAMESPACE", hide = true)]
    pod_namespace: Option<String>,
    /// Name of the coordinator's pod
    #[arg(long, env = "STEDI_POD_NAME", hide = true)]
    pod_name: Option<String>,
    /// Name of the coordinator's Job
    #[arg(long, env = "STEDI_JOB_NAME", hide = true)]
    job_name: Option<String>,
    /// URL under which workers reach the coordinator, whichever of its pods serves it
    #[arg(long, env = "STEDI_ADVERTISE", hide = true)]
    advertise: Option<String>,
    /// PodTemplateSpec of a worker, JSON
    #[arg(long, env = "STEDI_WORKER_TEMPLATE", hide = true)]
    worker_template: Option<String>,
    /// What is merged over it, JSON
    #[arg(long, env = "STEDI_WORKER_TEMPLATE_MERGE", hide = true)]
    worker_template_merge: Option<String>,
    /// Labels of the worker Job, a JSON object
    #[arg(long, env = "STEDI_WORKER_JOB_LABELS", hide = true)]
    worker_job_labels: Option<String>,
    /// Annotations of the worker Job, a JSON object
    #[arg(long, env = "STEDI_WORKER_JOB_ANNOTATIONS", hide = true)]
    worker_job_annotations: Option<String>,
    /// Memory limit of the workers with more memory
    #[arg(long, env = "STEDI_HIGH_MEMORY", hide = true)]
    high_memory: Option<String>,
    /// The Secret that keeps the certificates of runs
    #[arg(long, env = "STEDI_TLS_SECRET", hide = true)]
    tls_secret: Option<String>,
}

/// What a fleet is made with.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// At least so many workers while there is work.
    pub workers_min: u32,
    /// At most so many.
    pub workers_max: u32,
    /// How long a run may be without a worker because none can be started.
    pub pending_deadline: Duration,
    /// Namespace of everything.
    pub namespace: String,
    /// The coordinator's pod.
    pub pod_name: String,
    /// The coordinator's Job; absent where there is none, as for the doctor.
    pub job_name: Option<String>,
    /// URL of the coordinator, for workers.
    pub advertise: Option<String>,
    /// The pods of workers, as the chart and the user want them.
    pub template: PodTemplateSpec,
    /// Labels of the worker Job.
    pub job_labels: BTreeMap<String, String>,
    /// Annotations of the worker Job.
    pub job_annotations: BTreeMap<String, String>,
    /// Memory limit of the workers with more memory, as a Kubernetes quantity.
    pub high_memory: Option<String>,
    /// The Secret that keeps the certificates of runs.
    pub tls_secret: Option<String>,
}

impl FleetOptions {
    /// Who makes workers.
    pub fn kind(&self) -> FleetKind {
        self.fleet
    }

    /// What the fleet is made with; `None` if workers are not made here.
    ///
    /// # Errors
    /// If something is missing that the chart gives, or cannot be read.
    pub fn settings(&self) -> Result<Option<FleetSettings>, FleetError> {
        if self.fleet == FleetKind::None {
            return Ok(None);
        }
        if self.workers_min > self.workers_max {
            return Err(FleetError::MinOverMax { min: self.workers_min, max: self.workers_max });
        }
        let mut template: PodTemplateSpec = json("STEDI_WORKER_TEMPLATE", self.worker_template.as_deref())?
            .ok_or(FleetError::Missing { name: "STEDI_WORKER_TEMPLATE" })?;
        if let Some(merge) = json("STEDI_WORKER_TEMPLATE_MERGE", self.worker_template_merge.as_deref())? {
            template.merge_from(merge);
        }
        let containers = template.spec.iter().flat_map(|spec| &spec.containers);
        if !containers.into_iter().any(|container| container.name == WORKER_CONTAINER) {
            return Err(FleetError::NoWorkerContainer);
        }
        let map = |name, text: &Option<String>| Ok::<_, FleetError>(json(name, text.as_deref())?.unwrap_or_default());
        Ok(Some(FleetSettings {
            workers_min: self.workers_min,
            workers_max: self.workers_max,
            pending_deadline: self.pending_deadline,
            namespace: given(&self.pod_namespace).ok_or(FleetError::Missing { name: "STEDI_POD_NAMESPACE" })?,
            pod_name: given(&self.pod_name).ok_or(FleetError::Missing { name: "STEDI_POD_NAME" })?,
            job_name: given(&self.job_name),
            advertise: given(&self.advertise),
            template,
            job_labels: map("STEDI_WORKER_JOB_LABELS", &self.worker_job_labels)?,
            job_annotations: map("STEDI_WORKER_JOB_ANNOTATIONS", &self.worker_job_annotations)?,
            high_memory: given(&self.high_memory),
            tls_secret: given(&self.tls_secret),
        }))
    }
}

/// An option that is there and not empty: a chart cannot leave a variable out as easily as it can leave it empty.
fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

/// What a JSON option says; nothing if it is absent, empty or null.
fn json<T: serde::de::DeserializeOwned>(name: &'static str, text: Option<&str>) -> Result<Option<T>, FleetError> {
    let failed = |source| FleetError::Json { name, source };
    match serde_json::from_str(text.filter(|text| !text.trim().is_empty()).unwrap_or("null")).map_err(failed)? {
        Value::Null => Ok(None),
        value => serde_json::from_value(value).map(Some).map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: FleetOptions,
    }

    fn settings(more: &[&str]) -> Result<Option<FleetSettings>, FleetError> {
        let all = ["x", "--fleet", "kubernetes", "--pod-namespace", "ns", "--pod-name", "c-0-x", "--job-name", "c"];
        Line::parse_from(all.iter().chain(more)).options.settings()
    }

    const TEMPLATE: &str = r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[
        {"name":"worker","image":"i","env":[{"name":"X","value":"1"},{"name":"Y","value":"1"}]}]}}"#;

    #[test]
    fn no_fleet_needs_no_settings() {
        assert!(Line::parse_from(["x"]).options.settings().expect("nothing to read").is_none());
    }

    #[test]
    fn what_the_user_wants_is_merged_into_the_template_by_name() {
        let merge = r#"{"metadata":{"annotations":{"c":"d"}},"spec":{"hostNetwork":true,"containers":[
            {"name":"worker","env":[{"name":"Y","value":"2"}]},{"name":"sidecar","image":"s"}]}}"#;
        let given = settings(&["--worker-template", TEMPLATE, "--worker-template-merge", merge]);
        let template = given.expect("it can be read").expect("a fleet").template;
        let meta = template.metadata.expect("metadata");
        assert_eq!(meta.labels.expect("labels")["a"], "b");
        assert_eq!(meta.annotations.expect("annotations")["c"], "d");
        let spec = template.spec.expect("spec");
        assert_eq!(spec.host_network, Some(true));
        assert_eq!(spec.containers.len(), 2);
        assert_eq!(spec.containers[0].image.as_deref(), Some("i"));
        let env: Vec<_> = spec.containers[0].env.iter().flatten().map(|var| var.value.as_deref()).collect();
        assert_eq!(env, [Some("1"), Some("2")]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |more: &[&str]| settings(more).expect_err("refused").to_string();
        assert!(error(&[]).contains("STEDI_WORKER_TEMPLATE"), "{}", error(&[]));
        assert!(error(&["--worker-template", "{"]).contains("STEDI_WORKER_TEMPLATE"));
        let none = r#"{"spec":{"containers":[{"name":"other"}]}}"#;
        assert!(error(&["--worker-template", none]).contains("worker"));
        let labels = error(&["--worker-template", TEMPLATE, "--worker-job-labels", "[1]"]);
        assert!(labels.contains("STEDI_WORKER_JOB_LABELS"), "{labels}");
        let sizes = error(&["--worker-template", TEMPLATE, "--workers-min", "9"]);
        assert!(sizes.contains('9') && sizes.contains('8'), "{sizes}");
    }

    #[test]
    fn an_empty_option_is_none() {
        let given = settings(&["--worker-template", TEMPLATE, "--high-memory", "", "--worker-template-merge", ""]);
        let given = given.expect("it can be read").expect("a fleet");
        assert_eq!((given.high_memory, given.tls_secret), (None, None));
    }
}
