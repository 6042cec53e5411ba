//! `stedi report`.

use super::{assert_code, json, stderr, stdout, two_commits};

#[test]
fn a_report_says_what_a_run_did_and_what_it_cost() {
    let scene = two_commits();
    let newest = scene.commit().unwrap();
    let report = json(&scene.stedi("report", &["--json"]));
    assert_eq!(report["run_id"], newest.run_id.to_string());
    assert_eq!(report["mode"], "embedded");
    let stages: Vec<&str> = report["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["consent", "scan-accelerometer", "scan-step-trainer", "join"]);
    assert_eq!(report["stages"][1]["cost"]["rows"], report["landing"]["accelerometer_landing"]["rows"]);
    let landing: u64 = newest.landing.values().map(|counts| counts.bytes).sum();
    assert_eq!(report["cost"]["landing_bytes"], landing);
    assert!(report["cost"]["usd_per_tb"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(report["requests"]["get"], 0, "the lake is a folder");
    let shards = &report["shards"];
    let kept = |table: &str| report["landing"][table]["kept"].as_u64().unwrap();
    assert_eq!(shards["shards"], newest.options.shards);
    assert!(shards["rows"].as_u64().unwrap() >= kept("accelerometer_landing") + kept("step_trainer_landing"));
    assert!(shards["skew"].as_f64().unwrap() >= 1.0, "{shards}");
    assert_eq!(report["stages"][1]["cost"]["spilled_bytes"], 0);

    let first = scene.commits()[0].run_id.to_string();
    let shown = scene.stedi("report", &[&first]);
    assert_code(&shown, 0);
    let text = stdout(&shown);
    for said in [
        first.as_str(),
        "scan-step-trainer",
        "CPU seconds",
        "for each TB of landing",
        "in one process",
        "times the median",
        "went to scratch",
        "no requests were sent",
    ] {
        assert!(text.contains(said), "no {said} in\n{text}");
    }
}

#[test]
fn a_run_without_a_report_is_named() {
    let scene = two_commits();
    let output = scene.stedi("report", &["00000000000000000000000000"]);
    assert_code(&output, 1);
    assert!(stderr(&output).contains("00000000000000000000000000 has no report"), "{}", stderr(&output));
    let output = scene.stedi("report", &["latest"]);
    assert_code(&output, 2);
}
