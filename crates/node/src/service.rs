//! A node at work: servers, and whatever brings blocks, until it is told to stop. Wiring only.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use metrics_exporter_prometheus::BuildError;
use tokio::task::JoinError;
use tracing::{error, info, warn};
use warpline_engine::{Engine, EngineConfig, Ethereum, PoolError};
use warpline_replay::ChainFile;
use warpline_storage::StorageError;

use crate::{
    Chain, ImportFileError, ImportProgress,
    chain::measure,
    config::RpcConfig,
    event, import_file,
    metrics::{self, MetricsServer},
    rpc::{RpcContext, RpcServer, RpcServerError},
};

/// How many changes of the head may wait for a subscriber that is slow. They have whole blocks; what he misses
/// he finds in the database.
const EVENTS_KEPT: usize = 64;

/// How long connections may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// How often an import says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// How often the sizes of tables are looked at.
const TABLES_EVERY: Duration = Duration::from_secs(60);

/// Analysed code that is kept for calls, in bytes.
const CALLED_CODE: usize = 64 << 20;

/// What a node does.
#[derive(Clone, Debug, Default)]
pub struct ServiceConfig {
    /// The servers of JSON-RPC.
    pub rpc: RpcConfig,
    /// Where `/metrics`, `/health` and `/ready` are served; nowhere without it.
    pub metrics: Option<SocketAddr>,
    /// Chain files to import while serving, in order.
    pub imports: Vec<PathBuf>,
    /// What `web3_clientVersion` answers.
    pub client_version: String,
}

/// Where the servers of a node listen, those that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// JSON-RPC over HTTP.
    pub http: Option<SocketAddr>,
    /// JSON-RPC over WebSockets.
    pub ws: Option<SocketAddr>,
    /// `/metrics`, `/health` and `/ready`.
    pub metrics: Option<SocketAddr>,
}

/// Why a node stopped, or did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A chain file that is to be imported cannot be read.
    #[error("cannot import {}: {source}", .path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The servers of JSON-RPC cannot be started.
    #[error(transparent)]
    Rpc(#[from] RpcServerError),
    /// The server of metrics cannot be started.
    #[error("cannot serve metrics at {address}: {source}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The threads that execute for clients cannot be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// What is counted cannot be collected.
    #[error(transparent)]
    Collect(#[from] BuildError),
    /// A task of ours panicked.
    #[error(transparent)]
    Task(#[from] JoinError),
}

/// Serves `chain` until `shutdown` is ready. Then no more connections and blocks are taken, what is
/// under way is finished, and the database is on the disk. `started` is told where the servers listen.
/// To be called within a tokio runtime.
///
/// # Errors
/// Where a server cannot be started, or the database fails.
pub async fn run(
    mut chain: Chain,
    config: ServiceConfig,
    started: impl FnOnce(Listening),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServiceError> {
    for path in config.imports.iter().filter(|path| !is_stdin(path)) {
        let failed = |source| ServiceError::Import { path: path.clone(), source };
        std::fs::metadata(path).map_err(failed)?;
    }
    info!(
        version = config.client_version,
        chain = chain.spec().chain_id(),
        database = %chain.database().path().display(),
        head = chain.head().header.number,
        hash = %chain.head().hash,
        "starting"
    );
    let events = event::channel(EVENTS_KEPT);
    chain.announce_to(events.clone());
    let database = chain.database().clone();
    let collected = config.metrics.is_some().then(metrics::collect).transpose()?;
    measure::describe();
    // What was opened before anybody collected was not counted.
    measure::head(chain.head().header.number);
    let context = RpcContext {
        database: database.clone(),
        chain: Arc::clone(chain.spec()),
        engine: engine_for_clients(&chain)?,
        events,
        client_version: config.client_version,
    };
    let rpc = RpcServer::start(&config.rpc, context).await?;
    let metrics = match config.metrics.zip(collected) {
        Some((address, handle)) => Some(
            MetricsServer::start(address, handle, database.clone())
                .await
                .map_err(|source| ServiceError::Metrics { address, source })?,
        ),
        None => None,
    };
    let tables = metrics.is_some().then(|| {
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TABLES_EVERY);
            loop {
                ticks.tick().await;
                let database = database.clone();
                let measured = tokio::task::spawn_blocking(move || {
                    database.view().map(|view| measure::tables(&view, database.path()))
                });
                // Another time, if not now.
                let _ = measured.await;
            }
        })
    });
    let metrics_at = metrics.as_ref().map(MetricsServer::address);
    started(Listening { http: rpc.http(), ws: rpc.ws(), metrics: metrics_at });
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let imports = config.imports;
    let mut importing = tokio::task::spawn_blocking(move || {
        import_files(&mut chain, &imports, || !*stopping.borrow());
        chain
    });

    tokio::pin!(shutdown);
    // An importer that ends is what it should do; one that panicked leaves a node that serves an old head.
    let ended = tokio::select! {
        () = &mut shutdown => None,
        ended = &mut importing => Some(ended),
    };
    let is_sound = ended.as_ref().is_none_or(Result::is_ok);
    if is_sound && ended.is_some() {
        shutdown.await;
    }
    info!("stopping");
    // Whoever imports may have gone already.
    let _ = stop.send(true);
    rpc.stop(GRACE).await;
    if let Some(tables) = tables {
        tables.abort();
    }
    if let Some(metrics) = metrics {
        metrics.stop(GRACE).await;
    }
    let imported = match ended {
        Some(ended) => Ok(ended),
        None => tokio::time::timeout(GRACE, importing).await,
    };
    match imported {
        Ok(imported) => {
            let mut chain = imported?;
            chain.flush()?;
            info!(head = chain.head().header.number, "stopped");
        }
        // It waits for input that does not come. What it imported was made durable block by block, or
        // is not there, and either way nothing was promised of it.
        Err(_) => warn!("stopped without waiting for the end of an import"),
    }
    Ok(())
}

