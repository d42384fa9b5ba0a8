//! The block's result, read off the final versions.
//!
//! For a large block this is much work, and all other work is done by then, so it is spread over
//! the workers in two passes: the written slots are sorted into the parts of the result, and each
//! part is made of them and of the accounts, which lie sorted into parts already.

use std::{array, sync::OnceLock};

use alloy_primitives::{B256, U256, map::AddressMap};
use warpline_primitives::{Account, AccountDiff, Slots, StateDiff};

use super::{AccountEntry, Memory, SlotEntry, Version, table, table::Table};
use crate::pool::Pool;

/// Entries from which on it pays to wake other workers.
const PARALLEL_FROM: usize = 4096;

// The part that an account belongs to is the lowest bits of its shard: each part has whole shards of
// the table, and at least one.
const _: () = assert!(StateDiff::SHARDS.is_power_of_two() && StateDiff::SHARDS <= table::SHARDS);

/// Written slots by the part they belong to: the name of the account and that of the slot.
type Written = [Vec<(u32, u32)>; StateDiff::SHARDS];

impl Memory {
    /// What the last versions change against the parent state, worked out by up to `width` workers
    /// of `pool`. Nobody else is at work any more.
    pub(crate) fn diff(&self, pool: &Pool, width: usize) -> StateDiff {
        let (accounts, slots) = (self.accounts.all(), self.slots.all());
        let tables = Tables {
            accounts: accounts.iter().map(|shard| &**shard).collect(),
            slots: slots.iter().map(|shard| &**shard).collect(),
        };
        let width = if tables.entries() < PARALLEL_FROM { 1 } else { width };
        let written = pool.fold(width, table::SHARDS, Written::default, |written, shard| {
            tables.sort_slots(shard, written);
        });

        let parts: [OnceLock<(AddressMap<AccountDiff>, Vec<B256>)>; StateDiff::SHARDS] =
            array::from_fn(|_| OnceLock::new());
        pool.for_each(width, StateDiff::SHARDS, |at| {
            // Each part is made once.
            let _ = parts[at].set(tables.part(at, &written));
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
}

/// The final entries, by shard.
struct Tables<'m> {
    accounts: Vec<&'m Table<AccountEntry>>,
    slots: Vec<&'m Table<SlotEntry>>,
}

impl Tables<'_> {
    fn entries(&self) -> usize {
        let accounts = self.accounts.iter().map(|shard| shard.entries.len());
        accounts.chain(self.slots.iter().map(|shard| shard.entries.len())).sum()
    }

    /// Adds which slots of a shard were written.
    fn sort_slots(&self, shard: usize, written: &mut Written) {
        for (index, entry) in self.slots[shard].entries.iter().enumerate() {
            if entry.cell.last().is_some() {
                let part = table::split(entry.account.0).0 % StateDiff::SHARDS;
                written[part].push((entry.account.0, table::name(shard, index)));
            }
        }
    }

    /// One part of the result, and the code that came into being there.
    fn part(&self, at: usize, written: &[Written]) -> (AddressMap<AccountDiff>, Vec<B256>) {
        let shards = self.accounts.iter().skip(at).step_by(StateDiff::SHARDS);
        let ends = || shards.clone().flat_map(|shard| &shard.entries).map(|it| (it, End::of(it)));
        let changed = || ends().filter(|(_, end)| end.before != end.after || end.is_wiped());
        let mut part = AddressMap::default();
        part.reserve(changed().count());
        let mut new_codes = Vec::new();
        for (entry, end) in changed() {
            new_codes.extend(end.new_code());
            part.insert(entry.address, end.diff());
        }
        let mut names: Vec<_> = written.iter().flat_map(|parts| &parts[at]).copied().collect();
        names.sort_unstable();
        for names in names.chunk_by(|(one, _), (next, _)| one == next) {
            let (shard, index) = table::split(names[0].0);
            let entry = &self.accounts[shard].entries[index];
            let end = End::of(entry);
            if end.after.is_none() {
                continue;
            }
            let slots = names.iter().map(|(_, name)| {
                let (shard, index) = table::split(*name);
                &self.slots[shard].entries[index]
            });
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
    fn changed(&self, entry: &SlotEntry) -> Option<(U256, U256)> {
        let (version, value) = entry.cell.last()?;
        let cleared = self.last_wipe.is_some_and(|wipe| version < wipe);
        let after = if cleared { U256::ZERO } else { value };
        let before = if self.is_wiped() { U256::ZERO } else { entry.cell.base() };
        (after != before).then_some((entry.slot, after))
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
