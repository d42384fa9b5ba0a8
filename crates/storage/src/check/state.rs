//! The newest state, hashed from scratch, and the nodes of its tries.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, KECCAK_EMPTY, Nibbles, TrieAccount,
    nodes::{RlpNode, TrieNode},
};
use redb::{ReadableTable, ReadableTableMetadata};
use warpline_trie::TrieKey;

use super::{CheckError, CheckReport, blocks::engine, check_count};
use crate::{StateView, StorageError, StoredAccount, View, codec, tables::slot_key};

impl View {
    pub(super) fn check_state(&self, report: &mut CheckReport) -> Result<(), CheckError> {
        let mut builder = HashBuilder::default();
        for entry in self.accounts.iter().map_err(engine)? {
            let (key, stored) = entry.map_err(engine)?;
            let key = B256::from(*key.value());
            let stored = StoredAccount::decode(stored.value())
                .map_err(|error| StorageError::damaged("accounts", key.as_slice(), error))?;
            let (expected, found) = (stored.storage_root, self.root_of_slots(key, report)?);
            if expected != found {
                return Err(CheckError::StorageRoot { account: key, expected, found });
            }
            let account = stored.account;
            self.check_code(account.code_hash)?;
            let (nonce, balance) = (account.nonce, account.balance);
            let leaf = TrieAccount::new(nonce, balance, expected, account.code_hash);
            builder.add_leaf(Nibbles::unpack(key), &alloy_rlp::encode(leaf));
            report.accounts += 1;
        }
        check_count("slots", report.slots, self.slots.len().map_err(engine)?)?;
        let (expected, found) = (self.head().header.state_root, builder.root());
        if expected == found { Ok(()) } else { Err(CheckError::StateRoot { expected, found }) }
    }

    /// The root of the storage of an account, from its slots.
    fn root_of_slots(&self, account: B256, report: &mut CheckReport) -> Result<B256, CheckError> {
        let mut builder = HashBuilder::default();
        let first = slot_key(account, B256::ZERO);
        let last = slot_key(account, B256::repeat_byte(0xff));
        for entry in self.slots.range::<&[u8; 64]>(&first..=&last).map_err(engine)? {
            let (key, value) = entry.map_err(engine)?;
            let value = codec::decode_slot(value.value())
                .map_err(|error| StorageError::damaged("slots", key.value(), error))?;
            let slot = Nibbles::unpack(&key.value()[32..]);
            builder.add_leaf(slot, alloy_rlp::encode_fixed_size(&value).as_ref());
            report.slots += 1;
        }
        Ok(builder.root())
    }

    fn check_code(&self, hash: B256) -> Result<(), CheckError> {
        if hash == KECCAK_EMPTY {
            return Ok(());
        }
        let code = self.codes.get(&hash.0).map_err(engine)?;
        let code = code.ok_or_else(|| StorageError::missing("codes", hash.as_slice()))?;
        let same = keccak256(code.value()) == hash;
        same.then_some(()).ok_or(CheckError::Code { hash })
    }

    /// Whether the nodes that are reached from the root are those that are stored, and no others.
    pub(super) fn check_nodes(
        self: &Arc<Self>,
        report: &mut CheckReport,
    ) -> Result<(), CheckError> {
        let state = self.state();
        let mut walk = Walk { state: &state, nodes: 0 };
        walk.trie(TrieKey::Accounts, state.root())?;
        for entry in self.accounts.iter().map_err(engine)? {
            let (key, stored) = entry.map_err(engine)?;
            let key = B256::from(*key.value());
            let stored = StoredAccount::decode(stored.value())
                .map_err(|error| StorageError::damaged("accounts", key.as_slice(), error))?;
            walk.trie(TrieKey::Storage(key), stored.storage_root)?;
        }
        report.nodes = walk.nodes;
        check_count("nodes", walk.nodes, self.nodes.len().map_err(engine)?)
    }
}

/// A walk over all stored nodes.
struct Walk<'s> {
    state: &'s StateView,
    nodes: u64,
}

impl Walk<'_> {
    fn trie(&mut self, trie: TrieKey, root: B256) -> Result<(), CheckError> {
        if root == EMPTY_ROOT_HASH {
            return Ok(());
        }
        self.stored(trie, Nibbles::default(), root)
    }

    /// The node in this place: one that is stored, or the leaf that is made there.
    fn stored(&mut self, trie: TrieKey, path: Nibbles, expected: B256) -> Result<(), CheckError> {
        let stored = self.state.stored_node(trie, &path)?;
        let is_stored = stored.is_some();
        let rlp = match stored {
            Some(rlp) => rlp,
            None => self.state.leaf(trie, &path)?.unwrap_or_default().to_vec(),
        };
        let found = keccak256(&rlp);
        if found != expected {
            let path = path.iter().filter_map(|nibble| char::from_digit(nibble.into(), 16));
            let path = path.collect::<String>().into();
            return Err(CheckError::Node { path, expected, found });
        }
        if !is_stored {
            return Ok(());
        }
        self.nodes += 1;
        self.below(trie, path, &rlp)
    }

    /// The children of the node `rlp`. Nodes that stand inside it are gone through with it.
    fn below(&mut self, trie: TrieKey, path: Nibbles, rlp: &[u8]) -> Result<(), CheckError> {
        let node = alloy_rlp::decode_exact::<TrieNode>(rlp)
            .map_err(|error| StorageError::damaged("nodes", &path.to_vec(), error))?;
        match node {
            TrieNode::Leaf(_) | TrieNode::EmptyRoot => Ok(()),
            TrieNode::Extension(node) => self.child(trie, path.join(&node.key), &node.child),
            TrieNode::Branch(node) => {
                for (nibble, child) in node.as_ref().children() {
                    if let Some(child) = child {
                        self.child(trie, path.join(&Nibbles::from_nibbles([nibble])), child)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn child(&mut self, trie: TrieKey, path: Nibbles, child: &RlpNode) -> Result<(), CheckError> {
        match child.as_hash() {
            Some(hash) => self.stored(trie, path, hash),
            None => self.below(trie, path, child.as_slice()),
        }
    }
}
