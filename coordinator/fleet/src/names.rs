//! Names of what a coordinator makes. They follow from the name of its own Job, so that a coordinator that comes back finds
//! what it made before, and two coordinators never take each other's.

use std::fmt;

/// The name under which the coordinator writes fields and reports events.
pub const FIELD_MANAGER: &str = "stedi-coordinator";

/// The container that works, in the pods of the worker template.
pub const WORKER_CONTAINER: &str = "worker";

/// Label of a worker Job and its pods: the Job of the coordinator that made it.
pub const COORDINATOR_LABEL: &str = "stedi.io/coordinator-job";

/// Label of a worker Job and its pods: [`Pool::name`].
pub const POOL_LABEL: &str = "stedi.io/pool";

/// Label of a worker Job and its pods: the run they were made for.
pub const RUN_LABEL: &str = "stedi.io/run-id";

/// Annotation of a worker Job: the number of workers that the coordinator asked for last. A Job that asks for another
/// number was changed by a person.
pub const APPLIED_ANNOTATION: &str = "stedi.io/applied-workers";

/// Annotation of a worker Job: the number of workers that a person asked for. It holds to the end of the run.
pub const FIXED_ANNOTATION: &str = "stedi.io/fixed-workers";

/// The label by which Kubernetes marks the pods of a Job.
pub const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// The label by which Kubernetes marks the index of an Indexed Job's pod.
pub const INDEX_LABEL: &str = "batch.kubernetes.io/job-completion-index";

/// The longest name of a coordinator Job that is used as it is. The host name of a pod is `<job>-<index>` and has at most
/// 63 bytes: two for `wm`, two hyphens, five for the index.
const JOB_NAME_BYTES: usize = 54;

/// A kind of workers: each has a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// The workers of the template.
    Standard,
    /// The same with more memory, for tasks that run out of memory alone on one of the others.
    HighMemory,
}

impl Pool {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Standard, Self::HighMemory];

    /// Its name in labels, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::HighMemory => "high-memory",
        }
    }

    /// The pool of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pool| pool.name() == name)
    }

    /// The name of its Job, if the coordinator's Job has this name: that name and `-w`, or `-wm`.
    pub fn job_name(self, coordinator_job: &str) -> String {
        let end = match self {
            Self::Standard => "w",
            Self::HighMemory => "wm",
        };
        format!("{}-{end}", shortened(coordinator_job))
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name as it is, or so much of it as may be, and a hash of all of it.
fn shortened(name: &str) -> String {
    if name.len() <= JOB_NAME_BYTES {
        return name.to_owned();
    }
    let start: String = name.chars().take(JOB_NAME_BYTES - 9).collect();
    format!("{}-{:08x}", start.trim_end_matches('-'), fnv(name))
}

/// FNV-1a, 32 bits: a coordinator of any build must find the same name.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_coordinators_job_and_fit() {
        assert_eq!(Pool::Standard.job_name("nightly-29384756"), "nightly-29384756-w");
        assert_eq!(Pool::HighMemory.job_name("nightly-29384756"), "nightly-29384756-wm");
        // the longest that a Job of one pod may have, as its pod is called <job>-0
        let long = format!("{}-tail", "n".repeat(56));
        let name = Pool::HighMemory.job_name(&long);
        assert!(name.starts_with(&"n".repeat(45)) && name.ends_with("-wm"), "{name}");
        assert!(format!("{name}-99999").len() <= 63, "{name}");
        assert_ne!(name, Pool::HighMemory.job_name(&format!("{}-tale", "n".repeat(56))));
        assert_eq!(fnv("a"), 0xe40c_292c, "as published for FNV-1a");
    }
}
