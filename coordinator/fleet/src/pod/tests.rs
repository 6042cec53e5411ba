use serde_json::{Value, json};

use super::*;

/// A worker's pod with this status.
pub(crate) fn pod(name: &str, index: u32, status: &Value) -> Pod {
    let pod = json!({
        "metadata": {
            "name": name,
            "labels": {POOL_LABEL: "standard", INDEX_LABEL: index.to_string()},
        },
        "status": status,
    });
    serde_json::from_value(pod).expect("a pod")
}

fn state_of(status: &Value) -> PodState {
    PodView::of(&pod("p", 0, status)).expect("a worker's pod").state
}

fn ended(exit_code: i32, reason: &str) -> Value {
    let terminated = json!({"exitCode": exit_code, "reason": reason, "message": "line one\nline two\n"});
    json!({"phase": "Failed", "containerStatuses": [container(&json!({"terminated": terminated}))]})
}

fn container(state: &Value) -> Value {
    json!({"name": "worker", "image": "stedi:1", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn waiting(reason: &str) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": "because"}});
    json!({"phase": "Pending", "containerStatuses": [container(&state)]})
}

fn loss(status: &Value) -> Loss {
    match state_of(status) {
        PodState::Lost(loss) => loss,
        other => panic!("{other:?} is no loss"),
    }
}

#[test]
fn memory_that_ran_out_is_told_from_other_kills() {
    let killed = loss(&ended(137, "OOMKilled"));
    assert_eq!((killed.cause, killed.cause.class()), (LossCause::OutOfMemory, FailureClass::OutOfMemory));
    let other = loss(&ended(137, "Error"));
    assert_eq!((other.cause, other.cause.class()), (LossCause::Exited, FailureClass::WorkerLost));
    assert!(other.message.contains("137") && other.message.contains("line one line two"), "{other:?}");
}

#[test]
fn a_disruption_is_a_preemption_before_and_after_the_end() {
    let target =
        json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m"}]);
    let before = json!({"phase": "Running", "conditions": target});
    let PodState::Leaving(leaving) = state_of(&before) else { panic!("it leaves") };
    assert_eq!(leaving.cause.class(), FailureClass::Preempted);
    assert!(leaving.message.contains("EvictionByEvictionAPI"), "{leaving:?}");
    let mut after = ended(143, "Error");
    after["conditions"] = target;
    assert_eq!(loss(&after).cause, LossCause::Disrupted);
    // a disruption that did not come is none
    let false_alarm = json!([{"type": "DisruptionTarget", "status": "False"}, {"type": "Ready", "status": "True"}]);
    assert_eq!(state_of(&json!({"phase": "Running", "conditions": false_alarm})), PodState::Running { ready: true });
}

#[test]
fn a_permanent_exit_says_what_the_code_means() {
    let config = loss(&ended(78, "Error"));
    assert_eq!(config.cause, LossCause::Permanent);
    assert!(config.message.contains("78") && config.message.contains("configuration"), "{config:?}");
    for code in 64..=78 {
        assert_eq!(loss(&ended(code, "Error")).cause, LossCause::Permanent, "{code}");
    }
    for code in [1, 63, 79, 101, 143] {
        assert_eq!(loss(&ended(code, "Error")).cause, LossCause::Exited, "{code}");
    }
    assert_eq!(state_of(&ended(0, "Completed")), PodState::Done);
}

#[test]
fn a_pod_that_cannot_come_says_why() {
    for reason in ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"] {
        let PodState::Stuck(stuck) = state_of(&waiting(reason)) else { panic!("{reason}") };
        assert_eq!(stuck.cause(), "image");
        assert!(stuck.to_string().contains("stedi:1") && stuck.to_string().contains(reason), "{stuck}");
    }
    let PodState::Stuck(stuck) = state_of(&waiting("CreateContainerConfigError")) else { panic!("config") };
    assert_eq!(stuck.cause(), "config");
    assert_eq!(state_of(&waiting("ContainerCreating")), PodState::Coming);
    let scheduled = |reason: &str| {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": reason, "message": "0/1 nodes"});
        state_of(&json!({"phase": "Pending", "conditions": [condition]}))
    };
    let PodState::Stuck(stuck) = scheduled("Unschedulable") else { panic!("unschedulable") };
    assert!(stuck.to_string().contains("0/1 nodes"), "{stuck}");
    assert_eq!(scheduled("SchedulingGated"), PodState::Coming);
    // an init container's image counts as well
    let state = json!({"waiting": {"reason": "ImagePullBackOff"}});
    let init = json!({"phase": "Pending", "initContainerStatuses": [container(&state)]});
    assert!(matches!(state_of(&init), PodState::Stuck(Stuck::Image { .. })));
}

#[test]
fn deletion_and_eviction_are_told_apart() {
    let mut deleted = pod("p", 0, &json!({"phase": "Running"}));
    deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-24T12:00:00Z")).expect("a time");
    assert!(matches!(state(&deleted), PodState::Leaving(Loss { cause: LossCause::Deleted, .. })));
    deleted.status = serde_json::from_value(ended(143, "Error")).expect("a status");
    assert!(matches!(state(&deleted), PodState::Lost(Loss { cause: LossCause::Deleted, .. })));
    let message = "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Gi\".";
    let full = loss(&json!({"phase": "Failed", "reason": "Evicted", "message": message}));
    // it would grow over it again: that counts
    assert_eq!((full.cause, full.cause.class()), (LossCause::Evicted, FailureClass::WorkerLost));
    let said = "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Gi\": raise workers.scratch.sizeLimit";
    assert!(full.message.starts_with(said), "{full:?}");
    let other = "Usage of EmptyDir volume \"tmp\" exceeds the limit \"64Mi\".";
    let other = loss(&json!({"phase": "Failed", "reason": "Evicted", "message": other}));
    assert!(other.message.contains("tmp") && !other.message.contains("workers.scratch"), "{other:?}");
    // short of memory or disk is the node's own fault
    let target =
        json!([{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "m"}]);
    let pressed =
        loss(&json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory", "conditions": target}));
    assert_eq!(pressed.cause.class(), FailureClass::Preempted);
}

#[test]
fn pods_of_others_are_none_of_ours() {
    let mut other = pod("p", 3, &json!({"phase": "Running"}));
    assert_eq!(PodView::of(&other).map(|view| view.index), Some(3));
    other.metadata.labels.as_mut().expect("labels").remove(POOL_LABEL);
    assert_eq!(PodView::of(&other), None);
}

#[test]
fn long_texts_are_cut() {
    assert_eq!(shortened("a\n b"), "a b");
    assert_eq!(shortened(&"é".repeat(500)).chars().count(), TEXT_CHARS + 1);
    assert!(last_lines(&format!("{} end", "x".repeat(500))).ends_with("end"));
}
