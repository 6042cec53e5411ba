//! What a worker Job says: how many workers it wants, and who said so.

use k8s_openapi::api::batch::v1::{Job, JobStatus};

use crate::names::{APPLIED_ANNOTATION, FIXED_ANNOTATION, POOL_LABEL, Pool};
use crate::pod::shortened;

/// A worker Job, as far as anything depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Whose workers they are.
    pub pool: Pool,
    /// Its version: a change that names another one is refused, so that nobody's change is overwritten unseen.
    pub version: String,
    /// The uid of the Job that owns it.
    pub owner: Option<String>,
    /// The workers it wants at once.
    pub parallelism: u32,
    /// The indexes it has.
    pub completions: u32,
    /// The number that a coordinator asked for last.
    pub applied: Option<u32>,
    /// The number that a person asked for.
    pub fixed: Option<u32>,
    /// Whether it is suspended, by a person or a queue.
    pub suspended: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// How it has ended, if it has.
    pub ended: Option<JobEnd>,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// All its workers ended with 0.
    Complete,
    /// It gave up.
    Failed {
        /// Why, as Kubernetes says.
        message: String,
    },
}

impl JobView {
    /// What a Job says; nothing if it has no workers of ours.
    pub fn of(job: &Job) -> Option<Self> {
        let metadata = &job.metadata;
        let pool = Pool::of_name(metadata.labels.as_ref()?.get(POOL_LABEL)?)?;
        let spec = job.spec.as_ref()?;
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name)?.parse().ok();
        let number = |value: Option<i32>| u32::try_from(value.unwrap_or(1)).unwrap_or(0);
        let owner = metadata.owner_references.iter().flatten().find(|owner| owner.kind == "Job");
        Some(Self {
            pool,
            version: metadata.resource_version.clone().unwrap_or_default(),
            owner: owner.map(|owner| owner.uid.clone()),
            parallelism: number(spec.parallelism),
            completions: number(spec.completions),
            applied: annotation(APPLIED_ANNOTATION),
            fixed: annotation(FIXED_ANNOTATION),
            suspended: spec.suspend == Some(true),
            deleting: metadata.deletion_timestamp.is_some(),
            ended: job.status.as_ref().and_then(ended),
        })
    }
}

/// How a Job ended. `FailureTarget` comes before `Failed`, as soon as it is decided.
fn ended(status: &JobStatus) -> Option<JobEnd> {
    let holds = |kinds: &[&str]| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|condition| kinds.contains(&condition.type_.as_str()) && condition.status == "True")
    };
    if let Some(failed) = holds(&["Failed", "FailureTarget"]) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let message = shortened(&format!("{}: {}", text(&failed.reason), text(&failed.message)));
        return Some(JobEnd::Failed { message });
    }
    holds(&["Complete", "SuccessCriteriaMet"]).map(|_| JobEnd::Complete)
}

/// Whether a Job has come to its end.
pub fn is_over(job: &Job) -> bool {
    job.status.as_ref().and_then(ended).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(spec: &Value, annotations: &Value, conditions: &Value) -> JobView {
        let job = json!({
            "metadata": {
                "name": "n-w", "resourceVersion": "7", "labels": {POOL_LABEL: "standard"}, "annotations": annotations,
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "n", "uid": "u"}],
            },
            "spec": spec,
            "status": {"conditions": conditions},
        });
        JobView::of(&serde_json::from_value(job).expect("a Job")).expect("of ours")
    }

    #[test]
    fn numbers_come_from_spec_and_annotations() {
        let spec = json!({"parallelism": 5, "completions": 4, "suspend": true, "template": {}});
        let annotations = json!({APPLIED_ANNOTATION: "4", FIXED_ANNOTATION: "x"});
        let seen = view(&spec, &annotations, &json!([]));
        assert_eq!((seen.parallelism, seen.completions, seen.applied, seen.fixed), (5, 4, Some(4), None));
        assert_eq!((seen.suspended, seen.deleting, seen.ended), (true, false, None));
        assert_eq!((seen.owner.as_deref(), seen.version.as_str()), (Some("u"), "7"));
    }

    #[test]
    fn a_job_that_fails_says_why() {
        let spec = json!({"parallelism": 1, "completions": 1, "template": {}});
        let condition = |kind: &str, status: &str| json!([{"type": kind, "status": status, "reason": "PodFailurePolicy", "message": "m"}]);
        let failed = Some(JobEnd::Failed { message: "PodFailurePolicy: m".to_owned() });
        assert_eq!(view(&spec, &json!({}), &condition("Failed", "True")).ended, failed);
        assert_eq!(view(&spec, &json!({}), &condition("FailureTarget", "True")).ended, failed);
        assert_eq!(view(&spec, &json!({}), &condition("Failed", "False")).ended, None);
        assert_eq!(view(&spec, &json!({}), &condition("Complete", "True")).ended, Some(JobEnd::Complete));
        assert_eq!(view(&spec, &json!({}), &condition("Suspended", "True")).ended, None);
    }
}
