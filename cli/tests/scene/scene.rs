//! A small lake on disk, the real binary run on it, and what can be seen of it afterwards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use stedi_lake::commit::CommitRecord;
use stedi_lake::{CuratedTable, layout};
use tempfile::TempDir;

/// What readers of a lake can see: each part of the newest commit by table and file name, with its bytes.
pub(crate) type Published = BTreeMap<(CuratedTable, String), Vec<u8>>;

/// A lake in a folder that goes away with it.
pub(crate) struct Scene {
    folder: TempDir,
    binary: PathBuf,
}

impl Scene {
    /// A folder without a lake.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), binary: binary("stedi") }
    }

    /// A lake with `customers` customers in landing, two thirds of whom consent, and nothing curated.
    pub(crate) fn with_landing(customers: u32) -> Self {
        let scene = Self::empty();
        scene.land(0..customers);
        scene
    }

    /// A lake with some landing curated and more of it landed since.
    pub(crate) fn with_news() -> Self {
        let scene = Self::with_landing(9);
        assert_code(&scene.run(&[]), 0);
        scene.land(9..15);
        scene
    }

    /// A copy of the lake, for another course of events.
    pub(crate) fn fork(&self) -> Self {
        let fork = Self::empty();
        copy_tree(self.folder.path(), fork.folder.path());
        fork
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.lake().join(below)
    }

    /// Lands one object of each table with the records of `customers`.
    pub(crate) fn land(&self, customers: std::ops::Range<u32>) {
        let name = format!("{}-{}.json", customers.start, customers.end);
        let (mut records, mut readings, mut steps) = (String::new(), String::new(), String::new());
        for c in customers {
            let research = if c % 3 == 0 { "" } else { r#","shareWithResearchAsOfDate":1655564444103"# };
            records += &format!(
                "{{\"email\":\"c{c}@example.com\",\"serialNumber\":\"serial-{c}\",\"lastUpdateDate\":{c}{research}}}\n"
            );
            for t in 0..40_u32 {
                let x = f64::from(c * 7919 + t * 104_729 % 1013) / 7.0;
                readings +=
                    &format!("{{\"user\":\"c{c}@example.com\",\"timestamp\":{t},\"x\":{x},\"y\":-1,\"z\":0.5}}\n");
                steps += &format!(
                    "{{\"sensorReadingTime\":{t},\"serialNumber\":\"serial-{c}\",\"distanceFromObject\":{}}}\n",
                    (c + t) % 200
                );
            }
        }
        self.write(&format!("customer/landing/{name}"), &records);
        self.write(&format!("accelerometer/landing/2022/{name}"), &readings);
        self.write(&format!("step_trainer/landing/{name}"), &steps);
    }

    pub(crate) fn write(&self, below: &str, text: impl AsRef<[u8]>) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders are made");
        fs::write(path, text).expect("a file is written");
    }

    /// The command `stedi SUBCOMMAND --lake LAKE`, its environment free of options.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        self.command_of(&self.binary, subcommand)
    }

    /// The same with another copy of the binary, or another program that takes it as its last argument.
    pub(crate) fn command_of(&self, program: impl AsRef<OsStr>, subcommand: &str) -> Command {
        let mut command = Command::new(program);
        set_environment(&mut command, &[]);
        command.args([subcommand, "--lake"]).arg(self.lake()).stdin(Stdio::null());
        command
    }

    pub(crate) fn stedi(&self, subcommand: &str, args: &[&str]) -> Output {
        self.command(subcommand).args(args).output().expect("the binary starts")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.stedi("run", args)
    }

    /// A run with one fault, to its end.
    pub(crate) fn run_with_fault(&self, fault: &str, args: &[&str]) -> Output {
        self.command("run").args(args).env("STEDI_FAULT", fault).output().expect("the binary starts")
    }

    /// A run that has stopped itself at `point`.
    pub(crate) fn run_until(&self, point: &str, args: &[&str]) -> StoppedRun {
        let child = self
            .command("run")
            .args(args)
            .env("STEDI_FAULT", format!("{point}:stop"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let pid = Pid::from_child(&child);
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)
            .expect("the child is ours")
            .expect("waiting without NOHANG gives a status");
        assert!(status.stopped(), "the run never came to {point}: {status:?}");
        StoppedRun { child, pid }
    }

    /// The newest commit record.
    pub(crate) fn commit(&self) -> Option<CommitRecord> {
        let records = self.commits();
        records.into_iter().next_back()
    }

    /// How many rows the five tables have.
    pub(crate) fn rows(&self) -> Vec<u64> {
        self.commit().expect("a commit").tables.into_values().map(|table| table.rows).collect()
    }

    /// All commit records.
    pub(crate) fn commits(&self) -> Vec<CommitRecord> {
        let Ok(log) = fs::read_dir(self.path(layout::LOG)) else { return Vec::new() };
        let mut names: Vec<String> =
            log.map(|entry| entry.expect("the log lists").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| layout::commit_seq(name).is_some());
        names.sort();
        let read = |name: &String| fs::read(self.path(&format!("{}/{name}", layout::LOG))).expect("a record reads");
        names.iter().map(|name| serde_json::from_slice(&read(name)).expect("a record is whole")).collect()
    }

    /// What readers see; `None` if nothing was ever committed.
    pub(crate) fn published(&self) -> Option<Published> {
        let commit = self.commit()?;
        let parts = commit.tables.iter().flat_map(|(&table, parts)| parts.parts.iter().map(move |part| (table, part)));
        let bytes = parts.map(|(table, part)| {
            let bytes = fs::read(self.path(&part.path)).expect("a committed part is there");
            assert_eq!(bytes.len() as u64, part.bytes, "{} is whole", part.path);
            ((table, part.path.rsplit('/').next().unwrap_or_default().to_owned()), bytes)
        });
        Some(bytes.collect())
    }

    /// Every file below the lake, by path below it.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.lake())
    }

    /// The files of landing.
    pub(crate) fn landing(&self) -> BTreeMap<String, Vec<u8>> {
        self.files().into_iter().filter(|(path, _)| path.contains("/landing/")).collect()
    }

    /// Fails if a run's folder holds what only a run in progress needs.
    pub(crate) fn assert_no_scratch(&self) {
        let left: Vec<String> = self.files().into_keys().filter(|path| layout::is_run_scratch(path)).collect();
        assert!(left.is_empty(), "left behind: {left:#?}");
    }

    /// Fails if a file belongs neither to landing, nor to the log, nor to a run that the log names.
    pub(crate) fn assert_no_leftovers(&self) {
        assert_all_belong(self.files().into_keys(), &self.commits());
    }
}

