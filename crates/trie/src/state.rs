//! The tries of a whole state: one of accounts, and one of storage for each account that has any.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::B256Map};
use alloy_trie::{Nibbles, TrieAccount};
use rayon::prelude::*;
use warpline_primitives::Account;

use crate::{
    AccountProof, NodeSource, SlotProof, StorageUpdates, TrieError, TrieId, TrieKey, TrieUpdates,
    commit::Ledger,
    leaf::{account_leaf, decode_leaf, storage_leaf},
    node::Link,
    source::{Nodes, Source},
    update,
    walk::{PARALLEL_KEYS, Walk},
};

mod apply;
mod cache;

/// The state of a chain at one block: complete, as far as a witness proves it, or on top of a
/// database that is asked for what is needed.
///
/// Reading takes `&self` and no lock, so any number of threads may read at once. Clones share
/// their nodes: a clone costs a reference count for each account whose storage is held here, and
/// changes copy only the nodes on their way.
///
/// # Threads
/// Large changes and many hashes are spread over the rayon pool that the caller runs in, the
/// global one if it runs in none; `rayon::ThreadPool::install` chooses another. Small ones are
/// not. Results do not depend on it. A caller that is itself a job in a pool, and that others of
/// its jobs wait for, has to rule it out with [`set_parallel`](Self::set_parallel): a thread that
/// waits in a pool may take up any other job there.
#[derive(Clone, Debug, Default)]
pub struct StateTrie {
    accounts: Link,
    ledger: Ledger,
    /// How many accounts were changed since the root was last asked for, about.
    unhashed: usize,
    /// The storages built, changed or fetched here, by hashed address. All others begin with the
    /// root that their account names.
    storages: B256Map<Storage>,
    /// The hashed addresses of the storages whose ledgers have something to say.
    changed: Vec<B256>,
    source: Source,
    sequential: bool,
    /// Counts the calls of `shrink`.
    generation: u64,
}

/// The storage of one account.
#[derive(Clone, Debug, Default)]
struct Storage {
    /// Settled, unless it is being changed.
    root: Link,
    ledger: Ledger,
    /// The generation in which it was last changed or fetched.
    used: u64,
}

/// An account with its storage, by hashed keys.
pub(crate) struct HashedAccount {
    pub(crate) key: B256,
    pub(crate) account: Account,
    pub(crate) slots: Vec<(B256, U256)>,
}

impl StateTrie {
    /// The trie of a complete state: each account with its storage slots. Slots of value zero do
    /// not exist and are skipped. Empty accounts are kept. To a commit all of it is new.
    pub fn from_accounts<S>(accounts: impl IntoIterator<Item = (Address, Account, S)>) -> Self
    where
        S: IntoIterator<Item = (U256, U256)>,
    {
        Self::from_hashed(accounts.into_iter().map(|(address, account, slots)| {
            let slots = slots.into_iter().filter(|(_, value)| !value.is_zero());
            let slots = slots.map(|(slot, value)| (hash_slot(slot), value)).collect();
            HashedAccount { key: keccak256(address), account, slots }
        }))
    }

    /// The trie of a complete state whose keys are hashed already.
    pub(crate) fn from_hashed(accounts: impl Iterator<Item = HashedAccount>) -> Self {
        let mut trie = Self::default();
        let leaves = accounts.map(|HashedAccount { key, account, slots }| {
            let weight = slots.len();
            let slots = slots.into_iter().map(|(slot, value)| (slot, storage_leaf(value)));
            let mut root = update::build(slots.collect());
            let storage_root = root.hash(weight);
            if root.is_empty() {
                trie.storages.remove(&key);
            } else {
                let ledger = Ledger { changed: true, weight, ..Ledger::default() };
                trie.storages.insert(key, Storage { root, ledger, used: 0 });
                trie.changed.push(key);
            }
            (key, account_leaf(&account, storage_root))
        });
        let leaves: Vec<_> = leaves.collect();
        trie.unhashed = leaves.len();
        trie.ledger.weight = leaves.len();
        trie.accounts = update::build(leaves);
        trie
    }

    /// The part of the state with root `state_root` that `nodes` prove: RLP-encoded nodes of the
    /// account trie and of storage tries, in any order. What they do not reach stays unknown, the
    /// root included, and is missed when it is needed. Superfluous nodes do no harm, nor do bytes that
    /// are no node unless a node refers to them: then reading there is an error.
    ///
    /// # Errors
    /// [`TrieError::MalformedNode`] where `state_root` is the hash of bytes that are no node.
    pub fn from_witness(
        state_root: B256,
        nodes: impl IntoIterator<Item = Bytes>,
    ) -> Result<Self, TrieError> {
        let nodes = Nodes::decode(nodes);
        let accounts = Link::root(state_root);
        if !accounts.is_empty() {
            nodes.get(state_root)?;
        }
        Ok(Self { accounts, source: Source::Witness(nodes), ..Self::default() })
    }

    /// The state with root `state_root` that `source` holds. Nothing is read yet. What changes need
    /// is read when it is needed and then kept; reading through `&self` keeps nothing.
    pub fn from_source(state_root: B256, source: Arc<dyn NodeSource>) -> Self {
        let accounts = Link::root(state_root);
        Self { accounts, source: Source::Database(source), ..Self::default() }
    }

    /// Reads from `source` from now on, which must hold what the last [`commit`](Self::commit)
    /// said, or what the trie was opened with: for databases that show one state to each reader.
    pub fn set_source(&mut self, source: Arc<dyn NodeSource>) {
        self.source = Source::Database(source);
    }

