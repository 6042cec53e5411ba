//! The command line, parsed once into what the commands are told.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Parser, Subcommand};
use clap_complete::Shell;
use stedi::generate::{CUSTOMERS_MAX, DAYS_MAX, GenerateConfig, Profile};
use stedi::rollback::Target;
use stedi::run::RunConfig;
use stedi_lake::RunId;
use stedi_run::{CatalogOptions, PublishFlags, RunOptions};

/// Curates step trainer, accelerometer and customer data into a lakehouse for research.
#[derive(Debug, Parser)]
#[command(name = "stedi", version, max_term_width = 100, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Every option can come from the environment: --lake from STEDI_LAKE, --max-bad-records from STEDI_MAX_BAD_RECORDS.

Exit codes:
  0    done, or nothing to do
  1    anything that no other code says
  2    usage
  3    too many bad records: nothing was committed, the quarantine is kept
  4    conflict with another commit
  5    a guarantee is broken; a run has committed nothing
  130  interrupted: nothing was committed";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a small lake in ./demo-lake, run it, show the tables and what to try next
    Demo(DemoArgs),
    /// Make synthetic landing data
    Generate(GenerateArgs),
    /// Curate landing into the five tables and commit them
    Run(RunCommand),
    /// Show what a run would read and whether it would change anything
    Plan(PlanCommand),
    /// Let a catalog show the tables of the current commit
    Publish(PublishCommand),
    /// Show the tables of the current commit, and what a catalog shows of them
    Tables(TablesArgs),
    /// Show all commits, newest first
    History(ShowArgs),
    /// Show what a run did, how long its stages took and what it cost
    Report(ReportArgs),
    /// Go back to the tables of an earlier commit
    Rollback(RollbackArgs),
    /// Show, and with --delete remove, what no recent commit needs
    Gc(GcArgs),
    /// Check the guarantees of the current commit from its published parts
    Verify(VerifyArgs),
    /// Print the Athena DDL of all eight tables
    Ddl(DdlArgs),
    /// Query all eight tables
    Sql(SqlArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct LakeArgs {
    /// The lake: a path, file:// URI or s3://bucket/prefix
    #[arg(long = "lake", env = "STEDI_LAKE", value_name = "URI")]
    pub(crate) uri: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct JsonArgs {
    /// Print one JSON object on standard output
    #[arg(long, env = "STEDI_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TablesArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PublishCommand {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    #[command(flatten)]
    pub(crate) flags: PublishFlags,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    // no STEDI_LAKE: a demo must not end up in a lake that matters
    /// The demo's lake
    #[arg(long, default_value = "demo-lake", value_name = "PATH")]
    pub(crate) lake: String,
    /// No progress
    #[arg(long, short, env = "STEDI_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Number of customers [default: 1000; profile legacy: 609]
    #[arg(long, env = "STEDI_CUSTOMERS", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CUSTOMERS_MAX))]
    customers: Option<u64>,
    /// Days of readings
    #[arg(long, env = "STEDI_DAYS", value_name = "D", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX.cast_signed()))]
    days: u32,
    /// Another seed gives other data of the same kind
    #[arg(long, env = "STEDI_SEED", value_name = "S", default_value_t = 0)]
    seed: u64,
    /// What the data is like: clean, legacy or messy
    #[arg(long, env = "STEDI_PROFILE", default_value_t)]
    profile: Profile,
    /// With profile messy: add a record that is longer than 16 MiB
    #[arg(long, env = "STEDI_OVERSIZED_RECORD", value_parser = FalseyValueParser::new())]
    oversized_record: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

impl GenerateArgs {
    pub(crate) fn config(&self) -> GenerateConfig {
        GenerateConfig {
            customers: self.customers.unwrap_or_else(|| self.profile.usual_customers()),
            days: self.days,
            seed: self.seed,
            oversized_record: self.oversized_record,
            profile: self.profile,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) options: RunOptions,
    /// Run even if landing and options are those of the current commit
    #[arg(long, env = "STEDI_FORCE", value_parser = FalseyValueParser::new())]
    force: bool,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    #[command(flatten)]
    pub(crate) flags: PublishFlags,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
    /// No progress and no closing table
    #[arg(long, short, env = "STEDI_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
}

impl RunCommand {
    pub(crate) fn config(&self) -> RunConfig {
        RunConfig { force: self.force, ..self.options.config() }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct PlanCommand {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) options: RunOptions,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// The run [default: that of the current commit]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<RunId>,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// The commit to go back to, by its number or its run [default: the one before the current]
    #[arg(long, env = "STEDI_TO", value_name = "SEQ|RUN", value_parser = word::<Target>)]
    pub(crate) to: Option<Target>,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    #[command(flatten)]
    pub(crate) flags: PublishFlags,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    #[command(flatten)]
    pub(crate) catalog: CatalogOptions,
    /// Keep what the last K commits name
    #[arg(long, env = "STEDI_KEEP", value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keep: u64,
    /// Keep what is younger than this; must be longer than the longest run and the longest query
    #[arg(long, env = "STEDI_GRACE", value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
    /// Delete what is listed; without this nothing is
    #[arg(long, env = "STEDI_DELETE", value_parser = FalseyValueParser::new())]
    pub(crate) delete: bool,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Verify this commit instead of the current one
    #[arg(long, env = "STEDI_SEQ", value_name = "SEQ")]
    pub(crate) seq: Option<u64>,
    #[command(flatten)]
    pub(crate) athena: AthenaArgs,
    #[command(flatten)]
    pub(crate) output: JsonArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AthenaArgs {
    /// Ask Athena instead, in this workgroup: what it counts, and whether anybody is there who does not consent
    #[arg(long, env = "STEDI_ATHENA", value_name = "WORKGROUP", requires = "database", conflicts_with = "seq")]
    pub(crate) athena: Option<String>,
    /// With --athena: the catalog's database
    #[arg(long, env = "STEDI_DATABASE", value_name = "NAME", value_parser = stedi_lake::catalog::parse_database)]
    pub(crate) database: Option<String>,
    /// With --athena: where results go, s3://bucket/prefix, if the workgroup does not say
    #[arg(long, env = "STEDI_ATHENA_OUTPUT", value_name = "URI")]
    pub(crate) athena_output: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DdlArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// Put the tables in this database
    #[arg(long, env = "STEDI_DATABASE", value_name = "NAME", value_parser = stedi_lake::catalog::parse_database)]
    pub(crate) database: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    pub(crate) lake: LakeArgs,
    /// The query
    #[arg(value_name = "SQL")]
    pub(crate) query: String,
    /// Print one JSON object a line instead of a table
    #[arg(long, env = "STEDI_JSON", value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// Parses what says itself what is wrong with it.
fn word<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}
