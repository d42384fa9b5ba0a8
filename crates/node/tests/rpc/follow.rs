//! Clients that follow the chain: subscriptions and filters, through reorganisations.

use std::sync::Arc;

use alloy_consensus::{Header, Signed, TxEip1559, transaction::Recovered};
use alloy_primitives::{Address, B256, Signature, TxKind};
use serde_json::{Value, json};
use warpline_node::event::{ChainEvent, EventBlock};
use warpline_primitives::RecoveredBlock;

use crate::{
    chain::Executed,
    client::Http,
    node::{Node, config, fresh},
};

const SENDER: Address = Address::with_last_byte(0xa1);
/// A contract that leaves two logs, with the topics 1, and 1 and 2.
const LOGGER: Address = Address::with_last_byte(0xc0);

/// A contract that leaves 1,200 logs without topics: more than are told at once.
const TALKER: Address = Address::with_last_byte(0xc1);
const MANY: usize = 1200;

struct Chain {
    node: Node,
}

impl Chain {
    fn start() -> Self {
        Self { node: Node::start(fresh(), &config()) }
    }

    /// A block with one call of the logger. Blocks of different `salt` are different.
    fn extend(&self, salt: u64) -> Arc<EventBlock> {
        self.extend_with(LOGGER, salt)
    }

    /// A block with one call of `to`.
    fn extend_with(&self, to: Address, salt: u64) -> Arc<EventBlock> {
        let view = self.node.served.database.view().unwrap();
        let parent = view.head();
        let base_fee = self.node.served.spec.next_base_fee(&parent.header);
        let call = TxEip1559 {
            chain_id: 1337,
            nonce: parent.header.number,
            gas_limit: 1_000_000,
            max_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(to),
            ..TxEip1559::default()
        };
        let call = Signed::new_unhashed(call, Signature::test_signature());
        let header = Header {
            parent_hash: parent.hash,
            // Found when it is executed.
            state_root: B256::ZERO,
            number: parent.header.number + 1,
            timestamp: parent.header.timestamp + 12,
            gas_limit: parent.header.gas_limit,
            base_fee_per_gas: base_fee,
            mix_hash: B256::with_last_byte(u8::try_from(salt).unwrap()),
            withdrawals_root: Some(alloy_consensus::EMPTY_ROOT_HASH),
            ..Header::default()
        };
        let Executed { block, receipts } = self.node.served.append(RecoveredBlock {
            hash: header.hash_slow(),
            header,
            transactions: vec![Recovered::new_unchecked(call.into(), SENDER)],
            ommers: Vec::new(),
            withdrawals: Some(Default::default()),
        });
        Arc::new(EventBlock { block, receipts, total_difficulty: Default::default() })
    }

    fn tell(&self, removed: &[&Arc<EventBlock>], added: &[&Arc<EventBlock>]) {
        let all =
            |blocks: &[&Arc<EventBlock>]| blocks.iter().map(|block| Arc::clone(block)).collect();
        let event = ChainEvent { removed: all(removed), added: all(added) };
        let _ = self.node.events.send(Arc::new(event));
    }
}

fn hash(block: &EventBlock) -> String {
    block.block.hash.to_string()
}

/// Block, place in it and whether it was removed, of each log.
fn places(logs: &Value) -> Vec<(String, String, bool)> {
    let place = |log: &Value| {
        let text = |member: &str| log[member].as_str().unwrap().to_owned();
        (text("blockHash"), text("logIndex"), log["removed"].as_bool().unwrap())
    };
    logs.as_array().unwrap().iter().map(place).collect()
}

fn place(block: &EventBlock, index: usize, removed: bool) -> (String, String, bool) {
    (hash(block), format!("{index:#x}"), removed)
}

