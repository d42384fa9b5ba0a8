//! Traces beyond what the conformance tests ask. What they say is tested with the engine.

use alloy_consensus::Block;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable as _;
use serde_json::{Value, json};
use warpline_primitives::Transaction;

use crate::{
    client::Http,
    node::{Node, config, conformance, fresh},
};

const CONTRACT: &str = "0x00000000000000000000000000000000000000cc";

/// One of each kind.
fn tracers() -> [Value; 9] {
    [
        json!({}),
        json!({ "enableMemory": true, "enableReturnData": true, "disableStack": true }),
        json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }),
        json!({ "tracer": "prestateTracer" }),
        json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
        json!({ "tracer": "4byteTracer" }),
        json!({ "tracer": "noopTracer" }),
        json!({ "tracer": "flatCallTracer" }),
        json!({ "tracer": "muxTracer", "tracerConfig": {
            "callTracer": {}, "prestateTracer": { "diffMode": true },
        }}),
    ]
}

#[test]
fn a_trace_that_is_too_large_is_refused() {
    let mut config = config();
    // Eight megabytes for traces.
    config.rpc.max_response_size = 1;
    let node = Node::start(fresh(), &config);
    let mut http = node.http();
    let mut trace = |code: &str, tracing: Value| {
        let mut tracing = tracing;
        tracing["stateOverrides"] = json!({ CONTRACT: { "code": code } });
        let params = json!([{ "to": CONTRACT, "gas": "0x1000000" }, "latest", tracing]);
        http.call("debug_traceCall", &params.to_string())
    };
    // A loop, one over much memory, one that uses more and more slots, and one that passes on much.
    let jumps = "0x5b600056";
    let memory = "0x5b6001620100005260005600";
    let slots = "0x60005b60010180545060025600";
    let calls = "0x5b6000600062040000600060006004620186a0f15060005600";
    for code in [jumps, memory, slots, calls] {
        let error = trace(code, json!({ "enableMemory": true }))["error"].take();
        assert_eq!(error["code"], -32005, "{code}: {error}");
    }
    let error = trace(calls, json!({ "tracer": "callTracer" }))["error"].take();
    assert_eq!(error["code"], -32005, "{error}");
    let error =
        trace(calls, json!({ "tracer": "muxTracer", "tracerConfig": { "callTracer": {} } }));
    assert_eq!(error["error"]["code"], -32005, "{error}");
    // All of it was given back, and what writes down nothing needs none.
    assert_eq!(trace("0x5b5b00", json!({}))["result"]["failed"], false);
    assert_eq!(trace(jumps, json!({ "tracer": "noopTracer" }))["result"], json!({}));
    let few = trace(jumps, json!({ "limit": 10 }))["result"]["structLogs"].take();
    assert_eq!(few.as_array().unwrap().len(), 10);
}

#[test]
fn a_block_is_traced_by_any_name() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let head = node.served.database.view().unwrap().head().header.number;
    for number in 1..=head {
        let number = format!("{number:#x}");
        let block = http.result("eth_getBlockByNumber", &json!([number]).to_string());
        let raw = http.result("debug_getRawBlock", &json!([number]).to_string());
        let transactions = block["transactions"].as_array().unwrap();
        for (index, tracer) in tracers().into_iter().enumerate() {
            let traced = |http: &mut Http, method, named: &Value| {
                http.result(method, &json!([named, tracer]).to_string())
            };
            let traces = traced(&mut http, "debug_traceBlockByNumber", &json!(number));
            // What is traced does not depend on how.
            if index == 2 {
                assert_eq!(traced(&mut http, "debug_traceBlockByHash", &block["hash"]), traces);
                assert_eq!(traced(&mut http, "debug_traceBlock", &raw), traces);
            }
            let traces = traces.as_array().unwrap();
            assert_eq!(traces.len(), transactions.len());
            for (hash, trace) in transactions.iter().zip(traces) {
                assert_eq!(*hash, trace["txHash"]);
                let alone = traced(&mut http, "debug_traceTransaction", hash);
                assert_eq!(alone, trace["result"], "{hash} with {tracer}");
            }
        }
    }
}

