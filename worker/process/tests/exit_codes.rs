//! What is wrong for good ends a worker with a code of `sysexits.h`, so that nobody starts it again and again.

use std::process::{Command, Output};

fn worker(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stedi-worker"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STEDI_")) {
        command.env_remove(name);
    }
    command.args(args).output().expect("the binary starts")
}

#[track_caller]
fn assert_ends(args: &[&str], code: i32, says: &str) {
    let output = worker(args);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(says), "{text}");
}

#[test]
fn what_is_wrong_for_good_is_said_and_told_by_the_exit_code() {
    assert_ends(&[], 64, "--coordinator");
    assert_ends(&["--coordinator", "http://127.0.0.1:1", "--no-such-option"], 64, "--no-such-option");
    assert_ends(&["--coordinator", "http://127.0.0.1:1", "--memory", "1MiB"], 64, "64MiB");
    assert_ends(&["--coordinator", "nowhere"], 78, "--coordinator");
    assert_ends(&["--coordinator", "http://stedi-coordinator.example:7420"], 78, "--insecure");
    assert_ends(&["--coordinator", "https://127.0.0.1:1"], 78, "--tls-dir");
    assert_ends(&["--coordinator", "https://127.0.0.1:1", "--tls-dir", "/nowhere"], 78, "/nowhere/ca.pem");
}

#[test]
fn help_and_version_are_no_faults() {
    assert_eq!(worker(&["--help"]).status.code(), Some(0));
    assert_eq!(worker(&["--version"]).status.code(), Some(0));
}