#[test]
fn subscriptions_tell_of_heads_and_logs() {
    let chain = Chain::start();
    let (mut heads, mut logs) = (chain.node.ws(), chain.node.ws());
    let id = heads.call("eth_subscribe", r#"["newHeads"]"#)["result"].clone();
    assert!(id.as_str().unwrap().starts_with("0x"));
    let only_second = format!(r#"["logs",{{"topics":[null,"{}"]}}]"#, B256::with_last_byte(2));
    let all = logs.call("eth_subscribe", r#"["logs"]"#)["result"].clone();
    let second = logs.call("eth_subscribe", &only_second)["result"].clone();
    assert_ne!(all, second);

    let first = chain.extend(1);
    chain.tell(&[], &[&first]);
    let head = heads.receive();
    assert_eq!(head["method"], "eth_subscription");
    assert_eq!(head["params"]["subscription"], id);
    let mut http = chain.node.http();
    let header = http.result("eth_getHeaderByNumber", r#"["latest"]"#);
    assert_eq!(head["params"]["result"], header);
    let told = |ws: &mut crate::client::Ws, count: usize| {
        let news = (0..count).map(|_| ws.receive()["params"].take());
        let (mut to_all, mut to_second) = (Vec::new(), Vec::new());
        for mut news in news {
            let list = if news["subscription"] == all { &mut to_all } else { &mut to_second };
            list.push(news["result"].take());
        }
        (Value::from(to_all), Value::from(to_second))
    };
    let (to_all, to_second) = told(&mut logs, 3);
    assert_eq!(places(&to_all), [place(&first, 0, false), place(&first, 1, false)]);
    assert_eq!(places(&to_second), [place(&first, 1, false)]);
    assert_eq!(http.result("eth_getLogs", "[{}]"), to_all);

    chain.node.served.revert_to(0);
    let other = chain.extend(2);
    chain.tell(&[&first], &[&other]);
    assert_eq!(heads.receive()["params"]["result"]["hash"], hash(&other));
    let (to_all, to_second) = told(&mut logs, 6);
    let expected = [(&first, 0, true), (&first, 1, true), (&other, 0, false), (&other, 1, false)];
    assert_eq!(places(&to_all), expected.map(|(block, index, gone)| place(block, index, gone)));
    assert_eq!(places(&to_second), [place(&first, 1, true), place(&other, 1, false)]);

    assert_eq!(logs.call("eth_unsubscribe", &json!([id]).to_string())["result"], false);
    assert_eq!(heads.call("eth_unsubscribe", &json!([id]).to_string())["result"], true);
    assert_eq!(heads.call("eth_unsubscribe", &json!([id]).to_string())["result"], false);
    chain.tell(&[], &[&chain.extend(3)]);
    assert_eq!(heads.call("eth_blockNumber", "[]")["result"], "0x2");
}

#[test]
fn subscriptions_of_other_kinds() {
    let chain = Chain::start();
    let mut ws = chain.node.ws();
    assert!(ws.call("eth_subscribe", r#"["newPendingTransactions"]"#)["result"].is_string());
    assert!(ws.call("eth_subscribe", r#"["newPendingTransactions",true]"#)["result"].is_string());
    assert!(ws.call("eth_subscribe", r#"["syncing"]"#)["result"].is_string());
    assert_eq!(ws.receive()["params"]["result"], false);
    for params in [r#"["nonsense"]"#, "[]", "null", r#"["logs",{"topics":3}]"#] {
        let response = ws.call("eth_subscribe", params);
        assert_eq!(response["error"]["code"], -32602, "{response}");
    }
    let of_block = format!(r#"["logs",{{"blockHash":"{}"}}]"#, B256::ZERO);
    assert_eq!(ws.call("eth_subscribe", &of_block)["error"]["code"], -32602);
}

#[test]
fn filters_tell_what_is_new() {
    let chain = Chain::start();
    let mut http = chain.node.http();
    let install = |http: &mut Http, method: &str, params: &str| http.result(method, params);
    let blocks = install(&mut http, "eth_newBlockFilter", "[]");
    let logs = install(&mut http, "eth_newFilter", "[{}]");
    let late = install(&mut http, "eth_newFilter", r#"[{"fromBlock":"0x3"}]"#);
    let pending = install(&mut http, "eth_newPendingTransactionFilter", "null");
    let changes =
        |http: &mut Http, id: &Value| http.result("eth_getFilterChanges", &json!([id]).to_string());
    for id in [&blocks, &logs, &late, &pending] {
        assert_eq!(changes(&mut http, id), json!([]));
    }
    let (first, second) = (chain.extend(1), chain.extend(1));
    assert_eq!(changes(&mut http, &blocks), json!([hash(&first), hash(&second)]));
    assert_eq!(changes(&mut http, &blocks), json!([]));
    let added = [(&first, 0), (&first, 1), (&second, 0), (&second, 1)];
    let added = added.map(|(block, index)| place(block, index, false));
    assert_eq!(places(&changes(&mut http, &logs)), added);

    // The chain changes before anybody is told.
    chain.node.served.revert_to(1);
    let (other, third) = (chain.extend(2), chain.extend(2));
    assert_eq!(changes(&mut http, &blocks), json!([]));
    assert_eq!(changes(&mut http, &logs), json!([]));
    chain.tell(&[&second], &[&other, &third]);
    let expected = json!([hash(&other), hash(&third)]);
    let mut found = json!([]);
    while found == json!([]) {
        found = changes(&mut http, &blocks);
    }
    assert_eq!(found, expected);
    let expected = [
        place(&second, 0, true),
        place(&second, 1, true),
        place(&other, 0, false),
        place(&other, 1, false),
        place(&third, 0, false),
        place(&third, 1, false),
    ];
    assert_eq!(places(&changes(&mut http, &logs)), expected);
    assert_eq!(places(&changes(&mut http, &late)), expected[4..]);
    assert_eq!(changes(&mut http, &pending), json!([]));

    let all = http.result("eth_getFilterLogs", &json!([late]).to_string());
    assert_eq!(places(&all), expected[4..]);
    assert_eq!(http.error("eth_getFilterLogs", &json!([blocks]).to_string()), -32000);
    assert_eq!(http.result("eth_uninstallFilter", &json!([logs]).to_string()), true);
    assert_eq!(http.result("eth_uninstallFilter", &json!([logs]).to_string()), false);
    assert_eq!(http.error("eth_getFilterChanges", &json!([logs]).to_string()), -32000);
    assert_eq!(http.error("eth_newFilter", r#"[{"fromBlock":"0x3","toBlock":"0x2"}]"#), -32602);
}

#[test]
fn a_poll_tells_what_fits_and_the_next_one_the_rest() {
    let mut config = config();
    config.rpc.max_response_size = 1;
    let chain = Chain { node: Node::start(fresh(), &config) };
    let mut http = chain.node.http();
    let id = json!([http.result("eth_newFilter", "[{}]")]).to_string();
    let blocks: Vec<_> = (0..3).map(|_| chain.extend_with(TALKER, 1)).collect();
    let mut told = Vec::new();
    let mut polls = 0;
    while told.len() < 3 * MANY {
        told.extend(places(&http.result("eth_getFilterChanges", &id)));
        polls += 1;
    }
    let all = blocks.iter().flat_map(|block| (0..MANY).map(|index| place(block, index, false)));
    assert_eq!(told, all.collect::<Vec<_>>());
    assert!(polls > 1);
    assert_eq!(http.error("eth_getLogs", r#"[{"fromBlock":"0x0"}]"#), -32008);
}

#[test]
fn a_block_with_many_logs_is_told_as_any_other() {
    let chain = Chain::start();
    let mut logs = chain.node.ws();
    logs.call("eth_subscribe", r#"["logs"]"#);
    let mut told = |count: usize| {
        let news = (0..count).map(|_| logs.receive()["params"]["result"].take()).collect();
        places(&Value::Array(news))
    };
    let all = |block: &EventBlock, is_removed| {
        (0..MANY).map(|index| place(block, index, is_removed)).collect::<Vec<_>>()
    };
    let first = chain.extend_with(TALKER, 1);
    chain.tell(&[], &[&first]);
    assert_eq!(told(MANY), all(&first, false));
    chain.node.served.revert_to(0);
    let other = chain.extend_with(TALKER, 2);
    chain.tell(&[&first], &[&other]);
    assert_eq!(told(MANY), all(&first, true));
    assert_eq!(told(MANY), all(&other, false));
    let next = chain.extend(1);
    chain.tell(&[], &[&next]);
    assert_eq!(told(2), [place(&next, 0, false), place(&next, 1, false)]);
}

#[test]
fn a_stopped_server_closes_connections() {
    let Chain { mut node } = Chain::start();
    let mut http = node.http();
    http.result("eth_chainId", "[]");
    let mut ws = node.ws();
    ws.call("eth_subscribe", r#"["newHeads"]"#);
    let handle = node.handle.take().unwrap();
    let begun = std::time::Instant::now();
    node.runtime.block_on(handle.stop(std::time::Duration::from_secs(30)));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    assert!(std::net::TcpStream::connect(node.http).is_err());
}

#[test]
fn who_misses_events_is_told_all_the_same() {
    let chain = Chain::start();
    let (mut heads, mut logs) = (chain.node.ws(), chain.node.ws());
    heads.call("eth_subscribe", r#"["newHeads"]"#);
    logs.call("eth_subscribe", r#"["logs"]"#);
    let blocks: Vec<_> = (0..20).map(|_| chain.extend(1)).collect();
    // Only of the last is anybody told, and then of others again that everybody knows of by now.
    for block in [&blocks[19], &blocks[3], &blocks[19]] {
        chain.tell(&[], &[block]);
    }
    for block in &blocks {
        assert_eq!(heads.receive()["params"]["result"]["hash"], hash(block));
        for index in 0..2 {
            let log = Value::from(vec![logs.receive()["params"]["result"].take()]);
            assert_eq!(places(&log), [place(block, index, false)]);
        }
    }
    let next = chain.extend(1);
    chain.tell(&[], &[&next]);
    assert_eq!(heads.receive()["params"]["result"]["hash"], hash(&next));

    // Those who did not hear of what was removed cannot be told.
    chain.node.served.revert_to(10);
    let other = chain.extend(2);
    chain.tell(&[], &[&other]);
    let news = (0..2).map(|_| logs.receive()).last().unwrap();
    assert_eq!(news["params"]["result"]["blockHash"], hash(&next));
    assert_eq!(heads.call("eth_blockNumber", "[]")["result"], "0xb");
    let removed: Vec<_> = blocks[10..].iter().chain([&next]).rev().collect();
    chain.tell(&removed, &[&other]);
    assert_eq!(heads.receive()["params"]["result"]["hash"], hash(&other));
    for block in removed {
        for index in 0..2 {
            let log = Value::from(vec![logs.receive()["params"]["result"].take()]);
            assert_eq!(places(&log), [place(block, index, true)]);
        }
    }
    assert_eq!(logs.receive()["params"]["result"]["blockHash"], hash(&other));
}

#[test]
fn thousands_are_told() {
    let chain = Chain::start();
    let mut sockets: Vec<_> = (0..3).map(|_| chain.node.ws()).collect();
    for ws in &mut sockets {
        for _ in 0..1000 {
            assert!(ws.call("eth_subscribe", r#"["newHeads"]"#)["result"].is_string());
        }
    }
    let blocks: Vec<_> = (0..3).map(|_| chain.extend(1)).collect();
    for block in &blocks {
        chain.tell(&[], &[block]);
    }
    // The first reads nothing yet.
    for ws in sockets.iter_mut().rev() {
        let mut told = std::collections::BTreeMap::<String, Vec<String>>::new();
        for _ in 0..3000 {
            let news = ws.receive();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let hashes = told.entry(text(&news["params"]["subscription"])).or_default();
            hashes.push(text(&news["params"]["result"]["hash"]));
        }
        assert_eq!(told.len(), 1000);
        let expected: Vec<_> = blocks.iter().map(|block| hash(block)).collect();
        assert!(told.values().all(|hashes| *hashes == expected));
    }
    assert_eq!(chain.node.http().result("eth_blockNumber", "[]"), "0x3");
}
