//! Applying changes to a state, and fetching ahead what they will need.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;
use warpline_primitives::{Account, AccountDiff, StateDiff};

use super::{StateTrie, Storage, hash_slot};
use crate::{
    TrieError,
    leaf::{account_leaf, storage_leaf},
    node::Link,
    update::{Change, Effect},
    walk::PARALLEL_KEYS,
};

/// What becomes of one account, by hashed keys.
pub(crate) struct HashedChange {
    /// Whose: for errors only.
    pub(crate) address: Address,
    pub(crate) key: B256,
    pub(crate) account: Option<Account>,
    pub(crate) wiped: bool,
    /// Sorted by key.
    pub(crate) slots: Vec<Change>,
}

/// A storage that has been changed, and not yet put in its place.
struct ChangedStorage {
    root: Link,
    hash: B256,
    effect: Effect,
    /// Whether all there was before is void.
    wiped: bool,
    /// Whether there was anything before.
    existed: bool,
    /// How many keys were changed.
    weight: usize,
}

/// The keys of one account and of slots of it.
pub(crate) struct Wanted {
    /// Whose: for errors only.
    pub(crate) address: Address,
    pub(crate) key: B256,
    pub(crate) slots: Vec<Nibbles>,
}

impl StateTrie {
    /// Applies the changes of a block. What the diff lists is written as it is: an account that is
    /// empty but present stays.
    ///
    /// A branch merges with its last child only when all changes below it are through: a missing
    /// node is truly needed for the new root.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] where a changed key, or the sibling with which a branch merges
    /// after a removal, is unknown; [`TrieError::Source`] where a database fails; another error
    /// where the witness or database has no trie of a state. After an error nothing has changed.
    pub fn apply(&mut self, diff: &StateDiff) -> Result<(), TrieError> {
        let accounts: Vec<_> = diff.accounts().collect();
        let spread = !self.sequential && accounts.len() >= PARALLEL_KEYS;
        let hash = |(address, change): (&Address, &AccountDiff)| {
            HashedChange::new(*address, change, !self.sequential)
        };
        let mut changes: Vec<_> = if spread {
            accounts.into_par_iter().map(hash).collect()
        } else {
            accounts.into_iter().map(hash).collect()
        };
        changes.sort_unstable_by_key(|change| change.key);
        self.apply_hashed(changes)
    }

    /// Applies changes whose keys are hashed already, sorted by key.
    pub(crate) fn apply_hashed(&mut self, mut changes: Vec<HashedChange>) -> Result<(), TrieError> {
        let keys: Vec<_> = changes.iter().map(|change| Nibbles::unpack(change.key)).collect();
        self.fetch_accounts(&keys)?;
        let storages = self.changed_storages(&mut changes)?;
        let mut leaves = Vec::with_capacity(changes.len());
        for ((key, change), storage) in keys.into_iter().zip(&changes).zip(&storages) {
            let value = match (&change.account, storage) {
                (None, _) => None,
                (Some(account), Some(storage)) => Some(account_leaf(account, storage.hash)),
                (Some(account), None) => {
                    let before = self.leaf(change.key)?.unwrap_or_default();
                    Some(account_leaf(account, before.storage_root))
                }
            };
            leaves.push(Change { key, value });
        }
        let mut accounts = self.accounts.clone();
        let effect = self.accounts_walk().update(&mut accounts, &mut leaves, 0)?;
        self.accounts = accounts;
        self.unhashed += leaves.len();
        self.ledger.weight += leaves.len();
        self.ledger.dissolved.extend(effect.dissolved);
        for (change, storage) in changes.iter().zip(storages) {
            if let Some(storage) = storage {
                self.put_storage(change.key, storage);
            }
        }
        Ok(())
    }

