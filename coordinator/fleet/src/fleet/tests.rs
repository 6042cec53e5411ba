//! The fleet against an API server that is a function, with every request on record.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use stedi_job::task::FailureClass;

use super::*;
use crate::access::{self, RIGHTS};
use crate::template::tests::settings;

/// A request as it was sent.
#[derive(Clone, Debug)]
struct Sent {
    method: Method,
    path: String,
    query: String,
    body: Value,
}

/// What the API server says: a status and an object, or lines of a watch that stays open.
enum Said {
    Object(StatusCode, Value),
    Watch(Vec<Value>),
}

fn ok(object: Value) -> Said {
    Said::Object(StatusCode::OK, object)
}

fn refused(code: u16, reason: &str) -> Said {
    let status =
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": format!("{reason}!")});
    Said::Object(StatusCode::from_u16(code).expect("a status"), status)
}

type Record = Arc<Mutex<Vec<Sent>>>;

/// An API server that answers with `answer`.
fn server(answer: impl Fn(&Sent) -> Said + Send + 'static) -> (Cluster, Record) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Answer>>();
    let record = Record::default();
    let log = Arc::clone(&record);
    tokio::spawn(async move {
        while let Some((request, respond)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            let sent = Sent {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
            };
            let said = answer(&sent);
            log.lock().unwrap_or_else(PoisonError::into_inner).push(sent);
            respond.send_response(response(said));
        }
    });
    (Cluster::new(Client::new(service, "ns"), "ns"), record)
}

type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

fn response(said: Said) -> Response<Answer> {
    match said {
        Said::Object(status, object) => {
            let bytes = Bytes::from(serde_json::to_vec(&object).expect("JSON"));
            let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
            Response::builder().status(status).body(body).expect("a response")
        }
        Said::Watch(events) => {
            let line = |event: Value| Ok::<_, std::io::Error>(Frame::data(format!("{event}\n").into()));
            let lines = stream::iter(events.into_iter().map(line)).chain(stream::pending());
            Response::new(StreamBody::new(lines).boxed_unsync())
        }
    }
}

fn sent(record: &Record, method: &Method, end: &str) -> Vec<Sent> {
    let all = record.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter(|sent| sent.method == *method && sent.path.ends_with(end)).cloned().collect()
}

fn list(items: &[Value]) -> Said {
    ok(json!({"metadata": {"resourceVersion": "1"}, "items": items}))
}

fn coordinator_job() -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly-1", "namespace": "ns", "uid": "u-1"}})
}

/// A cluster with the coordinator's Job and nothing else, where everything that is asked is done.
fn quiet(sent: &Sent) -> Said {
    match (sent.method.as_str(), sent.path.as_str()) {
        ("GET", path) if path.ends_with("/jobs/nightly-1") => ok(coordinator_job()),
        ("GET", path) if path.ends_with("/secrets/stedi-tls") => ok(json!({"metadata": {"name": "stedi-tls"}})),
        ("GET", _) if sent.query.contains("watch=true") => Said::Watch(Vec::new()),
        ("GET", path) if path.ends_with("/pods") || path.ends_with("/jobs") => list(&[]),
        ("POST" | "PATCH", _) => ok(sent.body.clone()),
        ("DELETE", _) => refused(404, "NotFound"),
        _ => refused(500, "InternalError"),
    }
}

async fn fleet(cluster: Cluster) -> Fleet {
    Fleet::new(cluster, settings(), FleetMetrics::default()).await.expect("the coordinator's Job is there")
}

/// Within a time that only a test that hangs exceeds.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it hangs")
}

