//! What a worker's pod says: whether it comes, works, goes or is gone, and why.
//!
//! Kubernetes spreads the answer over phase, conditions, container states and the deletion timestamp. An image that cannot
//! be pulled and a pod that no node takes never fail a pod; that memory ran out is a container's state and no condition.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use stedi_job::task::FailureClass;

use crate::names::{INDEX_LABEL, POOL_LABEL, Pool, WORKER_CONTAINER};

/// Text of others in our messages is cut here: the last lines of a log may be long.
const TEXT_CHARS: usize = 400;

/// A worker's pod, as far as anything depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub pool: Pool,
    /// Its index; the highest go first when the Job shrinks.
    pub index: u32,
    /// What it does.
    pub state: PodState,
}

/// What a pod does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// It comes, and nothing is known to be in its way.
    Coming,
    /// It will not come unless somebody does something.
    Stuck(Stuck),
    /// It runs; ready means that its worker is registered.
    Running {
        /// Whether it is ready.
        ready: bool,
    },
    /// It was told to go.
    Leaving(Loss),
    /// It has done its work.
    Done,
    /// It is gone before its work was done.
    Lost(Loss),
}

/// Why a pod does not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// No node takes it.
    Unschedulable {
        /// What the scheduler says.
        message: String,
    },
    /// Its image cannot be had.
    Image {
        /// The image.
        image: String,
        /// What the node says.
        message: String,
    },
    /// Its container cannot be made from its spec, for instance because a Secret is missing.
    Config {
        /// What the node says.
        message: String,
    },
}

impl Stuck {
    /// A word for logs and event reasons.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Unschedulable { .. } => "unschedulable",
            Self::Image { .. } => "image",
            Self::Config { .. } => "config",
        }
    }
}

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unschedulable { message } => {
                write!(f, "no node takes it ({message}): add nodes, or ask for less (workers.resources)")
            }
            Self::Image { image, message } => write!(
                f,
                "its image {image} cannot be had ({message}): check its name, its registry and the pull secrets"
            ),
            Self::Config { message } => write!(f, "its container cannot be made ({message}): check the chart's values"),
        }
    }
}

/// Why a pod is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The cause.
    pub cause: LossCause,
    /// What is known, for people.
    pub message: String,
}

/// Causes by which lost pods are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossCause {
    /// Its container used more memory than its limit.
    OutOfMemory,
    /// Evicted, preempted, or its node is drained or gone.
    Disrupted,
    /// Its node evicted it because a volume or the log of it grew over its limit. Where the node itself is short of
    /// something, Kubernetes says that it is a disruption.
    Evicted,
    /// Somebody deleted it.
    Deleted,
    /// It ended with a code that says that starting it again does not help.
    Permanent,
    /// It ended otherwise.
    Exited,
}

impl LossCause {
    /// All causes.
    pub const ALL: [Self; 6] =
        [Self::OutOfMemory, Self::Disrupted, Self::Evicted, Self::Deleted, Self::Permanent, Self::Exited];

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfMemory => "out-of-memory",
            Self::Disrupted => "disrupted",
            Self::Evicted => "evicted",
            Self::Deleted => "deleted",
            Self::Permanent => "permanent",
            Self::Exited => "exited",
        }
    }

    /// What it means for the attempts that the worker was executing.
    pub fn class(self) -> FailureClass {
        match self {
            Self::OutOfMemory => FailureClass::OutOfMemory,
            Self::Disrupted | Self::Deleted => FailureClass::Preempted,
            // of a permanent fault the whole run hears, not the task
            Self::Evicted | Self::Permanent | Self::Exited => FailureClass::WorkerLost,
        }
    }
}

impl PodView {
    /// What a pod says; nothing if it is no worker's.
    pub fn of(pod: &Pod) -> Option<Self> {
        let labels = pod.metadata.labels.as_ref()?;
        let pool = Pool::of_name(labels.get(POOL_LABEL)?)?;
        let index = labels.get(INDEX_LABEL)?.parse().ok()?;
        let name = pod.metadata.name.clone()?;
        Some(Self { name, pool, index, state: state(pod) })
    }
}

