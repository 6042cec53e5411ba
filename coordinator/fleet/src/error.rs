//! Why a fleet cannot be had.

use kube::core::Status;

/// Why a fleet cannot be had, or not be changed.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Something is not in the environment.
    #[error("{name} is not set: --fleet kubernetes needs what the Helm chart puts into the coordinator's environment")]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// Something in the environment is not what it should be.
    #[error("{name} cannot be read as JSON")]
    Json {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The template has nothing that works.
    #[error("the worker template has no container named worker (STEDI_WORKER_TEMPLATE)")]
    NoWorkerContainer,
    /// A memory limit cannot be computed with.
    #[error(
        "{text} is no memory quantity (STEDI_HIGH_MEMORY, or the limit of the worker template): use one such as 8Gi"
    )]
    Quantity {
        /// What was given.
        text: String,
    },
    /// Workers with more memory would not have more.
    #[error(
        "high memory {high} (STEDI_HIGH_MEMORY, workers.highMemory of the chart) is not more than {usual}, the memory \
         limit of the usual workers: give more, or nothing for twice that limit"
    )]
    NotMoreMemory {
        /// What was given.
        high: String,
        /// The limit in the worker template.
        usual: String,
    },
    /// The limits contradict each other.
    #[error("--workers-min {min} is more than --workers-max {max}: lower the one or raise the other")]
    MinOverMax {
        /// The lower limit.
        min: u32,
        /// The upper limit.
        max: u32,
    },
    /// No certificates could be made.
    #[error(transparent)]
    Certificates(#[from] stedi_endpoint::TlsError),
    /// There is no API server to speak with.
    #[error("failed to find the API server: does the coordinator run in a pod with a service account token?")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The API server refuses because of missing rights, or an admission plugin or quota says no.
    #[error(
        "may not {verb} {resource} in namespace {namespace}: {message}: let the chart make the coordinator's Role \
         (rbac.create), or grant it yourself; if that is about a quota, raise it"
    )]
    Forbidden {
        /// The verb, as RBAC calls it.
        verb: &'static str,
        /// The resource, as RBAC calls it, and its name if there is one.
        resource: String,
        /// The namespace.
        namespace: String,
        /// What the server said.
        message: String,
    },
    /// What should be there is not.
    #[error("{resource} is not in namespace {namespace}: {hint}")]
    NotFound {
        /// The resource and its name.
        resource: String,
        /// The namespace.
        namespace: String,
        /// What to do.
        hint: &'static str,
    },
    /// Somebody else has changed it meanwhile: look again.
    #[error("{resource} was changed by somebody else meanwhile")]
    Conflict {
        /// The resource and its name.
        resource: String,
    },
    /// The API server does not want it, now or later.
    #[error("failed to {verb} {resource}: {message}")]
    Refused {
        /// The verb.
        verb: &'static str,
        /// The resource and its name.
        resource: String,
        /// What the server said.
        message: String,
    },
    /// The API server or the way to it failed; the request may have been executed.
    #[error("failed to {verb} {resource}: {message}")]
    Transient {
        /// The verb.
        verb: &'static str,
        /// The resource and its name.
        resource: String,
        /// What went wrong.
        message: String,
    },
}

/// What was asked of the API server, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The verb, as RBAC calls it.
    pub verb: &'static str,
    /// The resource, as RBAC calls it.
    pub resource: &'static str,
    /// The name of the object; empty for all.
    pub name: &'a str,
    /// The namespace.
    pub namespace: &'a str,
}

impl FleetError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Conflict { .. })
    }

    /// Whether a Job that cannot be made now may be later: there may be room in a quota that says no, and who has forgotten
    /// a right may grant it.
    pub(crate) fn may_pass(&self) -> bool {
        self.is_transient() || matches!(self, Self::Forbidden { .. })
    }

    /// Whether what was given is wrong, so that starting again does not help.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Json { .. }
                | Self::NoWorkerContainer
                | Self::Quantity { .. }
                | Self::NotMoreMemory { .. }
                | Self::MinOverMax { .. }
        )
    }

    /// Whether starting again does not help although nothing is wrong with what was given on the command line. A right that
    /// is missing is not among it, as a full quota says the same.
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    pub(crate) fn timeout(request: Request<'_>, seconds: u64) -> Self {
        let message = format!("no answer from the API server within {seconds} s");
        Self::Transient { verb: request.verb, resource: named(request), message }
    }

    /// The error of a request.
    pub(crate) fn of(request: Request<'_>, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(request, status),
            other => Self::Transient {
                verb: request.verb,
                resource: named(request),
                message: stedi_endpoint::log::chain(other),
            },
        }
    }

    /// The error of a request that the API server answered.
    pub(crate) fn of_status(request: Request<'_>, status: &Status) -> Self {
        let (verb, resource, message) = (request.verb, named(request), status.message.clone());
        let namespace = request.namespace.to_owned();
        match status.code {
            403 => Self::Forbidden { verb, resource, namespace, message },
            404 => Self::NotFound { resource, namespace, hint: "was it deleted, or is the namespace another one?" },
            409 => Self::Conflict { resource },
            400 | 405 | 413 | 415 | 422 => Self::Refused { verb, resource, message },
            _ => Self::Transient { verb, resource, message },
        }
    }
}

fn named(request: Request<'_>) -> String {
    if request.name.is_empty() { request.resource.to_owned() } else { format!("{} {}", request.resource, request.name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16) -> FleetError {
        let request = Request { verb: "patch", resource: "jobs", name: "n-w", namespace: "ns" };
        FleetError::of_status(request, &Status::failure("jobs.batch is forbidden", "x").with_code(code))
    }

    #[test]
    fn a_missing_right_is_named_with_the_way_to_get_it() {
        let text = of(403).to_string();
        assert!(text.contains("may not patch jobs n-w in namespace ns"), "{text}");
        assert!(text.contains("jobs.batch is forbidden") && text.contains("rbac.create"), "{text}");
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(of(409).is_transient() && of(500).is_transient() && of(503).is_transient() && of(429).is_transient());
        assert!(of(403).may_pass() && of(500).may_pass() && !of(422).may_pass());
        assert!(!of(403).is_transient() && !of(404).is_transient() && !of(422).is_transient());
        let request = Request { verb: "list", resource: "pods", name: "", namespace: "ns" };
        let text = FleetError::timeout(request, 15).to_string();
        assert!(text.contains("list pods") && text.contains("15 s"), "{text}");
    }
}
