//! A node that serves a chain.

use std::{net::SocketAddr, sync::OnceLock};

use tokio::runtime::Runtime;
use warpline_node::{
    config::{Namespace, RpcConfig},
    event::{self, EventSender},
    rpc::{RpcContext, RpcHandle, RpcServer},
};

use crate::{
    chain::Served,
    client::{Http, Ws},
};

/// Everything that a test needs of a node.
pub(crate) struct Node {
    pub(crate) served: Served,
    pub(crate) events: EventSender,
    pub(crate) runtime: Runtime,
    pub(crate) handle: Option<RpcHandle>,
    pub(crate) http: SocketAddr,
    pub(crate) ws: SocketAddr,
}

/// Everything on, on ports that are free.
pub(crate) fn config() -> RpcConfig {
    let mut config = RpcConfig::default();
    (config.http.enabled, config.ws.enabled) = (true, true);
    (config.http.port, config.ws.port) = (0, 0);
    config.http.api = Namespace::ALL.to_vec();
    config.ws.api = Namespace::ALL.to_vec();
    config
}

impl Node {
    pub(crate) fn start(served: Served, config: &RpcConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let events = event::channel(64);
        let context = RpcContext {
            database: served.database.clone(),
            chain: served.spec.clone(),
            engine: served.engine.clone(),
            events: events.clone(),
            client_version: "warpline/test".to_owned(),
        };
        let handle = runtime.block_on(RpcServer::start(config, context)).unwrap();
        let (http, ws) = (handle.http().unwrap(), handle.ws().unwrap());
        Self { served, events, runtime, handle: Some(handle), http, ws }
    }

    pub(crate) fn http(&self) -> Http {
        Http::connect(self.http)
    }

    pub(crate) fn ws(&self) -> Ws {
        Ws::connect(self.ws)
    }
}

/// A node with the chain of the conformance tests, which several tests share; `None` where the chain is
/// not there.
pub(crate) fn conformance() -> Option<&'static Node> {
    static NODE: OnceLock<Option<Node>> = OnceLock::new();
    let node = NODE.get_or_init(|| {
        let folder = warpline_testkit::shared("rpc-compat")?;
        Some(Node::start(Served::conformance(&folder), &config()))
    });
    node.as_ref()
}

/// A chain of its own for each test that changes it: one account with much, all forks from the start.
pub(crate) fn fresh() -> Served {
    Served::new(
        br#"{
            "config": {
                "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
                "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0,
                "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
                "terminalTotalDifficulty": 0, "shanghaiTime": 0
            },
            "gasLimit": "0x1c9c380", "difficulty": "0x0", "baseFeePerGas": "0x7",
            "alloc": {
                "00000000000000000000000000000000000000a1": {"balance": "0xffffffffffffffff"},
                "00000000000000000000000000000000000000b1": {
                    "balance": "0x0",
                    "code": "0x62061a805ff3"
                },
                "00000000000000000000000000000000000000c0": {
                    "balance": "0x0",
                    "code": "0x60015f5fa1600260015f5fa200"
                },
                "00000000000000000000000000000000000000c1": {
                    "balance": "0x0",
                    "code": "0x6104b05b5f5fa06001900380600357"
                }
            }
        }"#,
    )
}
