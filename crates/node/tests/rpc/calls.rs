//! Calls, estimates, access lists and simulations beyond what the conformance tests ask.

use serde_json::{Value, json};

use crate::{
    chain::Served,
    client::Http,
    node::{Node, config, conformance, fresh},
};

const SENDER: &str = "0x00000000000000000000000000000000000000a1";
const POOR: &str = "0x00000000000000000000000000000000000000b2";
const CONTRACT: &str = "0x00000000000000000000000000000000000000cc";

/// A call of `code`, with these overrides of the block, in the latest one.
fn params(code: &str, block: Value) -> String {
    params_at(json!("latest"), code, block)
}

fn params_at(at: Value, code: &str, block: Value) -> String {
    let request = json!({ "from": SENDER, "to": CONTRACT });
    json!([request, at, { CONTRACT: { "code": code } }, block]).to_string()
}

/// What the one word is that `code` returns.
fn word(http: &mut Http, code: &str, block: Value) -> Value {
    let returned = http.result("eth_call", &params(&format!("0x{code}60005260206000f3"), block));
    let word: alloy_primitives::U256 = serde_json::from_value(returned).unwrap();
    json!(word)
}

#[test]
fn accounts_and_blocks_are_overridden() {
    let node = Node::start(fresh(), &config());
    let mut http = node.http();
    assert_eq!(word(&mut http, "43", json!({ "number": "0x77" })), json!("0x77"));
    assert_eq!(word(&mut http, "42", json!({ "time": "0x99" })), json!("0x99"));
    assert_eq!(word(&mut http, "45", json!({ "gasLimit": "0x55" })), json!("0x55"));
    assert_eq!(word(&mut http, "41", json!({ "feeRecipient": SENDER })), json!("0xa1"));
    assert_eq!(word(&mut http, "43", Value::Null), json!("0x0"));
    let slot = format!("0x{:064x}", 0);
    let request = json!({ "to": CONTRACT });
    for storage in ["state", "stateDiff"] {
        let value = format!("0x{:064x}", 0x1234);
        let account = json!({ "code": "0x60005460005260206000f3", storage: { &slot: &value } });
        let params = json!([request, "latest", { CONTRACT: account }]).to_string();
        assert_eq!(http.result("eth_call", &params), json!(value));
    }
    let both = json!([request, "latest", { CONTRACT: { "state": {}, "stateDiff": {} } }]);
    assert_eq!(http.error("eth_call", &both.to_string()), -32000);
    let paid = json!({ "from": POOR, "to": CONTRACT, "value": "0x1" });
    assert_eq!(http.error("eth_call", &json!([paid]).to_string()), -32000);
    let params = json!([paid, "latest", { POOR: { "balance": "0x1" } }]).to_string();
    assert_eq!(http.result("eth_call", &params), "0x");
    assert_eq!(http.result("eth_estimateGas", &params), "0x5208");
    let beacon = json!([request, "latest", {}, { "beaconRoot": slot }]);
    assert_eq!(http.error("eth_call", &beacon.to_string()), -32000);
}

#[test]
fn what_a_block_cannot_be_is_refused() {
    let node = Node::start(fresh(), &config());
    let mut http = node.http();
    let hash = format!("0x{:064x}", 7);
    let most = format!("0x{}", "f".repeat(64));
    for (block, code, words) in [
        (json!({ "nunmber": "0x1" }), -32602, "unknown field `nunmber`"),
        (
            json!({ "number": most }),
            -32000,
            r#"block override "number" is too large: 0xffffffffffffffffffffffffffffffffffffffff"#,
        ),
        (json!({ "blockHash": hash }), -32602, "an object of block numbers with their hashes"),
        (json!({ "blockHash": { "x": hash } }), -32602, "\"x\" is no number of a block"),
    ] {
        let traced = json!([{ "to": CONTRACT }, "latest", { "blockOverrides": block }]);
        let simulated = json!([{ "blockStateCalls": [{ "blockOverrides": block }] }]);
        for (method, params) in [
            ("eth_call", params("0x00", block.clone())),
            ("eth_estimateGas", params("0x00", block.clone())),
            ("debug_traceCall", traced.to_string()),
            ("eth_simulateV1", simulated.to_string()),
        ] {
            let error = http.call(method, &params)["error"].take();
            let message = error["message"].as_str().unwrap();
            assert!(error["code"] == code && message.contains(words), "{method}: {error}");
        }
    }
    let withdrawals = json!({ "withdrawals": [] });
    let error = http.call("eth_call", &params("0x00", withdrawals))["error"].take();
    let message = r#"block override "withdrawals" is not supported for this RPC method"#;
    assert_eq!(error, json!({ "code": -32000, "message": message }));
}

