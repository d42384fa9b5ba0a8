//! What a block changed: what is present now, and what was before.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use alloy_trie::EMPTY_ROOT_HASH;
use redb::{ReadableTable, Table};
use warpline_primitives::{AccountDiff, StateDiff};
use warpline_trie::{NodeUpdates, TrieKey, TrieUpdates};

use super::{Writer, storage_root};
use crate::{
    StorageError, StoredAccount, codec, nodes,
    tables::{self, node_key, slot_key, trie_prefix, versioned, versioned_node},
};

/// The keys that a block changed: where its history is found when it is taken back or forgotten.
#[derive(Debug, Default, RlpDecodable, RlpEncodable)]
pub(crate) struct Changed {
    pub(crate) accounts: Vec<B256>,
    pub(crate) slots: Vec<ChangedSlots>,
    /// Keys in the table of nodes.
    pub(crate) nodes: Vec<Bytes>,
}

/// The changed slots of one account.
#[derive(Debug, RlpDecodable, RlpEncodable)]
pub(crate) struct ChangedSlots {
    pub(crate) account: B256,
    pub(crate) slots: Vec<B256>,
}

/// The tables of slots.
struct SlotTables<'t> {
    present: Table<'t, &'static [u8; 64], &'static [u8]>,
    history: Table<'t, &'static [u8; 72], &'static [u8]>,
    block: u64,
}

/// The tables of nodes.
struct NodeTables<'t> {
    present: Table<'t, &'static [u8], &'static [u8]>,
    history: Table<'t, &'static [u8], &'static [u8]>,
    block: u64,
    changed: Vec<Bytes>,
}

impl Writer {
    pub(super) fn put_state(
        &mut self,
        block: u64,
        state: &StateDiff,
        trie: &TrieUpdates,
    ) -> Result<(), StorageError> {
        let tables = &self.transaction;
        let mut codes = tables.open_table(tables::CODES)?;
        let mut new_codes: Vec<_> = state.codes().iter().collect();
        new_codes.sort_unstable_by_key(|(hash, _)| **hash);
        for (hash, code) in new_codes {
            codes.insert(&hash.0, code.as_ref())?;
        }
        let mut changed = self.put_accounts(block, state, trie)?;
        changed.nodes = self.put_nodes(block, trie)?;
        let changed = alloy_rlp::encode(&changed);
        tables.open_table(tables::CHANGES)?.insert(block, &*changed)?;
        Ok(())
    }

    /// Accounts and their slots, in the order of their keys.
    fn put_accounts(
        &self,
        block: u64,
        state: &StateDiff,
        trie: &TrieUpdates,
    ) -> Result<Changed, StorageError> {
        let mut accounts = self.transaction.open_table(tables::ACCOUNTS)?;
        let mut history = self.transaction.open_table(tables::ACCOUNT_HISTORY)?;
        let mut slots = SlotTables {
            present: self.transaction.open_table(tables::SLOTS)?,
            history: self.transaction.open_table(tables::SLOT_HISTORY)?,
            block,
        };
        let mut diffs: Vec<_> =
            state.accounts().map(|(address, diff)| (keccak256(address), diff)).collect();
        diffs.sort_unstable_by_key(|(key, _)| *key);
        let mut changed = Changed::default();
        for (key, diff) in diffs {
            let before = {
                let old = accounts.get(&key.0)?;
                let old = old.as_ref().map_or(&[][..], |old| old.value());
                history.insert(&versioned(&key.0, block), old)?;
                let decode = |old| {
                    StoredAccount::decode(old)
                        .map_err(|error| StorageError::damaged("accounts", &key.0, error))
                };
                (!old.is_empty()).then(|| decode(old)).transpose()?
            };
            let root_before = before.map(|stored| stored.storage_root);
            let has_storage = root_before.is_some_and(|root| root != EMPTY_ROOT_HASH);
            let is_wiped = has_storage && (diff.storage_wiped || diff.account.is_none());
            let touched = slots.put(key, diff, is_wiped)?;
            if !touched.is_empty() {
                changed.slots.push(ChangedSlots { account: key, slots: touched });
            }
            match diff.account {
                None => drop(accounts.remove(&key.0)?),
                Some(account) => {
                    let root_before = root_before.filter(|_| !is_wiped);
                    let storage_root = storage_root(trie, key, root_before);
                    let stored = StoredAccount { account, storage_root };
                    accounts.insert(&key.0, &*stored.encode())?;
                }
            }
            changed.accounts.push(key);
        }
        Ok(changed)
    }

