//! What the conformance conversations leave open: history, ways to name blocks, and parameters.

use serde_json::{Value, json};

use crate::node::{Node, config, conformance, fresh};

/// An account that the chain of the conformance tests pays a little now and then.
const PAID: &str = "0x7dcd17433742f4c0ca53122ab541d0ba67fc27df";

#[test]
fn state_of_any_block_can_be_read() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let balance = |http: &mut crate::client::Http, block: &str| {
        let balance = http.result("eth_getBalance", &format!(r#"["{PAID}",{block}]"#));
        u64::from_str_radix(&balance.as_str().unwrap()[2..], 16).unwrap()
    };
    let balances: Vec<_> =
        (0..=54).map(|number| balance(&mut http, &format!("\"{number:#x}\""))).collect();
    assert!(balances.is_sorted());
    assert_eq!((balances[0], balances[54]), (0, 0x76));
    for (block, number) in [
        (r#""earliest""#, 0),
        (r#""latest""#, 54),
        (r#""pending""#, 54),
        (r#""safe""#, 54),
        (r#""finalized""#, 54),
        (r#"{"blockNumber":"0x14"}"#, 20),
        ("null", 54),
    ] {
        assert_eq!(balance(&mut http, block), balances[number], "{block}");
    }
    let block = http.result("eth_getBlockByNumber", r#"["0x14"]"#);
    let hash = block["hash"].as_str().unwrap();
    for required in [true, false] {
        let block = format!(r#"{{"blockHash":"{hash}","requireCanonical":{required}}}"#);
        assert_eq!(balance(&mut http, &block), balances[20]);
    }
}

#[test]
fn proofs_of_any_block_name_its_state_root() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    for number in [0, 1, 20, 53, 54] {
        let block = http.result("eth_getBlockByNumber", &format!(r#"["{number:#x}"]"#));
        let params = format!(r#"["{PAID}",["0x0","0x{}"],"{number:#x}"]"#, "0".repeat(64));
        let proof = http.result("eth_getProof", &params);
        let root = proof["accountProof"][0].as_str().unwrap().parse::<alloy_primitives::Bytes>();
        let root = alloy_primitives::keccak256(root.unwrap()).to_string();
        assert_eq!(block["stateRoot"], root, "block {number}");
        // A key is written as it was asked for.
        assert_eq!(proof["storageProof"][0]["key"], "0x0");
        assert_eq!(proof["storageProof"][1]["key"], format!("0x{}", "0".repeat(64)));
        assert_eq!(proof["storageProof"][0]["value"], proof["storageProof"][1]["value"]);
    }
}

#[test]
fn what_is_not_there_is_said() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let hash = format!("\"0x{}\"", "11".repeat(32));
    assert_eq!(http.error("eth_getBalance", &format!(r#"["{PAID}","0x37"]"#)), -32000);
    assert_eq!(http.error("eth_getBalance", &format!(r#"["{PAID}",{hash}]"#)), -32000);
    assert_eq!(http.error("eth_getLogs", &format!(r#"[{{"blockHash":{hash}}}]"#)), -32000);
    assert_eq!(http.error("debug_getRawBlock", r#"["0x37"]"#), -32000);
    assert_eq!(http.error("eth_getBlockAccessList", r#"["0x1"]"#), -32001);
    for (method, params) in [
        ("eth_getBlockByNumber", r#"["0x37",false]"#.to_owned()),
        ("eth_getBlockByHash", format!("[{hash},false]")),
        ("eth_getHeaderByNumber", r#"["0x37"]"#.to_owned()),
        ("eth_getBlockTransactionCountByHash", format!("[{hash}]")),
        ("eth_getUncleCountByBlockNumber", r#"["0x37"]"#.to_owned()),
        ("eth_getUncleByBlockNumberAndIndex", r#"["0x1","0x0"]"#.to_owned()),
        ("eth_getTransactionByBlockNumberAndIndex", r#"["0x1","0x4"]"#.to_owned()),
        ("eth_getRawTransactionByHash", format!("[{hash}]")),
        ("eth_getBlockReceipts", r#"["0x37"]"#.to_owned()),
        ("eth_getBlockAccessList", r#"["0x37"]"#.to_owned()),
    ] {
        assert_eq!(http.result(method, &params), Value::Null, "{method}");
    }
}

#[test]
fn headers_are_blocks_without_bodies() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let mut block = http.result("eth_getBlockByNumber", r#"["0x2d"]"#);
    let header = http.result("eth_getHeaderByNumber", r#"["0x2d"]"#);
    assert_eq!(http.result("eth_getHeaderByHash", &json!([block["hash"]]).to_string()), header);
    for member in ["transactions", "uncles", "withdrawals", "size"] {
        assert!(block.as_object_mut().unwrap().remove(member).is_some(), "{member}");
    }
    assert_eq!(header, block);
}

#[test]
fn a_transaction_is_the_same_however_it_is_named() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let block = http.result("eth_getBlockByNumber", r#"["0x1",true]"#);
    for (index, transaction) in block["transactions"].as_array().unwrap().iter().enumerate() {
        let by_hash = json!([transaction["hash"]]).to_string();
        let by_block = json!([block["hash"], format!("{index:#x}")]).to_string();
        let by_number = json!(["0x1", format!("{index:#x}")]).to_string();
        let raw = http.result("debug_getRawTransaction", &by_hash);
        for (kind, params) in [
            ("ByHash", &by_hash),
            ("ByBlockHashAndIndex", &by_block),
            ("ByBlockNumberAndIndex", &by_number),
        ] {
            assert_eq!(&http.result(&format!("eth_getTransaction{kind}"), params), transaction);
            assert_eq!(http.result(&format!("eth_getRawTransaction{kind}"), params), raw);
        }
        let receipts = http.result("eth_getBlockReceipts", r#"["0x1"]"#);
        assert_eq!(http.result("eth_getTransactionReceipt", &by_hash), receipts[index]);
    }
}

#[test]
fn parameters_may_be_null_and_must_not_be_too_many() {
    let Some(node) = conformance() else { return };
    let (mut http, mut ws) = (node.http(), node.ws());
    let without = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let null = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params": null }"#;
    for request in [without, null] {
        let expected = json!({"jsonrpc": "2.0", "id": 1, "result": "0xc72dd9d5e883e"});
        assert_eq!(http.post(request).json(), expected);
        ws.send(request);
        assert_eq!(ws.receive(), expected);
        let batch = format!("[{request},{request}]");
        assert_eq!(http.post(&batch).json(), json!([expected, expected]));
        ws.send(&batch);
        assert_eq!(ws.receive(), json!([expected, expected]));
    }
    for params in ["[1]", "{}", r#""latest""#, "1"] {
        assert_eq!(http.error("eth_chainId", params), -32602, "{params}");
    }
    assert_eq!(http.error("eth_getBlockByNumber", r#"["0x1",false,1]"#), -32602);
    assert_eq!(http.error("eth_getBlockByNumber", "[]"), -32602);
    assert_eq!(http.error("eth_getBlockByNumber", r#"["newest"]"#), -32602);
}

#[test]
fn unknown_methods_are_not_found() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    for method in ["eth_nonsense", "personal_sign", "", "eth_subscribe", "debug_traceCallMany"] {
        assert_eq!(http.error(method, "[]"), -32601, "{method}");
    }
}

#[test]
fn only_what_is_chosen_is_offered() {
    let mut config = config();
    config.http.api = Default::default();
    config.ws.api.truncate(1);
    let node = Node::start(fresh(), &config);
    let (mut http, mut ws) = (node.http(), node.ws());
    assert_eq!(http.result("rpc_modules", "[]"), json!({"rpc": "1.0"}));
    assert_eq!(http.error("eth_chainId", "[]"), -32601);
    assert_eq!(ws.call("rpc_modules", "[]")["result"], json!({"eth": "1.0", "rpc": "1.0"}));
    assert_eq!(ws.call("eth_chainId", "[]")["result"], "0x539");
    assert_eq!(ws.call("net_version", "[]")["error"]["code"], -32601);
}

#[test]
fn the_node_says_what_it_is() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    assert_eq!(http.result("web3_clientVersion", "[]"), "warpline/test");
    let empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
    assert_eq!(http.result("web3_sha3", r#"["0x"]"#), empty);
    assert_eq!(http.result("eth_accounts", "[]"), json!([]));
    assert_eq!(http.result("net_peerCount", "[]"), "0x0");
    let nothing = json!({"pending": {}, "queued": {}});
    assert_eq!(http.result("txpool_inspect", "[]"), nothing);
    assert_eq!(http.error("eth_sendRawTransaction", r#"["0x00"]"#), -32000);
}

#[test]
fn fees_follow_the_chain() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let history = http.result("eth_feeHistory", r#"["0x400","latest",[0,50,100]]"#);
    assert_eq!(history["oldestBlock"], "0x0");
    let lengths =
        ["baseFeePerGas", "gasUsedRatio", "baseFeePerBlobGas", "blobGasUsedRatio", "reward"]
            .map(|member| history[member].as_array().unwrap().len());
    assert_eq!(lengths, [56, 55, 56, 55, 55]);
    let next = http.result("eth_baseFee", "[]");
    assert_eq!(history["baseFeePerGas"][55], next);
    assert_eq!(http.result("eth_feeHistory", r#"[3,"0x5"]"#)["oldestBlock"], "0x3");
    let nothing_asked = http.result("eth_feeHistory", r#"["0x1","latest",[]]"#);
    assert_eq!(nothing_asked.get("reward"), None);
    assert_eq!(http.error("eth_feeHistory", r#"["0x1","0x37",[]]"#), -32602);
    assert_eq!(http.error("eth_feeHistory", r#"["0x1","latest",[50,49]]"#), -32602);
    let tip = http.result("eth_maxPriorityFeePerGas", "[]");
    assert_eq!(http.result("eth_maxPriorityFeePerGas", "[]"), tip);
    assert!(http.result("eth_gasPrice", "[]").as_str() > Some("0x1"));
}

#[test]
fn queries_of_logs_are_bounded() {
    let Some(folder) = warpline_testkit::shared("rpc-compat") else { return };
    let mut config = config();
    (config.rpc.max_logs_per_response, config.rpc.max_blocks_per_filter) = (70, 20);
    let node = Node::start(crate::chain::Served::conformance(&folder), &config);
    let mut http = node.http();
    let range =
        |from: u64, to: u64| format!(r#"[{{"fromBlock":"{from:#x}","toBlock":"{to:#x}"}}]"#);
    assert_eq!(http.error("eth_getLogs", &range(1, 21)), -32602);
    let response = http.call("eth_getLogs", &range(1, 20));
    let message = response["error"]["message"].as_str().unwrap();
    let (_, last) = message.rsplit_once("1-").unwrap();
    let logs = http.result("eth_getLogs", &range(1, last.parse().unwrap()));
    assert!((1..=70).contains(&logs.as_array().unwrap().len()));
}