#[test]
fn simulated_blocks_have_withdrawals() {
    let node = Node::start(fresh(), &config());
    let mut http = node.http();
    let withdrawal =
        json!({ "index": "0x3", "validatorIndex": "0x7", "address": POOR, "amount": "0x2" });
    // The balance of whom it is paid to.
    let code = format!("0x73{}3160005260206000f3", &POOR[2..]);
    let calls = json!([{ "to": CONTRACT }]);
    let payload = json!([{ "blockStateCalls": [
        {
            "blockOverrides": { "withdrawals": [withdrawal] },
            "stateOverrides": { CONTRACT: { "code": code } },
            "calls": calls,
        },
        { "calls": calls },
    ] }]);
    let blocks = http.result("eth_simulateV1", &payload.to_string());
    let returned = |at: usize| blocks[at]["calls"][0]["returnData"].clone();
    assert_eq!(returned(0), json!(format!("0x{:064x}", 0)));
    assert_eq!(returned(1), json!(format!("0x{:064x}", 2_000_000_000u64)));
    assert_eq!(blocks[0]["withdrawals"], json!([withdrawal]));
    assert_eq!(blocks[1]["withdrawals"], json!([]));
    assert_ne!(blocks[0]["withdrawalsRoot"], blocks[1]["withdrawalsRoot"]);
}

#[test]
fn simulated_blobs_need_no_offer() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let blob = format!("0x01{}", "00".repeat(31));
    let call = json!({ "from": POOR, "to": CONTRACT, "blobVersionedHashes": [blob] });
    let simulate = |http: &mut Http, validation: bool| {
        let blocks = [json!({ "calls": [call] })];
        let payload = json!([{ "validation": validation, "blockStateCalls": blocks }]);
        http.call("eth_simulateV1", &payload.to_string())
    };
    let simulated = simulate(&mut http, false);
    assert_eq!(simulated["result"][0]["calls"][0]["status"], "0x1", "{simulated}");
    assert!(simulate(&mut http, true)["error"].is_object());
}

#[test]
fn hashes_are_those_of_ancestors() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let hash = http.result("eth_getBlockByNumber", r#"["0x5"]"#)["hash"].take();
    let ask = "0x60054060005260206000f3";
    assert_eq!(http.result("eth_call", &params_at(json!("0x6"), ask, Value::Null)), hash);
    // Block 5 exists, and yet comes after block 4 and not before it.
    let none = json!(format!("0x{:064x}", 0));
    let later = json!({ "number": "0x64" });
    assert_eq!(http.result("eth_call", &params_at(json!("0x4"), ask, later.clone())), none);
    assert_eq!(http.result("eth_call", &params_at(json!("0x6"), ask, later)), hash);
    // What is beyond the head is nothing, and no failure.
    let ask = "0x60634060005260206000f3";
    let later = json!({ "number": "0x64" });
    assert_eq!(http.result("eth_call", &params(ask, later.clone())), none);
    let given = format!("0x{:064x}", 7);
    let later = json!({ "number": "0x64", "blockHash": { "99": given } });
    assert_eq!(http.result("eth_call", &params(ask, later)), json!(given));
}

