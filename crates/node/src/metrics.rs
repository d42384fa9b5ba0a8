//! What the node counts, and where that is to be seen.
//!
//! Everything is counted through the facade of the `metrics` crate, so it costs next to nothing where
//! nobody looks. [`MetricsServer`] is where somebody looks: `/metrics` as Prometheus reads it, `/health`
//! for whoever restarts a process that hangs, and `/ready` for whoever sends clients here.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use jsonrpsee::server::{
    HttpBody, HttpRequest, HttpResponse, ServerHandle, StopHandle, serve_with_graceful_shutdown,
    stop_channel,
};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::Service;
use warpline_storage::Database;

const CALLS: &str = "warpline_rpc_calls_total";
const SECONDS: &str = "warpline_rpc_call_seconds";
const RUNNING: &str = "warpline_rpc_calls_running";
const BATCHES: &str = "warpline_rpc_batches_total";
const BATCH_SIZE: &str = "warpline_rpc_batch_calls";
const SUBSCRIPTIONS: &str = "warpline_rpc_subscriptions";
const FILTERS: &str = "warpline_rpc_filters";

/// Upper ends of the buckets of durations, in seconds.
const BUCKETS: [f64; 12] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];

/// Connections to the server of metrics at once.
const CONNECTIONS: usize = 256;

/// How long one of them may live. Each is for one request, so that nobody who holds one keeps others from
/// seeing that the node is well.
const CONNECTION_TIME: Duration = Duration::from_secs(5);

/// A method was called, and answered with an error where there is a code.
pub(crate) fn called(method: &'static str, code: Option<i32>, time: Duration) {
    let outcome = code.map_or_else(|| "ok".to_owned(), |code| code.to_string());
    counter!(CALLS, "method" => method, "outcome" => outcome).increment(1);
    histogram!(SECONDS, "method" => method).record(time.as_secs_f64());
}

/// A batch of `calls` came in.
pub(crate) fn batched(calls: usize) {
    counter!(BATCHES).increment(1);
    // A batch is bounded far below where this is not exact.
    #[expect(clippy::cast_precision_loss, reason = "bounded")]
    histogram!(BATCH_SIZE).record(calls as f64);
}

/// So many filters are kept.
pub(crate) fn filters(kept: usize) {
    #[expect(clippy::cast_precision_loss, reason = "bounded")]
    gauge!(FILTERS).set(kept as f64);
}

/// Something that is counted as long as it lasts.
#[derive(Debug)]
pub(crate) struct Running(&'static str);

impl Running {
    /// A call.
    pub(crate) fn call() -> Self {
        Self::begin(RUNNING)
    }

    /// A subscription.
    pub(crate) fn subscription() -> Self {
        Self::begin(SUBSCRIPTIONS)
    }

    fn begin(name: &'static str) -> Self {
        gauge!(name).increment(1.0);
        Self(name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}

/// Begins to collect what is counted, for the whole process.
///
/// # Errors
/// Where somebody collects already.
pub fn collect() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    describe_counter!(CALLS, "calls answered, by method and outcome: ok, or the code of the error");
    describe_histogram!(SECONDS, Unit::Seconds, "time from a call to its answer, by method");
    describe_gauge!(RUNNING, "calls being worked on");
    describe_counter!(BATCHES, "batches of calls");
    describe_histogram!(BATCH_SIZE, "calls in a batch");
    describe_gauge!(SUBSCRIPTIONS, "subscriptions being served");
    describe_gauge!(FILTERS, "filters kept for clients that poll");
    Ok(handle)
}

/// A server for those who watch the node.
#[derive(Debug)]
pub struct MetricsServer {
    stop: ServerHandle,
    address: SocketAddr,
}

impl MetricsServer {
    /// Starts one at `address`. It reports ready as long as `database` can be read and has a head. To
    /// be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the address is not to be had.
    pub async fn start(
        address: SocketAddr,
        metrics: PrometheusHandle,
        database: Database,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stopped, stop) = stop_channel();
        tracing::info!(%address, "metrics");
        tokio::spawn(accept(listener, Pages { metrics, database }, stopped));
        Ok(Self { stop, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it. Returns when its connections are closed, or after `grace`.
    pub async fn stop(self, grace: Duration) {
        // That it is stopped already is as good, and what is left ends on its own.
        let _ = self.stop.stop();
        let _ = tokio::time::timeout(grace, self.stop.stopped()).await;
    }
}

async fn accept(listener: TcpListener, pages: Pages, stopped: StopHandle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let end = stopped.clone().shutdown();
    tokio::pin!(end);
    loop {
        // Asked before a connection is taken: who comes too many waits with the system.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => return,
        };
        let Ok((tcp, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (pages, stopped) = (pages.clone(), stopped.clone());
        tokio::spawn(async move {
            let served = serve_with_graceful_shutdown(tcp, pages, stopped.shutdown());
            // Whoever does not ask loses it.
            let _ = tokio::time::timeout(CONNECTION_TIME, served).await;
            drop(place);
        });
    }
}

/// What is served.
#[derive(Clone, Debug)]
struct Pages {
    metrics: PrometheusHandle,
    database: Database,
}

impl Pages {
    fn page(&self, path: &str) -> (u16, String) {
        match path {
            "/metrics" => {
                self.metrics.run_upkeep();
                (200, self.metrics.render())
            }
            "/health" => (200, "ok\n".to_owned()),
            "/ready" => match self.database.view() {
                Ok(view) => (200, format!("ready: head {}\n", view.head().header.number)),
                Err(error) => (503, format!("not ready: {error}\n")),
            },
            _ => (404, "there are /metrics, /health and /ready\n".to_owned()),
        }
    }
}

impl<B> Service<HttpRequest<B>> for Pages {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Ready<Result<HttpResponse, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let (status, text) = match request.method().as_str() {
            "GET" | "HEAD" => self.page(request.uri().path()),
            _ => (405, "only GET\n".to_owned()),
        };
        let mut response = HttpResponse::new(HttpBody::from(text));
        if let Ok(status) = status.try_into() {
            *response.status_mut() = status;
        }
        for (name, value) in
            [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        ready(Ok(response))
    }
}