#[test]
fn a_call_is_traced_anywhere_in_a_block() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let number = (1..).find_map(|number| {
        let params = json!([format!("{number:#x}")]).to_string();
        let block = http.result("eth_getBlockByNumber", &params);
        (block["transactions"].as_array().unwrap().len() > 1).then_some(block)
    });
    let block = number.unwrap();
    let transactions = block["transactions"].as_array().unwrap().len();
    let first =
        http.result("eth_getTransactionByHash", &json!([block["transactions"][0]]).to_string());
    // What the sender's nonce is becomes visible in what is there before a call.
    let request = json!({ "from": first["from"], "to": CONTRACT });
    let mut nonce = |index: Option<usize>| {
        let mut tracing = json!({ "tracer": "prestateTracer" });
        if let Some(index) = index {
            tracing["txIndex"] = json!(format!("{index:#x}"));
        }
        let params = json!([request, block["number"], tracing]).to_string();
        let traced = http.result("debug_traceCall", &params);
        let account = &traced[first["from"].as_str().unwrap()];
        account["nonce"].as_u64().unwrap_or_default()
    };
    let before: u64 =
        serde_json::from_value::<alloy_primitives::U64>(first["nonce"].clone()).unwrap().to();
    assert_eq!(nonce(Some(0)), before);
    assert_eq!(nonce(Some(1)), before + 1);
    assert_eq!(nonce(Some(transactions)), nonce(None));
    let beyond = json!({ "txIndex": format!("{:#x}", transactions + 1) });
    let params = json!([request, block["number"], beyond]).to_string();
    assert_eq!(http.error("debug_traceCall", &params), -32602);
    let genesis = json!([request, "earliest", { "txIndex": "0x0" }]).to_string();
    assert_eq!(http.error("debug_traceCall", &genesis), -32000);
}

#[test]
fn calls_are_traced_with_overrides() {
    let node = Node::start(fresh(), &config());
    let mut http = node.http();
    let tracing = json!({
        "tracer": "callTracer",
        "stateOverrides": { CONTRACT: { "code": "0x4360005260206000f3" } },
        "blockOverrides": { "number": "0x77" },
    });
    let params = json!([{ "to": CONTRACT }, "latest", tracing]).to_string();
    let traced = http.result("debug_traceCall", &params);
    assert_eq!(traced["output"], json!(format!("0x{:064x}", 0x77)));
    let hash = format!("0x{:064x}", 7);
    for number in ["99", "0x63"] {
        let tracing = json!({
            "tracer": "callTracer",
            "stateOverrides": { CONTRACT: { "code": "0x60634060005260206000f3" } },
            "blockOverrides": { "number": "0x64", "blockHash": { number: hash } },
        });
        let params = json!([{ "to": CONTRACT }, "latest", tracing]).to_string();
        assert_eq!(http.result("debug_traceCall", &params)["output"], json!(hash));
    }
    assert_eq!(http.result("debug_traceCall", &json!([{}]).to_string())["failed"], false);
}

#[test]
fn frames_are_listed_with_their_place() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let tracing = json!({ "tracer": "flatCallTracer" });
    let block = http.result("eth_getBlockByNumber", r#"["0x1"]"#);
    let hash = &block["transactions"][0];
    let receipt = http.result("eth_getTransactionReceipt", &json!([hash]).to_string());
    let root = http.result("debug_traceTransaction", &json!([hash, tracing]).to_string())[0].take();
    assert_eq!(root["result"]["gasUsed"], receipt["gasUsed"]);
    assert_eq!((&root["blockHash"], &root["blockNumber"]), (&block["hash"], &json!(1)));
    assert_eq!((&root["transactionHash"], &root["transactionPosition"]), (hash, &json!(0)));
    let call = json!([{ "to": CONTRACT }, "0x1", tracing]).to_string();
    let root = http.result("debug_traceCall", &call)[0].take();
    assert_eq!((&root["blockHash"], &root["blockNumber"]), (&Value::Null, &json!(1)));
    assert!(root["transactionHash"].is_string() && root["transactionPosition"] == 0, "{root}");
    assert_eq!(root.get("error"), None);
}

