//! Arguments about nodes and captures.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use warpline_replay::StateFrom;

use super::range::BlockRange;

/// Blocks from a node instead of files.
#[derive(Args, Debug)]
pub(crate) struct RemoteArgs {
    /// A node to take blocks from, by JSON-RPC over HTTP.
    #[arg(long, value_name = "URL", requires = "blocks", conflicts_with = "inputs")]
    pub(crate) rpc: Option<String>,
    /// Which blocks: a number, `A..=B`, `A..B` without the last, or `latest` for either end or alone.
    #[arg(long, value_name = "A..=B", requires = "rpc")]
    pub(crate) blocks: Option<BlockRange>,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FetchArgs {
    /// The node to take blocks from, by JSON-RPC over HTTP.
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: String,
    /// Which blocks: a number, `A..=B`, `A..B` without the last, or `latest` for either end or alone.
    #[arg(long, value_name = "A..=B")]
    pub(crate) blocks: BlockRange,
    /// Where the captures go: a folder, with one file for each block, or one file for all. Without: to the
    /// cache only.
    #[arg(short, long, value_name = "DIR|FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ConvertArgs {
    /// Files, directories and archives with snapshots, witnesses or captures.
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Where the captures go: a folder, with one file for each block, or one file for all. What is no folder yet
    /// and has no ending becomes one.
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) out: PathBuf,
}

/// How a node is asked, and where its answers are kept.
#[derive(Args, Debug)]
pub(crate) struct NodeArgs {
    /// Keep fetched blocks in this folder, and take from there what was fetched before. Default: `warpline/blocks`
    /// in the user's folder for caches.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Neither keep blocks nor take any that were kept.
    #[arg(long, conflicts_with = "cache")]
    no_cache: bool,
    /// The genesis file of the node's chain, in geth's format. Mainnet's is built in.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// How to get the states before blocks: `witness` proves whole results, `traces` hardly more than receipts.
    #[arg(long, value_enum, value_name = "WAY", default_value_t = Way::Any)]
    state: Way,
    /// How many blocks to fetch at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    fetch_ahead: u16,
    /// How long the node may take for an answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=3600))]
    rpc_timeout: u32,
    /// How often to ask again where the node fails, each time after twice the time.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(..=16))]
    rpc_retries: u32,
    /// How many questions to put in one request.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    rpc_batch: u16,
    /// The longest answer to accept, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096))]
    rpc_max_mib: u32,
}

/// How to get the state before a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// A witness where the node gives one, else traces.
    Any,
    /// `debug_executionWitness`.
    Witness,
    /// The `prestateTracer`.
    Traces,
}

/// What is asked of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    /// Questions in a request.
    pub(crate) batch: usize,
    pub(crate) max_bytes: u64,
}

impl NodeArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            timeout: Duration::from_secs(self.rpc_timeout.into()),
            retries: self.rpc_retries,
            batch: self.rpc_batch.into(),
            max_bytes: u64::from(self.rpc_max_mib) << 20,
        }
    }

    pub(crate) const fn state_from(&self) -> StateFrom {
        match self.state {
            Way::Any => StateFrom::Any,
            Way::Witness => StateFrom::Witness,
            Way::Traces => StateFrom::Traces,
        }
    }

    pub(crate) const fn ahead(&self) -> u16 {
        self.fetch_ahead
    }

    pub(crate) fn genesis(&self) -> Option<&Path> {
        self.genesis.as_deref()
    }

    /// The folder that `--cache` names, and whether there is to be a cache at all.
    pub(crate) fn cache(&self) -> (Option<&Path>, bool) {
        (self.cache.as_deref(), !self.no_cache)
    }
}
