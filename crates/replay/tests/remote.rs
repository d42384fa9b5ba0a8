//! What is made of a node's answers: every state that a tracer shows in part, and every answer that cannot be true.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use alloy_consensus::{
    Block, BlockBody, Header, SignableTransaction as _, TxLegacy,
    constants::EMPTY_WITHDRAWALS,
    proofs::{calculate_ommers_root, calculate_transaction_root},
};
use alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use serde_json::{Value, json, value::to_raw_value};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_primitives::Transaction;
use warpline_replay::{
    BlockHead, Capture, CapturedAccount, CapturedState, FetchError, JsonRpc, RemoteNode, RpcAnswer,
    RpcFault, RpcRequest, StateFrom, TransportError, chain_id_of,
};

const NUMBER: u64 = 300;
const BENEFICIARY: Address = Address::repeat_byte(0xfe);
const OLD: Address = Address::repeat_byte(0x01);
const NEW: Address = Address::repeat_byte(0x02);
const MADE: Address = Address::repeat_byte(0x03);
const LATE: Address = Address::repeat_byte(0x04);

/// A node that answers from a list, and knows nothing else.
#[derive(Default)]
struct Script {
    /// By method, or by method and first parameter.
    answers: BTreeMap<String, Value>,
    asked: Mutex<Vec<String>>,
}

impl Script {
    fn with(mut self, question: &str, answer: impl Into<Value>) -> Self {
        self.answers.insert(question.to_owned(), answer.into());
        self
    }

    fn clone_with(&self, question: &str, answer: Value) -> Self {
        let answers = self.answers.clone();
        Self { answers, ..Self::default() }.with(question, answer)
    }

    fn times(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }
}

impl JsonRpc for &Script {
    fn send(&self, requests: &[RpcRequest]) -> Result<Vec<RpcAnswer>, TransportError> {
        let answer = |RpcRequest { method, params }: &RpcRequest| {
            self.asked.lock().unwrap().push((*method).to_owned());
            let exactly = format!("{method} {}", params[0].as_str().unwrap_or_default());
            let with_slot = format!("{exactly} {}", params[1].as_str().unwrap_or_default());
            let keys = [with_slot, exactly, (*method).to_owned()];
            let found = keys.iter().find_map(|key| self.answers.get(key));
            // What nobody has put in the list is zero, where that is something.
            let zero = match *method {
                "eth_getBalance" | "eth_getTransactionCount" => Some(json!("0x0")),
                "eth_getCode" => Some(json!("0x")),
                "eth_getStorageAt" => Some(json!(B256::ZERO)),
                _ => None,
            };
            match found.cloned().or(zero) {
                None => Err(RpcFault { code: -32601, message: "no such method".to_owned() }),
                Some(Value::String(reason)) if reason.starts_with("fault ") => {
                    Err(RpcFault { code: -32000, message: reason })
                }
                Some(Value::String(message)) if message.starts_with("pruned ") => {
                    Err(RpcFault { code: 4444, message })
                }
                Some(result) => Ok(to_raw_value(&result).unwrap()),
            }
        };
        Ok(requests.iter().map(answer).collect())
    }
}

fn transactions(count: u64) -> Vec<Transaction> {
    let payment = |nonce| {
        let to = TxKind::Call(OLD);
        let payment = TxLegacy { nonce, gas_limit: 21_000, to, ..TxLegacy::default() };
        payment.into_signed(Signature::test_signature()).into()
    };
    (0..count).map(payment).collect()
}

/// A block, its parent, and a node that has both.
fn block(count: u64) -> (Block<Transaction>, BlockHead, Script) {
    block_after(count, Vec::new())
}

fn block_after(count: u64, ommers: Vec<Header>) -> (Block<Transaction>, BlockHead, Script) {
    let parent = Header { number: NUMBER - 1, ..Header::default() };
    let transactions = transactions(count);
    let header = Header {
        number: NUMBER,
        parent_hash: parent.hash_slow(),
        beneficiary: BENEFICIARY,
        timestamp: 12,
        transactions_root: calculate_transaction_root(&transactions),
        ommers_hash: calculate_ommers_root(&ommers),
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        ..Header::default()
    };
    let body = BlockBody { transactions, ommers, withdrawals: Some(Vec::new().into()) };
    let head = BlockHead { hash: header.hash_slow(), header: header.clone() };
    let block = Block::new(header, body);
    let script = Script::default()
        .with("eth_getBlockByHash", announced(&parent))
        .with("debug_getRawBlock", json!(Bytes::from(alloy_rlp::encode(&block))));
    (block, head, script)
}

