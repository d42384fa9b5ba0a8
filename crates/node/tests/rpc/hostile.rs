//! Clients that want no good. Whatever they do, others are answered.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;
use warpline_node::config::RpcConfig;

use crate::{
    client::{Http, Ws},
    node::{Node, config, fresh},
};

const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

fn start(change: impl FnOnce(&mut RpcConfig)) -> Node {
    let mut config = config();
    change(&mut config);
    Node::start(fresh(), &config)
}

fn assert_answers(node: &Node) {
    assert_eq!(node.http().result("eth_chainId", "[]"), "0x539");
    assert_eq!(node.ws().call("eth_chainId", "[]")["result"], "0x539");
}

#[test]
fn what_is_too_large_is_refused() {
    let node = start(|config| config.rpc.max_request_size = 1);
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "x".repeat(2 << 20));
    let response = node.http().post(&large);
    assert_eq!((response.status, response.json()["error"]["code"].as_i64()), (413, Some(-32007)));
    let mut ws = node.ws();
    ws.send(&large);
    assert_eq!(ws.receive()["error"]["code"], -32007);
    assert_answers(&node);
}

#[test]
fn what_is_too_large_is_refused_although_nobody_says_how_large() {
    let node = start(|config| config.rpc.max_request_size = 1);
    let mut http = node.http();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    http.write(head.as_bytes()).unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
    for _ in 0..17 {
        // The server may have closed already.
        let _ = http.write(chunk.as_bytes());
    }
    let response = http.response();
    assert_eq!((response.status, response.json()["error"]["code"].as_i64()), (413, Some(-32007)));
    assert_answers(&node);
}

#[test]
fn a_call_whose_id_cannot_be_answered_is_refused() {
    let node = start(|_| {});
    let call = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#);
    for id in ["-1", "1.5", "true", "[1]"] {
        for request in [call(id), format!("[{},{}]", call("1"), call(id))] {
            let response = node.http().post(&request).json();
            assert_eq!(response["error"]["code"], -32600, "{request}: {response}");
        }
    }
    let largest = u64::MAX.to_string();
    assert_eq!(node.http().post(&call(&largest)).json()["id"], u64::MAX);
    assert_answers(&node);
}

#[test]
fn a_subscription_in_a_batch_is_answered_once() {
    let node = start(|_| {});
    let mut ws = node.ws();
    let subscribe = r#"{"jsonrpc":"2.0","id":2,"method":"eth_subscribe","params":["newHeads"]}"#;
    ws.send(&format!("[{CHAIN_ID},{subscribe}]"));
    let batch = ws.receive();
    assert_eq!(
        (&batch[0]["result"], &batch[1]["error"]["code"]),
        (&json!("0x539"), &json!(-32600))
    );
    assert_eq!(ws.call("eth_chainId", "[]")["result"], "0x539");
}

#[test]
fn depth_does_no_harm() {
    let node = start(|_| {});
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let list = deep("[", "]");
    let map = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for value in [&list, &map] {
        for request in [
            value.clone(),
            format!(r#"{{"jsonrpc":"2.0","id":{value},"method":"eth_chainId"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_chainId","more":{value}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[{value}]}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{value}]}}"#),
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBlockReceipts","params":[{value}]}}"#
            ),
            format!(
                r#"[{{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{{"topics":{value}}}]}}]"#
            ),
        ] {
            assert!(node.http().post(&request).status < 500);
        }
    }
    let open = "[".repeat(100_000);
    assert_eq!(node.http().post(&open).json()["error"]["code"], -32700);
    assert_answers(&node);
}

