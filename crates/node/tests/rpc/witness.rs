//! Witnesses: who has nothing else executes the block and proves the state after it.

use std::{collections::BTreeSet, sync::Arc};

use alloy_consensus::{Header, Signed, TxLegacy, constants::EMPTY_WITHDRAWALS};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use serde_json::{Value, json};
use warpline_chain::EthereumHardforks as _;
use warpline_engine::{ExecuteOptions, Strategy};
use warpline_primitives::{CommitObserver, RecoveredBlock, StateSource as _};
use warpline_replay::{BlockInput, Input, Origin, decode_document};
use warpline_testkit::Key;

use crate::{
    chain::Served,
    client::Http,
    node::{Node, config, conformance},
};

/// What the node answers about block `number`, as an input of its own.
fn input(node: &Node, http: &mut Http, number: u64) -> BlockInput {
    let params = format!("[\"{number:#x}\"]");
    let document = json!({
        "block": http.result("debug_getRawBlock", &params),
        "witness": http.result("debug_executionWitness", &params),
    });
    let view = node.served.database.view().unwrap();
    let parent = number - 1;
    let difficulty = view.total_difficulty(parent).unwrap().unwrap();
    let chain = Arc::new(node.served.spec.for_child_of(parent, difficulty).into_owned());
    let document = serde_json::to_vec(&document).unwrap();
    let mut inputs = decode_document(&document, &Origin::file("witness.json"), &chain);
    match inputs.remove(0).unwrap() {
        Input::Block(input) => *input,
        other => panic!("{other:?}"),
    }
}

/// Proves the state root after the block, and that after each transaction where those are in receipts.
/// Headers of the chains made here say nothing else.
fn prove(node: &Node, input: &BlockInput, is_whole: bool) {
    let vm = warpline_engine::Ethereum::new(Arc::clone(&input.chain));
    let engine = node.served.engine.with_vm(vm);
    input.parent.account(input.block.header.beneficiary).unwrap();
    for strategy in [Strategy::Sequential, Strategy::Parallel(2)] {
        let mut roots = input.transaction_roots();
        let mut options = ExecuteOptions::from(strategy);
        if let Some(roots) = &mut roots {
            options = options.observed_by(roots as &mut dyn CommitObserver);
        }
        let output = engine.execute_with(&input.block, &input.parent, options).unwrap();
        if is_whole {
            let proof = input.verify(&output, roots.as_ref()).unwrap();
            assert!(proof.is_complete(), "block {}: {proof:?}", input.number());
        }
        if let Some(roots) = roots {
            roots.roots().unwrap();
        }
        let mut trie = input.parent.trie().unwrap().clone();
        trie.apply(&output.state).unwrap();
        assert_eq!(trie.root(), input.block.header.state_root, "block {}", input.number());
    }
}

#[test]
fn every_block_can_be_proven() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let head = node.served.database.view().unwrap().head().header.number;
    for number in 1..=head {
        let input = input(node, &mut http, number);
        input.check().unwrap();
        prove(node, &input, true);
    }
}