fn announced(header: &Header) -> Value {
    let mut json = serde_json::to_value(header).unwrap();
    json["hash"] = json!(header.hash_slow());
    json
}

fn capture(script: &Script, head: &BlockHead) -> Result<Capture, FetchError> {
    let chain = ChainSpec::at_fork(EthereumHardfork::Prague, 1);
    RemoteNode::new(script, Arc::new(chain), StateFrom::Any).capture(head)
}

fn accounts(capture: &Capture) -> &BTreeMap<Address, CapturedAccount> {
    let CapturedState::Snapshot(accounts) = &capture.state else { panic!("a snapshot") };
    accounts
}

fn traces(block: &Block<Transaction>, found: &[Value]) -> Value {
    let hashes = block.body.transactions.iter().map(Transaction::tx_hash);
    hashes.zip(found).map(|(hash, found)| json!({"txHash": hash, "result": found})).collect()
}

fn slot(number: u64) -> String {
    B256::from(U256::from(number)).to_string()
}

#[test]
fn the_first_value_in_block_order_is_the_one_from_before_the_block() {
    let (block, head, script) = block(3);
    let [old, new, made, late] = [OLD, NEW, MADE, LATE].map(|address| format!("{address:#x}"));
    let found = [
        json!({&old: {"balance": "0x64", "nonce": 5, "storage": {slot(1): slot(10)}}}),
        json!({&old: {"balance": "0x63", "nonce": 6, "storage": {slot(1): slot(11), slot(2): slot(20)}},
               &new: {"balance": "0x1"}}),
        json!({&made: {"balance": "0x0", "nonce": 1, "code": "0x00", "storage": {slot(3): slot(30)}},
               &late: {"balance": "0x9", "code": "0x01", "storage": {slot(4): slot(40)}},
               &new: {"balance": "0x2"}}),
    ];
    // Of those who came later only one was there before, with another balance.
    let script = script
        .with("debug_traceBlockByHash", traces(&block, &found))
        .with(&format!("eth_getBalance {}", json!(LATE).as_str().unwrap()), "0x8")
        .with(&format!("eth_getBalance {}", json!(BENEFICIARY).as_str().unwrap()), "0x7");
    let capture = capture(&script, &head).unwrap();
    let accounts = accounts(&capture);
    let balances: Vec<_> =
        accounts.iter().map(|(it, found)| (*it, found.account.balance)).collect();
    let expected = [(OLD, 100), (LATE, 8), (BENEFICIARY, 7)];
    assert_eq!(balances, expected.map(|(address, balance)| (address, U256::from(balance))));
    assert_eq!(accounts[&OLD].account.nonce, 5);
    let slots = [(1, 10), (2, 20)].map(|(slot, value)| (U256::from(slot), U256::from(value)));
    assert_eq!(accounts[&OLD].storage, slots.into());
    assert_eq!(accounts[&LATE].account.code_hash, keccak256([1]));
    assert!(capture.codes.contains(&Bytes::from_static(&[1])));
}

#[test]
fn what_happens_around_the_transactions_is_looked_up() {
    let (block, head, script) = block(1);
    let queue = CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS;
    let name = json!(queue).as_str().unwrap().to_owned();
    let delegation = [&[0xef, 0x01, 0x00][..], LATE.as_slice()].concat();
    let found = [json!({format!("{OLD:#x}"): {"balance": "0x1", "code": Bytes::from(delegation)}})];
    let mut script = script
        .with("debug_traceBlockByHash", traces(&block, &found))
        .with(&format!("eth_getCode {name}"), "0x5f")
        .with(&format!("eth_getCode {}", json!(LATE).as_str().unwrap()), "0x60")
        // From entry 10 on, three wait, and a block takes two.
        .with(&format!("eth_getStorageAt {name} {}", slot(2)), slot(10))
        .with(&format!("eth_getStorageAt {name} {}", slot(3)), slot(13));
    for at in 44..56 {
        script = script.with(&format!("eth_getStorageAt {name} {}", slot(at)), slot(at));
    }
    let capture = capture(&script, &head).unwrap();
    let accounts = accounts(&capture);
    assert_eq!(accounts[&LATE].account.code_hash, keccak256([0x60]));
    let asked: Vec<_> = (0..4).chain(44..52).map(U256::from).collect();
    assert!(accounts[&queue].storage.keys().eq(&asked), "{:?}", accounts[&queue]);
    // Code may ask for hashes; the node has none but the parent's.
    assert_eq!(capture.block_hashes, [(NUMBER - 1, head.header.parent_hash)].into());
}

