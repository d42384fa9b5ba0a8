//! One small valid document in each format, to be spoiled in many ways.

use alloy_consensus::{Block, BlockBody, Header, constants::EMPTY_OMMER_ROOT_HASH};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rlp::Encodable;
use serde_json::{Value, json};
use warpline_primitives::Transaction;
use warpline_trie::{EMPTY_ROOT_HASH, StateTrie};

/// A snapshot: mainnet's block 46147, the first with a transaction.
pub(crate) fn snapshot() -> Value {
    serde_json::from_str(include_str!("../data/46147.json")).unwrap()
}

fn header(number: u64, parent: Option<&Header>) -> Header {
    Header {
        number,
        parent_hash: parent.map(Header::hash_slow).unwrap_or_default(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        difficulty: U256::from(131_072),
        gas_limit: 1_000_000,
        timestamp: 1000 + 15 * number,
        ..Header::default()
    }
}

fn encoded(value: &impl Encodable) -> Value {
    hex::encode_prefixed(alloy_rlp::encode(value)).into()
}

pub(crate) fn encode_block(header: Header, transactions: Vec<Transaction>) -> Bytes {
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
    alloy_rlp::encode(Block::new(header, body)).into()
}

/// A witness for an empty block 10 on an empty state, with two ancestors.
pub(crate) fn witness() -> Value {
    witness_on(EMPTY_ROOT_HASH, &[0x80])
}

/// As [`witness`], on the state with this root and this one node.
pub(crate) fn witness_on(state_root: B256, node: &[u8]) -> Value {
    let grandparent = header(8, None);
    let parent = Header { state_root, ..header(9, Some(&grandparent)) };
    let block = encode_block(header(10, Some(&parent)), Vec::new());
    json!({
        "block": block,
        "witness": {
            "state": [hex::encode_prefixed(node)],
            "codes": ["0x6000"],
            "keys": "never looked at",
            "headers": [encoded(&parent), encoded(&grandparent)],
        },
    })
}

/// A blockchain test of two empty Homestead blocks, the second of which is invalid.
pub(crate) fn chain_test() -> Value {
    let miner = Address::repeat_byte(0xc0);
    let genesis = Header { state_root: EMPTY_ROOT_HASH, ..header(0, None) };
    let reward = U256::from(5_000_000_000_000_000_000_u64);
    let rich = warpline_primitives::Account { balance: reward, ..Default::default() };
    let state_root = StateTrie::from_accounts([(miner, rich, [])]).root();
    let first = Header { beneficiary: miner, state_root, ..header(1, Some(&genesis)) };
    let second = Header { gas_used: 1, ..header(2, Some(&first)) };
    json!({"case": {
        "network": "Homestead",
        "pre": {},
        "genesisRLP": encode_block(genesis.clone(), Vec::new()),
        "blocks": [
            {"rlp": encode_block(first.clone(), Vec::new()), "blockHeader": {}},
            {"rlp": encode_block(second, Vec::new()), "expectException": "UsesTooMuchGas"},
        ],
        "lastblockhash": first.hash_slow(),
        "postState": {miner.to_string(): {"balance": reward, "nonce": "0x00", "code": "0x"}},
    }})
}