#[test]
fn what_is_no_request_is_said_to_be_none() {
    let node = start(|_| {});
    for (request, code) in [
        ("", -32700),
        ("hello", -32700),
        ("{", -32700),
        (r#"{"jsonrpc":"2.0","id":1"#, -32700),
        ("{}", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
    ] {
        let response = node.http().post(request);
        assert_eq!(response.json()["error"]["code"], code, "{request}");
        if !request.is_empty() {
            let mut ws = node.ws();
            ws.send(request);
            assert_eq!(ws.receive()["error"]["code"], code, "{request} over ws");
        }
    }
    let batch = node.http().post(&format!("[1,{CHAIN_ID},{{}}]")).json();
    let codes: Vec<_> = batch.as_array().unwrap().iter().map(|one| &one["error"]["code"]).collect();
    assert_eq!(codes, [&json!(-32600), &json!(null), &json!(-32600)]);
    let mut http = node.http();
    http.write(b"nonsense\r\n\r\n").unwrap();
    assert_eq!(http.response().status, 400);
    assert_answers(&node);
}

#[test]
fn a_batch_has_a_length() {
    let node = start(|_| {});
    let batch = |length: usize| format!("[{}]", vec![CHAIN_ID; length].join(","));
    let response = node.http().post(&batch(1000)).json();
    assert_eq!(response.as_array().unwrap().len(), 1000);
    assert_eq!(node.http().post(&batch(1001)).json()["error"]["code"], -32010);
    let mut ws = node.ws();
    ws.send(&batch(1001));
    assert_eq!(ws.receive()["error"]["code"], -32010);
    assert_answers(&node);
}

#[test]
fn a_response_has_a_length() {
    let node = start(|config| config.rpc.max_response_size = 1);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest"]}"#;
    let batch = format!("[{}]", vec![call; 1000].join(","));
    assert_eq!(node.http().post(&batch).json()["error"]["code"], -32011);
    assert_answers(&node);
}

#[test]
fn time_ends() {
    let node = start(|config| config.rpc.timeout = 0);
    let mut http = node.http();
    assert_eq!(http.error("eth_chainId", "[]"), -32002);
    let batch = format!("[{CHAIN_ID},{CHAIN_ID}]");
    let response = http.post(&batch).json();
    assert_eq!(response[1]["error"]["code"], -32002);
}

#[test]
fn http2_is_not_spoken() {
    let node = start(|_| {});
    let mut stream = TcpStream::connect(node.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    for part in [b"P".as_slice(), b"RI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings] {
        // It may be closed already.
        let _ = stream.write_all(part);
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut answer = Vec::new();
    // Closed, either way; what must not come are the settings of a server.
    match stream.read_to_end(&mut answer) {
        Ok(_) => assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert_answers(&node);
}

#[test]
fn connections_have_places() {
    let node = start(|config| config.rpc.max_connections = 4);
    // Slow ones, who do not come to the end of their first line.
    let slow: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(node.http).unwrap();
            stream.write_all(b"POST / HT").unwrap();
            stream
        })
        .collect();
    let refused = until(|| {
        let response = Http::connect(node.http).post(CHAIN_ID);
        (response.status == 503).then_some(response)
    });
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("connections"));
    // The other server has places of its own.
    assert_eq!(node.ws().call("eth_chainId", "[]")["result"], "0x539");
    drop(slow);
    until(|| (Http::connect(node.http).post(CHAIN_ID).status == 200).then_some(()));

    let mut sockets: Vec<_> = Vec::new();
    let refused = until(|| {
        let (ws, response) = Ws::try_connect(node.ws, "");
        sockets.push(ws);
        (response.status != 101).then_some(response.status)
    });
    assert_eq!(refused, 503);
    assert_eq!(sockets.len(), 5);
    assert_eq!(sockets[0].call("eth_chainId", "[]")["result"], "0x539");
    drop(sockets);
    until(|| (Ws::try_connect(node.ws, "").1.status == 101).then_some(()));
}

fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never happened");
}

#[test]
fn slow_clients_keep_nobody_waiting() {
    let node = start(|_| {});
    let mut slow: Vec<_> = (0..200).map(|_| TcpStream::connect(node.http).unwrap()).collect();
    for (index, stream) in slow.iter_mut().enumerate() {
        let begun: &[u8] = match index % 3 {
            0 => b"",
            1 => b"POST / HTTP/1.1\r\nhost: local",
            _ => b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{",
        };
        stream.write_all(begun).unwrap();
    }
    // One that asks and does not read.
    let mut unread = node.ws();
    for _ in 0..10_000 {
        unread.send(CHAIN_ID);
    }
    assert_answers(&node);
    drop(unread);
    slow[0].write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    slow[0].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405");
    assert_answers(&node);
}

/// How much memory this process holds, in MB.
fn held_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? >> 10)
}