/// A block whose code may ask for hashes, its 300 ancestors, and a node that has it and its parent.
fn block_with_ancestors() -> (BlockHead, Vec<Header>, Script) {
    let mut headers = vec![Header::default()];
    for number in 1..NUMBER {
        let parent_hash = headers.last().unwrap().hash_slow();
        headers.push(Header { number, parent_hash, ..Header::default() });
    }
    let (block, _, _) = block(1);
    let mut head = block.header.clone();
    head.parent_hash = headers.last().unwrap().hash_slow();
    let block = Block::new(head.clone(), block.body);
    let found = [json!({format!("{OLD:#x}"): {"code": "0x40"}})];
    let script = Script::default()
        .with("debug_getRawBlock", json!(Bytes::from(alloy_rlp::encode(&block))))
        .with("debug_traceBlockByNumber", traces(&block, &found))
        .with("eth_getBlockByHash", announced(headers.last().unwrap()));
    (BlockHead { hash: head.hash_slow(), header: head }, headers, script)
}

#[test]
fn hashes_are_linked_back_from_the_parent_and_asked_for_once() {
    let (head, headers, mut script) = block_with_ancestors();
    for header in &headers {
        let question = format!("debug_getRawHeader {:#x}", header.number);
        script = script.with(&question, json!(Bytes::from(alloy_rlp::encode(header))));
    }
    let chain = Arc::new(ChainSpec::at_fork(EthereumHardfork::Paris, 1));
    let node = RemoteNode::new(&script, chain, StateFrom::Traces);
    let hashes = node.capture(&head).unwrap().block_hashes;
    assert_eq!(hashes.len(), 256);
    assert!(
        hashes.iter().all(|(it, hash)| headers[usize::try_from(*it).unwrap()].hash_slow() == *hash)
    );
    let asked = script.times("debug_getRawHeader");
    assert_eq!(node.capture(&head).unwrap().block_hashes, hashes);
    assert_eq!(script.times("debug_getRawHeader"), asked);
    assert_eq!(script.times("debug_traceBlockByHash"), 1, "what is missing is asked for once");

    // Headers that are another chain's.
    let other = Header { number: NUMBER - 2, gas_limit: 1, ..Header::default() };
    let question = format!("debug_getRawHeader {:#x}", other.number);
    let script = script.with(&question, json!(Bytes::from(alloy_rlp::encode(&other))));
    let error = capture(&script, &head).unwrap_err();
    assert!(matches!(error, FetchError::OtherBlock { number: 298, .. }), "{error}");
    assert!(error.is_passing());
}

#[test]
fn a_refusal_that_passes_is_no_missing_hash() {
    let (head, headers, mut script) = block_with_ancestors();
    let raw = |number: u64| format!("debug_getRawHeader {number:#x}");
    let json = |number: u64| format!("eth_getBlockByNumber {number:#x}");
    for header in &headers {
        script = script.with(&raw(header.number), json!(Bytes::from(alloy_rlp::encode(header))));
    }
    // One method is refused: the other is asked, and the first once more for the next blocks.
    let busy = script.with(&raw(299), "fault busy").with(&json(299), announced(&headers[299]));
    let fetched = capture(&busy, &head).unwrap();
    assert_eq!(fetched.block_hashes.len(), 256);
    assert!(busy.times("debug_getRawHeader") > 1, "it is still asked");
    // Both are refused.
    let busy = busy.with(&json(299), "fault busy");
    let error = capture(&busy, &head).unwrap_err().to_string();
    assert_eq!(error, "eth_getBlockByNumber: fault busy (-32000)");
    // What the node does not have is missing for good.
    for none in [Value::Null, json!("pruned history")] {
        let without = capture(&busy.clone_with(&json(299), none), &head).unwrap();
        assert_eq!(without.block_hashes, [(299, head.header.parent_hash)].into());
    }
}