/// Fails if one of the objects at `paths` belongs neither to landing, nor to the log, nor to a run that made a commit.
pub(crate) fn assert_all_belong(paths: impl Iterator<Item = String>, commits: &[CommitRecord]) {
    let runs: Vec<String> = commits.iter().map(|commit| commit.run_id.to_string()).collect();
    let belongs = |path: &str| {
        let of_log = path.strip_prefix(layout::LOG).and_then(|name| name.strip_prefix('/'));
        path.contains("/landing/")
            || of_log.is_some_and(|name| layout::commit_seq(name).is_some())
            || runs.iter().any(|run| {
                path.starts_with(&format!("{}/{run}/", layout::RUNS)) || path.contains(&format!("/run={run}/"))
            })
    };
    let left: Vec<String> = paths.filter(|path| !belongs(path)).collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// Gives a command these variables, and none of ours or AWS's that the test itself was started with.
pub(crate) fn set_environment(command: &mut Command, env: &[(String, String)]) {
    let is_ours = |name: &str| ["STEDI_", "AWS_"].iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.envs(env.iter().map(|(name, value)| (name, value)));
}

/// A binary of this workspace: cargo names those of the package under test, others lie beside them.
pub(crate) fn binary(name: &str) -> PathBuf {
    if let (Some(stedi), "stedi") = (option_env!("CARGO_BIN_EXE_stedi"), name) {
        return PathBuf::from(stedi);
    }
    let test = std::env::current_exe().expect("a running test has a file");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in deps/ below the binaries");
    folder.join(name)
}

/// A run that waits to be continued.
pub(crate) struct StoppedRun {
    child: Child,
    pid: Pid,
}

impl StoppedRun {
    /// The most memory it has had resident so far, in KiB.
    pub(crate) fn resident_kib_max(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a stopped process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Lets it go on to its end.
    pub(crate) fn finish(self) -> Output {
        kill_process(self.pid, Signal::CONT).expect("the child is ours");
        self.child.wait_with_output().expect("the child ends")
    }
}

/// Every file below `root`, by path below it.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a folder lists").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(root).expect("found below root").to_string_lossy().into_owned();
                found.insert(below, fs::read(&path).expect("a file reads"));
            }
        }
    }
    found
}

/// Copies times too: they are part of what makes a landing object the same object.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp starts");
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails unless the command ended with `code`.
#[track_caller]
pub(crate) fn assert_code(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        stderr(output)
    );
}
