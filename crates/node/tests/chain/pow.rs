//! Proof of work, where it is asked for: mainnet's first block has it.

use alloy_consensus::{
    Header,
    constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_RECEIPTS, EMPTY_TRANSACTIONS},
};
use alloy_primitives::{B256, U256, address, b64, b256, bytes};
use warpline_chain::SealError;
use warpline_engine::EngineConfig;
use warpline_node::{Chain, ChainOptions, ChainSource, ImportError, Imported, IncomingBlock};
use warpline_primitives::RecoveredBlock;
use warpline_replay::Rejection;
use warpline_storage::Database;

use crate::{branches::NONE, refused::contents};

fn first_header() -> Header {
    Header {
        parent_hash: b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: address!("05a56e2d52c817161883f50c441c3228cfe54d9f"),
        state_root: b256!("d67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3"),
        transactions_root: EMPTY_TRANSACTIONS,
        receipts_root: EMPTY_RECEIPTS,
        difficulty: U256::from(17_171_480_576_u64),
        number: 1,
        gas_limit: 5000,
        timestamp: 1_438_269_988,
        extra_data: bytes!("476574682f76312e302e302f6c696e75782f676f312e342e32"),
        mix_hash: b256!("969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59"),
        nonce: b64!("539bd4979fef1ec4"),
        ..Header::default()
    }
}

fn incoming(header: Header) -> IncomingBlock {
    let block = RecoveredBlock {
        hash: header.hash_slow(),
        header,
        transactions: Vec::new(),
        ommers: Vec::new(),
        withdrawals: None,
    };
    IncomingBlock { block, encoded_len: None }
}

fn mainnet(verify_pow: bool) -> Chain {
    let database = Database::in_memory(&ChainSource::Mainnet.genesis_block().unwrap()).unwrap();
    let options = ChainOptions { verify_pow, ..NONE };
    Chain::in_database(database, EngineConfig::with_threads(1), options).unwrap()
}

#[test]
fn a_block_with_proof_of_work_is_taken_and_one_without_is_refused_where_that_is_asked() {
    let hash = b256!("88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6");
    assert_eq!(first_header().hash_slow(), hash);
    let other_nonce = || Header { nonce: b64!("539bd4979fef1ec5"), ..first_header() };

    let mut chain = mainnet(true);
    let before = contents(&chain);
    let refused = |chain: &mut Chain, header| match chain.import(incoming(header)) {
        Err(ImportError::Rejected(Rejection::Seal(error))) => error,
        other => panic!("{other:?}"),
    };
    let error = refused(&mut chain, other_nonce());
    let SealError::MixHash { expected, found } = error else { panic!("{error}") };
    assert_eq!(found, first_header().mix_hash);
    // What the nonce makes is in the header now, and is not below the bound.
    let error = refused(&mut chain, Header { mix_hash: expected, ..other_nonce() });
    assert!(matches!(error, SealError::NotEnough { .. }), "{error}");
    assert_eq!(contents(&chain), before);
    assert_eq!(chain.import(incoming(first_header())).unwrap(), Imported::Extended);
    assert_eq!(chain.head().hash, hash);

    let mut trusting = mainnet(false);
    assert_eq!(trusting.import(incoming(other_nonce())).unwrap(), Imported::Extended);
    let unsealed = Header { mix_hash: B256::ZERO, ..first_header() };
    assert_eq!(trusting.import(incoming(unsealed)).unwrap(), Imported::Beside);
}
