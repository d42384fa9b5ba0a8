//! Listening, and the life of connections.

use std::{
    fmt::Write as _,
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use jsonrpsee::{
    server::{
        BatchRequestConfig, IdProvider, Methods, PingConfig, RegisterMethodError, ServerBuilder,
        ServerConfig, ServerHandle, StopHandle, TowerService, TowerServiceBuilder,
        middleware::rpc::RpcServiceBuilder, serve_with_graceful_shutdown, stop_channel,
    },
    types::SubscriptionId,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::{
    Layer as _,
    layer::util::{Identity, Stack},
};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::{
    RpcContext,
    body::Reading,
    connection::{Activity, Stream},
    context::Node,
    gate::{Entrance, Gate, is_allowed},
    methods::{self, Transport},
    observe::Observe,
    unsent::ServerUnsent,
};
use crate::config::{RpcConfig, RpcLimits};

/// Connections that are told that there is no room, at once. More are closed without a word.
const REFUSED_AT_ONCE: usize = 64;

/// Responses and notifications that wait for a client on a WebSocket to read them.
const UNREAD_MESSAGES: u32 = 64;

/// How long to wait when a connection cannot be accepted: most often the system has no more
/// descriptors, and asking again at once would only keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcServerError {
    /// The address is not to be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Both servers are at one address and offer different methods.
    #[error(
        "the servers for HTTP and WebSockets are both at {address} but offer different methods"
    )]
    DifferentMethods {
        /// Where.
        address: SocketAddr,
    },
    /// Two methods have one name: a bug of ours.
    #[error(transparent)]
    Register(#[from] RegisterMethodError),
}

/// JSON-RPC over HTTP and WebSockets.
#[derive(Clone, Copy, Debug)]
pub struct RpcServer;

/// Servers that run. Dropping it stops them.
#[derive(Debug)]
pub struct RpcHandle {
    stop: ServerHandle,
    http: Option<SocketAddr>,
    ws: Option<SocketAddr>,
}

impl RpcServer {
    /// Starts the servers that `config` enables. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`RpcServerError::Listen`] where an address is not to be had, and
    /// [`RpcServerError::DifferentMethods`] where both servers share one and do not agree.
    pub async fn start(
        config: &RpcConfig,
        context: RpcContext,
    ) -> Result<RpcHandle, RpcServerError> {
        let (http, ws) = (&config.http, &config.ws);
        let at_http = http.enabled.then(|| http.socket());
        let at_ws = ws.enabled.then(|| ws.socket());
        // Port 0 is another port each time.
        let is_shared = at_http.is_some() && at_http == at_ws && http.port != 0;
        if is_shared && !agree(&http.api, &ws.api) {
            return Err(RpcServerError::DifferentMethods { address: http.socket() });
        }

        let (stopped, stop) = stop_channel();
        let node = Arc::new(Node::new(context, config.rpc.clone()));
        let services = Services::new(config, Arc::clone(&node), stopped.clone())?;
        let mut handle = RpcHandle { stop, http: None, ws: None };
        if let Some(address) = at_http {
            let services = if is_shared { services.clone() } else { services.only_http() };
            handle.http = Some(listen(address, services, stopped.clone()).await?);
        }
        if is_shared {
            handle.ws = handle.http;
        } else if let Some(address) = at_ws {
            handle.ws = Some(listen(address, services.only_ws(), stopped.clone()).await?);
        }
        super::filters::watch(node, stopped);
        Ok(handle)
    }
}

fn agree<T: Ord + Copy>(one: &[T], other: &[T]) -> bool {
    let sorted = |list: &[T]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list.dedup();
        list
    };
    sorted(one) == sorted(other)
}

impl RpcHandle {
    /// Where the server for HTTP listens.
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where the server for WebSockets listens.
    pub const fn ws(&self) -> Option<SocketAddr> {
        self.ws
    }

    /// Accepts no more connections, lets those that are there finish what they were asked, and closes
    /// them. Returns when all are closed, or after `grace`: then what is left ends on its own.
    pub async fn stop(self, grace: Duration) {
        // That it is stopped already is as good.
        let _ = self.stop.stop();
        if tokio::time::timeout(grace, self.stop.stopped()).await.is_err() {
            tracing::warn!(?grace, "connections did not end in time");
        }
    }
}

/// What is offered over one transport.
#[derive(Clone, Debug)]
struct Offer {
    builder: TowerServiceBuilder<Stack<Observe, Identity>, Identity>,
    methods: Methods,
    stopped: StopHandle,
}

impl Offer {
    fn new(
        config: ServerConfig,
        methods: Methods,
        limits: &RpcLimits,
        stopped: StopHandle,
    ) -> Self {
        let observe = Observe { methods: methods.clone(), limits: limits.clone() };
        let builder = ServerBuilder::with_config(config)
            .set_rpc_middleware(RpcServiceBuilder::new().layer(observe))
            .to_service_builder()
            .max_connections(limits.max_connections);
        Self { builder, methods, stopped }
    }

    /// The service of another connection. It has an id of its own: subscriptions can be ended over the
    /// connection that they belong to, and over no other.
    fn service(self) -> TowerService<Stack<Observe, Identity>, Identity> {
        self.builder.build(self.methods, self.stopped)
    }
}

/// What serves the connections of a listener.
#[derive(Clone, Debug)]
struct Services {
    http: Option<Offer>,
    ws: Option<Offer>,
    cors: CorsLayer,
    gate: Arc<Gate>,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    unsent: ServerUnsent,
    time: Duration,
    most_bytes: u32,
}

