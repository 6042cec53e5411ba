//! The commands on a lake in S3: the same bytes as on a local one, and errors that say what to do.

#![allow(clippy::unwrap_used, reason = "the lint's leave for tests ends at their helper functions")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;
use stedi_lake::layout;
use stedi_sim_s3::{BUCKET, Effect, Request, S3Server};
use tempfile::TempDir;

const ALWAYS: u64 = u64::MAX;

/// Where the lake lies in its bucket.
const PREFIX: &str = "team/lake";

struct Scene {
    folder: TempDir,
    server: S3Server,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = folder.path().join("objects");
        std::fs::create_dir(&objects).unwrap();
        Self { server: S3Server::start(&objects), folder }
    }

    /// A local lake, and its landing in the bucket as well.
    fn with_landing(generate: &[&str]) -> Self {
        let scene = Self::new();
        let local = scene.local();
        assert_code(&scene.stedi(&local, "generate", generate), 0);
        for (path, bytes) in files(Path::new(&local)) {
            scene.server.put(&format!("{PREFIX}/{path}"), &bytes);
        }
        scene
    }

    fn local(&self) -> String {
        self.folder.path().join("lake").display().to_string()
    }

    fn lake(&self) -> String {
        self.server.lake(PREFIX)
    }

    fn command(&self, lake: &str, subcommand: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stedi"));
        let ours = |name: &str| ["STEDI_", "AWS_"].iter().any(|prefix| name.starts_with(prefix));
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command.args([subcommand, "--lake", lake]).args(args).envs(self.server.env()).stdin(Stdio::null());
        command
    }

    fn stedi(&self, lake: &str, subcommand: &str, args: &[&str]) -> Output {
        self.command(lake, subcommand, args).output().unwrap()
    }

    fn on_s3(&self, subcommand: &str, args: &[&str]) -> Output {
        self.stedi(&self.lake(), subcommand, args)
    }

    /// Options that name the landing in the bucket, by one of the names that Hadoop has for S3.
    fn landing_elsewhere(&self) -> Vec<String> {
        let option = |table: &str, path: &str| {
            [format!("--{table}-landing"), format!("s3a://{BUCKET}/{PREFIX}/{path}/landing/")]
        };
        let tables = [("customer", "customer"), ("accelerometer", "accelerometer"), ("step-trainer", "step_trainer")];
        tables.into_iter().flat_map(|(table, path)| option(table, path)).collect()
    }

    /// The parts in the bucket, by path without the run's id.
    fn parts(&self) -> BTreeMap<String, Vec<u8>> {
        let keys = self.server.objects(PREFIX).into_keys();
        let parts = keys.filter(|key| key.ends_with(".parquet") && key.contains("/run="));
        parts.map(|key| (without_run(&key[PREFIX.len() + 1..]), self.server.object(&key).unwrap())).collect()
    }

    /// Objects that are neither landing nor generated.
    fn written(&self) -> Vec<String> {
        let keys = self.server.objects(PREFIX).into_keys();
        keys.filter(|key| !key.contains("/landing/") && !key.contains("/_generate/")).collect()
    }

    /// `stedi run` fails with exit code 1, these words, and without leaving anything.
    #[track_caller]
    fn refused(&self, lake: &str, words: &[&str]) {
        let before = self.written();
        let output = self.stedi(lake, "run", &[]);
        assert_code(&output, 1);
        let text = stderr(&output);
        for word in words {
            assert!(text.contains(word), "`{word}` is missing: {text}");
        }
        self.server.faults().clear();
        assert_eq!(self.written(), before, "the run left something");
        assert!(self.server.unfinished_uploads().is_empty());
    }
}

