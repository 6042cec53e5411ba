//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::FalseyValueParser;
use stedi_endpoint::TlsFiles;
use stedi_run::options::MachineOptions;
use stedi_worker::memory::Budget;

const EXIT_CODES: &str = "\
Every option can come from the environment: --coordinator from STEDI_COORDINATOR, --threads from STEDI_THREADS.

Exit codes:
  0    told that the run is over, well or not, or the lake says that it is committed
  1    no coordinator for longer than --coordinator-deadline; it may have ended its run before this worker came. Or the
       system has no threads or signals for us, or its disk takes no scratch folder. Another try may do better
  64   usage
  76   refused by the coordinator: it is of another version
  77   no permission to open the folder of the lake; in S3 it is a task that fails, and with it the run
  78   bad configuration: TLS files, addresses, too little memory, a wrong --scratch, the lake cannot be opened
  143  SIGTERM: everything was handed back";

/// Takes leases from a coordinator until it is told that the run is over.
#[derive(Debug, Parser)]
#[command(name = "stedi-worker", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The coordinator: http://HOST:PORT, or https:// with TLS
    #[arg(long, env = "STEDI_COORDINATOR", value_name = "URL")]
    pub(crate) coordinator: String,
    /// Serve /metrics, /healthz and /readyz here
    #[arg(long, env = "STEDI_HTTP", value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    #[command(flatten)]
    machine: MachineOptions,
    /// Folder for what does not fit in memory [default: the system's temporary folder]
    #[arg(long, env = "STEDI_SCRATCH", value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Name of this worker's pod, by which the coordinator finds what Kubernetes says of it
    #[arg(long, env = "STEDI_POD_NAME", hide = true)]
    pub(crate) pod_name: Option<String>,
    #[command(flatten)]
    pub(crate) tls: TlsFiles,
    /// Speak without TLS even if the coordinator is not on this machine
    #[arg(long, env = "STEDI_INSECURE", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,
    /// Give up after so long without a coordinator
    #[arg(long, env = "STEDI_COORDINATOR_DEADLINE", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) coordinator_deadline: Duration,
    /// After SIGTERM, end within this time
    #[arg(long, env = "STEDI_DRAIN", value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,
}

impl Args {
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.machine.memory_bytes()
    }

    /// Tasks at once; little memory means fewer. Where the lake is comes with the run: as a rule in S3.
    pub(crate) fn slots(&self) -> usize {
        Budget::new(self.memory_bytes(), self.machine.threads(), true).threads
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }
}