#[test]
fn blocks_are_named_in_every_way() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let block = http.result("eth_getBlockByNumber", r#"["0x7"]"#);
    let code = "0x4360005260206000f3";
    let at =
        |http: &mut Http, at: Value| http.result("eth_call", &params_at(at, code, Value::Null));
    let seven = json!(format!("0x{:064x}", 7));
    assert_eq!(at(&mut http, json!("0x7")), seven);
    assert_eq!(at(&mut http, json!(block["hash"])), seven);
    assert_eq!(at(&mut http, json!({ "blockNumber": "0x7" })), seven);
    let by_hash = json!({ "blockHash": block["hash"], "requireCanonical": true });
    assert_eq!(at(&mut http, by_hash), seven);
    assert_eq!(at(&mut http, json!("earliest")), json!(format!("0x{:064x}", 0)));
    let head = at(&mut http, json!("latest"));
    for tag in ["pending", "safe", "finalized"] {
        assert_eq!(at(&mut http, json!(tag)), head);
    }
    for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
        assert_eq!(http.error(method, &params_at(json!("0xffff"), code, Value::Null)), -32000);
    }
}

#[test]
fn what_fails_says_why() {
    let node = Node::start(fresh(), &config());
    let mut http = node.http();
    // Reverts with the byte 0x07.
    let reverts = params("0x600760005360016000fd", Value::Null);
    for method in ["eth_call", "eth_estimateGas"] {
        let error = http.call(method, &reverts)["error"].take();
        assert_eq!((&error["code"], &error["data"]), (&json!(3), &json!("0x07")));
    }
    let halts = params("0xfe", Value::Null);
    let error = http.call("eth_call", &halts)["error"].take();
    assert_eq!(error["code"], -32000);
    assert_eq!(error["message"], "invalid opcode: INVALID");
    assert_eq!(http.error("eth_estimateGas", &halts), -32000);
    let listed = http.result("eth_createAccessList", &halts);
    assert_eq!(listed["error"], "invalid opcode: INVALID");
    let listed = http.result("eth_createAccessList", &params("0x600054", Value::Null));
    assert_eq!(listed["error"], Value::Null);
    assert_eq!(listed["accessList"][0]["address"], CONTRACT);
    assert_eq!(http.error("eth_call", "[]"), -32602);
    assert_eq!(http.error("eth_call", r#"[{"gas": "ten"}]"#), -32602);
    let elsewhere = json!([{ "to": CONTRACT, "chainId": "0x5" }]).to_string();
    assert_eq!(http.error("eth_call", &elsewhere), -32000);
}

/// Jumps to and fro for as long as there is gas.
const LOOP: &str = "0x5b600056";

fn limited(gascap: u64, evm_timeout: u64) -> Node {
    let mut config = config();
    (config.rpc.gascap, config.rpc.evm_timeout) = (gascap, evm_timeout);
    Node::start(fresh(), &config)
}

#[test]
fn gas_is_capped() {
    let node = limited(100_000, 5);
    let mut http = node.http();
    assert_eq!(http.error("eth_call", &params(LOOP, Value::Null)), -32000);
    let gas = word(&mut http, "5a", Value::Null);
    let gas: alloy_primitives::U64 = serde_json::from_value(gas).unwrap();
    assert!(gas.to::<u64>() < 100_000);
    let blocks = json!([{ "blockStateCalls": [{
        "stateOverrides": { CONTRACT: { "code": LOOP } },
        "calls": [{ "to": CONTRACT }, { "to": CONTRACT }],
    }] }]);
    assert_eq!(http.error("eth_simulateV1", &blocks.to_string()), -38015);
}

#[test]
fn time_is_capped() {
    let node = limited(u64::MAX, 1);
    let mut http = node.http();
    let long = params(LOOP, json!({ "gasLimit": "0xffffffffffff" }));
    for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
        let error = http.call(method, &long)["error"].take();
        assert_eq!(error["code"], -32002, "{method}: {error}");
        assert_eq!(error["message"], "request timed out after 1s", "{method}");
    }
    let blocks = json!([{ "blockStateCalls": [{
        "blockOverrides": { "gasLimit": "0xffffffffffff" },
        "stateOverrides": { CONTRACT: { "code": LOOP } }, "calls": [{ "to": CONTRACT }],
    }] }]);
    assert_eq!(http.error("eth_simulateV1", &blocks.to_string()), -32002);
    let endless = json!([{ "to": CONTRACT }, "latest", {
        "stateOverrides": { CONTRACT: { "code": LOOP } }, "tracer": "noopTracer",
        "timeout": "99999999999999h",
    }]);
    assert_eq!(http.error("debug_traceCall", &endless.to_string()), -32002);
    // Whoever comes next is answered.
    assert_eq!(word(&mut http, "46", Value::Null), json!("0x539"));
}

#[test]
fn simulated_blocks_are_limited() {
    let node = Node::start(fresh(), &config());
    let mut http = node.http();
    let blocks = |count: usize| json!([{ "blockStateCalls": vec![json!({}); count] }]).to_string();
    assert_eq!(http.result("eth_simulateV1", &blocks(256)).as_array().unwrap().len(), 256);
    assert_eq!(http.error("eth_simulateV1", &blocks(257)), -38026);
    assert_eq!(http.error("eth_simulateV1", &blocks(0)), -32602);
    let far = json!([{ "blockStateCalls": [{ "blockOverrides": { "number": "0x101" } }] }]);
    assert_eq!(http.error("eth_simulateV1", &far.to_string()), -38026);
    let last = json!({ "blockOverrides": { "time": "0xffffffffffffffff" } });
    let after_it = json!([{ "blockStateCalls": [last, {}] }]);
    assert_eq!(http.error("eth_simulateV1", &after_it.to_string()), -38021);
}

#[test]
fn a_system_contract_that_fails_is_no_failure_of_ours() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let withdrawals = "0x00000961ef480eb55e80d19ad83579a64c007002";
    let invalid = json!([{ "blockStateCalls": [{
        "stateOverrides": { withdrawals: { "code": "0xfe" } }, "calls": [],
    }] }]);
    assert_eq!(http.error("eth_simulateV1", &invalid.to_string()), -32000);
}

