//! Ctrl-C.

use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::scene::{Scene, assert_code};

/// A run that stops at `point`, gets `signals` there, and goes on to its end.
fn run_with_signals(scene: &Scene, point: &str, signals: &[Signal]) -> Output {
    let mut command = scene.command("run");
    command.env("STEDI_FAULT", format!("{point}:stop")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = Pid::from_child(&child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped(), "the run never came to {point}: {status:?}");
    for &signal in signals {
        kill_process(pid, signal).unwrap();
    }
    kill_process(pid, Signal::CONT).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_first_signal_leaves_the_old_tables_or_the_new_and_nothing_else() {
    let before = Scene::with_news();
    let old = before.published();
    for signal in [Signal::INT, Signal::TERM] {
        for point in ["after_list", "after_accelerometer", "part_begun", "before_ledger"] {
            let scene = before.fork();
            let output = run_with_signals(&scene, point, &[signal]);
            // a run that is nearly done may be done before it looks
            if output.status.code() != Some(0) {
                assert_code(&output, 130);
                assert!(scene.published() == old, "{point}: the tables changed");
            }
            scene.assert_no_leftovers();
            assert_code(&scene.run(&[]), 0);
        }
    }
}

#[test]
fn the_second_signal_ends_the_process_at_once() {
    let before = Scene::with_news();
    let old = before.published();
    // two signals that wait for a stopped process may come to two of its threads at once; then neither is the second,
    // and a run that is nearly done may be done before it looks
    let ended = (0..10).find_map(|_| {
        let scene = before.fork();
        let output = run_with_signals(&scene, "part_begun", &[Signal::INT, Signal::TERM]);
        (output.status.code() != Some(0)).then_some((scene, output))
    });
    let (scene, output) = ended.expect("of ten runs one is ended by two signals");
    assert_code(&output, 130);
    assert!(scene.published() == old, "the tables changed");
    assert_code(&scene.stedi("gc", &["--grace", "0s", "--delete"]), 0);
    scene.assert_no_leftovers();
    assert_code(&scene.run(&[]), 0);
}

#[test]
fn an_interrupted_generate_leaves_no_landing() {
    let scene = Scene::empty();
    let mut command = scene.command("generate");
    // more than can be there before the signal is
    command.args(["--customers", "100000"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let folder = scene.path("customer/landing");
    while !folder.exists() {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_code(&child.wait_with_output().unwrap(), 130);
    for table in ["customer", "accelerometer", "step_trainer"] {
        assert!(!scene.path(&format!("{table}/landing")).exists(), "{table} was left");
    }
    assert_code(&scene.stedi("generate", &["--customers", "10"]), 0);
}
