//! The state after a block, read from what is present and what was changed since.

use std::{sync::Arc, time::Instant};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use warpline_primitives::{Account, StateSource};
use warpline_trie::StateTrie;

use crate::{
    StorageError, View,
    codec::{self, StoredAccount},
    tables::{slot_key, versioned},
};

/// The state after one block, of a [`View`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StateView {
    view: Arc<View>,
    number: u64,
    root: B256,
    /// Whether the block is the view's newest: then nothing was changed since.
    is_head: bool,
    /// When long searches are given up.
    deadline: Option<Instant>,
}

/// All keys that begin with a path of nibbles, the first and the last.
pub(crate) fn bounds(path: &Nibbles) -> (B256, B256) {
    let (mut first, mut last) = (B256::ZERO, B256::repeat_byte(0xff));
    for (at, nibble) in path.iter().enumerate() {
        let (byte, high) = (at / 2, at % 2 == 0);
        let put = |hash: &mut B256, rest: u8| {
            hash[byte] = if high { nibble << 4 | rest } else { hash[byte] & 0xf0 | nibble };
        };
        put(&mut first, 0);
        put(&mut last, 0xf);
    }
    (first, last)
}

impl StateView {
    pub(crate) fn new(view: Arc<View>, number: u64, root: B256) -> Self {
        let is_head = view.head().header.number == number;
        Self { view, number, root, is_head, deadline: None }
    }

    /// The same state, where a search that takes longer than to `deadline` fails with
    /// [`StorageError::Late`].
    ///
    /// A read is a few lookups, whatever the state. But a leaf of long ago, where there are many now, is
    /// found by looking through these.
    #[must_use]
    pub const fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    fn check_time(&self) -> Result<(), StorageError> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(StorageError::Late),
            _ => Ok(()),
        }
    }

    /// The block after which this is the state.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The state root.
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// The view it belongs to.
    pub const fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The trie of this state, which reads its nodes from here.
    pub fn trie(&self) -> StateTrie {
        StateTrie::from_source(self.root, Arc::new(self.clone()))
    }

    /// Whether nothing was changed since.
    pub(crate) const fn is_head(&self) -> bool {
        self.is_head
    }

    /// The account with this hashed address.
    pub(crate) fn hashed_account(&self, key: B256) -> Result<Option<StoredAccount>, StorageError> {
        if !self.is_head {
            let history = &self.view.account_history;
            let (first, last): ([u8; 40], [u8; 40]) =
                (versioned(&key.0, self.number + 1), versioned(&key.0, u64::MAX));
            if let Some(entry) = history.range::<&[u8; 40]>(&first..=&last)?.next() {
                let (at, old) = entry?;
                let old = old.value();
                let decode = |bytes| {
                    StoredAccount::decode(bytes).map_err(|error| {
                        StorageError::damaged("account_history", at.value(), error)
                    })
                };
                return (!old.is_empty()).then(|| decode(old)).transpose();
            }
        }
        let Some(stored) = self.view.accounts.get(&key.0)? else { return Ok(None) };
        StoredAccount::decode(stored.value())
            .map(Some)
            .map_err(|error| StorageError::damaged("accounts", &key.0, error))
    }

    /// The slot with this hashed number of the account with this hashed address.
    pub(crate) fn hashed_slot(&self, account: B256, slot: B256) -> Result<U256, StorageError> {
        let key = slot_key(account, slot);
        if !self.is_head {
            let history = &self.view.slot_history;
            let (first, last): ([u8; 72], [u8; 72]) =
                (versioned(&key, self.number + 1), versioned(&key, u64::MAX));
            if let Some(entry) = history.range::<&[u8; 72]>(&first..=&last)?.next() {
                let (at, old) = entry?;
                return codec::decode_slot(old.value())
                    .map_err(|error| StorageError::damaged("slot_history", at.value(), error));
            }
        }
        let Some(stored) = self.view.slots.get(&key)? else { return Ok(U256::ZERO) };
        codec::decode_slot(stored.value())
            .map_err(|error| StorageError::damaged("slots", &key, error))
    }

    /// The one account whose hashed address begins with `path`; any of them where there are several.
    ///
    /// What was there may be gone by now, and what is there may have come since: first those are tried
    /// that are present, then those that were changed.
    pub(crate) fn account_below(
        &self,
        path: &Nibbles,
    ) -> Result<Option<(B256, StoredAccount)>, StorageError> {
        let (first, last) = bounds(path);
        for entry in self.view.accounts.range::<&[u8; 32]>(&first.0..=&last.0)? {
            self.check_time()?;
            let key = B256::from(*entry?.0.value());
            if let Some(account) = self.hashed_account(key)? {
                return Ok(Some((key, account)));
            }
        }
        if self.is_head {
            return Ok(None);
        }
        let (first, last): ([u8; 40], [u8; 40]) =
            (versioned(&first.0, 0), versioned(&last.0, u64::MAX));
        for entry in self.view.account_history.range::<&[u8; 40]>(&first..=&last)? {
            self.check_time()?;
            let key = B256::from_slice(&entry?.0.value()[..32]);
            if let Some(account) = self.hashed_account(key)? {
                return Ok(Some((key, account)));
            }
        }
        Ok(None)
    }

    /// As [`account_below`](Self::account_below), for the slots of an account.
    pub(crate) fn slot_below(
        &self,
        account: B256,
        path: &Nibbles,
    ) -> Result<Option<(B256, U256)>, StorageError> {
        let (first, last) = bounds(path);
        let (first, last) = (slot_key(account, first), slot_key(account, last));
        for entry in self.view.slots.range::<&[u8; 64]>(&first..=&last)? {
            self.check_time()?;
            let slot = B256::from_slice(&entry?.0.value()[32..]);
            let value = self.hashed_slot(account, slot)?;
            if !value.is_zero() {
                return Ok(Some((slot, value)));
            }
        }
        if self.is_head {
            return Ok(None);
        }
        let (first, last): ([u8; 72], [u8; 72]) =
            (versioned(&first, 0), versioned(&last, u64::MAX));
        for entry in self.view.slot_history.range::<&[u8; 72]>(&first..=&last)? {
            self.check_time()?;
            let slot = B256::from_slice(&entry?.0.value()[32..64]);
            let value = self.hashed_slot(account, slot)?;
            if !value.is_zero() {
                return Ok(Some((slot, value)));
            }
        }
        Ok(None)
    }
}

impl StateSource for StateView {
    type Error = StorageError;

    fn account(&self, address: Address) -> Result<Option<Account>, StorageError> {
        Ok(self.hashed_account(keccak256(address))?.map(|stored| stored.account))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        self.hashed_slot(keccak256(address), keccak256(slot.to_be_bytes::<32>()))
    }

    fn has_storage(&self, address: Address) -> Result<bool, StorageError> {
        let account = self.hashed_account(keccak256(address))?;
        Ok(account.is_some_and(|account| account.storage_root != EMPTY_ROOT_HASH))
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, StorageError> {
        let code = self.view.codes.get(&code_hash.0)?;
        let code = code.ok_or_else(|| StorageError::missing("codes", &code_hash.0))?;
        Ok(Bytes::copy_from_slice(code.value()))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        let hash = self.view.hash(number)?;
        hash.ok_or_else(|| crate::view::missing("headers", number))
    }
}
