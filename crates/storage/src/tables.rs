//! The tables, and how their keys are made.
//!
//! Accounts and slots are kept by the hash of their address and number: that is the order of the
//! tries, so the one leaf below a path is found by looking for the first key that begins with it.
//!
//! ```text
//! present          changed by a block                     found again by
//! accounts         account_history   key ++ block ─▶ old   changes  block ─▶ keys
//! slots            slot_history      key ++ block ─▶ old
//! nodes            node_history      key ++ block ─▶ old
//! ```
//!
//! A history holds what was there *before* the block: the state after block `n` is the entry of the
//! first block after `n` that changed the key, and what is present where there is none.

use alloy_primitives::{Address, B256};
use redb::TableDefinition;
use warpline_trie::{Nibbles, TrieKey};

/// Bytes by a name: what there is only one of.
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Number to hash, total difficulty and RLP of the header.
pub(crate) const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers");
/// Hash of a block to its number.
pub(crate) const NUMBERS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("numbers");
/// Number to the RLP of transactions, ommers and withdrawals.
pub(crate) const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");
/// Number to the senders of the transactions, one after the other.
pub(crate) const SENDERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("senders");
/// Number to the RLP of the receipts, without blooms.
pub(crate) const RECEIPTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("receipts");
/// Number to the RLP of the block access list (EIP-7928), where the block has one.
pub(crate) const ACCESS_LISTS: TableDefinition<'_, u64, &[u8]> =
    TableDefinition::new("access_lists");
/// Hash of a transaction to where it stands.
pub(crate) const TRANSACTIONS: TableDefinition<'_, &[u8; 32], (u64, u32)> =
    TableDefinition::new("transactions");
/// [`log_key`]s: which blocks have logs of an address or with a topic.
pub(crate) const LOGS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("logs");
/// Hashed address to the account and its storage root.
pub(crate) const ACCOUNTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("accounts");
/// [`slot_key`] to the value, without leading zeros.
pub(crate) const SLOTS: TableDefinition<'_, &[u8; 64], &[u8]> = TableDefinition::new("slots");
/// Hash to code.
pub(crate) const CODES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("codes");
/// [`node_key`] to the RLP of a branch or an extension.
pub(crate) const NODES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("nodes");
/// Hashed address and block to the account before; empty where there was none.
pub(crate) const ACCOUNT_HISTORY: TableDefinition<'_, &[u8; 40], &[u8]> =
    TableDefinition::new("account_history");
/// [`slot_key`] and block to the value before; empty for zero.
pub(crate) const SLOT_HISTORY: TableDefinition<'_, &[u8; 72], &[u8]> =
    TableDefinition::new("slot_history");
/// [`node_key`] and block to what the node was before: see [`crate::nodes`].
pub(crate) const NODE_HISTORY: TableDefinition<'_, &[u8], &[u8]> =
    TableDefinition::new("node_history");
/// Block to the keys that it changed.
pub(crate) const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");

/// A slot of an account, both by their hashes.
pub(crate) fn slot_key(account: B256, slot: B256) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(account.as_slice());
    key[32..].copy_from_slice(slot.as_slice());
    key
}

/// `key`, an array of `N` bytes, as it was before `block`. `M` is `N + 8`.
pub(crate) fn versioned<const N: usize, const M: usize>(key: &[u8; N], block: u64) -> [u8; M] {
    const { assert!(M == N + 8) };
    let mut versioned = [0; M];
    versioned[..N].copy_from_slice(key);
    versioned[N..].copy_from_slice(&block.to_be_bytes());
    versioned
}

/// Ends the path in the key of a node. Larger than every nibble, so that no path with more nibbles
/// comes between the versions of one without them.
const END_OF_PATH: u8 = 16;

/// What all keys of nodes of a trie begin with.
pub(crate) fn trie_prefix(trie: TrieKey) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    match trie {
        TrieKey::Accounts => key.push(0),
        TrieKey::Storage(account) => {
            key.push(1);
            key.extend_from_slice(account.as_slice());
        }
    }
    key
}

/// The place of a node: its trie, a byte for every nibble of the path, and the end of the path.
pub(crate) fn node_key(trie: TrieKey, path: &Nibbles) -> Vec<u8> {
    let mut key = trie_prefix(trie);
    key.extend(path.iter());
    key.push(END_OF_PATH);
    key
}

/// The node with this key as it was before `block`.
pub(crate) fn versioned_node(key: &[u8], block: u64) -> Vec<u8> {
    let mut versioned = Vec::with_capacity(key.len() + 8);
    versioned.extend_from_slice(key);
    versioned.extend_from_slice(&block.to_be_bytes());
    versioned
}

/// The block in a versioned key.
pub(crate) fn version_of(key: &[u8]) -> u64 {
    let at = key.len().saturating_sub(8);
    key[at..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What logs are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogTerm {
    /// The contract that logged.
    Address(Address),
    /// The topic in this place, of four.
    Topic(u8, B256),
}

/// The block `number` has a log that `term` finds.
pub(crate) fn log_key(term: LogTerm, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(41);
    match term {
        LogTerm::Address(address) => {
            key.push(u8::MAX);
            key.extend_from_slice(address.as_slice());
        }
        LogTerm::Topic(place, topic) => {
            key.push(place);
            key.extend_from_slice(topic.as_slice());
        }
    }
    key.extend_from_slice(&number.to_be_bytes());
    key
}
