//! `warpline node`: a chain served over JSON-RPC.

mod config;
mod logs;

use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use warpline_node::{
    Chain,
    config::{HttpConfig, Namespace, RpcConfig, RpcLimits, WsConfig},
    service::{self, Listening, ServiceConfig},
};
use warpline_storage::Database;

pub(crate) use config::with_file;

use crate::{
    SUCCESS,
    args::{ConditionArgs, EngineArgs},
    chain::{DatadirArgs, TakingInArgs, chain_source},
    signals,
    table::Printer,
};

/// The arguments of `node`. The names are those of Reth, where it has them.
#[derive(Args, Debug)]
pub(crate) struct NodeArgs {
    /// A file with any of these flags, as TOML: `--http.port 1` is `port = 1` in the table `http`, and
    /// `--http` is `enabled = true` there. What is on the command line counts more.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    datadir: DatadirArgs,
    /// The chain that the database must be of: `mainnet`, or a genesis file in geth's format. Where
    /// there is no database yet, it is made. Default: whatever the database has.
    #[arg(long, value_name = "mainnet|FILE")]
    chain: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Import a chain file while serving; can be given several times, `-` for standard input.
    #[arg(long, value_name = "FILE")]
    import: Vec<PathBuf>,
    #[command(flatten)]
    taking_in: TakingInArgs,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    ws: WsArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// Serve `/metrics` for Prometheus, `/health` and `/ready` at this address; port 0 for any.
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<SocketAddr>,
    #[command(flatten)]
    logs: logs::LogArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "JSON-RPC over HTTP")]
struct HttpArgs {
    /// Serve JSON-RPC over HTTP.
    #[arg(long = "http")]
    http: bool,
    /// Where to listen.
    #[arg(long = "http.addr", value_name = "ADDR", default_value_t = HttpConfig::default().addr)]
    http_addr: IpAddr,
    /// On which port; 0 for any.
    #[arg(long = "http.port", value_name = "PORT", default_value_t = HttpConfig::default().port)]
    http_port: u16,
    /// Which methods.
    #[arg(
        long = "http.api",
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "eth,net,web3"
    )]
    http_api: Vec<Api>,
    /// Origins whose pages may read answers in a browser; `*` for all.
    #[arg(long = "http.corsdomain", value_name = "ORIGIN,...", value_delimiter = ',')]
    http_corsdomain: Vec<String>,
    /// Host names under which clients may address the server; `*` for any.
    #[arg(
        long = "http.vhosts",
        value_name = "HOST,...",
        value_delimiter = ',',
        default_value = "localhost"
    )]
    http_vhosts: Vec<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "JSON-RPC over WebSockets")]
struct WsArgs {
    /// Serve JSON-RPC over WebSockets.
    #[arg(long = "ws")]
    ws: bool,
    /// Where to listen; may be where HTTP is.
    #[arg(long = "ws.addr", value_name = "ADDR", default_value_t = WsConfig::default().addr)]
    ws_addr: IpAddr,
    /// On which port; 0 for any.
    #[arg(long = "ws.port", value_name = "PORT", default_value_t = WsConfig::default().port)]
    ws_port: u16,
    /// Which methods.
    #[arg(
        long = "ws.api",
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "eth,net,web3"
    )]
    ws_api: Vec<Api>,
    /// Origins whose pages may connect; `*` for all.
    #[arg(long = "ws.origins", value_name = "ORIGIN,...", value_delimiter = ',')]
    ws_origins: Vec<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits of JSON-RPC")]
struct LimitArgs {
    /// The largest request, in MB.
    #[arg(long = "rpc.max-request-size", value_name = "MB", default_value_t = RpcLimits::default().max_request_size, value_parser = clap::value_parser!(u32).range(1..))]
    max_request_size: u32,
    /// The largest response, in MB.
    #[arg(long = "rpc.max-response-size", value_name = "MB", default_value_t = RpcLimits::default().max_response_size, value_parser = clap::value_parser!(u32).range(1..))]
    max_response_size: u32,
    /// Connections at once, of each server.
    #[arg(long = "rpc.max-connections", value_name = "N", default_value_t = RpcLimits::default().max_connections, value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Subscriptions at once, of each connection.
    #[arg(long = "rpc.max-subscriptions-per-connection", value_name = "N", default_value_t = RpcLimits::default().max_subscriptions_per_connection)]
    max_subscriptions_per_connection: u32,
    /// Logs in one response; 0 for any number.
    #[arg(long = "rpc.max-logs-per-response", value_name = "N", default_value_t = RpcLimits::default().max_logs_per_response)]
    max_logs_per_response: usize,
    /// Blocks that one query of logs may look at; 0 for any number.
    #[arg(long = "rpc.max-blocks-per-filter", value_name = "N", default_value_t = RpcLimits::default().max_blocks_per_filter)]
    max_blocks_per_filter: u64,
    /// Filters that are kept at once.
    #[arg(long = "rpc.max-filters", value_name = "N", default_value_t = RpcLimits::default().max_filters)]
    max_filters: usize,
    /// Calls in one batch.
    #[arg(long = "rpc.max-batch", value_name = "N", default_value_t = RpcLimits::default().max_batch, value_parser = clap::value_parser!(u32).range(1..))]
    max_batch: u32,
    /// Gas that one call may use.
    #[arg(long = "rpc.gascap", value_name = "GAS", default_value_t = RpcLimits::default().gascap, value_parser = clap::value_parser!(u64).range(1..))]
    gascap: u64,
    /// How long the execution of one call may take, in seconds.
    #[arg(long = "rpc.evm-timeout", value_name = "S", default_value_t = RpcLimits::default().evm_timeout, value_parser = clap::value_parser!(u64).range(1..))]
    evm_timeout: u64,
    /// How long anything else may take, in seconds.
    #[arg(long = "rpc.timeout", value_name = "S", default_value_t = RpcLimits::default().timeout, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Threads that read for clients; 0 for two for each core.
    #[arg(long = "rpc.threads", value_name = "N", default_value_t = RpcLimits::default().threads)]
    rpc_threads: usize,
    /// Calls that may wait for such a thread.
    #[arg(long = "rpc.max-waiting", value_name = "N", default_value_t = RpcLimits::default().max_waiting)]
    max_waiting: usize,
}

