//! What earlier coordinators have left behind: worker Jobs and certificates whose coordinator Job is gone or has ended.
//!
//! Kubernetes deletes a worker Job with its owner, but a Job that has ended is kept for a while, as its CronJob's history.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;

use crate::job::is_over;
use crate::names::COORDINATOR_LABEL;

/// A worker Job that nobody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Option<String>,
}

/// The worker Jobs among `jobs`, all those of the namespace, whose coordinator Job is gone or has ended.
pub fn worker_jobs(jobs: &[Job]) -> Vec<Leftover> {
    let uids: BTreeSet<&str> = at_work(jobs).filter_map(|job| job.metadata.uid.as_deref()).collect();
    let is_worker = |job: &&Job| job.metadata.labels.iter().flatten().any(|(name, _)| name == COORDINATOR_LABEL);
    let is_owned = |job: &&Job| {
        let owners = job.metadata.owner_references.iter().flatten();
        owners.into_iter().any(|owner| owner.kind == "Job" && uids.contains(owner.uid.as_str()))
    };
    jobs.iter()
        .filter(is_worker)
        .filter(|job| !is_owned(job) && job.metadata.deletion_timestamp.is_none())
        .filter_map(|job| Some(Leftover { name: job.metadata.name.clone()?, uid: job.metadata.uid.clone() }))
        .collect()
}

/// Of the coordinator Jobs that have certificates, those that are gone or have ended.
pub fn without_job<'a>(with_certificates: &BTreeSet<&'a str>, jobs: &[Job]) -> Vec<&'a str> {
    let names: BTreeSet<&str> = at_work(jobs).filter_map(|job| job.metadata.name.as_deref()).collect();
    with_certificates.iter().filter(|name| !names.contains(*name)).copied().collect()
}

fn at_work(jobs: &[Job]) -> impl Iterator<Item = &Job> {
    jobs.iter().filter(|job| !is_over(job))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(name: &str, uid: &str, owner: Option<(&str, &str)>, over: bool) -> Job {
        let owners =
            owner.map(|(name, uid)| json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}));
        let labels = owner.map(|(name, _)| json!({COORDINATOR_LABEL: name}));
        let condition = json!({"type": "Complete", "status": if over { "True" } else { "False" }});
        let job = json!({
            "metadata": {"name": name, "uid": uid, "labels": labels, "ownerReferences": owners.map(|owner| [owner])},
            "status": {"conditions": [condition]},
        });
        serde_json::from_value(job).expect("a Job")
    }

    #[test]
    fn only_what_nobody_needs_is_left_over() {
        let jobs = [
            job("now", "1", None, false),
            job("now-w", "2", Some(("now", "1")), false),
            job("before", "3", None, true),
            job("before-w", "4", Some(("before", "3")), false),
            job("gone-w", "5", Some(("gone", "6")), false),
            // of an earlier Job of the same name
            job("now-wm", "7", Some(("now", "0")), false),
            job("somebody-elses", "8", None, false),
        ];
        let names: Vec<String> = worker_jobs(&jobs).into_iter().map(|job| job.name).collect();
        assert_eq!(names, ["before-w", "gone-w", "now-wm"]);
        let with = BTreeSet::from(["now", "before", "gone"]);
        assert_eq!(without_job(&with, &jobs), ["before", "gone"]);
    }
}
