//! What a node says of itself while it runs: to standard error, for people or for programs.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How a node logs.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logs, to standard error")]
pub(crate) struct LogArgs {
    /// For whom.
    #[arg(long = "log.stdout.format", alias = "log.format", value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// What is logged, as `tracing` filters: `info`, or `warn,warpline_node=debug`.
    #[arg(
        long = "log.stdout.filter",
        alias = "log.filter",
        value_name = "FILTER",
        env = "RUST_LOG",
        default_value = "info"
    )]
    filter: String,
}

/// For whom logs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// People.
    Terminal,
    /// Programs: a JSON object a line.
    Json,
}

/// Begins to log.
pub(crate) fn init(args: &LogArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.filter)
        .with_context(|| format!("--log.stdout.filter {}", args.filter))?;
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let begun = match args.format {
        Format::Terminal => logs.with_ansi(colours).try_init(),
        Format::Json => logs.json().try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("logging: {error}"))
}
