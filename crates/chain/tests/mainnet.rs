//! Real headers and bodies, where they are at hand: `WARPLINE_SHARED`, or `../shared` beside the
//! workspace.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and talk")]

use std::{env, fs, io::Read, path::PathBuf};

use alloy_consensus::{Block, Header, transaction::SignerRecoverable};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{U256, hex};
use alloy_rlp::Decodable;
use flate2::read::GzDecoder;
use serde_json::Value;
use warpline_chain::{BodyError, ChainSpec, Ethash, HeaderError, SealError};
use warpline_primitives::{RecoveredBlock, Transaction};

/// The JSON files of one set of blocks by number, or `None` with a line that says so.
fn blocks(set: &str) -> Option<Vec<(u64, Value)>> {
    let shared = env::var_os("WARPLINE_SHARED").map(PathBuf::from);
    let shared = shared.or_else(|| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()?;
        Some(root.parent()?.parent()?.parent()?.join("shared"))
    });
    let directory =
        shared.and_then(|shared| fs::read_dir(shared.join("blocks/mainnet").join(set)).ok());
    let Some(directory) = directory else {
        println!("skipped: no shared/blocks/mainnet/{set}, set WARPLINE_SHARED");
        return None;
    };
    let read = |path: PathBuf| {
        let mut json = String::new();
        GzDecoder::new(fs::File::open(&path).unwrap()).read_to_string(&mut json).unwrap();
        let number = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap();
        (number.parse().unwrap(), serde_json::from_str(&json).unwrap())
    };
    let mut blocks: Vec<_> = directory.map(|entry| read(entry.unwrap().path())).collect();
    blocks.sort_by_key(|(number, _)| *number);
    Some(blocks)
}

fn decode<T: Decodable>(json: &Value) -> T {
    T::decode(&mut &hex::decode(json.as_str().unwrap()).unwrap()[..]).unwrap()
}

fn recover(block: Block<Transaction>) -> RecoveredBlock {
    let recover = |transaction: Transaction| transaction.try_into_recovered().unwrap();
    RecoveredBlock {
        hash: block.header.hash_slow(),
        header: block.header,
        transactions: block.body.transactions.into_iter().map(recover).collect(),
        ommers: block.body.ommers,
        withdrawals: block.body.withdrawals,
    }
}

/// From Paris to BPO2: headers against their parents, bodies against their headers.
#[test]
fn witness_blocks_are_valid() {
    let Some(blocks) = blocks("witness") else { return };
    let spec = ChainSpec::mainnet();
    for (number, json) in blocks {
        let encoded_len = hex::decode(json["block"].as_str().unwrap()).unwrap().len();
        let block = recover(decode(&json["block"]));
        let ancestors = json["witness"]["headers"].as_array().unwrap();
        let ancestors: Vec<Header> = ancestors.iter().map(decode).collect();
        let mut header = &block.header;
        assert_eq!(header.number, number);
        for parent in &ancestors {
            spec.validate_header(header, parent).unwrap();
            header = parent;
        }
        spec.validate_body(&block, Some(encoded_len)).unwrap();
        break_and_check(&spec, block, &ancestors[0]);
    }
}

/// One changed field each, and the error that names it.
fn break_and_check(spec: &ChainSpec, block: RecoveredBlock, parent: &Header) {
    let check = |change: fn(&mut Header)| {
        let mut header = block.header.clone();
        change(&mut header);
        spec.validate_header(&header, parent).unwrap_err()
    };
    let expected = block.header.base_fee_per_gas.unwrap();
    assert_eq!(
        check(|header| *header.base_fee_per_gas.as_mut().unwrap() += 1),
        HeaderError::BaseFee { expected, found: expected + 1 }
    );
    let error = check(|header| header.difficulty = U256::ONE);
    assert_eq!(error, HeaderError::Difficulty { expected: U256::ZERO, found: U256::ONE });
    assert!(matches!(check(|header| header.gas_limit *= 2), HeaderError::GasLimitStep { .. }));
    if let Some(expected) = block.header.excess_blob_gas {
        let error = check(|header| header.excess_blob_gas = Some(1));
        assert_eq!(error, HeaderError::ExcessBlobGas { expected, found: 1 });
    }
    let mut broken = block;
    broken.transactions.pop();
    let error = spec.validate_roots(&broken).unwrap_err();
    assert!(matches!(error, BodyError::TransactionsRoot { .. }), "{error}");
}

/// Three pairs in this set are parent and child, each across a fork: the first blocks of
/// Byzantium, of the merge and of Cancun.
#[test]
fn first_blocks_of_forks_follow_their_parents() {
    let Some(blocks) = blocks("prestate") else { return };
    let spec = ChainSpec::mainnet();
    let header = |json: &Value| -> alloy_rpc_types_eth::Header {
        serde_json::from_value(json["block"].clone()).unwrap()
    };
    let mut pairs = Vec::new();
    for pair in blocks.windows(2) {
        let [(_, parent), (_, child)] = pair else { continue };
        let (parent, child) = (header(parent), header(child));
        if child.number != parent.number + 1 {
            continue;
        }
        assert_eq!(child.inner.hash_slow(), child.hash);
        spec.validate_header(&child.inner, &parent.inner).unwrap();
        let names = [&parent, &child].map(|h| spec.fork_name_at(h.number, h.timestamp));
        pairs.push((child.number, names));
    }
    let expected = [
        (4_370_000, ["Spurious Dragon", "Byzantium"]),
        (15_537_394, ["Gray Glacier", "Paris"]),
        (19_426_587, ["Shanghai", "Cancun"]),
    ];
    assert_eq!(pairs, expected);
    for (_, json) in &blocks {
        let header = header(json);
        assert_eq!(spec.is_merged(header.number), header.difficulty.is_zero());
        let shanghai = spec.is_shanghai_active_at_timestamp(header.timestamp);
        assert_eq!(shanghai, header.withdrawals_root.is_some());
    }
}

/// Seals of blocks from several epochs, that of the last block before the merge among them.
#[test]
fn proof_of_work_of_real_blocks_is_enough() {
    let Some(blocks) = blocks("prestate") else { return };
    let ethash = Ethash::default();
    let mut sealed = Vec::new();
    for (number, json) in &blocks {
        if ![46_147, 4_370_000, 15_537_393].contains(number) {
            continue;
        }
        let header: alloy_rpc_types_eth::Header =
            serde_json::from_value(json["block"].clone()).unwrap();
        ethash.verify(&header.inner).unwrap();
        let mut spoilt = header.inner;
        spoilt.nonce.0[7] ^= 1;
        assert!(matches!(ethash.verify(&spoilt), Err(SealError::MixHash { .. })));
        sealed.push(*number);
    }
    assert_eq!(sealed.len(), 3);
}