/// A [`Namespace`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Api {
    Eth,
    Net,
    Web3,
    Txpool,
    Debug,
}

impl From<Api> for Namespace {
    fn from(api: Api) -> Self {
        match api {
            Api::Eth => Self::Eth,
            Api::Net => Self::Net,
            Api::Web3 => Self::Web3,
            Api::Txpool => Self::Txpool,
            Api::Debug => Self::Debug,
        }
    }
}

impl NodeArgs {
    fn rpc(&self) -> RpcConfig {
        let namespaces = |apis: &[Api]| apis.iter().copied().map(Namespace::from).collect();
        let Self { http, ws, limits, .. } = self;
        RpcConfig {
            http: HttpConfig {
                enabled: http.http,
                addr: http.http_addr,
                port: http.http_port,
                api: namespaces(&http.http_api),
                corsdomain: http.http_corsdomain.clone(),
                vhosts: http.http_vhosts.clone(),
            },
            ws: WsConfig {
                enabled: ws.ws,
                addr: ws.ws_addr,
                port: ws.ws_port,
                api: namespaces(&ws.ws_api),
                origins: ws.ws_origins.clone(),
            },
            rpc: RpcLimits {
                max_request_size: limits.max_request_size,
                max_response_size: limits.max_response_size,
                max_connections: limits.max_connections,
                max_subscriptions_per_connection: limits.max_subscriptions_per_connection,
                max_logs_per_response: limits.max_logs_per_response,
                max_blocks_per_filter: limits.max_blocks_per_filter,
                max_filters: limits.max_filters,
                max_batch: limits.max_batch,
                gascap: limits.gascap,
                evm_timeout: limits.evm_timeout,
                timeout: limits.timeout,
                threads: limits.rpc_threads,
                max_waiting: limits.max_waiting,
            },
        }
    }

    /// The database, made where there is none and the chain is said.
    fn database(&self) -> anyhow::Result<Database> {
        let directory = self.datadir.directory()?;
        let Some(chain) = &self.chain else {
            return Ok(Database::open(&directory, self.datadir.options())?);
        };
        let source = chain_source(chain)?;
        if !Database::exists(&directory) {
            let genesis = source.genesis_block().with_context(|| chain.display().to_string())?;
            return Ok(Database::create(&directory, &genesis, self.datadir.options())?);
        }
        let database = Database::open(&directory, self.datadir.options())?;
        source
            .adopt(&database)
            .with_context(|| format!("{} with {}", directory.display(), chain.display()))?;
        Ok(database)
    }
}

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &NodeArgs) -> anyhow::Result<u8> {
    logs::init(&args.logs)?;
    let engine = args.engine.config(ConditionArgs::default());
    let chain = Chain::in_database(args.database()?, engine, args.taking_in.options())?;
    let config = ServiceConfig {
        rpc: args.rpc(),
        metrics: args.metrics,
        imports: args.import.clone(),
        client_version: format!(
            "warpline/v{}/{}-{}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        ),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        // Before anything else, so that no signal is missed.
        let signal = signals::first()?;
        let shutdown = async { _ = signal.await };
        service::run(chain, config, announce, shutdown).await.map_err(anyhow::Error::from)
    });
    // What still reads for a client that is gone is not waited for.
    runtime.shutdown_background();
    served.map(|()| SUCCESS)
}

/// Says where the servers are, for people and for whoever started the node with port 0.
fn announce(listening: Listening) {
    let Listening { http, ws, metrics } = listening;
    let printer = Printer::new(true);
    for (name, scheme, address) in
        [("http", "http", http), ("ws", "ws", ws), ("metrics", "http", metrics)]
    {
        if let Some(address) = address {
            // A node serves whether anybody reads this or not.
            let _ = printer.line(format_args!("{name}: {scheme}://{address}"));
        }
    }
    if http.is_none() && ws.is_none() {
        tracing::warn!("nothing is served: see --http and --ws");
    }
}

/// The command line, with the flags of the file that `--config` names before its own.
pub(crate) fn arguments() -> anyhow::Result<Vec<OsString>> {
    with_file(std::env::args_os().collect())
}
