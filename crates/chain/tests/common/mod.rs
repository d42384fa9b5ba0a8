//! The chain of the JSON-RPC conformance tests, where it is at hand: `WARPLINE_SHARED`, or `../shared` beside
//! the workspace.

#![allow(dead_code, reason = "not every test uses all of it")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and talk")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use alloy_consensus::Block;
use alloy_primitives::B256;
use alloy_rlp::Decodable;
use warpline_chain::Genesis;
use warpline_primitives::Transaction;
use warpline_trie::StateTrie;

/// The file `name` of the conformance tests, or `None` with a line that says so.
pub(crate) fn rpc_compat(name: &str) -> Option<Vec<u8>> {
    let folder = env::var_os("WARPLINE_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = folder.join("rpc-compat").join(name);
    if !path.exists() {
        println!("not run: {} is not there", path.display());
        return None;
    }
    Some(fs::read(path).unwrap())
}

/// The genesis and the blocks after it.
pub(crate) fn rpc_chain() -> Option<(Genesis, Vec<Block<Transaction>>)> {
    let genesis = Genesis::from_json(&rpc_compat("genesis.json")?).unwrap();
    let file = rpc_compat("chain.rlp")?;
    let mut rest = file.as_slice();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        blocks.push(Block::decode(&mut rest).unwrap());
    }
    assert_eq!(blocks.len(), 54);
    Some((genesis, blocks))
}

pub(crate) fn state_root(genesis: &Genesis) -> B256 {
    let accounts = genesis.alloc().iter().map(|(address, account)| {
        let slots = account.storage.iter().map(|(slot, value)| (*slot, *value));
        (*address, account.account(), slots)
    });
    StateTrie::from_accounts(accounts).root()
}
