//! What operators see.

use std::time::Duration;

use warpline_node::metrics::{self, MetricsServer};

use crate::{
    client::Http,
    node::{Node, config, fresh},
};

#[test]
fn calls_are_counted_by_method_and_outcome() {
    let collected = metrics::collect().unwrap();
    let node = Node::start(fresh(), &config());
    let database = node.served.database.clone();
    let server = MetricsServer::start("127.0.0.1:0".parse().unwrap(), collected, database);
    let server = node.runtime.block_on(server).unwrap();
    let page = |path| Http::connect(server.address()).get(path);
    // Who asks, and who only holds a connection, takes nobody's place.
    let idle: Vec<_> = (0..100).map(|_| Http::connect(server.address())).collect();
    assert_eq!(page("/health").body, "ok\n");
    let ready = page("/ready");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready: head 0\n"));
    assert!(ready.head.contains("connection: close"));
    assert_eq!(page("/nothing").status, 404);
    drop(idle);

    let mut http = node.http();
    http.result("web3_clientVersion", "[]");
    http.error("web3_clientVersion", "[1]");
    http.error("web3_nonsense", "[]");
    let text = page("/metrics").body;
    for line in [
        r#"warpline_rpc_calls_total{method="web3_clientVersion",outcome="ok"} 1"#,
        r#"warpline_rpc_calls_total{method="web3_clientVersion",outcome="-32602"} 1"#,
        r#"warpline_rpc_call_seconds_count{method="web3_clientVersion"} 2"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.contains(r#"{method="unknown",outcome="-32601"}"#));
    assert!(!text.contains("nonsense"));
    node.runtime.block_on(server.stop(Duration::from_secs(5)));
}