fn without_run(path: &str) -> String {
    path.split('/').map(|name| if name.starts_with("run=") { "run" } else { name }).collect::<Vec<_>>().join("/")
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(below, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert_code(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_on_s3_makes_the_parts_of_a_run_on_disk() {
    let scene = Scene::with_landing(&["--profile", "messy", "--customers", "150"]);
    let options = ["--json", "--max-bad-records", "100%", "--shards", "3"];
    let local = json(&scene.stedi(&scene.local(), "run", &options));
    // some of what always happens to somebody; even if all of it happens to one request, that is tried once more
    let faults = scene.server.faults();
    faults.add(Request::Get, "landing", 1, Effect::SlowDown);
    faults.add(Request::Get, "landing", 1, Effect::Reset);
    faults.add(Request::Get, "landing", 1, Effect::CutBody(1000));
    faults.add(Request::Put, "part-", 3, Effect::LoseReply);
    faults.add(Request::Put, layout::LOG, 1, Effect::LoseReply);
    let on_s3 = json(&scene.on_s3("run", &options));
    assert_eq!(faults.hits(), 7);
    assert_eq!(on_s3["landing"], local["landing"]);
    let on_disk: BTreeMap<_, _> = files(Path::new(&scene.local()))
        .into_iter()
        .filter(|(path, _)| path.ends_with(".parquet") && path.contains("/run="))
        .map(|(path, bytes)| (without_run(&path), bytes))
        .collect();
    assert!(on_disk.len() >= 8, "three shards of three tables, but for empty ones: {:?}", on_disk.keys());
    assert!(scene.parts() == on_disk, "other parts than on disk");
    let location = on_s3["tables"]["customer_trusted"]["location"].as_str().unwrap();
    assert!(location.starts_with(&format!("{}/customer/trusted/run=", scene.lake())), "{location}");

    let again = json(&scene.on_s3("run", &options));
    assert_eq!((&again["status"], &again["run_id"]), (&"unchanged".into(), &on_s3["run_id"]));
    assert_code(&scene.on_s3("verify", &[]), 0);
}

#[test]
fn memory_holds_what_is_on_its_way() {
    let scene = Scene::with_landing(&["--customers", "4000", "--days", "5"]);
    for memory_mib in [112, 160] {
        assert_holds(&scene, &scene.lake(), memory_mib, &[]);
    }
}

#[test]
fn landing_elsewhere_takes_memory_too() {
    let scene = Scene::with_landing(&["--customers", "4000", "--days", "5"]);
    let other = scene.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let elsewhere = scene.landing_elsewhere();
    let landing: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
    assert_holds(&scene, other.to_str().unwrap(), 112, &landing);
    let run = [&["--memory", "111MiB"], &landing[..]].concat();
    for lake in [other.to_str().unwrap(), &scene.lake()] {
        let refused = scene.stedi(lake, "run", &run);
        assert_code(&refused, 2);
        assert!(stderr(&refused).contains("is too little for S3"), "{}", stderr(&refused));
    }
}

/// Runs with so much memory, and looks at what the process has taken before it commits.
fn assert_holds(scene: &Scene, lake: &str, memory_mib: u64, more: &[&str]) {
    let memory = format!("{memory_mib}MiB");
    let args = ["--memory", &memory, "--threads", "2", "--shards", "1", "--compression", "none", "--force"];
    let mut command = scene.command(lake, "run", &[&args, more].concat());
    let child = command.env("STEDI_FAULT", "before_commit:stop").spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped(), "{status:?}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let resident_kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    assert_code(&child.wait_with_output().unwrap(), 0);
    assert!(resident_kib <= memory_mib << 10, "{resident_kib} KiB resident with --memory {memory} {more:?}");
}

#[test]
fn landing_elsewhere_is_read_from_s3() {
    let scene = Scene::with_landing(&["--customers", "40"]);
    let local = json(&scene.stedi(&scene.local(), "run", &["--json", "--shards", "2"]));
    let elsewhere = scene.landing_elsewhere();
    let other = scene.folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let landing: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
    let run = scene.stedi(other.to_str().unwrap(), "run", &[&["--json", "--shards", "2"], &landing[..]].concat());
    assert_eq!(json(&run)["landing"], local["landing"]);
    assert_code(&scene.stedi(other.to_str().unwrap(), "verify", &[]), 0);
    let missing = scene.stedi(&scene.lake(), "run", &["--step-trainer-landing", &format!("s3://{BUCKET}/nowhere")]);
    assert_code(&missing, 1);
    assert!(stderr(&missing).contains(&format!("s3://{BUCKET}/nowhere")), "{}", stderr(&missing));
}

#[test]
fn every_command_works_on_s3() {
    let scene = Scene::new();
    assert_code(&scene.on_s3("generate", &["--customers", "30"]), 0);
    let plan = json(&scene.on_s3("plan", &["--json"]));
    assert_eq!(plan["unchanged"], false);
    for _ in 0..2 {
        assert_code(&scene.on_s3("run", &["--force"]), 0);
    }
    assert!(stdout(&scene.on_s3("tables", &[])).contains(&scene.lake()));
    assert!(stdout(&scene.on_s3("ddl", &[])).contains(&format!("LOCATION '{}/customer/landing/'", scene.lake())));
    assert_code(&scene.on_s3("rollback", &[]), 0);
    assert_eq!(stdout(&scene.on_s3("history", &["--json"])).matches("\"seq\"").count(), 3);
    assert_code(&scene.on_s3("verify", &[]), 0);
    let objects = scene.server.objects("").len();
    let report = json(&scene.on_s3("gc", &["--keep", "1", "--grace", "0s", "--delete", "--json"]));
    let gone = (objects - scene.server.objects("").len()) as u64;
    assert_eq!(report["objects"], gone);
    assert!(report["objects"].as_u64().unwrap() > 5, "{report}");
    assert_code(&scene.on_s3("verify", &[]), 0);
}

#[test]
fn uploads_of_killed_writers_are_collected_and_those_of_others_left_alone() {
    let scene = Scene::with_landing(&["--customers", "10"]);
    assert_code(&scene.on_s3("run", &[]), 0);
    let ours = format!("{PREFIX}/step_trainer/trusted/run=01GZV4N8W3V5J7J7V8V9Z8ZZZZ/part-00000-000.parquet");
    let theirs = format!("{PREFIX}/step_trainer/landing/2022/a.json");
    scene.server.begin_upload(&ours);
    scene.server.begin_upload(&theirs);
    let collect = |args: &[&str]| json(&scene.on_s3("gc", &[&["--json"], args].concat()));
    assert!(collect(&["--delete"])["uploads"].as_array().unwrap().is_empty(), "it is younger than the grace period");
    assert_eq!(collect(&["--grace", "0s"])["uploads"][0]["key"], ours.as_str());
    let shown = stdout(&scene.on_s3("gc", &["--grace", "0s"]));
    assert!(shown.contains("unfinished uploads") && shown.contains("1 upload"), "{shown}");
    assert_eq!(scene.server.unfinished_uploads().len(), 2, "a dry run deletes nothing");
    collect(&["--grace", "0s", "--delete"]);
    assert_eq!(scene.server.unfinished_uploads(), [theirs]);
}

#[test]
fn what_cannot_be_used_is_named() {
    let scene = Scene::with_landing(&["--customers", "10"]);
    let faults = scene.server.faults();
    scene.refused("s3://no-such-bucket/lake", &["s3://no-such-bucket/lake", "there is no bucket no-such-bucket"]);
    faults.add(Request::Any, "accelerometer/landing", ALWAYS, Effect::AccessDenied);
    scene.refused(&scene.lake(), &["no permission", &format!("{}/accelerometer/landing", scene.lake())]);
    faults.add(Request::Any, "step_trainer/trusted", ALWAYS, Effect::AccessDenied);
    scene.refused(&scene.lake(), &["no permission to write", &format!("{}/step_trainer/trusted/run=", scene.lake())]);
    faults.add(Request::Put, "", ALWAYS, Effect::IgnoreConditions);
    scene.refused(&scene.lake(), &["create-if-absent", "If-None-Match", &scene.lake()]);
    faults.add(Request::Get, "landing", ALWAYS, Effect::ExpiredToken);
    scene.refused(&scene.lake(), &["landing", "credentials have expired"]);
    faults.add(Request::Any, "", ALWAYS, Effect::ClockSkew);
    scene.refused(&scene.lake(), &["clock"]);
    faults.add(Request::Any, "", ALWAYS, Effect::SlowDown);
    scene.refused(&scene.lake(), &["slow down"]);
    assert_code(&scene.on_s3("run", &[]), 0);
}
