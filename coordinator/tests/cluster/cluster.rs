//! Real processes on this machine: one coordinator and some workers over one lake.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::scene::{self, Scene, binary, set_environment};

static BUILT: Once = Once::new();

/// Builds the binaries of the other packages, if testing the workspace has not done so: cargo builds for this test the
/// binaries of its own package only.
pub(crate) fn build() {
    BUILT.call_once(|| {
        let beside = binary("stedi-coordinator");
        if ["stedi", "stedi-worker"].iter().all(|name| binary(name).exists()) {
            return;
        }
        let folder = beside.parent().expect("a binary lies in a folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--offline", "--bins", "--target-dir"]);
        cargo.arg(folder.parent().expect("a profile's folder lies in the target folder"));
        cargo.args(["-p", "stedi-coordinator", "-p", "stedi-worker-process", "-p", "stedi"]);
        if folder.file_name().is_some_and(|name| name == "release") {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).status().expect("cargo starts");
        assert!(status.success(), "the binaries build");
    });
}

/// A lake, what processes need in their environment to reach it, and a port where its coordinator will listen.
pub(crate) struct Cluster {
    lake: OsString,
    env: Vec<(String, String)>,
    pub(crate) port: u16,
}

/// A process that ends with this value, if not before.
pub(crate) struct Process {
    child: Option<Child>,
}

impl Cluster {
    /// Over the lake of a scene.
    pub(crate) fn new(scene: &Scene) -> Self {
        Self::over(scene.lake(), Vec::new())
    }

    /// Over another lake.
    pub(crate) fn over(lake: impl Into<OsString>, env: Vec<(String, String)>) -> Self {
        build();
        Self { lake: lake.into(), env, port: free_port() }
    }

    /// The coordinator's command; impatient, so that tests need not wait.
    pub(crate) fn coordinator_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("stedi-coordinator"));
        set_environment(&mut command, &self.env);
        command.args(["run", "--lake"]).arg(&self.lake).stdin(Stdio::null());
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.args(["--json", "--shards", "3", "--lease", "2s"]).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn coordinator(&self, args: &[&str]) -> Process {
        Process::start(self.coordinator_command(args))
    }

    pub(crate) fn coordinator_with_fault(&self, fault: &str, args: &[&str]) -> Process {
        let mut command = self.coordinator_command(args);
        command.env("STEDI_FAULT", fault);
        Process::start(command)
    }

    /// A worker's command; it gives up soon when there is no coordinator.
    pub(crate) fn worker_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("stedi-worker"));
        set_environment(&mut command, &self.env);
        if !args.contains(&"--coordinator") {
            command.args(["--coordinator", &format!("http://127.0.0.1:{}", self.port)]);
        }
        if !args.contains(&"--threads") {
            command.args(["--threads", "2"]);
        }
        if !args.contains(&"--coordinator-deadline") {
            command.args(["--coordinator-deadline", "20s"]);
        }
        command.args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn worker(&self) -> Process {
        Process::start(self.worker_command(&[]))
    }

    pub(crate) fn worker_with_fault(&self, fault: &str) -> Process {
        let mut command = self.worker_command(&["--threads", "1"]);
        command.env("STEDI_FAULT", fault);
        Process::start(command)
    }

    /// A run with so many workers that nobody disturbs.
    pub(crate) fn quiet_run(&self, workers: usize, args: &[&str]) -> Output {
        let coordinator = self.coordinator(args);
        let workers: Vec<Process> = (0..workers).map(|_| self.worker()).collect();
        let output = coordinator.output();
        send_home(workers);
        output
    }
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        Self { child: Some(command.spawn().expect("the binary starts")) }
    }

    fn child(&self) -> &Child {
        self.child.as_ref().expect("there until it is waited for")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(self.child())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child is ours");
    }

    /// Waits until it has stopped itself at its fault point.
    pub(crate) fn wait_until_stopped(&self) {
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED)
            .expect("the child is ours")
            .expect("waiting without NOHANG gives a status");
        assert!(status.stopped(), "it never came to its fault point: {status:?}");
    }

    /// Waits for its end.
    pub(crate) fn output(mut self) -> Output {
        self.child.take().expect("waited for once").wait_with_output().expect("the child ends")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ends workers whose run is over. One that came too late to meet the coordinator would wait for another.
pub(crate) fn send_home(workers: Vec<Process>) {
    for worker in workers {
        worker.signal(Signal::TERM);
        let output = worker.output();
        let code = output.status.code();
        // the signal itself if it did not even get to listen to signals
        let too_early = output.status.signal() == Some(Signal::TERM.as_raw());
        assert!(too_early || matches!(code, Some(0 | 143)), "{code:?}: {}", scene::stderr(&output));
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    listener.local_addr().expect("bound").port()
}
