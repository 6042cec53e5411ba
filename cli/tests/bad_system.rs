//! A run without permission or room, as another user or in a mount namespace; skipped, visibly, where that takes root.

#![expect(clippy::print_stdout, reason = "a skipped test must be seen")]

#[path = "scene/scene.rs"]
#[allow(dead_code, reason = "each test file uses its own share")]
mod scene;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use scene::{Scene, assert_code, stderr};

/// Anybody but the owner of the test's files; root ignores permission bits.
const NOBODY: &str = "65534";

/// Somebody who has no other process, as long as a single test uses it.
const LONELY: &str = "65533";

fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `stedi run` as a user to whom permission bits apply; `None` if there is no such user to become.
fn run_unprivileged(scene: &Scene) -> Option<Output> {
    run_as(scene, NOBODY, &[])
}

/// `stedi run` as user `uid` if this is root, below the program and arguments `under`.
fn run_as(scene: &Scene, uid: &str, under: &[&str]) -> Option<Output> {
    let become_user = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"];
    let mut wrapped: Vec<&str> = if is_root() { become_user.to_vec() } else { Vec::new() };
    wrapped.extend(under);
    let Some((program, args)) = wrapped.split_first() else { return Some(scene.run(&[])) };
    if !succeeds(program, &[args, &["true"]].concat()) {
        println!("skipped: {} does not work here", wrapped.join(" "));
        return None;
    }
    // the build folder may be closed to that user
    let binary = scene.folder().join("stedi-copy");
    // by another process: a file that this one has open for writing may be inherited by what other tests start, and is busy
    // for as long
    assert!(succeeds("cp", &[env!("CARGO_BIN_EXE_stedi"), &binary.display().to_string()]), "the binary is copied");
    open(scene.folder(), 0o755);
    open(&binary, 0o755);
    let run = scene.command("run");
    let output = Command::new(program).args(args).arg(&binary).args(run.get_args()).current_dir("/").output();
    Some(output.expect("it starts"))
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}

fn give_to_nobody(path: &Path) {
    give(path, NOBODY);
}

fn give(path: &Path, uid: &str) {
    if is_root() {
        assert!(succeeds("chown", &["-R", uid, &path.display().to_string()]), "chown {}", path.display());
    }
}

#[test]
fn landing_that_may_not_be_read() {
    let scene = Scene::with_news();
    let tables = scene.published();
    let object = "step_trainer/landing/9-15.json";
    give_to_nobody(&scene.lake());
    open(&scene.path(object), 0o000);
    let Some(output) = run_unprivileged(&scene) else { return };
    open(&scene.path(object), 0o644);
    assert_code(&output, 1);
    assert!(stderr(&output).contains(object), "the error names the object: {}", stderr(&output));
    assert!(scene.published() == tables, "the tables changed");
    assert_code(&scene.run(&[]), 0);
}

#[test]
fn a_landing_folder_that_may_not_be_listed() {
    let scene = Scene::with_news();
    let tables = scene.published();
    let folder = "accelerometer/landing/2022";
    give_to_nobody(&scene.lake());
    open(&scene.path(folder), 0o000);
    let Some(output) = run_unprivileged(&scene) else { return };
    open(&scene.path(folder), 0o755);
    assert_code(&output, 1);
    assert!(stderr(&output).contains(folder), "the error names the folder: {}", stderr(&output));
    assert!(scene.published() == tables, "the tables changed");
    assert_code(&scene.run(&[]), 0);
}

#[test]
fn a_lake_that_may_not_be_written() {
    let scene = Scene::with_news();
    let (tables, files) = (scene.published(), scene.files());
    let close = "find \"$0\" -type d -exec chmod 555 {} +";
    let reopen = "find \"$0\" -type d -exec chmod 755 {} +";
    let lake = scene.lake().display().to_string();
    assert!(succeeds("sh", &["-c", close, &lake]));
    let output = run_unprivileged(&scene);
    assert!(succeeds("sh", &["-c", reopen, &lake]));
    let Some(output) = output else { return };
    assert_code(&output, 1);
    assert!(stderr(&output).contains(&lake), "the error names the lake: {}", stderr(&output));
    assert!(scene.published() == tables && scene.files() == files, "the lake changed");
}

