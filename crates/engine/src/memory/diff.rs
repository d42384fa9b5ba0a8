//! The block's result, read off the final versions.
//!
//! For a large block this is much work, and all other work is done by then, so it is spread over
//! the workers in two passes: the changed slots are sorted into the parts of the result, and each
//! part is made of them and of the accounts, which lie sorted into parts already.

use std::{array, sync::OnceLock};

use alloy_primitives::{B256, U256, map::AddressMap};
use parking_lot::Mutex;
use warpline_primitives::{Account, AccountDiff, Slots, StateDiff};

use super::{AccountEntry, AccountRef, Memory, Version, table};
use crate::pool::Pool;

/// Entries from which on it pays to wake other workers.
const PARALLEL_FROM: usize = 4096;

// The part that an account belongs to is the lowest bits of its shard: each part has whole shards of
// the table, and at least one.
const _: () = assert!(StateDiff::SHARDS.is_power_of_two() && StateDiff::SHARDS <= table::SHARDS);

/// A slot's end state.
#[derive(Clone, Copy)]
struct SlotEnd {
    account: AccountRef,
    slot: U256,
    before: U256,
    after: U256,
    version: Version,
}

/// The parts of the result, for each the slots of its accounts.
type Parts = [Mutex<Vec<SlotEnd>>; StateDiff::SHARDS];

impl Memory {
    /// What the last versions change against the parent state, worked out by up to `width` workers
    /// of `pool`.
    pub(crate) fn diff(&self, pool: &Pool, width: usize) -> StateDiff {
        let entries = self.accounts.len() + self.slots.len();
        let width = if entries < PARALLEL_FROM { 1 } else { width };
        let slots: Parts = array::from_fn(|_| Mutex::default());
        pool.for_each(width, table::SHARDS, |shard| self.sort_slots(shard, &slots));

        let parts: [OnceLock<(AddressMap<AccountDiff>, Vec<B256>)>; StateDiff::SHARDS] =
            array::from_fn(|_| OnceLock::new());
        pool.for_each(width, StateDiff::SHARDS, |at| {
            // Each part is made once.
            let _ = parts[at].set(self.part(at, &slots[at].lock()));
        });
        let mut new_codes = Vec::new();
        let mut diff = StateDiff::from_shards(parts.map(|part| {
            let (accounts, codes) = part.into_inner().unwrap_or_default();
            new_codes.extend(codes);
            accounts
        }));
        for hash in new_codes {
            if let Some(code) = self.code(&hash) {
                diff.insert_code(hash, code.original_bytes());
            }
        }
        diff
    }

    /// Tells the parts which slots of a shard were written.
    fn sort_slots(&self, shard: usize, parts: &Parts) {
        let mut ends: [Vec<SlotEnd>; StateDiff::SHARDS] = array::from_fn(|_| Vec::new());
        for entry in &self.slots.shard_at(shard).entries {
            let Some((version, after)) = entry.cell.last() else { continue };
            let (account, slot, before) = (entry.account, entry.slot, entry.cell.base());
            let part = table::split(account.0).0 % StateDiff::SHARDS;
            ends[part].push(SlotEnd { account, slot, before, after, version });
        }
        for (part, ends) in parts.iter().zip(ends) {
            if !ends.is_empty() {
                part.lock().extend(ends);
            }
        }
    }

    /// One part of the result, and the code that came into being there.
    fn part(&self, at: usize, slots: &[SlotEnd]) -> (AddressMap<AccountDiff>, Vec<B256>) {
        let shards: Vec<_> = (at..table::SHARDS)
            .step_by(StateDiff::SHARDS)
            .map(|shard| self.accounts.shard_at(shard))
            .collect();
        let changed = || {
            shards.iter().flat_map(|shard| &shard.entries).filter(|entry| {
                let end = End::of(entry);
                end.before != end.after || end.is_wiped()
            })
        };
        let mut part = AddressMap::default();
        part.reserve(changed().count());
        let mut new_codes = Vec::new();
        for entry in changed() {
            let end = End::of(entry);
            new_codes.extend(end.new_code());
            part.insert(entry.address, end.diff());
        }
        // The slots are large: sorting their places is quicker.
        let mut places: Vec<_> = (0..).zip(slots).map(|(at, slot)| (slot.account.0, at)).collect();
        places.sort_unstable();
        for places in places.chunk_by(|(one, _), (next, _)| one == next) {
            let (shard, index) = table::split(places[0].0);
            let entry = &shards[shard / StateDiff::SHARDS].entries[index];
            let end = End::of(entry);
            if end.after.is_none() {
                continue;
            }
            let slots = places.iter().map(|(_, at): &(u32, usize)| &slots[*at]);
            let storage: Slots = slots.filter_map(|slot| end.changed(slot)).collect();
            if !storage.is_empty() {
                let account = part.entry(entry.address).or_insert_with(|| end.diff());
                account.storage = storage;
            }
        }
        (part, new_codes)
    }
}

/// An account's end state.
struct End {
    before: Option<Account>,
    after: Option<Account>,
    last_wipe: Option<Version>,
}

impl End {
    fn of(entry: &AccountEntry) -> Self {
        let before = entry.cell.base();
        let after = entry.cell.last().map_or(before, |(_, value)| value);
        Self { before, after, last_wipe: entry.wipes.last().copied() }
    }

    fn diff(&self) -> AccountDiff {
        AccountDiff {
            account: self.after,
            storage_wiped: self.is_wiped(),
            ..AccountDiff::default()
        }
    }

    /// A slot of the account, with its value afterwards, where that differs from before.
    fn changed(&self, slot: &SlotEnd) -> Option<(U256, U256)> {
        let cleared = self.last_wipe.is_some_and(|wipe| slot.version < wipe);
        let after = if cleared { U256::ZERO } else { slot.after };
        let before = if self.is_wiped() { U256::ZERO } else { slot.before };
        (after != before).then_some((slot.slot, after))
    }

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
