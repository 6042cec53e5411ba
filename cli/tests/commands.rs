//! The commands around a run: what they print, how they end, and what they leave alone.

#![allow(clippy::unwrap_used, reason = "the lint's leave for tests ends at their helper functions")]

#[path = "scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

#[path = "commands/gc.rs"]
mod gc;
#[path = "commands/interrupt.rs"]
mod interrupt;
#[path = "commands/report.rs"]
mod report;
#[path = "commands/rollback.rs"]
mod rollback;
#[path = "commands/sql.rs"]
mod sql;

use std::process::{Command, Output};

use scene::{Scene, assert_code, stderr};
use serde_json::Value;
use stedi_lake::{CuratedTable, LandingTable};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard output, which must be one JSON object on one line.
#[track_caller]
fn json(output: &Output) -> Value {
    assert_code(output, 0);
    let text = stdout(output);
    assert_eq!(text.lines().count(), 1, "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(value.is_object(), "{text}");
    value
}

/// `stedi` without a lake, its environment free of options.
fn stedi(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stedi"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STEDI_")) {
        command.env_remove(name);
    }
    command.args(args);
    command
}

/// Two commits: some landing, and then more of it.
fn two_commits() -> Scene {
    let scene = Scene::with_news();
    assert_code(&scene.run(&[]), 0);
    scene
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    let wrong: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["fly"], "fly"),
        (&["run"], "--lake"),
        (&["gc", "--lake", "x", "--grace", "soon"], "soon"),
        (&["gc", "--lake", "x", "--keep", "0"], "--keep"),
        (&["rollback", "--lake", "x", "--to", "yesterday"], "yesterday"),
        (&["ddl", "--lake", "x", "--database", "a`b"], "a`b"),
        (&["run", "--lake", "x", "--memory", "1MiB"], "64MiB"),
    ];
    for (args, named) in wrong {
        let output = stedi(args).output().unwrap();
        assert_code(&output, 2);
        assert!(stderr(&output).contains(named), "{args:?}: {}", stderr(&output));
    }
    assert_code(&stedi(&["--help"]).output().unwrap(), 0);
    assert_code(&stedi(&["--version"]).output().unwrap(), 0);
}

#[test]
fn a_lake_that_is_not_there_ends_with_1_for_every_command() {
    let scene = Scene::empty();
    for command in ["run", "plan", "tables", "history", "rollback", "gc", "verify", "ddl"] {
        let output = scene.stedi(command, &[]);
        assert_code(&output, 1);
        assert!(stderr(&output).contains(scene.lake().to_str().unwrap()), "{command}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{command}");
        assert!(!scene.lake().exists(), "{command} made a lake of a typing mistake");
    }
    let mut s3 = stedi(&["tables", "--lake", "s3://bucket/prefix"]);
    // nobody listens there
    s3.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("AWS_MAX_ATTEMPTS", "1");
    let s3 = s3.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x").output().unwrap();
    assert_code(&s3, 1);
    assert!(stderr(&s3).contains("s3://bucket/prefix") && stderr(&s3).contains("reached"), "{}", stderr(&s3));
}

#[test]
fn options_come_from_the_environment_too() {
    let scene = Scene::with_landing(9);
    let plan = |environment: &[(&str, &str)]| {
        let mut command = stedi(&["plan", "--json"]);
        command.env("STEDI_LAKE", scene.lake()).envs(environment.iter().copied());
        json(&command.output().unwrap())
    };
    let environment = [
        ("STEDI_CONSENT", "any"),
        ("STEDI_MATCH", "timestamp"),
        ("STEDI_DEDUPE", "true"),
        ("STEDI_SHARDS", "7"),
        ("STEDI_COMPRESSION", "snappy"),
    ];
    let wanted = serde_json::json!(
        { "consent": "any", "match": "timestamp", "dedupe": true, "shards": 7, "compression": "snappy" }
    );
    assert_eq!(plan(&environment)["options"], wanted);
    assert_eq!(plan(&[("STEDI_DEDUPE", "0")])["options"]["dedupe"], false);
    let mut wrong = stedi(&["plan"]);
    assert_code(&wrong.env("STEDI_LAKE", scene.lake()).env("STEDI_CONSENT", "some").output().unwrap(), 2);
}