#[test]
fn blocks_are_named_by_number_or_hash() {
    let Some(node) = conformance() else { return };
    let mut http = node.http();
    let hash = http.result("eth_getBlockByNumber", r#"["0x2"]"#)["hash"].take();
    let by_number = http.result("debug_executionWitness", r#"["0x2"]"#);
    let by_hash = json!([hash]).to_string();
    assert_eq!(http.result("debug_executionWitness", &by_hash), by_number);
    assert_eq!(http.result("debug_executionWitnessByBlockHash", &by_hash), by_number);
    assert_eq!(http.error("debug_executionWitness", r#"["earliest"]"#), -32000);
    assert_eq!(http.error("debug_executionWitness", r#"["0xffff"]"#), -32000);
}

/// Writes the second word it is given to the slot that the first one names.
const STORE: Address = Address::repeat_byte(0x51);
/// Asks for the hash of the block that it is told.
const ASKS: Address = Address::repeat_byte(0x52);
/// How many contracts there are that can be destroyed.
const DOOMED: u8 = 12;

fn doomed(index: u8) -> Address {
    Address::repeat_byte(0xd0 + index)
}

/// A chain with these forks, whose blocks change what is hard to prove.
fn served(forks: &Value) -> Served {
    let mut alloc = json!({
        (Key::new(1).address.to_string()): { "balance": "0xffffffffffffffffff" },
        (STORE.to_string()): { "balance": "0x0", "code": "0x6020356000355500" },
        (ASKS.to_string()): { "balance": "0x0", "code": "0x60003540600055" },
    });
    for index in 0..DOOMED {
        let slots = (0..=u64::from(index))
            .map(|slot| (B256::from(U256::from(slot)).to_string(), json!(B256::with_last_byte(7))));
        alloc[doomed(index).to_string()] = json!({
            "balance": "0x9", "code": "0x33ff", "storage": slots.collect::<serde_json::Map<_, _>>(),
        });
    }
    let genesis = json!({
        "config": forks, "gasLimit": "0x1c9c380", "difficulty": "0x0", "alloc": alloc,
    });
    Served::new(&serde_json::to_vec(&genesis).unwrap())
}

/// What a transaction is: whom it calls, with which words and value. Nobody is a creation.
type Sent = (Option<Address>, Bytes, u64);

fn store(slot: u64, value: u64) -> Sent {
    let words = [slot, value].map(|word| U256::from(word).to_be_bytes::<32>());
    (Some(STORE), words.concat().into(), 0)
}

fn destroy(index: u8) -> Sent {
    (Some(doomed(index)), Bytes::new(), 0)
}

/// Appends a block of these transactions.
fn append(served: &Served, nonce: &mut u64, sent: impl IntoIterator<Item = Sent>) {
    let parent = served.database.view().unwrap().head().clone();
    let spec = &served.spec;
    let (number, timestamp) = (parent.header.number + 1, parent.header.timestamp + 12);
    let base_fee_per_gas = spec.next_base_fee(&parent.header);
    let transactions = sent.into_iter().map(|(to, input, value)| {
        let transaction = TxLegacy {
            nonce: *nonce,
            gas_price: base_fee_per_gas.unwrap_or_default().into(),
            gas_limit: 150_000,
            to: to.map_or(TxKind::Create, TxKind::Call),
            value: U256::from(value),
            input,
            chain_id: None,
        };
        *nonce += 1;
        let signature = Signature::test_signature();
        Key::new(1).sign(Signed::new_unhashed(transaction, signature).into())
    });
    let is_shanghai = spec.is_shanghai_active_at_timestamp(timestamp);
    let header = Header {
        parent_hash: parent.hash,
        state_root: B256::ZERO,
        number,
        timestamp,
        gas_limit: parent.header.gas_limit,
        base_fee_per_gas,
        beneficiary: Address::repeat_byte(0xbe),
        withdrawals_root: is_shanghai.then_some(EMPTY_WITHDRAWALS),
        ..Header::default()
    };
    let executed = served.append(RecoveredBlock {
        header,
        hash: B256::ZERO,
        transactions: transactions.collect(),
        ommers: Vec::new(),
        withdrawals: is_shanghai.then(Withdrawals::default),
    });
    assert!(executed.receipts.iter().all(|receipt| receipt.status()), "block {number}");
}

/// Every way that tries become smaller, in blocks of its own and together.
fn shrink(served: &Served) {
    let nonce = &mut 0;
    append(served, nonce, (0..40).map(|slot| store(slot, slot + 1)));
    // Branches collapse one after the other, and at last there is one slot.
    append(served, nonce, (1..40).map(|slot| store(slot, 0)));
    append(served, nonce, [store(0, 0)]);
    // What comes and goes within a block, and what changes beside it.
    append(served, nonce, [store(1, 5), store(2, 5), store(1, 0), store(3, 5)]);
    append(served, nonce, [store(2, 0), store(4, 4)]);
    // Contracts go, some of them with others beside them, and one is paid again.
    append(served, nonce, [destroy(0), destroy(1)]);
    append(served, nonce, (2..11).map(destroy));
    append(served, nonce, [destroy(11), (Some(doomed(11)), Bytes::new(), 3)]);
    // One is gone before it was there.
    append(served, nonce, [(None, Bytes::from_static(&[0x33, 0xff]), 1)]);
    let asked = U256::from(3).to_be_bytes::<32>().into();
    append(served, nonce, [(Some(ASKS), asked, 0)]);
    append(served, nonce, []);
}

#[test]
fn what_goes_away_can_be_proven() {
    let newest = json!({
        "chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
        "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
        "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0, "terminalTotalDifficulty": 0,
        "shanghaiTime": 0,
    });
    let oldest = json!({ "chainId": 1337, "homesteadBlock": 0 });
    for forks in [newest, oldest] {
        let served = served(&forks);
        shrink(&served);
        let node = Node::start(served, &config());
        let head = node.served.database.view().unwrap().head().header.number;
        let mut http = node.http();
        for number in 1..=head {
            prove(&node, &input(&node, &mut http, number), false);
        }
        for index in 0..DOOMED {
            let address = doomed(index);
            assert_eq!(http.result("eth_getCode", &format!("[\"{address}\"]")), "0x");
        }
        let mut witness = |number: u64| -> Value {
            http.result("debug_executionWitness", &format!("[\"{number:#x}\"]"))
        };
        let asks = witness(10);
        assert_eq!(asks["headers"].as_array().unwrap().len(), 7, "from block 3 to block 9");
        let code = json!("0x60003540600055");
        assert!(asks["codes"].as_array().unwrap().contains(&code));
        // The code was run before, and is named again.
        assert_eq!(witness(2)["codes"], witness(3)["codes"]);
        let keys = witness(3)["keys"].take();
        let keys: BTreeSet<_> = keys.as_array().unwrap().iter().map(Value::to_string).collect();
        assert!(
            keys.contains(&json!(STORE).to_string())
                && keys.contains(&json!(B256::ZERO).to_string())
        );
        assert_eq!(witness(1)["headers"].as_array().unwrap().len(), 1);
    }
}
