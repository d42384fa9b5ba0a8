//! The nodes of a witness: 1 byte of length before each, the last one taken for the root.

#![no_main]

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use libfuzzer_sys::fuzz_target;
use warpline_trie::StateTrie;

fuzz_target!(|bytes: &[u8]| {
    let mut nodes = Vec::new();
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first() {
        let (node, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        nodes.push(Bytes::copy_from_slice(node));
        rest = tail;
    }
    let root = nodes.last().map_or(B256::ZERO, keccak256);
    let Ok(mut trie) = StateTrie::from_witness(root, nodes) else { return };
    for byte in 0..4 {
        let address = Address::repeat_byte(byte);
        let _ = trie.account(address);
        let _ = trie.storage(address, U256::from(byte));
        let _ = trie.storage_root(address);
    }
    // Writing walks further than reading: it splits, collapses and hashes again.
    let mut diff = warpline_decoder_fuzz::some_changes();
    let _ = trie.apply(&diff);
    diff = warpline_decoder_fuzz::the_opposite();
    let _ = trie.apply(&diff);
    let _ = trie.root();
});