#[test]
fn a_run_prints_one_object_and_the_second_finds_nothing_to_do() {
    let scene = Scene::with_landing(9);
    let first = json(&scene.run(&["--json"]));
    assert_eq!(first["status"], "committed");
    assert_eq!(first["landing"]["customer_landing"]["rows"], 9);
    for table in LandingTable::ALL {
        let counts = &first["landing"][table.name()];
        let number = |name: &str| counts[name].as_u64().unwrap();
        assert_eq!(number("rows"), number("kept") + number("filtered") + number("quarantined"), "{counts}");
        assert!(number("objects") == 1 && number("bytes") > 0, "{counts}");
    }
    for table in CuratedTable::ALL {
        let summary = &first["tables"][table.name()];
        assert!(summary["rows"].as_u64().unwrap() > 0, "{summary}");
        assert!(std::path::Path::new(summary["location"].as_str().unwrap()).is_dir(), "{summary}");
    }
    let second = json(&scene.run(&["--json"]));
    assert_eq!(second["status"], "unchanged");
    assert_eq!((&second["run_id"], &second["tables"]), (&first["run_id"], &first["tables"]));
    let forced = json(&scene.run(&["--json", "--force"]));
    assert_eq!(forced["status"], "committed");
    assert_ne!(forced["run_id"], first["run_id"]);
    let commit = scene.commit().expect("the run committed");
    std::fs::remove_file(scene.path(&commit.tables[&CuratedTable::CustomerTrusted].parts[0].path)).unwrap();
    assert_eq!(json(&scene.run(&["--json"]))["status"], "committed", "a part was gone");
}

#[test]
fn a_run_shows_landing_and_tables_unless_it_is_to_be_quiet() {
    let scene = Scene::with_landing(9);
    let output = scene.run(&[]);
    assert_code(&output, 0);
    for table in CuratedTable::ALL.map(CuratedTable::name).iter().chain(&LandingTable::ALL.map(LandingTable::name)) {
        assert!(stdout(&output).contains(table), "{table}: {}", stdout(&output));
    }
    assert!(stdout(&output).contains("committed"), "{}", stdout(&output));
    let quiet = scene.run(&["--quiet", "--force"]);
    assert_code(&quiet, 0);
    assert_eq!((stdout(&quiet), stderr(&quiet)), (String::new(), String::new()));
}

#[test]
fn what_could_not_be_read_is_told_with_object_reason_and_place() {
    let scene = Scene::with_landing(9);
    scene.write("step_trainer/landing/bad.json", "{\"sensorReadingTime\":1}\nnonsense\n");
    let output = scene.run(&["--max-bad-records", "2"]);
    assert_code(&output, 0);
    let told = stderr(&output);
    for text in ["2 records could not be read", "step_trainer/landing/bad.json", "quarantine", "step_trainer_landing: "]
    {
        assert!(told.contains(text), "`{text}` is not in: {told}");
    }
    assert!(!stdout(&output).contains("could not be read"));
    let refused = scene.run(&["--max-bad-records", "1", "--force"]);
    assert_code(&refused, 3);
    assert!(stderr(&refused).contains("step_trainer_landing: "), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(".json: ") && stderr(&refused).contains("the first one at byte "));
}

#[test]
fn plan_changes_nothing_and_says_what_a_run_would_do() {
    let scene = Scene::with_landing(9);
    let files = scene.files();
    let plan = json(&scene.stedi("plan", &["--json"]));
    assert_eq!((&plan["unchanged"], &plan["landing"]["customer_landing"]["objects"]), (&false.into(), &1.into()));
    let tasks = plan["tasks"].as_array().unwrap();
    let stages: Vec<_> =
        tasks.iter().map(|of| (of["stage"].as_str().unwrap(), of["tasks"].as_u64().unwrap())).collect();
    let shards = plan["shards"].as_u64().unwrap();
    let wanted = [("consent", 1), ("scan-accelerometer", 1), ("scan-step-trainer", 1), ("join", shards + 1)];
    assert_eq!(stages, wanted);
    assert_eq!(tasks[1]["task_bytes"]["max"], plan["landing"]["accelerometer_landing"]["bytes"]);
    assert_eq!(tasks[1]["splits"], plan["landing"]["accelerometer_landing"]["objects"]);
    assert!(tasks[3]["task_bytes"].is_null(), "{plan}");
    let shown = scene.stedi("plan", &[]);
    assert_code(&shown, 0);
    assert!(stdout(&shown).contains("scan-step-trainer") && stdout(&shown).contains("median"), "{}", stdout(&shown));
    assert!(scene.files() == files, "a plan changed the lake");
    assert_code(&scene.run(&[]), 0);
    assert!(stdout(&scene.stedi("plan", &[])).contains("nothing to do"));
    assert!(stdout(&scene.stedi("plan", &["--consent", "any"])).contains("commit 2"));
}