#[test]
fn a_simulated_root_is_that_of_the_block_then_made() {
    let served = fresh();
    let node = Node::start(served, &config());
    let mut http = node.http();
    let call = json!({ "from": SENDER, "to": POOR, "value": "0x5", "maxFeePerGas": "0x9" });
    let payload = json!([{ "validation": true, "blockStateCalls": [{ "calls": [call] }] }]);
    let simulated = http.result("eth_simulateV1", &payload.to_string())[0].take();
    assert_eq!(simulated["calls"][0]["status"], "0x1");
    let executed = node.served.append(same_block(&node.served));
    assert_eq!(json!(executed.block.header.state_root), simulated["stateRoot"]);
}

/// The block that was simulated, as somebody would have made it.
fn same_block(served: &Served) -> warpline_primitives::RecoveredBlock {
    use alloy_consensus::{Header, Signed, TxEip1559, transaction::Recovered};
    use alloy_primitives::{B256, Signature, U256};

    let parent = served.database.view().unwrap().head().clone();
    let transaction = TxEip1559 {
        chain_id: 1337,
        gas_limit: parent.header.gas_limit,
        max_fee_per_gas: 9,
        to: alloy_primitives::TxKind::Call(POOR.parse().unwrap()),
        value: U256::from(5),
        ..TxEip1559::default()
    };
    let signed = Signed::new_unhashed(transaction, Signature::test_signature());
    let header = Header {
        parent_hash: parent.hash,
        state_root: B256::ZERO,
        number: 1,
        timestamp: parent.header.timestamp + 12,
        gas_limit: parent.header.gas_limit,
        base_fee_per_gas: served.spec.next_base_fee(&parent.header),
        withdrawals_root: Some(alloy_consensus::constants::EMPTY_WITHDRAWALS),
        ..Header::default()
    };
    warpline_primitives::RecoveredBlock {
        header,
        hash: B256::ZERO,
        transactions: vec![Recovered::new_unchecked(signed.into(), SENDER.parse().unwrap())],
        ommers: Vec::new(),
        withdrawals: Some(Default::default()),
    }
}
