//! The tables of a database, in memory.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use warpline_primitives::{Account, StateDiff};

use crate::{
    NodeSource, NodeSourceError, TrieKey, TrieUpdates, account_leaf_node, state::hash_slot,
    storage_leaf_node,
};

/// A database as [`StateTrie`](crate::StateTrie) needs it, in memory: for tests, for benchmarks,
/// and as an example of what a durable one has to do.
#[derive(Debug, Default)]
pub struct MemoryTables(RwLock<Tables>);

/// What is stored. Whatever has a hashed address or slot as its key is sorted by it, so that
/// leaves can be found by the beginnings of their keys.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Branches and extensions, by trie and path.
    pub(crate) nodes: BTreeMap<(TrieKey, Nibbles), Bytes>,
    /// Accounts with their storage roots, by hashed address.
    pub(crate) accounts: BTreeMap<B256, (Account, B256)>,
    /// Slots that are not zero, by hashed address and hashed slot.
    pub(crate) slots: BTreeMap<(B256, B256), U256>,
}

impl MemoryTables {
    /// Tables that hold nothing: the state with the root of an empty trie.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many branches and extensions are stored.
    pub fn nodes(&self) -> usize {
        self.read().nodes.len()
    }

    /// Writes a commit: the flat tables as the `diffs` say that were applied since the one before,
    /// in that order, and the nodes as `updates` says.
    pub fn write<'d>(&self, diffs: impl IntoIterator<Item = &'d StateDiff>, updates: &TrieUpdates) {
        let mut tables = self.write_tables();
        for (address, change) in diffs.into_iter().flat_map(StateDiff::sorted_accounts) {
            let slots = change.storage.iter().map(|(slot, value)| (hash_slot(*slot), *value));
            tables.change(keccak256(address), change.account, change.storage_wiped, slots);
        }
        tables.update(updates);
    }

    /// Writes a whole state where nothing is: its accounts as
    /// [`StateTrie::from_accounts`](crate::StateTrie::from_accounts) takes them, and the first
    /// commit of the trie that it made.
    pub fn write_state<S>(
        &self,
        accounts: impl IntoIterator<Item = (Address, Account, S)>,
        updates: &TrieUpdates,
    ) where
        S: IntoIterator<Item = (U256, U256)>,
    {
        let mut tables = self.write_tables();
        for (address, account, slots) in accounts {
            let slots = slots.into_iter().map(|(slot, value)| (hash_slot(slot), value));
            tables.change(keccak256(address), Some(account), true, slots);
        }
        tables.update(updates);
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_tables(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodeSource for MemoryTables {
    fn node(
        &self,
        trie: TrieKey,
        path: &Nibbles,
        _: B256,
    ) -> Result<Option<Bytes>, NodeSourceError> {
        let tables = self.read();
        Ok(tables.nodes.get(&(trie, *path)).cloned().or_else(|| tables.leaf(trie, path)))
    }
}

impl Tables {
    /// Writes what became of one account. Its storage root is changed by
    /// [`update`](Self::update).
    pub(crate) fn change(
        &mut self,
        key: B256,
        account: Option<Account>,
        wiped: bool,
        slots: impl IntoIterator<Item = (B256, U256)>,
    ) {
        if wiped || account.is_none() {
            let range = (key, B256::ZERO)..=(key, B256::repeat_byte(0xff));
            let gone: Vec<_> = self.slots.range(range).map(|(key, _)| *key).collect();
            gone.iter().for_each(|key| _ = self.slots.remove(key));
        }
        let Some(account) = account else {
            self.accounts.remove(&key);
            return;
        };
        self.accounts.entry(key).or_insert((account, EMPTY_ROOT_HASH)).0 = account;
        for (slot, value) in slots {
            if value.is_zero() {
                self.slots.remove(&(key, slot));
            } else {
                self.slots.insert((key, slot), value);
            }
        }
    }

    /// Writes what a commit says.
    pub(crate) fn update(&mut self, updates: &TrieUpdates) {
        let storages = updates.storages.iter();
        let storages = storages.map(|(key, storage)| (TrieKey::Storage(*key), &storage.nodes));
        for (key, storage) in &updates.storages {
            if storage.wiped {
                self.wipe(TrieKey::Storage(*key));
            }
            if let Some((_, root)) = self.accounts.get_mut(key) {
                *root = storage.root;
            }
        }
        for (trie, nodes) in storages.chain([(TrieKey::Accounts, &updates.accounts)]) {
            nodes.removed.iter().for_each(|path| _ = self.nodes.remove(&(trie, *path)));
            let written = nodes.written.iter();
            self.nodes.extend(written.map(|(path, rlp)| ((trie, *path), rlp.clone())));
        }
    }

    fn wipe(&mut self, trie: TrieKey) {
        let from = (Bound::Included((trie, Nibbles::new())), Bound::Unbounded);
        let nodes = self.nodes.range(from).take_while(|((other, _), _)| *other == trie);
        let gone: Vec<_> = nodes.map(|(key, _)| *key).collect();
        gone.iter().for_each(|key| _ = self.nodes.remove(key));
    }

    /// The leaf at `path`: that of the one key that begins with it. Where there are several the
    /// hash of this one tells that a branch is missing.
    fn leaf(&self, trie: TrieKey, path: &Nibbles) -> Option<Bytes> {
        let mut first = B256::ZERO;
        path.pack_to(&mut first[..path.byte_len()]);
        let starts = |key: &B256| Nibbles::unpack(key).starts_with(path);
        match trie {
            TrieKey::Accounts => {
                let (key, (account, root)) = self.accounts.range(first..).next()?;
                starts(key).then(|| account_leaf_node(*key, path.len(), account, *root))
            }
            TrieKey::Storage(owner) => {
                let ((other, key), value) = self.slots.range((owner, first)..).next()?;
                let found = *other == owner && starts(key);
                found.then(|| storage_leaf_node(*key, path.len(), *value))
            }
        }
    }
}