#[test]
fn tables_are_those_of_the_current_commit() {
    let scene = Scene::with_landing(9);
    let none = json(&scene.stedi("tables", &["--json"]));
    assert_eq!((&none["seq"], &none["tables"]), (&Value::Null, &serde_json::json!({})));
    assert!(stdout(&scene.stedi("tables", &[])).contains("stedi run"));
    let run = json(&scene.run(&["--json"]));
    let tables = json(&scene.stedi("tables", &["--json"]));
    assert_eq!((&tables["seq"], &tables["run_id"], &tables["tables"]), (&1.into(), &run["run_id"], &run["tables"]));
    let shown = stdout(&scene.stedi("tables", &[]));
    assert!(shown.contains("machine_learning_curated") && shown.contains(run["run_id"].as_str().unwrap()), "{shown}");
}

#[test]
fn history_is_newest_first() {
    let scene = Scene::with_landing(9);
    assert_eq!(json(&scene.stedi("history", &["--json"])), serde_json::json!({ "commits": [] }));
    assert_code(&scene.stedi("history", &[]), 0);
    let scene = two_commits();
    let history = json(&scene.stedi("history", &["--json"]));
    let seqs: Vec<_> = history["commits"].as_array().unwrap().iter().map(|commit| &commit["seq"]).collect();
    assert_eq!(seqs, [2, 1]);
    assert_eq!(history["commits"][0]["operation"]["kind"], "run");
    let shown = stdout(&scene.stedi("history", &[]));
    let commits = scene.commits();
    let lines: Vec<_> = shown.lines().skip(1).collect();
    assert!(lines[0].contains(&commits[1].run_id.to_string()) && lines[1].contains(&commits[0].run_id.to_string()));
}

#[test]
fn ddl_has_all_eight_tables() {
    let scene = Scene::with_landing(9);
    let landing_only = scene.stedi("ddl", &[]);
    assert_code(&landing_only, 0);
    assert_eq!(stdout(&landing_only).matches("CREATE EXTERNAL TABLE").count(), 3);
    assert!(stderr(&landing_only).contains("left out"));

    assert_code(&scene.run(&[]), 0);
    let output = scene.stedi("ddl", &["--database", "research"]);
    assert_code(&output, 0);
    let run = scene.commit().unwrap().run_id.to_string();
    let ddl = stdout(&output).replace(scene.lake().to_str().unwrap(), "/LAKE").replace(&run, "RUN");
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/ddl.sql");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &ddl).unwrap();
    }
    assert_eq!(ddl, std::fs::read_to_string(golden).unwrap(), "UPDATE_GOLDEN=1 takes the new text");
    // what the statements point at is what the commit names
    for parts in scene.commit().unwrap().tables.into_values() {
        let folder = parts.parts[0].path.rsplit_once('/').unwrap().0.replace(&run, "RUN");
        assert!(ddl.contains(&format!("LOCATION 'file:///LAKE/{folder}/'")), "{folder}: {ddl}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = stedi(&["completions", shell]).output().unwrap();
        assert_code(&output, 0);
        assert!(stdout(&output).contains("max-bad-records"), "{shell}");
    }
    assert_code(&stedi(&["completions", "cmd"]).output().unwrap(), 2);
}

#[test]
fn the_demo_runs_and_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let demo = || stedi(&["demo", "--quiet"]).current_dir(folder.path()).output().unwrap();
    let first = demo();
    assert_code(&first, 0);
    assert!(stdout(&first).contains("committed") && stdout(&first).contains("What to try next"), "{}", stdout(&first));
    let tables = stedi(&["tables", "--lake", "demo-lake", "--json"]).current_dir(folder.path()).output().unwrap();
    assert!(json(&tables)["tables"]["machine_learning_curated"]["rows"].as_u64().unwrap() > 0);
    let again = demo();
    assert_code(&again, 0);
    assert!(stdout(&again).contains("nothing to do"), "{}", stdout(&again));
    assert_code(&stedi(&["verify", "--lake", "demo-lake"]).current_dir(folder.path()).output().unwrap(), 0);

    std::fs::remove_dir_all(folder.path().join("demo-lake/_generate")).unwrap();
    let half = demo();
    assert_code(&half, 1);
    assert!(stderr(&half).contains("demo-lake"), "{}", stderr(&half));
}

#[test]
fn generate_makes_a_lake_and_never_adds_to_one() {
    let scene = Scene::empty();
    let report = json(&scene.stedi("generate", &["--customers", "20", "--profile", "legacy", "--json"]));
    assert!(report["tables"]["customer_landing"]["rows"].as_u64().unwrap() >= 20, "{report}");
    assert_code(&scene.run(&["--quiet"]), 0);
    assert_code(&scene.stedi("generate", &[]), 1);
    assert_code(&Scene::empty().stedi("generate", &["--profile", "tidy"]), 2);
}
