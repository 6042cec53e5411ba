//! What happens to a fleet and its run, told as Events of the coordinator's Job: `kubectl describe job` shows them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::names::{FIELD_MANAGER, Pool};
use crate::pod::{Loss, LossCause, Stuck};
use crate::scale::Why;

/// Events that wait for the API server; what is more is logged only.
const QUEUE: usize = 256;

/// The API server has so long for one of them.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest note that the API server takes is 1024 bytes.
const NOTE_BYTES: usize = 1000;

/// Something that people want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The worker Job was made.
    Made {
        /// Whose workers.
        pool: Pool,
        /// The Job.
        job: String,
        /// How many.
        size: u32,
    },
    /// The worker Job could not be made; that is tried again.
    NotMade {
        /// The Job.
        job: String,
        /// Why.
        message: String,
    },
    /// A restarted coordinator has found its worker Job.
    Adopted {
        /// The Job.
        job: String,
        /// How many workers it has.
        size: u32,
    },
    /// The worker Job was, or is to be, of another size.
    Scaled {
        /// The Job.
        job: String,
        /// How many workers before.
        from: u32,
        /// How many from now on.
        to: u32,
        /// Whose wish it was.
        why: Why,
    },
    /// A worker is gone before its work was done.
    Lost {
        /// Its pod.
        pod: String,
        /// Why.
        loss: Loss,
    },
    /// A worker does not come.
    Stuck {
        /// Its pod.
        pod: String,
        /// Why.
        stuck: Stuck,
    },
    /// The worker Job has fewer pods than it wants, and gets no more.
    NotCreated {
        /// The Job.
        job: String,
        /// How many are missing.
        missing: u32,
        /// Of so many.
        wanted: u32,
    },
    /// Workers do not come for longer than the deadline, but others are there.
    StillPending {
        /// What is in the way.
        cause: String,
    },
    /// The worker Job is suspended.
    Suspended {
        /// The Job.
        job: String,
    },
    /// It is not suspended any more.
    Resumed {
        /// The Job.
        job: String,
    },
    /// The run is committed.
    Committed {
        /// What to say of it.
        message: String,
    },
    /// The run has failed.
    Failed {
        /// Why.
        message: String,
    },
    /// The commit stands, but the catalog does not show it.
    PublishFailed {
        /// Why.
        message: String,
    },
}

impl Happening {
    fn is_bad(&self) -> bool {
        match self {
            Self::Lost { loss, .. } => !matches!(loss.cause, LossCause::Disrupted | LossCause::Deleted),
            Self::NotMade { .. } | Self::Stuck { .. } | Self::NotCreated { .. } | Self::StillPending { .. } => true,
            Self::Failed { .. } | Self::PublishFailed { .. } => true,
            _ => false,
        }
    }

    /// The reason, as `kubectl describe` shows it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Made { .. } => "WorkersCreated",
            Self::Adopted { .. } => "WorkersAdopted",
            Self::Scaled { why: Why::Person { .. }, .. } => "ScaledByHand",
            Self::Scaled { from, to, .. } if to > from => "ScaledUp",
            Self::Scaled { .. } => "ScaledDown",
            Self::Lost { loss, .. } => match loss.cause {
                LossCause::OutOfMemory => "WorkerOutOfMemory",
                LossCause::Disrupted | LossCause::Evicted => "WorkerEvicted",
                LossCause::Deleted => "WorkerDeleted",
                LossCause::Permanent => "WorkerMisconfigured",
                LossCause::Exited => "WorkerLost",
            },
            Self::Stuck { stuck: Stuck::Unschedulable { .. }, .. } => "WorkerUnschedulable",
            Self::Stuck { stuck: Stuck::Image { .. }, .. } => "WorkerImage",
            Self::Stuck { stuck: Stuck::Config { .. }, .. } => "WorkerConfig",
            Self::NotMade { .. } | Self::NotCreated { .. } => "WorkersNotCreated",
            Self::StillPending { .. } => "WorkersPending",
            Self::Suspended { .. } => "WorkersSuspended",
            Self::Resumed { .. } => "WorkersResumed",
            Self::Committed { .. } => "Committed",
            Self::Failed { .. } => "RunFailed",
            Self::PublishFailed { .. } => "PublishFailed",
        }
    }

    /// The note, as `kubectl describe` shows it.
    pub fn note(&self) -> String {
        let text = match self {
            Self::Made { pool, job, size } => format!("created {job} of {size} {pool} workers"),
            Self::NotMade { job, message } => format!("trying again: {}", not_made(job, message)),
            Self::Adopted { job, size } => {
                format!("found {job} of {size} workers, made before this coordinator started")
            }
            Self::Scaled { job, to, why: Why::Person { asked }, .. } if asked != to => format!(
                "{job} was changed by hand to {asked} workers, and is held at {to} to the end of the run: the limits are \
                 --workers-min and --workers-max"
            ),
            Self::Scaled { job, to, why: Why::Person { .. }, .. } => {
                format!("{job} was changed by hand to {to} workers, and is held there to the end of the run")
            }
            Self::Scaled { job, from, to, why: Why::Work } => {
                format!("{job} from {from} to {to} workers, as the work that is left asks for")
            }
            Self::Lost { pod, loss } => format!("worker {pod}: {}", loss.message),
            Self::Stuck { pod, stuck } => format!("worker {pod} does not start: {stuck}"),
            Self::NotCreated { job, missing, wanted } => not_created(job, *missing, *wanted),
            Self::StillPending { cause } => format!("going on with the workers that are there: {cause}"),
            Self::Suspended { job } => format!("{job} is suspended: waiting until somebody, or the queue, resumes it"),
            Self::Resumed { job } => format!("{job} is resumed"),
            Self::Committed { message } | Self::Failed { message } | Self::PublishFailed { message } => message.clone(),
        };
        cut(text, NOTE_BYTES)
    }

    fn event(&self) -> Event {
        let note = self.note();
        Event {
            type_: if self.is_bad() { EventType::Warning } else { EventType::Normal },
            reason: self.reason().to_owned(),
            // the recorder counts events of the same action and reason as one and keeps the first note: what has another
            // note is another event
            action: cut(note.clone(), 128),
            note: Some(note),
            secondary: None,
        }
    }

    fn log(&self) {
        let (reason, note) = (self.reason(), self.note());
        if self.is_bad() {
            tracing::warn!(reason, "{note}");
        } else {
            tracing::info!(reason, "{note}");
        }
    }
}