    /// Whether much work is spread over threads, as it is unless this says otherwise.
    pub const fn set_parallel(&mut self, parallel: bool) {
        self.sequential = !parallel;
    }

    /// The account at `address`, or `None` where the trie proves that there is none.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] where a node on the way is unknown, [`TrieError::Source`] where
    /// a database fails; another error where the witness or database has no trie of accounts.
    pub fn account(&self, address: Address) -> Result<Option<Account>, TrieError> {
        let leaf = self.leaf(keccak256(address))?;
        Ok(leaf.map(|leaf| account_of(&leaf)))
    }

    /// The storage slot `slot` of `address`; zero where the trie proves that it was never written
    /// or that there is no such account.
    ///
    /// # Errors
    /// As [`account`](Self::account), of the account trie or of the storage trie.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, TrieError> {
        let (key, slot) = (keccak256(address), hash_slot(slot));
        let root;
        let storage = if let Some(storage) = self.storages.get(&key) {
            &storage.root
        } else {
            root = Link::root(self.leaf(key)?.unwrap_or_default().storage_root);
            &root
        };
        let walk = self.storage_walk(address, key);
        let found = |value: &[u8]| decode_leaf(value, walk.trie, slot);
        let value = walk.get(storage, &Nibbles::unpack(slot), &mut |_, _| {}, found)?;
        value.transpose().map(Option::unwrap_or_default)
    }

    /// The root of the storage of `address`; that of an empty trie where there is no such account.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn storage_root(&self, address: Address) -> Result<B256, TrieError> {
        let leaf = self.leaf(keccak256(address))?;
        Ok(leaf.unwrap_or_default().storage_root)
    }

    /// The account at `address` and these slots of its storage, with the nodes that prove them
    /// against the root. Of a trie that was built or changed ask for the [`root`](Self::root)
    /// first: otherwise each proof finds the hashes anew.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn proof(&self, address: Address, slots: &[U256]) -> Result<AccountProof, TrieError> {
        let key = keccak256(address);
        let mut root = self.accounts.clone();
        root.settle(&mut Vec::new(), self.weight(self.unhashed));
        let (leaf, nodes) = self.accounts_walk().prove_account(&root, key)?;
        let account = leaf.as_ref().map(account_of);
        let storage_root = leaf.unwrap_or_default().storage_root;
        let fetched = Link::root(storage_root);
        let storage = self.storages.get(&key).map_or(&fetched, |storage| &storage.root);
        let walk = self.storage_walk(address, key);
        let slots = slots.iter().map(|slot| {
            let (value, nodes) = walk.prove_slot(storage, hash_slot(*slot))?;
            Ok(SlotProof { slot: *slot, value, nodes })
        });
        let slots = slots.collect::<Result<_, TrieError>>()?;
        Ok(AccountProof { address, account, storage_root, nodes, slots })
    }

    /// The state root. Hashes what has changed since it was last asked for.
    pub fn root(&mut self) -> B256 {
        let root = self.accounts.hash(self.weight(self.unhashed));
        self.unhashed = 0;
        root
    }

    /// The root, and what a database has to write to hold the state: everything that was applied
    /// since the trie was opened, built, or last committed. The database must have written it when
    /// it is next asked for a node.
    pub fn commit(&mut self) -> TrieUpdates {
        let root = self.root();
        let accounts = self.ledger.commit(&mut self.accounts);
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let storages = changed.into_iter();
        let storages = storages.filter_map(|key| Some((key, self.storages.remove(&key)?)));
        let storages: Vec<_> = storages.collect();
        let commit = |(key, mut storage): (B256, Storage)| {
            let wiped = storage.ledger.wiped;
            let root = storage.root.hash(0);
            let nodes = storage.ledger.commit(&mut storage.root);
            (key, storage, StorageUpdates { root, wiped, nodes })
        };
        let weight: usize = storages.iter().map(|(_, storage)| storage.ledger.weight).sum();
        let storages: Vec<_> = if self.weight(weight) < PARALLEL_KEYS {
            storages.into_iter().map(commit).collect()
        } else {
            storages.into_par_iter().map(commit).collect()
        };
        let mut updates = TrieUpdates { root, accounts, ..TrieUpdates::default() };
        for (key, storage, update) in storages {
            updates.storages.insert(key, update);
            if !storage.root.is_empty() {
                self.storages.insert(key, storage);
            }
        }
        updates
    }

    /// The account with the hashed address `key`, as the trie has it.
    fn leaf(&self, key: B256) -> Result<Option<TrieAccount>, TrieError> {
        let walk = self.accounts_walk();
        let found = |value: &[u8]| decode_leaf(value, walk.trie, key);
        walk.get(&self.accounts, &Nibbles::unpack(key), &mut |_, _| {}, found)?.transpose()
    }

    const fn accounts_walk(&self) -> Walk<'_> {
        let (trie, key) = (TrieId::Accounts, TrieKey::Accounts);
        Walk { source: &self.source, trie, key, parallel: !self.sequential }
    }

    /// In the storage of `address`, of which `key` is the hash.
    const fn storage_walk(&self, address: Address, key: B256) -> Walk<'_> {
        let (trie, key) = (TrieId::Storage(address), TrieKey::Storage(key));
        Walk { source: &self.source, trie, key, parallel: !self.sequential }
    }

    /// How much work there is that threads may share: none where they may not.
    const fn weight(&self, keys: usize) -> usize {
        if self.sequential { 0 } else { keys }
    }
}

pub(crate) fn hash_slot(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

const fn account_of(leaf: &TrieAccount) -> Account {
    Account { balance: leaf.balance, nonce: leaf.nonce, code_hash: leaf.code_hash }
}

#[cfg(test)]
mod tests;
