use std::time::Duration;

use serde_json::{Value, json};

use super::*;

pub(crate) fn settings() -> FleetSettings {
    let template = json!({
        "metadata": {"labels": {"app.kubernetes.io/name": "stedi", "team": "a"}},
        "spec": {
            "serviceAccountName": "workers",
            "automountServiceAccountToken": false,
            "restartPolicy": "Always",
            "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 5}],
            "containers": [
                {"name": "sidecar", "image": "s"},
                {
                    "name": "worker", "image": "stedi:1",
                    "env": [{"name": "STEDI_COORDINATOR", "value": "old"}, {"name": "STEDI_MEMORY", "value": "768MiB"}],
                    "resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi", "cpu": "1"}},
                },
            ],
        },
    });
    FleetSettings {
        workers_min: 1,
        workers_max: 8,
        pending_deadline: Duration::from_secs(600),
        namespace: "ns".to_owned(),
        pod_name: "nightly-1-0-abcde".to_owned(),
        job_name: Some("nightly-1".to_owned()),
        advertise: Some("https://nightly-1-0.stedi.ns.svc:7420".to_owned()),
        template: serde_json::from_value(template).expect("a template"),
        job_labels: BTreeMap::from([("kueue.x-k8s.io/queue-name".to_owned(), "q".to_owned())]),
        job_annotations: BTreeMap::from([("note".to_owned(), "n".to_owned())]),
        high_memory: None,
        tls_secret: Some("stedi-tls".to_owned()),
    }
}

fn job(settings: &FleetSettings, pool: Pool) -> Value {
    let owner = Owner { name: "nightly-1".to_owned(), uid: "u-1".to_owned() };
    let job = worker_job(settings, pool, &owner, "01RUN", 3).expect("it can be made");
    serde_json::to_value(job).expect("a Job is JSON")
}

fn worker(job: &Value) -> &Value {
    let containers = job["spec"]["template"]["spec"]["containers"].as_array().expect("containers");
    containers.iter().find(|container| container["name"] == "worker").expect("a worker")
}

fn env<'a>(job: &'a Value, name: &str) -> Vec<&'a Value> {
    worker(job)["env"].as_array().into_iter().flatten().filter(|var| var["name"] == name).collect()
}

#[test]
fn the_job_is_elastic_owned_and_named_after_its_coordinator() {
    let job = job(&settings(), Pool::Standard);
    assert_eq!(job["metadata"]["name"], "nightly-1-w");
    assert_eq!(job["metadata"]["namespace"], "ns");
    let owners = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "nightly-1", "uid": "u-1", "blockOwnerDeletion": false}]);
    assert_eq!(job["metadata"]["ownerReferences"], owners);
    let labels = json!({
        "app.kubernetes.io/name": "stedi",
        "kueue.x-k8s.io/queue-name": "q",
        "stedi.io/coordinator-job": "nightly-1",
        "stedi.io/pool": "standard",
        "stedi.io/run-id": "01RUN",
    });
    assert_eq!(job["metadata"]["labels"], labels);
    assert_eq!(job["metadata"]["annotations"], json!({"note": "n", "stedi.io/applied-workers": "3"}));
    let spec = &job["spec"];
    assert_eq!(
        (&spec["completionMode"], &spec["parallelism"], &spec["completions"]),
        (&json!("Indexed"), &json!(3), &json!(3))
    );
    assert_eq!(spec["ttlSecondsAfterFinished"], 600);
    let rules = spec["podFailurePolicy"]["rules"].as_array().expect("rules");
    assert_eq!(rules[0]["action"], "Ignore");
    assert_eq!(rules[0]["onPodConditions"][0]["type"], "DisruptionTarget");
    assert_eq!(rules[1]["action"], "FailJob");
    let exits = rules[1]["onExitCodes"]["values"].as_array().expect("codes");
    assert_eq!((exits.first(), exits.last()), (Some(&json!(64)), Some(&json!(78))));
    assert!(!exits.contains(&json!(143)), "a drained worker is to be replaced");
}

