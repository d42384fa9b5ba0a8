//! What leaves hold, and whole leaves for databases that keep accounts and slots in flat tables.

use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{Nibbles, TrieAccount, nodes::LeafNodeRef};
use warpline_primitives::Account;

use crate::{TrieError, TrieId};

/// The RLP of the leaf of an account that stands `depth` nibbles down the account trie. `key` is
/// the Keccak-256 hash of the address. Of a `depth` of more than 64 it is as of 64.
pub fn account_leaf_node(key: B256, depth: usize, account: &Account, storage_root: B256) -> Bytes {
    leaf_node(key, depth, &account_leaf(account, storage_root))
}

/// The RLP of the leaf of a storage slot that stands `depth` nibbles down its trie. `key` is the
/// Keccak-256 hash of the slot, `value` not zero. Of a `depth` of more than 64 it is as of 64.
pub fn storage_leaf_node(key: B256, depth: usize, value: U256) -> Bytes {
    leaf_node(key, depth, &storage_leaf(value))
}

fn leaf_node(key: B256, depth: usize, value: &[u8]) -> Bytes {
    let key = Nibbles::unpack(key);
    let path = key.slice(depth.min(key.len())..);
    let mut rlp = Vec::new();
    LeafNodeRef::new(&path, value).encode(&mut rlp);
    rlp.into()
}

pub(crate) fn storage_leaf(value: U256) -> Box<[u8]> {
    alloy_rlp::encode(value).into()
}

pub(crate) fn account_leaf(account: &Account, storage_root: B256) -> Box<[u8]> {
    let Account { balance, nonce, code_hash } = *account;
    alloy_rlp::encode(TrieAccount::new(nonce, balance, storage_root, code_hash)).into()
}

/// What the value of the leaf of `key` in `trie` says.
///
/// # Errors
/// [`TrieError::MalformedLeaf`] where it is no `T`.
pub(crate) fn decode_leaf<T: Decodable>(
    value: &[u8],
    trie: TrieId,
    key: B256,
) -> Result<T, TrieError> {
    alloy_rlp::decode_exact(value).map_err(|error| TrieError::MalformedLeaf { trie, key, error })
}