fn state(pod: &Pod) -> PodState {
    let nothing = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&nothing);
    let leaving = pod.metadata.deletion_timestamp.is_some();
    let ended = ended(status);
    let over = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) || ended.is_some();
    let disrupted = condition(status, "DisruptionTarget", "True")
        .map(|(reason, message)| Loss { cause: LossCause::Disrupted, message: format!("{reason}: {message}") });
    match (ended, disrupted) {
        (Some(ended), _) if ended.reason.as_deref() == Some("OOMKilled") => PodState::Lost(Loss {
            cause: LossCause::OutOfMemory,
            message: "its container used more memory than its limit".to_owned(),
        }),
        (Some(ended), _) if ended.exit_code == 0 => PodState::Done,
        (_, Some(loss)) if over => PodState::Lost(loss),
        (_, Some(loss)) => PodState::Leaving(loss),
        (ended, None) if over => PodState::Lost(loss_of(status, ended, leaving)),
        _ if leaving => PodState::Leaving(deleted()),
        _ if status.phase.as_deref() == Some("Running") => {
            PodState::Running { ready: condition(status, "Ready", "True").is_some() }
        }
        _ => stuck(status).map_or(PodState::Coming, PodState::Stuck),
    }
}

fn deleted() -> Loss {
    Loss { cause: LossCause::Deleted, message: "its pod was deleted".to_owned() }
}

fn ended(status: &PodStatus) -> Option<&ContainerStateTerminated> {
    let containers = status.container_statuses.iter().flatten();
    let worker = containers.into_iter().find(|container| container.name == WORKER_CONTAINER)?;
    worker.state.as_ref()?.terminated.as_ref()
}

fn loss_of(status: &PodStatus, ended: Option<&ContainerStateTerminated>, leaving: bool) -> Loss {
    if status.reason.as_deref() == Some("Evicted") {
        return Loss { cause: LossCause::Evicted, message: evicted(status.message.as_deref()) };
    }
    let Some(ended) = ended else {
        let message = shortened(status.message.as_deref().unwrap_or("its pod failed and does not say why"));
        return Loss { cause: if leaving { LossCause::Deleted } else { LossCause::Exited }, message };
    };
    let code = ended.exit_code;
    if leaving {
        return deleted();
    }
    let log = ended.message.as_deref().map(last_lines).filter(|text| !text.is_empty());
    let log = log.map(|text| format!("; its last words: {text}")).unwrap_or_default();
    match exit_meaning(code) {
        Some(meaning) => Loss { cause: LossCause::Permanent, message: format!("exit code {code}, {meaning}{log}") },
        None => Loss { cause: LossCause::Exited, message: format!("exit code {code}{log}") },
    }
}

/// What a node says of a pod that it evicted, with the way out where that is one of our values. For people only: nothing is
/// decided by it.
fn evicted(said: Option<&str>) -> String {
    let said = shortened(said.unwrap_or("evicted by its node"));
    if said.contains("EmptyDir volume \"scratch\"") {
        let said = said.trim_end_matches('.');
        return format!("{said}: raise workers.scratch.sizeLimit, or give the run more shards (--shards)");
    }
    said
}

/// What an exit code of a worker means after which starting it again does not help.
pub fn exit_meaning(code: i32) -> Option<&'static str> {
    Some(match code {
        64 => "its command line is wrong: check workers.extraEnv and the pod template",
        76 => "the coordinator refused it, as it is of another version: use one image for both",
        77 => "it has no permission for the lake: check the workers' service account",
        78 => "its configuration is wrong: TLS files, addresses, or the lake cannot be opened",
        65..=78 => "which says that starting it again does not help",
        _ => return None,
    })
}

fn stuck(status: &PodStatus) -> Option<Stuck> {
    // a gate is somebody's wish, and no fault
    if let Some((reason, message)) = condition(status, "PodScheduled", "False")
        && reason == "Unschedulable"
    {
        return Some(Stuck::Unschedulable { message });
    }
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.into_iter().find_map(waiting)
}

fn waiting(container: &ContainerStatus) -> Option<Stuck> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = match waiting.message.as_deref() {
        Some(message) => shortened(&format!("{reason}: {message}")),
        None => reason.to_owned(),
    };
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable" => Some(Stuck::Image { image: container.image.clone(), message }),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "CrashLoopBackOff" => {
            Some(Stuck::Config { message })
        }
        _ => None,
    }
}

/// Reason and message of a condition with this status.
fn condition(status: &PodStatus, kind: &str, value: &str) -> Option<(String, String)> {
    let mut conditions = status.conditions.iter().flatten();
    let found = conditions.find(|condition| condition.type_ == kind && condition.status == value)?;
    let text = |text: &Option<String>| shortened(text.as_deref().unwrap_or_default());
    Some((text(&found.reason), text(&found.message)))
}

/// The beginning of a text, on one line.
pub(crate) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The end of a log, on one line.
fn last_lines(log: &str) -> String {
    let line = log.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().rev().nth(TEXT_CHARS) {
        Some((start, _)) => format!("…{}", &line[start..]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
