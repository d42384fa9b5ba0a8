//! What can be set about the servers of a node, with the names that Reth's flags have.
//!
//! In a file every flag is a key: `--http.port` is `port` in the table `http`, and
//! `--rpc.max-batch` is `max-batch` in the table `rpc`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Methods that are offered or withheld together: what stands before the underscore of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// The chain, its state, logs and subscriptions.
    Eth,
    /// What the node knows of its network.
    Net,
    /// The name of the program, and a hash function.
    Web3,
    /// The transaction pool.
    Txpool,
    /// Raw blocks, and traces of their execution.
    Debug,
}

impl Namespace {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Eth, Self::Net, Self::Web3, Self::Txpool, Self::Debug];

    /// Its name, as methods begin with it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eth => "eth",
            Self::Net => "net",
            Self::Web3 => "web3",
            Self::Txpool => "txpool",
            Self::Debug => "debug",
        }
    }

    /// The namespace of the method `name`.
    pub fn of_method(name: &str) -> Option<Self> {
        let (prefix, _) = name.split_once('_')?;
        Self::ALL.into_iter().find(|namespace| namespace.name() == prefix)
    }
}

/// The servers of JSON-RPC, and what they bear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RpcConfig {
    /// The server for HTTP.
    pub http: HttpConfig,
    /// The server for WebSockets. Where its address is that of the one for HTTP both are one.
    pub ws: WsConfig,
    /// What is borne.
    pub rpc: RpcLimits,
}

/// JSON-RPC over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpConfig {
    /// Whether there is such a server.
    pub enabled: bool,
    /// Where it listens.
    pub addr: IpAddr,
    /// On which port. With 0 the system chooses.
    pub port: u16,
    /// What it offers.
    pub api: Vec<Namespace>,
    /// The origins whose pages a browser may let read answers, `*` for all. Requests of pages of other
    /// origins are refused.
    pub corsdomain: Vec<String>,
    /// The names under which clients may address the servers, that for WebSockets too, `*` for any. Addresses may always be used:
    /// only a name can be made to point to this machine by a page of somebody else.
    pub vhosts: Vec<String>,
}

/// JSON-RPC over WebSockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WsConfig {
    /// Whether there is such a server.
    pub enabled: bool,
    /// Where it listens.
    pub addr: IpAddr,
    /// On which port. With 0 the system chooses.
    pub port: u16,
    /// What it offers.
    pub api: Vec<Namespace>,
    /// The origins whose pages may connect, `*` for all. Clients that are no browser name none.
    pub origins: Vec<String>,
}

/// What the servers bear before they refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RpcLimits {
    /// The largest request, in MB.
    pub max_request_size: u32,
    /// The largest response, in MB.
    pub max_response_size: u32,
    /// Connections at once, of each server.
    pub max_connections: u32,
    /// Subscriptions at once, of each connection.
    pub max_subscriptions_per_connection: u32,
    /// Logs in one response; 0 for any number.
    pub max_logs_per_response: usize,
    /// Blocks that one query of logs may look at; 0 for any number.
    pub max_blocks_per_filter: u64,
    /// Filters that are kept at once.
    pub max_filters: usize,
    /// Calls in one batch.
    pub max_batch: u32,
    /// Gas that one call may use.
    pub gascap: u64,
    /// How long the execution of one call may take, in seconds.
    pub evm_timeout: u64,
    /// How long anything else may take, in seconds. A batch may take four times as long.
    pub timeout: u64,
    /// Threads that read for clients; 0 for two for each core.
    pub threads: usize,
    /// Calls that may wait for such a thread.
    pub max_waiting: usize,
}

/// One MB, as the limits count.
const MB: u32 = 1 << 20;

/// What is offered where nothing is said.
const USUAL: [Namespace; 3] = [Namespace::Eth, Namespace::Net, Namespace::Web3];

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            addr: Ipv4Addr::LOCALHOST.into(),
            port: 8545,
            api: USUAL.to_vec(),
            corsdomain: Vec::new(),
            vhosts: vec!["localhost".to_owned()],
        }
    }
}

impl Default for WsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            addr: Ipv4Addr::LOCALHOST.into(),
            port: 8546,
            api: USUAL.to_vec(),
            origins: Vec::new(),
        }
    }
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self {
            max_request_size: 15,
            max_response_size: 160,
            max_connections: 500,
            max_subscriptions_per_connection: 1024,
            max_logs_per_response: 20_000,
            max_blocks_per_filter: 100_000,
            max_filters: 10_000,
            max_batch: 1_000,
            gascap: 50_000_000,
            evm_timeout: 5,
            timeout: 30,
            threads: 0,
            max_waiting: 8192,
        }
    }
}

impl HttpConfig {
    /// Where it listens.
    pub const fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.addr, self.port)
    }
}

impl WsConfig {
    /// Where it listens.
    pub const fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.addr, self.port)
    }
}

impl RpcLimits {
    /// The largest request in bytes.
    pub const fn request_bytes(&self) -> u32 {
        self.max_request_size.saturating_mul(MB)
    }

    /// The largest response in bytes.
    pub const fn response_bytes(&self) -> u32 {
        self.max_response_size.saturating_mul(MB)
    }

    /// How long a call may take that executes nothing.
    pub const fn call_time(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// How long a batch may take.
    pub const fn batch_time(&self) -> Duration {
        Duration::from_secs(self.timeout.saturating_mul(4))
    }

    /// How long the execution of a call may take.
    pub const fn evm_time(&self) -> Duration {
        Duration::from_secs(self.evm_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_the_defaults() {
        let config: RpcConfig = toml::from_str("").unwrap();
        assert_eq!(config, RpcConfig::default());
        assert!(config.http.addr.is_loopback() && config.ws.addr.is_loopback());
        assert!(config.http.corsdomain.is_empty());
    }

    #[test]
    fn keys_are_the_names_of_flags() {
        let file = "
            [http]
            enabled = true
            port = 1
            api = ['eth', 'debug']
            [rpc]
            max-request-size = 1
            max-logs-per-response = 2
        ";
        let config: RpcConfig = toml::from_str(file).unwrap();
        assert_eq!(config.http.socket(), "127.0.0.1:1".parse().unwrap());
        assert_eq!(config.http.api, [Namespace::Eth, Namespace::Debug]);
        assert_eq!(config.rpc.request_bytes(), 1 << 20);
        assert_eq!(config.rpc.max_logs_per_response, 2);
        let file = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<RpcConfig>(&file).unwrap(), config);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<RpcConfig>("[http]\nprot = 1").is_err());
    }

    #[test]
    fn methods_belong_to_namespaces() {
        assert_eq!(Namespace::of_method("eth_call"), Some(Namespace::Eth));
        assert_eq!(Namespace::of_method("personal_sign"), None);
        assert_eq!(Namespace::of_method("eth"), None);
    }
}