/// That a Job is not made.
pub(crate) fn not_made(job: &str, message: &str) -> String {
    format!("{job} cannot be created: {message}")
}

/// That pods are not made, as far as can be said without reading the Events of others.
pub(crate) fn not_created(job: &str, missing: u32, wanted: u32) -> String {
    format!(
        "{missing} of {wanted} workers are not created: a quota, a LimitRange or an admission may refuse them; kubectl \
         describe job {job} says why"
    )
}

/// A text of at most `bytes` bytes.
fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes - '…'.len_utf8()).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Tells what happens, in the log and, as fast as the API server takes them, as Events. Nobody waits for those.
#[derive(Debug)]
pub struct Teller {
    happenings: mpsc::Sender<Happening>,
    task: JoinHandle<()>,
}

impl Teller {
    /// Tells the story of `regarding`, as `pod`.
    pub fn start(client: kube::Client, regarding: ObjectReference, pod: &str) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(pod.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        let (happenings, mut queue) = mpsc::channel::<Happening>(QUEUE);
        let task = tokio::spawn(async move {
            let mut failed_before = false;
            while let Some(happening) = queue.recv().await {
                let event = happening.event();
                let failed = match tokio::time::timeout(PUBLISH_TIMEOUT, recorder.publish(&event, &regarding)).await {
                    Ok(Ok(())) => false,
                    Ok(Err(error)) => {
                        tell_once(failed_before, &stedi_endpoint::log::chain(&error));
                        true
                    }
                    Err(_) => {
                        tell_once(failed_before, "no answer from the API server");
                        true
                    }
                };
                failed_before |= failed;
            }
        });
        Self { happenings, task }
    }

    /// Tells of something.
    pub fn tell(&self, happening: Happening) {
        happening.log();
        // a story that comes faster than it can be told is in the log
        let _ = self.happenings.try_send(happening);
    }

    /// Ends when everything is told, or after `patience`.
    pub async fn end(self, patience: Duration) {
        drop(self.happenings);
        let _ = tokio::time::timeout(patience, self.task).await;
    }
}

fn tell_once(again: bool, message: &str) {
    if again {
        tracing::debug!(message, "an event was not published");
    } else {
        tracing::warn!(message, "an event was not published: the coordinator needs create and patch on events.k8s.io");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_name_what_happened_and_differ_if_it_does() {
        let scaled = |from, to, why| Happening::Scaled { job: "n-w".to_owned(), from, to, why };
        let up = scaled(1, 4, Why::Work);
        assert_eq!((up.reason(), up.event().type_), ("ScaledUp", EventType::Normal));
        assert_eq!(up.note(), "n-w from 1 to 4 workers, as the work that is left asks for");
        assert_ne!(up.event().action, scaled(1, 5, Why::Work).event().action);
        let by_hand = scaled(4, 8, Why::Person { asked: 50 });
        assert_eq!(by_hand.reason(), "ScaledByHand");
        assert!(by_hand.note().contains("50") && by_hand.note().contains("held at 8"), "{}", by_hand.note());
        let stuck = Stuck::Image { image: "x:1".to_owned(), message: "ErrImagePull".to_owned() };
        let stuck = Happening::Stuck { pod: "n-w-0-a".to_owned(), stuck };
        assert_eq!((stuck.reason(), stuck.event().type_), ("WorkerImage", EventType::Warning));
        assert!(stuck.note().contains("n-w-0-a") && stuck.note().contains("x:1"), "{}", stuck.note());
    }

    #[test]
    fn an_event_is_as_short_as_it_must_be() {
        let event = Happening::Failed { message: "é".repeat(2000) }.event();
        assert!(event.note.expect("a note").len() <= 1024);
        assert!(event.action.len() <= 128);
        assert_eq!(cut("short".to_owned(), 128), "short");
    }
}
