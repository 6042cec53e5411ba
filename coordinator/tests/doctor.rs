//! What the doctor finds, and that it leaves nothing behind.

#[path = "../../cli/tests/scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::process::Output;

use scene::{Scene, assert_code, binary};
use serde_json::Value;

fn doctor(scene: &Scene, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = scene.command_of(binary("stedi-coordinator"), "doctor");
    command.args(args).envs(env.iter().copied()).env_remove("KUBECONFIG").env("HOME", scene.folder());
    command.output().expect("the binary starts")
}

/// State and detail of a check.
fn finding(report: &Value, check: &str) -> (String, String) {
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().find(|finding| finding["check"] == check).expect(check);
    let text = |key: &str| found[key].as_str().expect(key).to_owned();
    (text("state"), text("detail"))
}

#[test]
fn a_lake_that_a_run_can_work_on_is_healthy_and_stays_as_it_is() {
    let scene = Scene::with_landing(3);
    let before = scene.files();
    let output = doctor(&scene, &["--json"], &[]);
    assert_code(&output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(report["healthy"], true);
    for check in
        ["lake", "objects", "clock", "conditional writes", "tables", "customer_landing", "step_trainer_landing"]
    {
        assert_eq!(finding(&report, check).0, "ok", "{check}");
    }
    assert_eq!(finding(&report, "fleet").0, "skipped");
    assert_eq!(scene.files(), before);
    let text = String::from_utf8(doctor(&scene, &[], &[]).stdout).expect("text");
    assert!(text.lines().any(|line| line.starts_with("ok ") && line.contains("conditional writes")), "{text}");
}

#[test]
fn what_is_wrong_is_told_with_the_way_out() {
    let scene = Scene::empty();
    std::fs::create_dir_all(scene.lake()).expect("a folder");
    let output = doctor(&scene, &["--json", "--accelerometer-landing", "/nowhere"], &[]);
    assert_code(&output, 1);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(report["healthy"], false);
    let (state, detail) = finding(&report, "customer_landing");
    assert!(state == "failed" && detail.contains("needs customers"), "{detail}");
    let (state, detail) = finding(&report, "accelerometer_landing");
    assert!(state == "failed" && detail.contains("/nowhere"), "{detail}");
    assert_eq!(finding(&report, "step_trainer_landing").0, "ok");
}

#[test]
fn a_fleet_without_a_cluster_is_told_so() {
    let scene = Scene::with_landing(3);
    let fleet = |template: &str| {
        let env = [("STEDI_POD_NAMESPACE", "ns"), ("STEDI_POD_NAME", "p"), ("STEDI_WORKER_TEMPLATE", template)];
        let output = doctor(&scene, &["--json", "--fleet", "kubernetes"], &env);
        assert_code(&output, 1);
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        let (state, detail) = finding(&report, "fleet");
        assert_eq!(state, "failed");
        detail
    };
    let nowhere = fleet(r#"{"spec":{"containers":[{"name":"worker"}]}}"#);
    assert!(nowhere.contains("API server"), "{nowhere}");
    let unreadable = fleet("{");
    assert!(unreadable.contains("STEDI_WORKER_TEMPLATE"), "{unreadable}");
}
