//! The tries of a whole state: one of accounts, and one of storage for each account that has any.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::B256Map};
use alloy_rlp::Decodable;
use alloy_trie::{Nibbles, TrieAccount};
use warpline_primitives::{Account, AccountDiff, StateDiff};

use crate::{
    TrieError, TrieId,
    node::{Link, Nodes},
    update,
    walk::Walk,
};

/// The state of a chain at one block, complete or as far as a witness proves it.
///
/// Reading takes `&self` and no lock, so any number of threads may read at once. Clones share
/// their nodes: a clone costs a reference count for each account whose storage was built or
/// changed here, and changes copy only the nodes on their way.
#[derive(Clone, Debug, Default)]
pub struct StateTrie {
    accounts: Link,
    /// The storages built or changed here, by hashed address. All others begin with the root that
    /// their account names.
    storages: B256Map<Link>,
    nodes: Nodes,
}

impl StateTrie {
    /// The trie of a complete state: each account with its storage slots. Slots of value zero do
    /// not exist and are skipped. Empty accounts are kept.
    pub fn from_accounts<S>(accounts: impl IntoIterator<Item = (Address, Account, S)>) -> Self
    where
        S: IntoIterator<Item = (U256, U256)>,
    {
        let mut storages = B256Map::default();
        let mut buffer = Vec::new();
        let leaves = accounts.into_iter().map(|(address, account, slots)| {
            let key = keccak256(address);
            let slots = slots.into_iter().filter(|(_, value)| !value.is_zero());
            let slots = slots.map(|(slot, value)| (hash_slot(slot), storage_leaf(value)));
            let mut storage = update::build(slots.collect());
            let storage_root = storage.hash(&mut buffer);
            if storage.is_empty() {
                storages.remove(&key);
            } else {
                storages.insert(key, storage);
            }
            (key, account_leaf(&account, storage_root))
        });
        let accounts = update::build(leaves.collect());
        Self { accounts, storages, nodes: Nodes::default() }
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
        Ok(Self { accounts, storages: B256Map::default(), nodes })
    }

    /// The account at `address`, or `None` where the trie proves that there is none.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] where a node on the way is unknown; another error where the
    /// witness is not a trie of accounts.
    pub fn account(&self, address: Address) -> Result<Option<Account>, TrieError> {
        let leaf = self.leaf(keccak256(address))?;
        Ok(leaf.map(|leaf| Account {
            balance: leaf.balance,
            nonce: leaf.nonce,
            code_hash: leaf.code_hash,
        }))
    }