    /// Fetches the nodes on the way to accounts and slots of theirs, and keeps them: what is then
    /// changed need not be waited for. It is made for a thread that is told of the keys of a block
    /// while the block executes. Nothing else changes; what was fetched before an error is kept.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn prefetch<S>(
        &mut self,
        keys: impl IntoIterator<Item = (Address, S)>,
    ) -> Result<(), TrieError>
    where
        S: IntoIterator<Item = U256>,
    {
        let wanted = keys.into_iter().map(|(address, slots)| Wanted::new(address, slots));
        self.prefetch_hashed(wanted.collect())
    }

    /// Fetches the nodes on the way to keys that are hashed already.
    pub(crate) fn prefetch_hashed(&mut self, mut wanted: Vec<Wanted>) -> Result<(), TrieError> {
        wanted.sort_by_key(|wanted| wanted.key);
        wanted.dedup_by(|next, first| {
            let same = next.key == first.key;
            if same {
                first.slots.append(&mut next.slots);
            }
            same
        });
        let keys: Vec<_> = wanted.iter().map(|wanted| Nibbles::unpack(wanted.key)).collect();
        self.fetch_accounts(&keys)?;
        wanted.retain(|wanted| !wanted.slots.is_empty());
        let roots = wanted.iter_mut().map(|wanted| {
            wanted.slots.sort_unstable();
            wanted.slots.dedup();
            Ok(self.leaf(wanted.key)?.unwrap_or_default().storage_root)
        });
        let roots: Vec<_> = roots.collect::<Result<_, TrieError>>()?;
        let storages = wanted.iter().zip(roots).map(|(wanted, root)| {
            let held = self.storages.remove(&wanted.key);
            held.unwrap_or_else(|| Storage { root: Link::root(root), ..Storage::default() })
        });
        let mut storages: Vec<_> = storages.collect();
        let work = wanted.iter().zip(&mut storages);
        let fetch = |(wanted, storage): (&Wanted, &mut Storage)| {
            let walk = self.storage_walk(wanted.address, wanted.key);
            walk.fetch(&mut storage.root, &wanted.slots)
        };
        let slots: usize = wanted.iter().map(|wanted| wanted.slots.len()).sum();
        let results: Vec<_> = if self.sequential || slots < PARALLEL_KEYS {
            work.map(fetch).collect()
        } else {
            work.collect::<Vec<_>>().into_par_iter().map(fetch).collect()
        };
        for (Wanted { key, .. }, mut storage) in wanted.into_iter().zip(storages) {
            if !storage.root.is_empty() || storage.ledger.changed {
                storage.used = self.generation;
                self.storages.insert(key, storage);
            }
        }
        results.into_iter().collect()
    }

    /// Fetches the nodes on the way to these sorted keys of accounts.
    fn fetch_accounts(&mut self, keys: &[Nibbles]) -> Result<(), TrieError> {
        let mut accounts = std::mem::take(&mut self.accounts);
        let result = self.accounts_walk().fetch(&mut accounts, keys);
        self.accounts = accounts;
        result
    }

    /// The new storage of each account whose storage changes.
    fn changed_storages(
        &self,
        changes: &mut [HashedChange],
    ) -> Result<Vec<Option<ChangedStorage>>, TrieError> {
        let weight: usize = changes.iter().map(|change| change.slots.len()).sum();
        let change = |change: &mut HashedChange| self.changed_storage(change);
        if self.sequential || weight < PARALLEL_KEYS {
            return changes.iter_mut().map(change).collect();
        }
        // All of them, before looking for an error: which is reported must not depend on threads.
        let storages: Vec<_> = changes.par_iter_mut().map(change).collect();
        storages.into_iter().collect()
    }

    /// The storage after `change`, `None` where it is what it was.
    fn changed_storage(
        &self,
        change: &mut HashedChange,
    ) -> Result<Option<ChangedStorage>, TrieError> {
        let wiped = change.wiped || change.account.is_none();
        if !wiped && change.slots.is_empty() {
            return Ok(None);
        }
        let before = self.leaf(change.key)?.unwrap_or_default().storage_root;
        let existed = before != EMPTY_ROOT_HASH;
        let mut root = match self.storages.get(&change.key) {
            _ if wiped => Link::Empty,
            Some(storage) => storage.root.clone(),
            None => Link::root(before),
        };
        let weight = change.slots.len();
        let mut effect = Effect::default();
        if change.account.is_some() {
            let walk = self.storage_walk(change.address, change.key);
            effect = walk.update(&mut root, &mut change.slots, 0)?;
        }
        let hash = root.hash(self.weight(weight));
        Ok(Some(ChangedStorage { root, hash, effect, wiped, existed, weight }))
    }

    fn put_storage(&mut self, key: B256, new: ChangedStorage) {
        let storage = self.storages.entry(key).or_default();
        if !storage.ledger.changed && (new.effect.changed || new.wiped && new.existed) {
            (storage.ledger.changed, storage.ledger.existed) = (true, new.existed);
            self.changed.push(key);
        }
        if new.wiped {
            storage.ledger.wiped = storage.ledger.existed;
            storage.ledger.dissolved.clear();
        }
        storage.ledger.dissolved.extend(new.effect.dissolved);
        storage.ledger.weight += new.weight;
        storage.root = new.root;
        storage.used = self.generation;
        if storage.root.is_empty() && !storage.ledger.changed {
            self.storages.remove(&key);
        }
    }
}

impl HashedChange {
    fn new(address: Address, change: &AccountDiff, parallel: bool) -> Self {
        let hash = |(slot, value): (&U256, &U256)| {
            let key = Nibbles::unpack(hash_slot(*slot));
            Change { key, value: (!value.is_zero()).then(|| storage_leaf(*value)) }
        };
        let slots: Vec<Change> = if parallel && change.storage.len() >= PARALLEL_KEYS {
            let slots: Vec<_> = change.storage.iter().collect();
            let mut slots: Vec<_> = slots.into_par_iter().map(hash).collect();
            slots.par_sort_unstable_by_key(|change| change.key);
            slots
        } else {
            let mut slots: Vec<_> = change.storage.iter().map(hash).collect();
            slots.sort_unstable_by_key(|change| change.key);
            slots
        };
        let (key, account) = (keccak256(address), change.account);
        Self { address, key, account, wiped: change.storage_wiped, slots }
    }
}

impl Wanted {
    fn new(address: Address, slots: impl IntoIterator<Item = U256>) -> Self {
        let slots = slots.into_iter().map(|slot| Nibbles::unpack(hash_slot(slot))).collect();
        Self { address, key: keccak256(address), slots }
    }
}