    /// Branches and extensions, and which of them changed.
    fn put_nodes(&self, block: u64, trie: &TrieUpdates) -> Result<Vec<Bytes>, StorageError> {
        let mut nodes = NodeTables {
            present: self.transaction.open_table(tables::NODES)?,
            history: self.transaction.open_table(tables::NODE_HISTORY)?,
            block,
            changed: Vec::new(),
        };
        nodes.apply(TrieKey::Accounts, false, &trie.accounts)?;
        for (account, changes) in &trie.storages {
            nodes.apply(TrieKey::Storage(*account), changes.wiped, &changes.nodes)?;
        }
        Ok(nodes.changed)
    }
}

impl SlotTables<'_> {
    /// Writes the changed slots of an account, after removing all of them where it was wiped. Returns
    /// the slots that changed.
    fn put(
        &mut self,
        account: B256,
        diff: &AccountDiff,
        is_wiped: bool,
    ) -> Result<Vec<B256>, StorageError> {
        let mut last = BTreeMap::new();
        if is_wiped {
            let (first, end) =
                (slot_key(account, B256::ZERO), slot_key(account, B256::repeat_byte(0xff)));
            for entry in self.present.range::<&[u8; 64]>(&first..=&end)? {
                last.insert(B256::from_slice(&entry?.0.value()[32..]), U256::ZERO);
            }
        }
        for (slot, value) in diff.storage.iter() {
            last.insert(keccak256(slot.to_be_bytes::<32>()), *value);
        }
        for (slot, value) in &last {
            let key = slot_key(account, *slot);
            let old = if value.is_zero() {
                self.present.remove(&key)?
            } else {
                self.present.insert(&key, &*codec::encode_slot(*value))?
            };
            let old = old.as_ref().map_or(&[][..], |old| old.value());
            self.history.insert(&versioned(&key, self.block), old)?;
        }
        Ok(last.into_keys().collect())
    }
}

impl NodeTables<'_> {
    /// The keys of all nodes of a trie.
    fn keys_of(&self, trie: TrieKey) -> Result<Vec<Vec<u8>>, StorageError> {
        let first = trie_prefix(trie);
        let mut keys = Vec::new();
        for entry in self.present.range::<&[u8]>(&*first..)? {
            let (key, _) = entry?;
            if !key.value().starts_with(&first) {
                break;
            }
            keys.push(key.value().to_vec());
        }
        Ok(keys)
    }

    /// Writes what became of the nodes of a trie.
    fn apply(
        &mut self,
        trie: TrieKey,
        wiped: bool,
        updates: &NodeUpdates,
    ) -> Result<(), StorageError> {
        // What a wiped trie gets anew in the same block replaces what is cleared: both are one change,
        // from what was before the block to what is after it.
        let mut last = BTreeMap::new();
        if wiped {
            last.extend(self.keys_of(trie)?.into_iter().map(|node| (node, None)));
        }
        last.extend(updates.removed.iter().map(|path| (node_key(trie, path), None)));
        let written = updates.written.iter();
        last.extend(written.map(|(path, rlp)| (node_key(trie, path), Some(rlp.as_ref()))));
        for (node, rlp) in last {
            self.put(node, rlp)?;
        }
        Ok(())
    }

    /// Writes what a node is now, and what it was before.
    fn put(&mut self, key: Vec<u8>, rlp: Option<&[u8]>) -> Result<(), StorageError> {
        let old = match rlp {
            Some(rlp) => self.present.insert(&*key, rlp)?,
            None => self.present.remove(&*key)?,
        };
        let old = old.as_ref().map(|old| old.value());
        if old == rlp {
            return Ok(());
        }
        let version = nodes::version(old, rlp)
            .map_err(|error| StorageError::damaged("nodes", &key, error))?;
        self.history.insert(&*versioned_node(&key, self.block), &*version)?;
        self.changed.push(key.into());
        Ok(())
    }
}