    /// The storage slot `slot` of `address`; zero where the trie proves that it was never written
    /// or that there is no such account.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] where a node on the way is unknown, of the account trie or of
    /// the storage trie; another error where the witness is not a trie of storage values.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, TrieError> {
        let key = keccak256(address);
        if let Some(storage) = self.storages.get(&key) {
            return self.slot(storage, address, slot);
        }
        match self.leaf(key)? {
            Some(leaf) => self.slot(&Link::root(leaf.storage_root), address, slot),
            None => Ok(U256::ZERO),
        }
    }

    /// The root of the storage of `address`; that of an empty trie where there is no such account.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    pub fn storage_root(&self, address: Address) -> Result<B256, TrieError> {
        let leaf = self.leaf(keccak256(address))?;
        Ok(leaf.unwrap_or_default().storage_root)
    }

    /// Applies the changes of a block. What the diff lists is written as it is: an account that is
    /// empty but present stays.
    ///
    /// Within each trie keys are set before others are removed, so that no branch merges with a
    /// sibling only to be split again: a missing node is truly needed for the new root.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] where a changed key, or the sibling with which a branch merges
    /// after a removal, is unknown; another error where the witness is not the trie of a state.
    /// After an error nothing has changed.
    pub fn apply(&mut self, diff: &StateDiff) -> Result<(), TrieError> {
        let mut accounts = self.accounts.clone();
        let mut storages = Vec::new();
        let mut removed = Vec::new();
        let mut buffer = Vec::new();
        let walk = Walk { nodes: &self.nodes, trie: TrieId::Accounts };
        for (address, change) in diff.sorted_accounts() {
            let key = keccak256(address);
            let Some(account) = &change.account else {
                removed.push(key);
                continue;
            };
            let storage_root = if change.storage_wiped || !change.storage.is_empty() {
                let mut storage = self.changed_storage(*address, key, change)?;
                let root = storage.hash(&mut buffer);
                storages.push((key, storage));
                root
            } else {
                self.leaf(key)?.unwrap_or_default().storage_root
            };
            let leaf = account_leaf(account, storage_root);
            walk.insert(&mut accounts, &Nibbles::unpack(key), 0, leaf)?;
        }
        for key in &removed {
            walk.remove(&mut accounts, &Nibbles::unpack(key), 0)?;
        }
        self.accounts = accounts;
        for key in removed {
            self.storages.remove(&key);
        }
        for (key, storage) in storages {
            if storage.is_empty() {
                self.storages.remove(&key);
            } else {
                self.storages.insert(key, storage);
            }
        }
        Ok(())
    }

    /// The state root. Hashes what has changed since it was last asked for.
    pub fn root(&mut self) -> B256 {
        self.accounts.hash(&mut Vec::new())
    }

    /// The storage of `address` after `change`.
    fn changed_storage(
        &self,
        address: Address,
        key: B256,
        change: &AccountDiff,
    ) -> Result<Link, TrieError> {
        let walk = Walk { nodes: &self.nodes, trie: TrieId::Storage(address) };
        let mut storage = if change.storage_wiped {
            Link::Empty
        } else if let Some(storage) = self.storages.get(&key) {
            storage.clone()
        } else {
            Link::root(self.leaf(key)?.unwrap_or_default().storage_root)
        };
        // Sorted, so that of several missing nodes the same one is reported every time.
        let mut slots: Vec<_> = change.storage.iter().collect();
        slots.sort_unstable();
        let (gone, set): (Vec<_>, Vec<_>) = slots.into_iter().partition(|(_, v)| v.is_zero());
        for (slot, value) in set {
            let key = Nibbles::unpack(hash_slot(*slot));
            walk.insert(&mut storage, &key, 0, storage_leaf(*value))?;
        }
        for (slot, _) in gone {
            walk.remove(&mut storage, &Nibbles::unpack(hash_slot(*slot)), 0)?;
        }
        Ok(storage)
    }

    /// The account with the hashed address `key`, as the trie has it.
    fn leaf(&self, key: B256) -> Result<Option<TrieAccount>, TrieError> {
        let trie = TrieId::Accounts;
        let walk = Walk { nodes: &self.nodes, trie };
        let value = walk.get(&self.accounts, &Nibbles::unpack(key))?;
        decode_leaf(value, trie, key)
    }

    /// The value of `slot` in this storage of `address`.
    fn slot(&self, storage: &Link, address: Address, slot: U256) -> Result<U256, TrieError> {
        let (trie, key) = (TrieId::Storage(address), hash_slot(slot));
        let walk = Walk { nodes: &self.nodes, trie };
        let value = walk.get(storage, &Nibbles::unpack(key))?;
        Ok(decode_leaf(value, trie, key)?.unwrap_or_default())
    }
}

fn hash_slot(slot: U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

fn storage_leaf(value: U256) -> Box<[u8]> {
    alloy_rlp::encode(value).into()
}

fn account_leaf(account: &Account, storage_root: B256) -> Box<[u8]> {
    let Account { balance, nonce, code_hash } = *account;
    alloy_rlp::encode(TrieAccount::new(nonce, balance, storage_root, code_hash)).into()
}

fn decode_leaf<T: Decodable>(
    value: Option<&[u8]>,
    trie: TrieId,
    key: B256,
) -> Result<Option<T>, TrieError> {
    let decoded = value.map(alloy_rlp::decode_exact).transpose();
    decoded.map_err(|error| TrieError::MalformedLeaf { trie, key, error })
}