/// Whether this process runs no other test than `name`. Where it does, one that does not runs it.
fn is_alone(name: &str) -> bool {
    const ALONE: &str = "WARPLINE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    let output = alone.args([name, "--exact"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[test]
fn large_answers_that_nobody_reads_are_not_made() {
    // What other tests hold would count, too.
    if !is_alone("hostile::large_answers_that_nobody_reads_are_not_made") {
        return;
    }
    let node = start(|_| {});
    // Returns 400,000 zeros, which are written as twice as many digits.
    let params = r#"[{"to":"0x00000000000000000000000000000000000000b1"}]"#;
    let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{params}}}"#);
    let before = held_mb();
    let mut unread = node.ws();
    for _ in 0..1000 {
        unread.send(&call);
    }
    let mut batches = node.ws();
    let batch = format!("[{}]", [call.as_str(); 4].join(","));
    for _ in 0..150 {
        batches.send(&batch);
    }
    assert_answers(&node);
    std::thread::sleep(Duration::from_secs(3));
    if let Some((before, now)) = before.zip(held_mb()) {
        assert!(now < before + 150, "{before} MB, then {now} MB");
    }
    assert_answers(&node);
    // They are answered when they are read.
    for _ in 0..100 {
        assert_eq!(unread.receive()["result"].as_str().unwrap().len(), 800_002);
    }
    for _ in 0..20 {
        assert_eq!(batches.receive().as_array().unwrap().len(), 4);
    }
}

#[test]
fn subscriptions_are_bounded() {
    let node = start(|_| {});
    let mut sockets: Vec<_> = (0..3).map(|_| node.ws()).collect();
    for ws in &mut sockets {
        for _ in 0..1024 {
            assert!(ws.call("eth_subscribe", r#"["newHeads"]"#)["result"].is_string());
        }
        assert_eq!(ws.call("eth_subscribe", r#"["newHeads"]"#)["error"]["code"], -32006);
        assert_eq!(ws.call("eth_chainId", "[]")["result"], "0x539");
    }
    assert_answers(&node);
}

#[test]
fn filters_are_bounded() {
    let node = start(|config| config.rpc.max_filters = 100);
    let mut http = node.http();
    for _ in 0..100 {
        http.result("eth_newBlockFilter", "[]");
    }
    assert_eq!(http.error("eth_newFilter", "[{}]"), -32005);
    assert_answers(&node);
}

#[test]
fn pages_of_strangers_are_kept_out() {
    let node = start(|config| config.http.corsdomain.push("https://good.example".to_owned()));
    let mut http = node.http();
    let evil = http.post_with("origin: https://evil.example\r\n", CHAIN_ID);
    assert_eq!((evil.status, evil.json()["error"]["code"].as_i64()), (403, Some(-32000)));
    let good = http.post_with("origin: https://good.example\r\n", CHAIN_ID);
    assert_eq!(good.status, 200);
    assert!(good.head.contains("access-control-allow-origin: https://good.example"));
    // A page is told why it was refused, too.
    let refused = http.post_with("origin: https://good.example\r\n", r#"{"id":-1}"#);
    assert_eq!(refused.json()["error"]["code"], -32600);
    assert!(refused.head.contains("access-control-allow-origin: https://good.example"));
    http.write(
        b"OPTIONS / HTTP/1.1\r\nhost: localhost\r\norigin: https://good.example\r\n\
          access-control-request-method: POST\r\n\r\n",
    )
    .unwrap();
    let preflight = http.response();
    assert_eq!(preflight.status, 200);
    assert!(preflight.head.contains("access-control-allow-origin: https://good.example"));

    let (_, page) = Ws::try_connect(node.ws, "origin: https://good.example\r\n");
    assert_eq!(page.status, 403);
    let mut rebound = Http::connect(node.http);
    rebound
        .write(
            b"POST / HTTP/1.1\r\nhost: evil.example\r\ncontent-type: application/json\r\n\
              content-length: 2\r\n\r\n{}",
        )
        .unwrap();
    assert_eq!(rebound.response().status, 403);
    // What a page could send without asking first is no JSON.
    let mut simple = Http::connect(node.http);
    simple
        .write(
            b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n\
              content-length: 2\r\n\r\n{}",
        )
        .unwrap();
    assert_eq!(simple.response().status, 415);
    assert_answers(&node);
}

#[test]
fn one_address_may_serve_both() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shared =
        |config: &mut RpcConfig| (config.http.port, config.ws.port) = (free.port(), free.port());
    let node = start(shared);
    assert_eq!(node.http, node.ws);
    assert_answers(&node);
    drop(node);
    let node = start(|config| config.ws.enabled = true);
    assert_ne!(node.http, node.ws);
    let (_, refused) = Ws::try_connect(node.http, "");
    assert_eq!(refused.status, 403);
}