#[tokio::test]
async fn the_worker_job_is_applied_under_our_name() {
    let (cluster, record) = server(quiet);
    let fleet = Arc::new(fleet(cluster).await);
    let running = fleet.start("01RUN".to_owned());
    soon(async {
        while sent(&record, &Method::PATCH, "/jobs/nightly-1-w").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stop().await;
    let applied = sent(&record, &Method::PATCH, "/jobs/nightly-1-w").remove(0);
    assert!(
        applied.query.contains("fieldManager=stedi-coordinator") && applied.query.contains("force=true"),
        "{applied:?}"
    );
    assert_eq!(applied.body["spec"]["parallelism"], 1);
    assert_eq!(applied.body["metadata"]["ownerReferences"][0]["uid"], "u-1");
    let watched = sent(&record, &Method::GET, "/pods").into_iter().find(|sent| sent.query.contains("watch=true"));
    assert!(watched.is_some_and(|sent| sent.query.contains("stedi.io%2Fcoordinator-job%3Dnightly-1")));
}

#[tokio::test]
async fn a_pod_that_runs_out_of_memory_is_told_to_the_loop() {
    let labels = json!({"stedi.io/pool": "standard", "batch.kubernetes.io/job-completion-index": "0"});
    let metadata = json!({"name": "nightly-1-w-0-x", "labels": labels, "resourceVersion": "2"});
    let terminated = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let container =
        json!({"name": "worker", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": terminated});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "status": {"phase": "Failed", "containerStatuses": [container]},
    });
    let (cluster, _) = server(move |sent| match sent.path.as_str() {
        path if path.ends_with("/pods") && sent.query.contains("watch=true") => {
            Said::Watch(vec![json!({"type": "MODIFIED", "object": pod})])
        }
        _ => quiet(sent),
    });
    let fleet = Arc::new(fleet(cluster).await);
    let mut running = fleet.start("01RUN".to_owned());
    let update = soon(running.update()).await;
    running.stop().await;
    let message = "its container used more memory than its limit".to_owned();
    let class = FailureClass::OutOfMemory;
    assert_eq!(update, Update::Lost { pod: "nightly-1-w-0-x".to_owned(), class, message });
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_make_workers_that_is_told_and_the_run_ends_in_the_end() {
    let (cluster, record) = server(|sent| match sent.method {
        Method::PATCH => refused(403, "Forbidden"),
        _ => quiet(sent),
    });
    let fleet = Arc::new(fleet(cluster).await);
    let mut running = fleet.start("01RUN".to_owned());
    let deadline = tokio::time::Instant::now() + fleet.pending_deadline();
    let Update::Failed { message } = running.update().await else { panic!("it is not said") };
    assert!(tokio::time::Instant::now() >= deadline, "there may be room in a quota again");
    running.stop().await;
    assert!(message.contains("patch jobs nightly-1-w") && message.contains("rbac.create"), "{message}");
    assert!(sent(&record, &Method::PATCH, "/jobs/nightly-1-w").len() > 2);
    let events = sent(&record, &Method::POST, "/events");
    let told: Vec<_> = events.iter().map(|sent| &sent.body["reason"]).collect();
    assert_eq!(told, [&json!("WorkersNotCreated")], "once is enough");
}

#[tokio::test(start_paused = true)]
async fn workers_that_a_quota_has_no_room_for_are_made_when_it_has() {
    let tries = AtomicUsize::new(0);
    let (cluster, record) = server(move |sent| match sent.method {
        Method::PATCH if tries.fetch_add(1, Ordering::Relaxed) < 3 => refused(403, "Forbidden"),
        _ => quiet(sent),
    });
    let fleet = Arc::new(fleet(cluster).await);
    let running = fleet.start("01RUN".to_owned());
    let events = || sent(&record, &Method::POST, "/events").into_iter().map(|sent| sent.body["reason"].clone());
    soon(async {
        while events().count() < 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    running.stop().await;
    assert_eq!(events().collect::<Vec<_>>(), ["WorkersNotCreated", "WorkersCreated"]);
}

#[tokio::test]
async fn certificates_are_made_once_and_kept() {
    let (cluster, record) = server(quiet);
    let made = fleet(cluster).await.certificates().await.expect("they can be kept").expect("there is a Secret");
    let written = sent(&record, &Method::PATCH, "/secrets/stedi-tls").remove(0).body;
    assert_eq!(written["data"].as_object().map(serde_json::Map::len), Some(5));
    let (cluster, record) = server(move |sent| match sent.path.as_str() {
        path if path.ends_with("/secrets/stedi-tls") => ok(written.clone()),
        _ => quiet(sent),
    });
    let again = fleet(cluster).await.certificates().await.expect("they can be read");
    assert_eq!(again, Some(made));
    assert!(sent(&record, &Method::PATCH, "/secrets/stedi-tls").is_empty());
}

#[tokio::test]
async fn at_the_end_everything_is_taken_away() {
    let (cluster, record) = server(quiet);
    let fleet = fleet(cluster).await;
    soon(fleet.end(&Ending::Committed("run 01RUN is commit 1".to_owned()))).await;
    soon(fleet.finish()).await;
    for job in ["/jobs/nightly-1-w", "/jobs/nightly-1-wm"] {
        assert_eq!(sent(&record, &Method::DELETE, job)[0].body["propagationPolicy"], "Background");
    }
    let removed = sent(&record, &Method::PATCH, "/secrets/stedi-tls").remove(0).body;
    assert!(removed["data"]["nightly-1.worker-key.pem"].is_null());
    assert_eq!(removed["data"].as_object().map(serde_json::Map::len), Some(5));
    let event = sent(&record, &Method::POST, "/events").remove(0).body;
    assert_eq!((&event["reason"], &event["regarding"]["name"]), (&json!("Committed"), &json!("nightly-1")));
}

#[tokio::test]
async fn that_the_catalog_does_not_show_a_commit_is_told_after_the_commit() {
    let (cluster, record) = server(quiet);
    let fleet = fleet(cluster).await;
    soon(fleet.end(&Ending::Committed("run 01RUN is commit 1".to_owned()))).await;
    fleet.publish_failed("the commit stands, but the catalog does not show it".to_owned());
    soon(fleet.finish()).await;
    let events = sent(&record, &Method::POST, "/events");
    let told: Vec<_> = events.iter().map(|sent| (&sent.body["reason"], &sent.body["type"])).collect();
    assert_eq!(told, [(&json!("Committed"), &json!("Normal")), (&json!("PublishFailed"), &json!("Warning"))]);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_goes_leaves_everything_to_the_next() {
    let (cluster, record) = server(quiet);
    soon(fleet(cluster).await.end(&Ending::Stopped)).await;
    assert!(sent(&record, &Method::DELETE, "").is_empty() && sent(&record, &Method::PATCH, "").is_empty());
}

/// What is left of a coordinator's workers when it is told to go, and its Job looks like this, one after the other.
async fn stopped_under(jobs: Vec<Value>) -> Record {
    let (cluster, _) = server(quiet);
    let fleet = fleet(cluster).await;
    let looks = AtomicUsize::new(0);
    let (cluster, record) = server(move |sent| match sent.path.as_str() {
        path if path.ends_with("/jobs/nightly-1") => {
            let look = looks.fetch_add(1, Ordering::Relaxed);
            ok(jobs[look.min(jobs.len() - 1)].clone())
        }
        _ => quiet(sent),
    });
    soon(Fleet { cluster, ..fleet }.end(&Ending::Stopped)).await;
    record
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_whose_job_goes_ends_or_is_suspended_has_no_next_one() {
    let mut going = coordinator_job();
    going["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:00Z");
    let mut over = coordinator_job();
    let too_long = json!({"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"});
    over["status"] = json!({"conditions": [too_long]});
    let mut suspended = coordinator_job();
    suspended["spec"] = json!({"suspend": true, "template": {}});
    // Kubernetes may delete the pods first and tell why a moment later
    for jobs in [vec![going], vec![over.clone()], vec![suspended], vec![coordinator_job(), over]] {
        let record = stopped_under(jobs.clone()).await;
        assert_eq!(sent(&record, &Method::DELETE, "").len(), 2, "{jobs:?}");
        assert_eq!(sent(&record, &Method::PATCH, "/secrets/stedi-tls").len(), 1, "{jobs:?}");
    }
}

#[tokio::test]
async fn one_that_was_replaced_leaves_its_workers_to_a_pod_of_the_same_job_only() {
    let pod = |name: &str, phase: &str| json!({"metadata": {"name": name}, "status": {"phase": phase}});
    for (other, deleted) in [(pod("nightly-1-0-other", "Running"), 0), (pod("nightly-1-0-other", "Failed"), 2)] {
        let pods = [pod("nightly-1-0-abcde", "Running"), other];
        let (cluster, record) = server(move |sent| match sent.path.as_str() {
            path if path.ends_with("/pods") && sent.query.contains("job-name") => list(&pods),
            _ => quiet(sent),
        });
        soon(fleet(cluster).await.end(&Ending::Fenced)).await;
        assert_eq!(sent(&record, &Method::DELETE, "").len(), deleted);
    }
}

#[tokio::test]
async fn what_others_left_behind_goes_at_the_start() {
    let worker = |name: &str, owner: &str, uid: &str| {
        let owners = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": uid}]);
        json!({"metadata": {"name": name, "uid": format!("uid-of-{name}"), "labels": {"stedi.io/coordinator-job": owner}, "ownerReferences": owners}})
    };
    let jobs =
        [coordinator_job(), worker("nightly-1-w", "nightly-1", "u-1"), worker("nightly-0-w", "nightly-0", "u-0")];
    let (cluster, record) = server(move |sent| match (sent.method.as_str(), sent.path.as_str()) {
        ("GET", path) if path.ends_with("/jobs") => list(&jobs),
        ("GET", path) if path.ends_with("/secrets/stedi-tls") => {
            let data = json!({"nightly-0.ca.pem": "", "nightly-1.ca.pem": "", "tls.crt": ""});
            ok(json!({"metadata": {"name": "stedi-tls"}, "data": data}))
        }
        _ => quiet(sent),
    });
    fleet(cluster).await.tidy().await.expect("it can be listed");
    let deleted = sent(&record, &Method::DELETE, "");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].path.ends_with("/jobs/nightly-0-w"));
    assert_eq!(deleted[0].body["preconditions"]["uid"], "uid-of-nightly-0-w");
    let removed = sent(&record, &Method::PATCH, "/secrets/stedi-tls").remove(0).body;
    let keys: Vec<&String> = removed["data"].as_object().expect("data").keys().collect();
    assert!(keys.iter().all(|key| key.starts_with("nightly-0.")), "{keys:?}");
}

#[tokio::test]
async fn who_starts_while_it_is_tidied_up_keeps_its_certificates() {
    let another_has_started = AtomicBool::new(false);
    let (cluster, record) = server(move |sent| match (sent.method.as_str(), sent.path.as_str()) {
        ("GET", path) if path.ends_with("/jobs") => {
            another_has_started.store(true, Ordering::Relaxed);
            list(&[coordinator_job()])
        }
        ("GET", path) if path.ends_with("/secrets/stedi-tls") => {
            let data =
                if another_has_started.load(Ordering::Relaxed) { json!({"nightly-2.ca.pem": ""}) } else { json!({}) };
            ok(json!({"metadata": {"name": "stedi-tls"}, "data": data}))
        }
        _ => quiet(sent),
    });
    fleet(cluster).await.tidy().await.expect("it can be listed");
    assert!(sent(&record, &Method::PATCH, "/secrets/stedi-tls").is_empty());
}

#[tokio::test]
async fn a_change_of_size_names_the_version_it_was_decided_on() {
    let (cluster, record) = server(quiet);
    cluster.scale_job("n-w", "7", 5, Some(5)).await.expect("it is taken");
    let patch = sent(&record, &Method::PATCH, "/jobs/n-w").remove(0);
    let annotations = json!({"stedi.io/applied-workers": "5", "stedi.io/fixed-workers": "5"});
    assert_eq!(patch.body["metadata"], json!({"resourceVersion": "7", "annotations": annotations}));
    assert_eq!(patch.body["spec"], json!({"parallelism": 5, "completions": 5}));
    let (cluster, _) = server(|_| refused(409, "Conflict"));
    let error = cluster.scale_job("n-w", "7", 5, None).await.expect_err("refused");
    assert!(matches!(error, FleetError::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn rights_are_asked_for_one_by_one() {
    let (cluster, record) = server(|sent| {
        let verb = &sent.body["spec"]["resourceAttributes"]["verb"];
        ok(json!({"metadata": {}, "spec": sent.body["spec"], "status": {"allowed": verb != "delete"}}))
    });
    let missing = access::missing(&cluster, &RIGHTS, None).await.expect("it says");
    assert_eq!(missing.iter().map(|right| (right.resource, right.verb)).collect::<Vec<_>>(), [("jobs", "delete")]);
    let asked = sent(&record, &Method::POST, "/selfsubjectaccessreviews");
    assert_eq!(asked.len(), RIGHTS.len());
    assert_eq!(asked[0].body["spec"]["resourceAttributes"]["namespace"], "ns");
}

#[tokio::test]
async fn a_worker_job_is_tried_without_being_made() {
    let (cluster, record) = server(quiet);
    access::try_worker_job(&cluster, &settings(), Pool::HighMemory).await.expect("it would be taken");
    let tried = sent(&record, &Method::POST, "/jobs").remove(0);
    assert!(tried.query.contains("dryRun=All"), "{tried:?}");
    assert_eq!(tried.body["metadata"]["ownerReferences"], Value::Null);
}

#[tokio::test]
async fn a_coordinator_without_its_job_says_so() {
    let (cluster, _) = server(|_| refused(404, "NotFound"));
    let error = Fleet::new(cluster, settings(), FleetMetrics::default()).await.expect_err("there is none").to_string();
    assert!(error.contains("nightly-1") && error.contains("STEDI_JOB_NAME"), "{error}");
}

#[tokio::test]
async fn workers_that_cannot_be_made_are_known_before_they_are_needed() {
    let (cluster, _) = server(quiet);
    let wrong = FleetSettings { high_memory: Some("much".to_owned()), ..settings() };
    let error = Fleet::new(cluster, wrong, FleetMetrics::default()).await.expect_err("no quantity").to_string();
    assert!(error.contains("much") && error.contains("STEDI_HIGH_MEMORY"), "{error}");
}

#[tokio::test]
async fn pods_with_more_memory_are_known_by_their_name() {
    let (cluster, _) = server(quiet);
    let fleet = fleet(cluster).await;
    assert!(fleet.is_high_memory("nightly-1-wm-0-abcde"));
    assert!(!fleet.is_high_memory("nightly-1-w-0-abcde") && !fleet.is_high_memory("other-wm-0-abcde"));
}