#[test]
fn pods_get_what_only_the_coordinator_knows() {
    let job = job(&settings(), Pool::Standard);
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["terminationGracePeriodSeconds"], 30);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&labels["team"], &labels["stedi.io/run-id"]), (&json!("a"), &json!("01RUN")));
    // the one that was given stays, the other is added
    let tolerations = pod["tolerations"].as_array().expect("tolerations");
    assert_eq!(tolerations.len(), 2);
    assert_eq!(tolerations[0]["tolerationSeconds"], 5);
    assert_eq!(
        (&tolerations[1]["key"], &tolerations[1]["tolerationSeconds"]),
        (&json!("node.kubernetes.io/not-ready"), &json!(20))
    );
    let coordinator = env(&job, "STEDI_COORDINATOR");
    assert_eq!(coordinator, [&json!({"name": "STEDI_COORDINATOR", "value": "https://nightly-1-0.stedi.ns.svc:7420"})]);
    assert_eq!(env(&job, "STEDI_POD_NAME")[0]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
    assert_eq!(env(&job, "STEDI_TLS_DIR")[0]["value"], "/run/stedi/tls");
    assert_eq!(worker(&job)["volumeMounts"][0]["mountPath"], "/run/stedi/tls");
    let items = json!([
        {"key": "nightly-1.ca.pem", "path": "ca.pem"},
        {"key": "nightly-1.worker.pem", "path": "worker.pem"},
        {"key": "nightly-1.worker-key.pem", "path": "worker-key.pem"},
    ]);
    assert_eq!(pod["volumes"][0]["secret"]["items"], items);
    assert_eq!(worker(&job)["terminationMessagePolicy"], "FallbackToLogsOnError");
}

#[test]
fn of_variables_of_one_name_the_last_one_stays() {
    let mut settings = settings();
    let spec = settings.template.spec.as_mut().expect("a spec");
    let twice = json!([{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}, {"name": "X", "value": "3"}]);
    spec.containers[0].env = serde_json::from_value(twice).expect("variables");
    let env = &job(&settings, Pool::Standard)["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(*env, json!([{"name": "Y", "value": "2"}, {"name": "X", "value": "3"}]));
}

#[test]
fn without_a_secret_nothing_of_tls_is_added() {
    let job = job(&FleetSettings { tls_secret: None, ..settings() }, Pool::Standard);
    assert_eq!(job["spec"]["template"]["spec"]["volumes"], Value::Null);
    assert!(env(&job, "STEDI_TLS_DIR").is_empty());
}

#[test]
fn workers_with_more_memory_have_twice_the_limit_or_what_was_said() {
    let twice = job(&settings(), Pool::HighMemory);
    assert_eq!(twice["metadata"]["name"], "nightly-1-wm");
    let resources = json!({"limits": {"memory": "2147483648"}, "requests": {"memory": "2147483648", "cpu": "1"}});
    assert_eq!(worker(&twice)["resources"], resources);
    assert_eq!(env(&twice, "STEDI_MEMORY")[0]["value"], "1503238548", "70 %, though it was told 75");
    let mut modest = settings();
    let worker_of =
        |settings: &mut FleetSettings| settings.template.spec.as_mut().map(|spec| spec.containers.swap_remove(1));
    let mut container = worker_of(&mut modest).expect("a worker");
    set(&mut container, var("STEDI_MEMORY", "512MiB"));
    modest.template.spec.as_mut().expect("a spec").containers.push(container);
    assert_eq!(env(&job(&modest, Pool::HighMemory), "STEDI_MEMORY")[0]["value"], (1u64 << 30).to_string());
    let said = job(&FleetSettings { high_memory: Some("4Gi".to_owned()), ..settings() }, Pool::HighMemory);
    assert_eq!(worker(&said)["resources"]["limits"]["memory"], (4u64 << 30).to_string());
    let wrong = FleetSettings { high_memory: Some("much".to_owned()), ..settings() };
    let owner = Owner { name: "n".to_owned(), uid: "u".to_owned() };
    let error = worker_job(&wrong, Pool::HighMemory, &owner, "r", 1).expect_err("no quantity").to_string();
    assert!(error.contains("much") && error.contains("STEDI_HIGH_MEMORY"), "{error}");
}

#[test]
fn workers_with_more_memory_that_would_have_no_more_are_refused() {
    let owner = Owner { name: "n".to_owned(), uid: "u".to_owned() };
    for high in ["512Mi", "1Gi", "1e9"] {
        let settings = FleetSettings { high_memory: Some(high.to_owned()), ..settings() };
        let error = worker_job(&settings, Pool::HighMemory, &owner, "r", 1).expect_err("not more than 1Gi");
        assert!(error.is_usage(), "{error}");
        let text = error.to_string();
        assert!(text.contains(high) && text.contains("1Gi") && text.contains("STEDI_HIGH_MEMORY"), "{text}");
    }
}

#[test]
fn quantities_are_those_of_kubernetes_and_ours() {
    for (text, wanted) in [
        ("1", 1),
        ("128974848", 128_974_848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("123Mi", 123 << 20),
        ("1.5Gi", 3 << 29),
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("1E", 1_000_000_000_000_000_000),
        ("500k", 500_000),
    ] {
        assert_eq!(bytes(text).ok(), Some(wanted), "{text}");
    }
    for text in ["", "Gi", "1Gb2", "-1Gi", "1Q", "0", "1e99"] {
        assert!(bytes(text).is_err(), "{text}");
    }
}
