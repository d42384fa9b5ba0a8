//! The block's result, read off the final versions.
//!
//! For a large block this is much work, and all other work is done by then, so it is spread over
//! the workers in three passes: the accounts' end states, the changed slots sorted into the parts
//! of the result, and the parts themselves.

use std::{
    array,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use alloy_primitives::{Address, B256, U256, map::AddressMap};
use parking_lot::Mutex;
use warpline_primitives::{Account, AccountDiff, StateDiff};

use super::{AccountRef, Memory, Version, table};
use crate::pool::Pool;

/// Entries from which on it pays to wake other workers.
const PARALLEL_FROM: usize = 4096;

/// An account's end state.
struct Final {
    address: Address,
    before: Option<Account>,
    after: Option<Account>,
    last_wipe: Option<Version>,
}

/// A slot's end state, where it differs from the parent state.
#[derive(Clone, Copy)]
struct SlotChange {
    account: AccountRef,
    slot: U256,
    after: U256,
}

/// What belongs into one part of the result.
#[derive(Default)]
struct Part {
    accounts: Vec<AccountRef>,
    slots: Vec<SlotChange>,
}

impl Memory {
    /// What the last versions change against the parent state, worked out by up to `width` workers
    /// of `pool`.
    pub(crate) fn diff(&self, pool: &Pool, width: usize) -> StateDiff {
        let entries = self.accounts.len() + self.slots.len();
        let width = if entries < PARALLEL_FROM { 1 } else { width };
        let finals: [OnceLock<Vec<Final>>; table::SHARDS] = array::from_fn(|_| OnceLock::new());
        let parts: [Mutex<Part>; StateDiff::SHARDS] = array::from_fn(|_| Mutex::default());
        let new_codes: Mutex<Vec<B256>> = Mutex::default();

        for_each(pool, width, table::SHARDS, |shard| {
            let accounts = self.final_accounts(shard, &parts, &new_codes);
            // Each shard is visited once.
            let _ = finals[shard].set(accounts);
        });
        let final_of = |account: AccountRef| {
            let (shard, index) = table::split(account.0);
            finals[shard].get().and_then(|accounts| accounts.get(index))
        };
        for_each(pool, width, table::SHARDS, |shard| self.final_slots(shard, &final_of, &parts));

        let shards: [OnceLock<AddressMap<AccountDiff>>; StateDiff::SHARDS] =
            array::from_fn(|_| OnceLock::new());
        for_each(pool, width, StateDiff::SHARDS, |at| {
            let _ = shards[at].set(assemble(std::mem::take(&mut *parts[at].lock()), &final_of));
        });
        let shards = shards.map(|shard| shard.into_inner().unwrap_or_default());
        let mut diff = StateDiff::from_shards(shards);
        for hash in new_codes.into_inner() {
            if let Some(code) = self.code(&hash) {
                diff.insert_code(hash, code.original_bytes());
            }
        }
        diff
    }

    /// The end states of a shard's accounts, by index. The changed ones are told to their parts.
    fn final_accounts(
        &self,
        shard: usize,
        parts: &[Mutex<Part>],
        new_codes: &Mutex<Vec<B256>>,
    ) -> Vec<Final> {
        let entries = &self.accounts.shard_at(shard).entries;
        let mut finals = Vec::with_capacity(entries.len());
        let mut changed: [Vec<AccountRef>; StateDiff::SHARDS] = array::from_fn(|_| Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let before = entry.cell.base();
            let after = entry.cell.last().map_or(before, |(_, value)| value);
            let last_wipe = entry.wipes.last().copied();
            let account = Final { address: entry.address, before, after, last_wipe };
            if before != after || account.is_wiped() {
                let name = AccountRef(table::name(shard, index));
                changed[StateDiff::shard_of(&entry.address)].push(name);
                if let Some(hash) = account.new_code() {
                    new_codes.lock().push(hash);
                }
            }
            finals.push(account);
        }
        for (part, changed) in parts.iter().zip(changed) {
            if !changed.is_empty() {
                part.lock().accounts.extend(changed);
            }
        }
        finals
    }

    /// Tells the parts which slots of a shard changed.
    fn final_slots<'f>(
        &self,
        shard: usize,
        final_of: &impl Fn(AccountRef) -> Option<&'f Final>,
        parts: &[Mutex<Part>],
    ) {
        let mut changes: [Vec<SlotChange>; StateDiff::SHARDS] = array::from_fn(|_| Vec::new());
        for entry in &self.slots.shard_at(shard).entries {
            let Some((version, value)) = entry.cell.last() else { continue };
            let Some(account) = final_of(entry.account) else { continue };
            if account.after.is_none() {
                continue;
            }
            let cleared = account.last_wipe.is_some_and(|wipe| version < wipe);
            let after = if cleared { U256::ZERO } else { value };
            let before = if account.is_wiped() { U256::ZERO } else { entry.cell.base() };
            if after != before {
                let change = SlotChange { account: entry.account, slot: entry.slot, after };
                changes[StateDiff::shard_of(&account.address)].push(change);
            }
        }
        for (part, changes) in parts.iter().zip(changes) {
            if !changes.is_empty() {
                part.lock().slots.extend(changes);
            }
        }
    }
}

/// One part of the result.
fn assemble<'f>(
    part: Part,
    final_of: &impl Fn(AccountRef) -> Option<&'f Final>,
) -> AddressMap<AccountDiff> {
    let Part { accounts, mut slots } = part;
    let mut shard = AddressMap::default();
    shard.reserve(accounts.len());
    let empty = |account: &Final| AccountDiff {
        account: account.after,
        storage_wiped: account.is_wiped(),
        ..AccountDiff::default()
    };
    for account in accounts.into_iter().filter_map(final_of) {
        shard.insert(account.address, empty(account));
    }
    slots.sort_unstable_by_key(|change| (change.account.0, change.slot));
    for changes in slots.chunk_by(|one, next| one.account == next.account) {
        if let Some(account) = final_of(changes[0].account) {
            let entry = shard.entry(account.address).or_insert_with(|| empty(account));
            entry.storage = changes.iter().map(|change| (change.slot, change.after)).collect();
        }
    }
    shard
}

impl Final {
    /// Whether storage of the parent state was cleared: there was an account to clear it of.
    const fn is_wiped(&self) -> bool {
        self.last_wipe.is_some() && self.before.is_some()
    }

    /// The hash of the code that the account did not have before.
    fn new_code(&self) -> Option<B256> {
        let after = self.after.filter(Account::has_code)?;
        let had = self.before.is_some_and(|before| before.code_hash == after.code_hash);
        (!had).then_some(after.code_hash)
    }
}

/// Calls `work` for every index below `count`, spread over `width` workers.
fn for_each(pool: &Pool, width: usize, count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    pool.run(width, || {
        loop {
            // Relaxed: the index itself is all that is shared here.
            let index = next.fetch_add(1, Relaxed);
            if index >= count {
                return;
            }
            work(index);
        }
    });
}
