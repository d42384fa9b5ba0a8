//! What a block changed: what is present now, and what was before.

use std::{collections::BTreeMap, panic::resume_unwind, thread};

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use alloy_trie::EMPTY_ROOT_HASH;
use parking_lot::Mutex;
use redb::{ReadableTable, Table};
use warpline_primitives::{AccountDiff, StateDiff};
use warpline_trie::{NodeUpdates, TrieUpdates};

use super::{Writer, storage_root};
use crate::{
    StorageError, StoredAccount, codec,
    tables::{self, slot_key, versioned},
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

/// Changed nodes with which it pays to fill tables on several threads.
const MANY_NODES: usize = 256;

/// Whether a block changed much.
pub(super) fn is_large(trie: &TrieUpdates) -> bool {
    let of = |updates: &NodeUpdates| updates.written.len() + updates.removed.len();
    let storages = trie.storages.values().map(|storage| of(&storage.nodes));
    of(&trie.accounts) + storages.sum::<usize>() >= MANY_NODES
}

/// What both return, from two threads where it is `large`. The second may wait for the first.
///
/// The other thread is nobody's worker: whoever waits for a block may be one, and must not be waited for.
pub(super) fn both<A: Send, B>(
    is_large: bool,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (A, B) {
    if !is_large {
        return (first(), second());
    }
    // Handed over here, so that it is still there when the system has no thread to spare.
    let hand = Mutex::new(Some(first));
    let take = || hand.lock().take().map(|first| first());
    thread::scope(|scope| {
        let begun = thread::Builder::new().name("tables".into()).spawn_scoped(scope, take);
        let (first, second) = match begun {
            Ok(thread) => {
                let second = second();
                (thread.join().unwrap_or_else(|panic| resume_unwind(panic)), second)
            }
            Err(_) => (take(), second()),
        };
        (first.expect("one of both takes it"), second)
    })
}

/// The tables of slots.
struct SlotTables<'t> {
    present: Table<'t, &'static [u8; 64], &'static [u8]>,
    history: Table<'t, &'static [u8; 72], &'static [u8]>,
    block: u64,
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
        drop(codes);
        let accounts = || self.put_accounts(block, state, trie);
        let nodes = || self.put_nodes(block, trie);
        let (accounts, nodes) = both(is_large(trie), accounts, nodes);
        let changed = Changed { nodes: nodes?, ..accounts? };
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
