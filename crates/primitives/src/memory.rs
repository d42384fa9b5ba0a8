//! A state held in memory: what tests, fixtures and snapshots start from.

use alloy_primitives::{
    Address, B256, Bytes, U256, keccak256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};

use crate::{Account, StateDiff, StateSource};

/// A complete state in hash maps. What is not in it does not exist.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    accounts: AddressMap<Account>,
    storage: AddressMap<U256Map<U256>>,
    codes: B256Map<Bytes>,
    block_hashes: HashMap<u64, B256>,
}

/// A read of something a [`MemoryState`] should hold but does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingState {
    /// An account names this code, but it was never given.
    #[error("code {0} is not in the state")]
    Code(B256),
    /// The hash of this ancestor was never given.
    #[error("the hash of block {0} is not in the state")]
    BlockHash(u64),
}

impl MemoryState {
    /// Puts an account in place, leaving its storage as it is.
    pub fn insert_account(&mut self, address: Address, account: Account) {
        self.accounts.insert(address, account);
    }

    /// Sets a storage slot; zero removes it.
    pub fn insert_storage(&mut self, address: Address, slot: U256, value: U256) {
        if !value.is_zero() {
            self.storage.entry(address).or_default().insert(slot, value);
        } else if let Some(slots) = self.storage.get_mut(&address) {
            slots.remove(&slot);
        }
    }

    /// Adds code and returns its hash.
    pub fn insert_code(&mut self, code: Bytes) -> B256 {
        let hash = keccak256(&code);
        self.codes.insert(hash, code);
        hash
    }

    /// Adds the hash of an ancestor block.
    pub fn insert_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// All accounts with their non-zero slots, in no particular order.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &Account, Option<&U256Map<U256>>)> {
        self.accounts.iter().map(|(address, account)| (address, account, self.storage.get(address)))
    }

    /// All code, by its hash.
    pub const fn codes(&self) -> &B256Map<Bytes> {
        &self.codes
    }

    /// Applies the changes of a block, so that the state becomes the block's post-state.
    #[expect(clippy::iter_over_hash_type, reason = "each entry is applied on its own")]
    pub fn apply(&mut self, diff: &StateDiff) {
        for (hash, code) in diff.codes() {
            self.codes.insert(*hash, code.clone());
        }
        for (address, change) in diff.accounts() {
            if change.storage_wiped || change.account.is_none() {
                self.storage.remove(address);
            }
            match change.account {
                Some(account) => self.insert_account(*address, account),
                None => {
                    self.accounts.remove(address);
                }
            }
            for (slot, value) in change.storage.iter() {
                self.insert_storage(*address, *slot, *value);
            }
        }
    }
}

impl StateSource for MemoryState {
    type Error = MissingState;

    fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
        Ok(self.accounts.get(&address).copied())
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        let slots = self.storage.get(&address);
        Ok(slots.and_then(|slots| slots.get(&slot)).copied().unwrap_or_default())
    }

    fn has_storage(&self, address: Address) -> Result<bool, Self::Error> {
        Ok(self.storage.get(&address).is_some_and(|slots| !slots.is_empty()))
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, Self::Error> {
        self.codes.get(&code_hash).cloned().ok_or(MissingState::Code(code_hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        self.block_hashes.get(&number).copied().ok_or(MissingState::BlockHash(number))
    }
}
