//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Parser, Subcommand};
use stedi_endpoint::TlsFiles;
use stedi_fleet::FleetOptions;
use stedi_run::{CatalogOptions, LandingOptions, PublishFlags, RunConfig, RunOptions};

use crate::doctor::PolicyFile;

const EXIT_CODES: &str = "\
Every option can come from the environment: --lake from STEDI_LAKE, --listen from STEDI_LISTEN.

Exit codes of run:
  0    done, or nothing to do
  1    anything that no other code says; what is done is kept, run again to resume
  2    usage
  3    too many bad records: nothing was committed, the quarantine is kept
  4    conflict with another commit, or another coordinator has taken the run over
  5    a guarantee is broken; nothing was committed
  78   the next try would fail as well: no workers to be had, a task that memory or rights do not suffice for, no landing,
       bad TLS files; mend that, then run again to resume
  143  SIGTERM: what is done is kept, run again to resume";

/// Curates with many workers: plans a run, gives its tasks to workers, commits. On Kubernetes it makes the workers, too.
#[derive(Debug, Parser)]
#[command(name = "stedi-coordinator", version, max_term_width = 100, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve one run to workers, commit it, and exit; resumes the lake's unfinished run if it is the same one
    Run(Box<RunCommand>),
    /// Check an installation: the lake, its landing, and the rights that a fleet needs; exits with 1 if something is wrong
    Doctor(Box<DoctorCommand>),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorCommand {
    /// The lake: a path, file:// or s3:// URI
    #[arg(long = "lake", env = "STEDI_LAKE", value_name = "URI")]
    pub(crate) lake: String,
    #[command(flatten)]
    pub(crate) landing: LandingOptions,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    #[command(flatten)]
    pub(crate) fleet: FleetOptions,
    /// Check that an IAM policy allows what the coordinator, a worker or a reader needs on this lake, and no more; may be
    /// given more than once
    #[arg(long, value_name = "ROLE=FILE")]
    pub(crate) policy: Vec<PolicyFile>,
    /// Print one JSON object on standard output
    #[arg(long, env = "STEDI_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunCommand {
    /// The lake: a path, file:// or s3:// URI; workers open it under this very name
    #[arg(long = "lake", env = "STEDI_LAKE", value_name = "URI")]
    pub(crate) lake: String,
    /// Serve workers here, such as 127.0.0.1:7420
    #[arg(long, env = "STEDI_LISTEN", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// Serve /metrics, /healthz and /readyz here
    #[arg(long, env = "STEDI_HTTP", value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    #[command(flatten)]
    options: RunOptions,
    /// Run even if landing and options are those of the current commit
    #[arg(long, env = "STEDI_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    #[command(flatten)]
    pub(crate) flags: PublishFlags,
    /// Print one JSON object on standard output
    #[arg(long, env = "STEDI_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// Stop if the run is not done after this time; what is done is kept
    #[arg(long, env = "STEDI_DEADLINE", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) deadline: Option<Duration>,
    /// Stop if there was no worker for this time
    #[arg(long, env = "STEDI_WORKER_DEADLINE", value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) worker_deadline: Duration,
    /// A worker that is silent for this time has lost its leases; it has five heartbeats in it
    #[arg(long, env = "STEDI_LEASE", value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    pub(crate) lease: Duration,
    #[command(flatten)]
    pub(crate) fleet: FleetOptions,
    #[command(flatten)]
    pub(crate) tls: TlsFiles,
    /// Listen without TLS even where others than this machine can reach it
    #[arg(long, env = "STEDI_INSECURE", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,
}

impl RunCommand {
    pub(crate) fn config(&self) -> RunConfig {
        RunConfig { force: self.force, ..self.options.config() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_worker_is_given_up_after_fifteen_seconds() {
        let args = Args::try_parse_from(["stedi-coordinator", "run", "--lake", "lake", "--listen", "127.0.0.1:0"]);
        let Command::Run(run) = args.expect("it is complete").command else { unreachable!("it is run") };
        assert_eq!(run.lease, Duration::from_secs(15));
    }
}