/// What executes calls and traces. It has workers of its own: otherwise blocks would have to wait for
/// those of clients.
fn engine_for_clients(chain: &Chain) -> Result<Engine, PoolError> {
    let mut config = EngineConfig::with_threads(chain.engine().threads());
    config.code_cache_bytes = CALLED_CODE;
    Engine::new(Ethereum::new(Arc::clone(chain.spec())), config)
}

/// Imports files one after the other as long as `goes_on`. What cannot be imported is said, and the
/// node goes on with what it has: files after it would lack its blocks.
fn import_files(chain: &mut Chain, paths: &[PathBuf], goes_on: impl Fn() -> bool) {
    for (at, path) in paths.iter().enumerate() {
        if !goes_on() {
            return;
        }
        let file = path.display();
        match import_path(chain, path, &goes_on) {
            Ok(done) => info!(
                %file,
                imported = done.imported,
                known = done.known,
                head = chain.head().header.number,
                "import ended"
            ),
            Err(error) => {
                error!(%file, %error, head = chain.head().header.number, "import stopped");
                for path in &paths[at + 1..] {
                    error!(file = %path.display(), "not imported, because one before was not");
                }
                return;
            }
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn import_path(
    chain: &mut Chain,
    path: &Path,
    goes_on: &impl Fn() -> bool,
) -> Result<ImportProgress, ImportFileError> {
    let file =
        if is_stdin(path) { ChainFile::from_reader(io::stdin()) } else { ChainFile::open(path)? };
    let (mut said, mut imported) = (Instant::now(), 0);
    import_file(chain, file, |progress| {
        if said.elapsed() >= PROGRESS_EVERY && progress.imported > imported {
            (said, imported) = (Instant::now(), progress.imported);
            let ImportProgress { number, transactions, known, .. } = *progress;
            info!(number, imported, transactions, known, "importing");
        }
        goes_on()
    })
}