#[test]
fn what_cannot_be_traced_is_refused() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let there_are = "there are callTracer, prestateTracer, 4byteTracer, flatCallTracer, muxTracer and noopTracer";
    let hash = http.result("eth_getBlockByNumber", r#"["0x1"]"#)["transactions"][0].take();
    for (tracing, message) in [
        (
            json!({ "tracer": "{step: function() {}}" }),
            format!("tracers in JavaScript are not supported; {there_are}"),
        ),
        (json!({ "tracer": "foo" }), format!("unknown tracer \"foo\"; {there_are}")),
        (
            json!({ "tracer": "muxTracer", "tracerConfig": { "foo": null } }),
            format!("unknown tracer \"foo\" in muxTracer; {there_are}"),
        ),
    ] {
        let call = json!({ "to": CONTRACT });
        for (method, params) in [
            ("debug_traceBlockByNumber", json!(["0x1", tracing])),
            ("debug_traceTransaction", json!([hash, tracing])),
            ("debug_traceCall", json!([call, "latest", tracing])),
        ] {
            let error = http.call(method, &params.to_string())["error"].take();
            assert_eq!(error, json!({ "code": -32602, "message": message }));
        }
    }
    let error = http.call("debug_traceBlockByNumber", r#"["0x1", 5]"#)["error"].take();
    let message =
        "invalid argument 1: invalid type: integer `5`, expected an object at line 1 column 1";
    assert_eq!(error, json!({ "code": -32602, "message": message }));
    let params = json!(["0x1", { "tracer": "callTracer", "tracerConfig": 5 }]).to_string();
    assert_eq!(http.error("debug_traceBlockByNumber", &params), -32602);
    let nothing = format!("0x{:064x}", 1);
    for method in ["debug_traceTransaction", "debug_traceBlockByHash"] {
        assert_eq!(http.error(method, &json!([nothing]).to_string()), -32000);
    }
    assert_eq!(http.error("debug_traceBlockByNumber", r#"["0xffff"]"#), -32000);
    assert_eq!(http.error("debug_traceBlock", r#"["0xc0"]"#), -32602);
    let raw: Bytes =
        serde_json::from_value(http.result("debug_getRawBlock", r#"["0x9"]"#)).unwrap();
    let mut block = Block::<Transaction>::decode(&mut &raw[..]).unwrap();
    block.header.gas_limit *= 2;
    let params = json!([Bytes::from(alloy_rlp::encode(&block))]).to_string();
    assert_eq!(http.error("debug_traceBlock", &params), -32602, "gas for nothing");
    block.header.gas_limit /= 2;
    block.header.state_root = B256::ZERO;
    let params = json!([Bytes::from(alloy_rlp::encode(&block))]).to_string();
    assert!(
        http.result("debug_traceBlock", &params).is_array(),
        "what it comes to is not looked at"
    );
    block.header.parent_hash = B256::ZERO;
    let params = json!([Bytes::from(alloy_rlp::encode(&block))]).to_string();
    assert_eq!(http.error("debug_traceBlock", &params), -32000);
    let genesis = http.result("debug_getRawBlock", r#"["0x0"]"#);
    assert_eq!(http.error("debug_traceBlock", &json!([genesis]).to_string()), -32000);
}

#[test]
fn tracing_takes_as_long_as_it_may() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let hash = http.result("eth_getBlockByNumber", r#"["0x1"]"#)["transactions"][0].take();
    for (timeout, code) in [("0s", -32002), ("1ns", -32002), ("a while", -32602)] {
        let tracing = json!({ "timeout": timeout });
        for (method, named) in
            [("debug_traceTransaction", &hash), ("debug_traceBlockByNumber", &json!("0x1"))]
        {
            assert_eq!(http.error(method, &json!([named, tracing]).to_string()), code, "{timeout}");
        }
        let call = json!([{ "to": CONTRACT }, "latest", tracing]).to_string();
        assert_eq!(http.error("debug_traceCall", &call), code, "{timeout}");
    }
    let patient = json!([hash, { "timeout": "1m" }]).to_string();
    assert_eq!(http.result("debug_traceTransaction", &patient)["failed"], false);
}
