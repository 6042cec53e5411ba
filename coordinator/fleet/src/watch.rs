//! Watches of worker Jobs and pods, as a stream of what was seen. They go on for ever: what fails is tried again, with
//! pauses.

use std::fmt::Debug;

use futures::{Stream, StreamExt as _, stream};
use kube::api::{Api, ResourceExt as _};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::controller::Seen;
use crate::error::{FleetError, Request};
use crate::job::JobView;
use crate::names::COORDINATOR_LABEL;
use crate::pod::PodView;

/// What is to be known of a kind of object.
trait View: Sized + Send + 'static {
    type Object: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static;
    const RESOURCE: &'static str;

    fn of(object: &Self::Object) -> Option<Self>;
    fn all(views: Vec<Self>) -> Seen;
    fn one(self) -> Seen;
    fn gone(self) -> Seen;
}

impl View for PodView {
    type Object = k8s_openapi::api::core::v1::Pod;
    const RESOURCE: &'static str = "pods";

    fn of(object: &Self::Object) -> Option<Self> {
        Self::of(object)
    }

    fn all(views: Vec<Self>) -> Seen {
        Seen::Pods(views)
    }

    fn one(self) -> Seen {
        Seen::Pod(self)
    }

    fn gone(self) -> Seen {
        Seen::PodGone(self.name)
    }
}

impl View for JobView {
    type Object = k8s_openapi::api::batch::v1::Job;
    const RESOURCE: &'static str = "jobs";

    fn of(object: &Self::Object) -> Option<Self> {
        Self::of(object)
    }

    fn all(views: Vec<Self>) -> Seen {
        Seen::Jobs(views)
    }

    fn one(self) -> Seen {
        Seen::Job(self)
    }

    fn gone(self) -> Seen {
        Seen::JobGone(self.pool)
    }
}

/// Everything that is seen of a coordinator's workers.
pub(crate) fn watch(cluster: &Cluster, coordinator_job: &str) -> impl Stream<Item = Seen> + Send + use<> {
    let pods = views::<PodView>(cluster.pods(), coordinator_job);
    let jobs = views::<JobView>(cluster.jobs(), coordinator_job);
    stream::select(pods.boxed(), jobs.boxed())
}

fn views<V: View>(api: Api<V::Object>, coordinator_job: &str) -> impl Stream<Item = Seen> + Send + use<V> {
    let selected = watcher::Config::default().labels(&format!("{COORDINATOR_LABEL}={coordinator_job}"));
    // thousands of pods are kept as what is needed of them: managed fields, a third of each, go first
    let drop_fields = |object: &mut V::Object| object.managed_fields_mut().clear();
    let events = watcher(api, selected).modify(drop_fields).default_backoff();
    let mut listed = Vec::new();
    let mut failures = 0u32;
    events.filter_map(move |event| {
        let seen = match event {
            Ok(event) => {
                failures = 0;
                take::<V>(event, &mut listed)
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                report(V::RESOURCE, &error, failures);
                None
            }
        };
        futures::future::ready(seen)
    })
}

fn take<V: View>(event: watcher::Event<V::Object>, listed: &mut Vec<V>) -> Option<Seen> {
    match event {
        watcher::Event::Init => {
            listed.clear();
            None
        }
        watcher::Event::InitApply(object) => {
            listed.extend(V::of(&object));
            None
        }
        watcher::Event::InitDone => Some(V::all(std::mem::take(listed))),
        watcher::Event::Apply(object) => V::of(&object).map(V::one),
        watcher::Event::Delete(object) => V::of(&object).map(V::gone),
    }
}

/// A watch that fails once is everyday business; one that goes on failing blinds the fleet.
fn report(resource: &'static str, error: &watcher::Error, failures: u32) {
    let (verb, status) = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => ("list", Some(status)),
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) | watcher::Error::WatchError(status) => {
            ("watch", Some(status))
        }
        _ => ("watch", None),
    };
    let request = Request { verb, resource, name: "", namespace: "of the coordinator" };
    let text = match status {
        Some(status) if status.code == 403 => FleetError::of_status(request, status).to_string(),
        _ => stedi_endpoint::log::chain(error),
    };
    if failures.is_power_of_two() && failures > 1 || text.contains("rbac.create") && failures == 1 {
        tracing::warn!(failures, "watching {resource} fails: {text}");
    } else {
        tracing::debug!(failures, "watching {resource} fails: {text}");
    }
}