impl Services {
    fn new(
        config: &RpcConfig,
        node: Arc<Node>,
        stopped: StopHandle,
    ) -> Result<Self, RegisterMethodError> {
        let all = super::methods_of(node)?;
        let limits = &config.rpc;
        let common = ServerConfig::builder()
            .max_request_body_size(limits.request_bytes())
            .max_response_body_size(limits.response_bytes())
            .max_connections(limits.max_connections)
            .max_subscriptions_per_connection(limits.max_subscriptions_per_connection)
            .set_batch_request_config(BatchRequestConfig::Limit(limits.max_batch))
            .set_message_buffer_capacity(UNREAD_MESSAGES)
            .enable_ws_ping(PingConfig::default())
            .set_id_provider(RandomId::default());
        let http = methods::select(&all, &config.http.api, Transport::Http)?;
        let ws = methods::select(&all, &config.ws.api, Transport::Ws)?;
        let only_http = common.clone().http_only().build();
        let only_ws = common.ws_only().build();
        Ok(Self {
            http: Some(Offer::new(only_http, http, limits, stopped.clone())),
            ws: Some(Offer::new(only_ws, ws, limits, stopped)),
            cors: cors(config.http.corsdomain.clone()),
            gate: Arc::new(Gate {
                hosts: config.http.vhosts.clone(),
                http_origins: config.http.corsdomain.clone(),
                ws_origins: config.ws.origins.clone(),
            }),
            places: Arc::new(Semaphore::new(limits.max_connections as usize)),
            refusals: Arc::new(Semaphore::new(REFUSED_AT_ONCE)),
            unsent: ServerUnsent::default(),
            // Calls and batches end by themselves before that.
            time: limits.batch_time() * 2,
            most_bytes: limits.request_bytes(),
        })
    }

    /// These, for a listener of its own.
    fn apart(&self) -> Self {
        let places = Arc::new(Semaphore::new(self.places.available_permits()));
        let refusals = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
        Self { places, refusals, unsent: ServerUnsent::default(), ..self.clone() }
    }

    fn only_http(&self) -> Self {
        Self { ws: None, ..self.apart() }
    }

    fn only_ws(&self) -> Self {
        Self { http: None, ..self.apart() }
    }
}

/// What browsers are told about who may read answers.
fn cors(origins: Vec<String>) -> CorsLayer {
    let allowed = AllowOrigin::predicate(move |origin, _| {
        origin.to_str().is_ok_and(|origin| is_allowed(&origins, origin))
    });
    CorsLayer::new().allow_origin(allowed).allow_methods(Any).allow_headers(Any)
}

async fn listen(
    address: SocketAddr,
    services: Services,
    stopped: StopHandle,
) -> Result<SocketAddr, RpcServerError> {
    let failed = |source| RpcServerError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, http = services.http.is_some(), ws = services.ws.is_some(), "listening");
    tokio::spawn(accept(listener, services, stopped));
    Ok(address)
}

async fn accept(listener: TcpListener, services: Services, stopped: StopHandle) {
    let end = stopped.clone().shutdown();
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => return,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let places =
                    Arc::clone(&services.places).try_acquire_owned().map(|place| (place, true));
                let refusal = || Arc::clone(&services.refusals).try_acquire_owned();
                let place = places.or_else(|_| refusal().map(|place| (place, false)));
                let Ok((place, has_room)) = place else { continue };
                tracing::trace!(%peer, has_room, "connected");
                tokio::spawn(connection(tcp, place, has_room, services.clone(), stopped.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    tcp: TcpStream,
    place: OwnedSemaphorePermit,
    has_room: bool,
    services: Services,
    stopped: StopHandle,
) {
    // Without it an answer waits for the acknowledgement of what came before. It is slow, not wrong.
    let _ = tcp.set_nodelay(true);
    let activity = Activity::new(services.unsent);
    let (most_bytes, time) = (services.most_bytes, services.time);
    let entrance = Entrance {
        gate: services.gate,
        http: services.http.map(|offer| {
            let service = offer.service();
            services.cors.layer(Reading { service, most_bytes, time })
        }),
        ws: services.ws.map(Offer::service),
        activity: activity.clone(),
        has_room,
    };
    let stream = Stream::new(tcp, activity.clone(), place);
    tokio::select! {
        served = serve_with_graceful_shutdown(stream, entrance, stopped.shutdown()) => {
            if let Err(error) = served {
                tracing::debug!(%error, "connection failed");
            }
        }
        () = activity.ends() => tracing::debug!("connection closed because nothing happened"),
    }
}

/// Ids of subscriptions and filters that nobody can guess: 128 bits.
#[derive(Clone, Debug, Default)]
pub(super) struct RandomId(RandomState);

impl RandomId {
    /// Another id, in hexadecimal.
    pub(super) fn next(&self) -> String {
        let mut id = String::from("0x");
        for _ in 0..2 {
            // The keys of a new state differ each time; hashing them with those of this one hides them.
            let number = self.0.hash_one(RandomState::new().hash_one(0_u8));
            // Writing to a string does not fail.
            let _ = write!(id, "{number:016x}");
        }
        id
    }
}

impl IdProvider for RandomId {
    fn next_id(&self) -> SubscriptionId<'static> {
        self.next().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let ids = RandomId::default();
        let many: std::collections::BTreeSet<_> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(many.len(), 1000);
        assert!(many.iter().all(|id| id.len() == 34));
    }

    #[test]
    fn order_is_no_difference() {
        assert!(agree(&[1, 2], &[2, 1, 1]));
        assert!(!agree(&[1, 2], &[1]));
    }
}