/// Runs on a copy of the lake in a file system with `room` KiB more than the lake takes; the copy is taken back.
fn run_in_small_room(scene: &Scene, room: u32, args: &[&str]) -> Option<Output> {
    if !is_root() || !succeeds("unshare", &["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]) {
        println!("skipped: mounting a small file system takes root");
        return None;
    }
    let full = scene.folder().join("full");
    fs::create_dir(&full).expect("a folder is made");
    let script = r#"
        lake=$1 full=$2 room=$3 binary=$4; shift 4
        # tmpfs counts whole pages of files, and nothing else
        taken=$(find "$lake" -type f -printf '%s\n' | awk '{ kib += int(($1 + 4095) / 4096) * 4 } END { print kib }')
        size=$(( taken + room ))
        mount -t tmpfs -o size=${size}k tmpfs "$full" && cp -a "$lake/." "$full" || exit 99
        mount --bind "$full" "$lake" || exit 99
        "$binary" run --lake "$lake" "$@"
        code=$?
        umount "$lake" && rm -rf "$lake" && mkdir "$lake" && cp -a "$full/." "$lake" || exit 99
        exit $code"#;
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .args([scene.lake(), full])
        .arg(room.to_string())
        .arg(env!("CARGO_BIN_EXE_stedi"))
        .args(args)
        .output()
        .expect("unshare starts");
    Some(output)
}

#[test]
fn a_disk_that_runs_full() {
    let before = Scene::with_news();
    let (tables, landing) = (before.published(), before.landing());
    let (mut failed, mut succeeded) = (0, 0);
    // from no room at all to enough: each step of a run meets the end of the disk
    for room in [0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 16384] {
        let scene = before.fork();
        let Some(output) = run_in_small_room(&scene, room, &[]) else { return };
        if output.status.success() {
            succeeded += 1;
            continue;
        }
        failed += 1;
        assert_code(&output, 1);
        let error = stderr(&output);
        assert!(error.contains("no space") || error.contains("free"), "room {room}: {error}");
        assert!(error.contains(&scene.lake().display().to_string()) || error.contains(".parquet"), "{room}: {error}");
        assert!(scene.published() == tables, "room {room}: the tables changed");
        assert!(scene.landing() == landing, "room {room}: landing changed");
        assert_code(&scene.run(&[]), 0);
        assert_code(&scene.stedi("verify", &[]), 0);
        assert_code(&scene.stedi("gc", &["--grace", "0s", "--delete"]), 0);
        scene.assert_no_leftovers();
    }
    assert!(failed > 0 && succeeded > 0, "{failed} failed, {succeeded} succeeded: the room was not tight");
}

#[test]
fn a_thread_that_the_system_refuses() {
    let scene = Scene::with_news();
    let tables = scene.published();
    give(&scene.lake(), LONELY);
    let Some(output) = run_as(&scene, LONELY, &["prlimit", "--nproc=4:4"]) else { return };
    assert_code(&output, 1);
    assert!(stderr(&output).contains("thread"), "the error says what is lacking: {}", stderr(&output));
    assert!(scene.published() == tables, "the tables changed");
    assert_code(&scene.run(&[]), 0);
}

#[test]
fn standard_output_that_is_full() {
    let scene = Scene::with_landing(6);
    // the second run finds nothing to do
    for args in [["--quiet", "--json"], ["--threads", "1"]] {
        let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = scene.command("run").args(args).stdout(full).output().expect("the binary starts");
        assert_code(&output, 1);
        let commit = scene.commit().expect("the run committed");
        for text in [&commit.run_id.to_string(), "is committed", "standard output"] {
            assert!(stderr(&output).contains(text), "{}", stderr(&output));
        }
    }
}