#[test]
fn ommers_are_asked_for_one_by_one_and_checked() {
    let ommer =
        Header { number: NUMBER - 1, extra_data: Bytes::from_static(b"o"), ..Header::default() };
    let (block, head, mut script) = block_after(0, vec![ommer.clone()]);
    script.answers.remove("debug_getRawBlock");
    let mut json = announced(&block.header);
    json["transactions"] = json!([]);
    json["withdrawals"] = json!([]);
    json["uncles"] = json!([ommer.hash_slow()]);
    let method = "eth_getUncleByBlockHashAndIndex";
    let script = script.with("eth_getBlockByNumber", json).with(method, announced(&ommer));
    let script = script.with("debug_getRawHeader", Value::Null);
    let fetched = capture(&script, &head).unwrap();
    assert_eq!(fetched.block, Bytes::from(alloy_rlp::encode(&block)));
    assert_eq!(script.times("debug_traceBlockByHash"), 0, "nothing to trace");

    let script = script.with(method, announced(&Header::default()));
    let error = capture(&script, &head).unwrap_err().to_string();
    assert!(error.contains("block 300: the header commits to ommers"), "{error}");
}

#[test]
fn answers_that_cannot_be_true_are_errors() {
    type Change = fn(&Block<Transaction>, Script) -> Script;
    let table: [(Change, &str); 9] = [
        (|_, script| script.with("debug_getRawBlock", "0xc0"), "block 300: malformed RLP"),
        (
            |_, script| script.with("debug_getRawBlock", 7),
            "debug_getRawBlock: the answer cannot be read",
        ),
        (
            |block, script| {
                let mut other = block.clone();
                other.header.gas_used += 1;
                script.with("debug_getRawBlock", json!(Bytes::from(alloy_rlp::encode(&other))))
            },
            "block 300: the node announced 0x",
        ),
        (
            |block, script| {
                let mut other = block.clone();
                other.body.transactions.pop();
                script.with("debug_getRawBlock", json!(Bytes::from(alloy_rlp::encode(&other))))
            },
            "the header commits to transactions",
        ),
        (
            |_, script| script.with("debug_traceBlockByHash", json!([])),
            "not those of its 2 transactions",
        ),
        (
            |_, script| {
                let other = json!({"txHash": B256::ZERO, "result": {}});
                script.with("debug_traceBlockByHash", json!([other, other]))
            },
            "not those of its 2 transactions",
        ),
        (
            |_, script| script.with("debug_traceBlockByHash", json!([{"error": "timeout"}, {}])),
            "tracing transaction 0 failed: timeout",
        ),
        (
            |_, script| script.with("debug_traceBlockByHash", "fault too old"),
            "prestateTracer: fault too old (-32000). Switch on",
        ),
        (
            |_, script| {
                let none = json!({"state": [], "codes": [], "headers": ["0xc0"]});
                script.with("debug_executionWitness", none)
            },
            "block 300: witness: malformed RLP",
        ),
    ];
    for (change, complaint) in table {
        let (block, head, script) = block(2);
        let script = script.with("debug_traceBlockByHash", traces(&block, &[json!({}), json!({})]));
        let error = capture(&change(&block, script), &head).unwrap_err().to_string();
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
}

#[test]
fn what_cannot_be_asked_for_is_said() {
    let (_, head, script) = block(1);
    let node = RemoteNode::new(&script, Arc::new(ChainSpec::mainnet()), StateFrom::Witness);
    let error = node.capture(&head).unwrap_err().to_string();
    assert_eq!(error, "debug_executionWitness: no such method (-32601)");
    let genesis = BlockHead { header: Header::default(), ..head };
    assert!(matches!(node.capture(&genesis), Err(FetchError::Genesis)));
    let error = chain_id_of(&&script).unwrap_err().to_string();
    assert_eq!(error, "eth_chainId: no such method (-32601)");
    let script = Script::default().with("eth_getBlockByNumber", Value::Null);
    let node = RemoteNode::new(&script, Arc::new(ChainSpec::mainnet()), StateFrom::Any);
    assert_eq!(node.head(7).unwrap_err().to_string(), "the node has no block 7");
    let script = Script::default().with("eth_getBlockByNumber", announced(&Header::default()));
    let node = RemoteNode::new(&script, Arc::new(ChainSpec::mainnet()), StateFrom::Any);
    assert_eq!(node.head(7).unwrap_err().to_string(), "the node gave block 0 for block 7");
}
