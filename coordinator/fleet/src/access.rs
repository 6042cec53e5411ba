//! What a coordinator must be allowed to do in its namespace, and whether it is.

use crate::cluster::Cluster;
use crate::error::FleetError;
use crate::names::Pool;
use crate::options::FleetSettings;
use crate::template::{Owner, worker_job};

/// A right that a coordinator needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource.
    pub resource: &'static str,
    /// The verb.
    pub verb: &'static str,
}

const fn right(group: &'static str, resource: &'static str, verb: &'static str) -> Right {
    Right { group, resource, verb }
}

/// All rights that a coordinator needs, beside those on the Secret of certificates. The chart grants these and no others.
pub const RIGHTS: [Right; 11] = [
    right("batch", "jobs", "get"),
    right("batch", "jobs", "list"),
    right("batch", "jobs", "watch"),
    right("batch", "jobs", "create"),
    right("batch", "jobs", "patch"),
    right("batch", "jobs", "delete"),
    right("", "pods", "get"),
    right("", "pods", "list"),
    right("", "pods", "watch"),
    right("events.k8s.io", "events", "create"),
    right("events.k8s.io", "events", "patch"),
];

/// The rights on the Secret of certificates, and on that one only.
pub const SECRET_RIGHTS: [Right; 2] = [right("", "secrets", "get"), right("", "secrets", "patch")];

/// The rights of `rights` that this account does not have on `name`, or on all if there is none.
///
/// # Errors
/// If the API server does not say.
pub async fn missing(cluster: &Cluster, rights: &[Right], name: Option<&str>) -> Result<Vec<Right>, FleetError> {
    let mut missing = Vec::new();
    for right in rights {
        if !cluster.may(right.verb, right.group, right.resource, name).await?.allowed {
            missing.push(*right);
        }
    }
    Ok(missing)
}

/// Asks the API server what it would say to a worker Job of `pool`, of as many workers as are allowed at least. None is made.
///
/// # Errors
/// If the Job cannot be made up, or the API server would not take it.
pub async fn try_worker_job(cluster: &Cluster, settings: &FleetSettings, pool: Pool) -> Result<(), FleetError> {
    let name = settings.job_name.clone().unwrap_or_else(|| settings.pod_name.clone());
    let owner = Owner { name, uid: String::new() };
    let mut job = worker_job(settings, pool, &owner, "doctor", settings.workers_min)?;
    // nothing owns what is never made
    job.metadata.owner_references = None;
    cluster.try_job(&job).await
}
