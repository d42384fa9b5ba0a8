//! Multi-version memory: what every transaction of the block wrote, by location and version.
//!
//! A *version* is a position in the block: 0 is what comes before the first transaction, `i + 1`
//! is transaction `i`, and the last two are the deferred fees and what comes after. A transaction
//! reads, of each location, the newest version below its own, else the parent state, which is cached
//! here on first sight so that the source is asked once per key and block.
//!
//! Speculation makes this memory wrong in passing: a version may come from an execution that is
//! later repeated. Nothing here prevents that. What a transaction read is recorded by value
//! ([`ReadSet`]) and compared again when it commits, at which point every version below its own
//! is final. A balance that the transaction did not look at need not be the same: what it left
//! behind is then put right. Readers are also remembered per location, so that a late or changed
//! write can name the transactions that should be looked at again early; that is a hint, and
//! correctness never leans on it.
//!
//! Locations are found by a keyed hash and compared in full: nobody outside can craft a
//! collision, and a chance one costs a comparison.

mod cell;
mod diff;
mod read_set;
mod table;

use std::hash::{BuildHasher, Hasher};

use alloy_primitives::{Address, B256, U256, map::B256Map};
use foldhash::fast::RandomState;
use revm::bytecode::Bytecode;
use warpline_primitives::{Account, StateDiff};

use crate::{
    hooks::{Hooks, Site},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use cell::Cell;
use read_set::differ_beyond_balance;
pub(crate) use read_set::{AccountRead, Changed, ReadSet, Shift, SlotRead};
use table::{Shards, Table};

/// A position in the block; see the module's documentation.
pub(crate) type Version = u32;

/// Names an account entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AccountRef(pub(crate) u32);

/// Names a slot entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotRef(pub(crate) u32);

#[derive(Debug)]
struct AccountEntry {
    address: Address,
    cell: Cell<Option<Account>>,
    /// Whether the account has storage in the parent state that stops a creation (EIP-7610).
    has_storage: bool,
    /// Versions that cleared the account's whole storage, ascending.
    wipes: Vec<Version>,
}

#[derive(Debug)]
struct SlotEntry {
    account: AccountRef,
    slot: U256,
    cell: Cell<U256>,
}

/// Who reads: everything below `below` is visible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    pub(crate) below: Version,
    /// For speculative readers, the newest committed version: the reader is remembered, and named
    /// when a version that it should have seen arrives later. `None` for reads that are final.
    pub(crate) register: Option<Version>,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    pub(crate) version: Version,
    /// Whether everything below is final, and so is this: what it supersedes can be forgotten.
    pub(crate) is_final: bool,
}

impl Writer {
    /// Who writes once and for all.
    pub(crate) const fn last(version: Version) -> Self {
        Self { version, is_final: true }
    }
}

/// A value and where it came from; `writer` is `None` for the parent state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visible<T> {
    pub(crate) value: T,
    pub(crate) writer: Option<Version>,
}

/// An account as it stands in the parent state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) account: Option<Account>,
    /// Whether it has storage that stops a creation (EIP-7610).
    pub(crate) has_storage: bool,
}

/// An account as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenAccount {
    pub(crate) at: AccountRef,
    pub(crate) account: Option<Account>,
    pub(crate) writer: Option<Version>,
    /// Whether it still has the storage that stops a creation.
    pub(crate) has_storage: bool,
    /// Whether many transactions write it.
    pub(crate) is_hot: bool,
}

impl AccountEntry {
    fn has_storage_below(&self, version: Version) -> bool {
        self.has_storage && self.wipes.iter().all(|wipe| *wipe >= version)
    }

    fn seen(&self, at: AccountRef, seen: Visible<Option<Account>>, below: Version) -> SeenAccount {
        let has_storage = self.has_storage_below(below);
        let is_hot = self.cell.is_hot();
        SeenAccount { at, account: seen.value, writer: seen.writer, has_storage, is_hot }
    }
}

/// The memory of one block. [`reset`](Self::reset) makes it ready for the next and keeps what was
/// allocated.
#[derive(Debug)]
pub(crate) struct Memory {
    accounts: Shards<AccountEntry>,
    slots: Shards<SlotEntry>,
    /// Whether any storage was wiped. Storage reads look at the account's wipes only then.
    wiped: AtomicBool,
    /// How often a hot account was changed in more than its balance.
    turns: AtomicU32,
    /// Code that came into being in this block, by hash.
    codes: Mutex<B256Map<Bytecode>>,
    /// Whether there is any. Most code was there before, and looking for it must not take a lock.
    has_codes: AtomicBool,
    hasher: RandomState,
    /// Whether all versions are wanted once everything is final.
    keeps_versions: bool,
    /// What happens at decision points.
    hooks: Hooks,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            accounts: Shards::default(),
            slots: Shards::default(),
            wiped: AtomicBool::new(false),
            turns: AtomicU32::new(0),
            codes: Mutex::default(),
            has_codes: AtomicBool::new(false),
            hasher: RandomState::default(),
            keeps_versions: false,
            hooks: Hooks::none(),
        }
    }
}

impl Memory {
    /// Uses `hooks` at decision points.
    pub(crate) fn hook(&mut self, hooks: Hooks) {
        self.hooks = hooks;
    }

    /// From now on what a final version supersedes is kept: somebody will look at what each
    /// transaction began with.
    #[cfg(feature = "tracers")]
    pub(crate) const fn keep_versions(&mut self) {
        self.keeps_versions = true;
    }

    /// `writer`, as locations are to take it.
    const fn superseding(&self, writer: Writer) -> Writer {
        Writer { is_final: writer.is_final && !self.keeps_versions, ..writer }
    }

    /// Forgets everything but the allocations.
    pub(crate) fn reset(&mut self) {
        self.keeps_versions = false;
        self.accounts.clear();
        self.slots.clear();
        *self.wiped.get_mut() = false;
        self.codes.get_mut().clear();
        *self.has_codes.get_mut() = false;
    }

    /// The account at `address` as `reader` sees it; `load` reads the parent state.
    pub(crate) fn account<E>(
        &self,
        address: Address,
        reader: Reader,
        load: impl FnOnce() -> Result<Loaded, E>,
    ) -> Result<SeenAccount, E> {
        let hash = self.hash_address(address);
        let is_it = |entry: &AccountEntry| entry.address == address;
        self.hooks.at(Site::Lookup, reader.below);
        {
            let mut shard = self.accounts.of_hash(hash);
            if let Some(index) = shard.find(hash, is_it)
                && let Some(seen) = shard.entries[index].cell.read(reader)
            {
                self.hooks.at(Site::Found, reader.below);
                let at = AccountRef(self.accounts.name(hash, index));
                return Ok(shard.entries[index].seen(at, seen, reader.below));
            }
        }
        // Not under the lock: the source may be slow.
        let Loaded { account, has_storage } = load()?;
        self.hooks.at(Site::Insert, reader.below);
        let mut shard = self.accounts.of_hash(hash);
        let index = shard.find_or_insert(
            hash,
            is_it,
            || AccountEntry { address, cell: Cell::default(), has_storage, wipes: Vec::new() },
            |entry| self.hash_address(entry.address),
        );
        let seen = shard.entries[index].cell.read_with_base(reader, account);
        let at = AccountRef(self.accounts.name(hash, index));
        Ok(shard.entries[index].seen(at, seen, reader.below))
    }

    /// The entry of an account that was read before.
    pub(crate) fn find_account(&self, address: Address) -> Option<AccountRef> {
        let hash = self.hash_address(address);
        let index = self.accounts.of_hash(hash).find(hash, |entry| entry.address == address)?;
        Some(AccountRef(self.accounts.name(hash, index)))
    }

    /// A slot of `account` as `reader` sees it; `load` reads the parent state.
    pub(crate) fn slot<E>(
        &self,
        account: AccountRef,
        slot: U256,
        reader: Reader,
        load: impl FnOnce() -> Result<U256, E>,
    ) -> Result<(SlotRef, Visible<U256>), E> {
        let hash = self.hash_slot(account, slot);
        let is_it = |entry: &SlotEntry| entry.slot == slot && entry.account == account;
        let mut found = None;
        self.hooks.at(Site::Lookup, reader.below);
        {
            let mut shard = self.slots.of_hash(hash);
            if let Some(index) = shard.find(hash, is_it) {
                self.hooks.at(Site::Found, reader.below);
                let seen = shard.entries[index].cell.read(reader);
                found = seen.map(|seen| (SlotRef(self.slots.name(hash, index)), seen));
            }
        }
        let (at, seen) = match found {
            Some(found) => found,
            None => {
                let base = load()?;
                self.hooks.at(Site::Insert, reader.below);
                let mut shard = self.slots.of_hash(hash);
                let index = shard.find_or_insert(
                    hash,
                    is_it,
                    || SlotEntry { account, slot, cell: Cell::default() },
                    |entry| self.hash_slot(entry.account, entry.slot),
                );
                let seen = shard.entries[index].cell.read_with_base(reader, base);
                (SlotRef(self.slots.name(hash, index)), seen)
            }
        };
        Ok((at, self.after_wipes(account, reader.below, seen)))
    }

    /// `seen`, unless the account's storage was cleared since.
    fn after_wipes(
        &self,
        account: AccountRef,
        below: Version,
        seen: Visible<U256>,
    ) -> Visible<U256> {
        self.hooks.at(Site::Wipes, below);
        // Acquire pairs with the release in `write_account`. A reader that misses a wipe in flight
        // read too early; its commit, ordered after the wiping transaction's, compares again.
        if !self.wiped.load(Ordering::Acquire) {
            return seen;
        }
        let (shard, index) = self.accounts.of_name(account.0);
        let wipes = &shard.entries[index].wipes;
        match wipes.iter().rev().find(|wipe| **wipe < below) {
            // The wiping transaction itself may have written the slot again, hence not `<=`.
            Some(wipe) if seen.writer.is_none_or(|writer| writer < *wipe) => {
                Visible { value: U256::ZERO, writer: Some(*wipe) }
            }
            _ => seen,
        }
    }

    /// Whether the transaction of `version` would read the same now, balances apart that make no
    /// difference.
    pub(crate) fn hold(&self, reads: &ReadSet, version: Version) -> Result<(), Changed> {
        let account = |read| self.account_holds(read, version, |_, now| now).is_some();
        if !reads.accounts.iter().all(account) {
            return Err(Changed::Account);
        }
        self.slots_hold(&reads.slots, version)
    }

    /// Whether the transaction of `version` would see the same of these slots now.
    pub(crate) fn slots_hold(&self, reads: &[SlotRead], version: Version) -> Result<(), Changed> {
        let changed = reads.iter().find(|read| !self.slot_holds(read, version));
        changed.map_or(Ok(()), |read| Err(Changed::Slot(read.at)))
    }

    /// Compares what the transaction of `version` saw of an account with what it would see now, where
    /// `and` says what is not in the memory. `None` where its outcome could be another, else by how
    /// much more balance there is.
    pub(crate) fn account_holds(
        &self,
        read: &AccountRead,
        version: Version,
        and: impl FnOnce(Address, Option<Account>) -> Option<Account>,
    ) -> Option<Shift> {
        self.hooks.at(Site::Compare, version);
        let now = {
            let (shard, index) = self.accounts.of_name(read.at.0);
            let entry = &shard.entries[index];
            if entry.has_storage_below(version) != read.has_storage {
                return None;
            }
            entry.cell.value(version)?
        };
        read.shift(and(read.address, now.value))
    }

    /// Whether the transaction of `version` would see the same of a slot now.
    fn slot_holds(&self, read: &SlotRead, version: Version) -> bool {
        self.hooks.at(Site::Compare, version);
        let now = {
            let (shard, index) = self.slots.of_name(read.at.0);
            shard.entries[index].cell.value(version)
        };
        now.is_some_and(|now| self.after_wipes(read.account, version, now).value == read.seen)
    }

    /// Whether `version` changed more of an account than its balance.
    pub(crate) fn changes_more_than_balance(&self, at: AccountRef, version: Version) -> bool {
        let (shard, index) = self.accounts.of_name(at.0);
        let cell = &shard.entries[index].cell;
        let value = |below| cell.value(below).and_then(|seen| seen.value);
        differ_beyond_balance(value(version), value(version + 1))
    }

    /// Adds to the balance that `version` left behind, if it did. Readers of another are not named:
    /// hardly any of them cares, and those find out when they commit.
    pub(crate) fn shift_balance(&self, at: AccountRef, version: Version, shift: Shift) {
        self.hooks.at(Site::Publish, version);
        let (mut shard, index) = self.accounts.of_name(at.0);
        if let Some(Some(account)) = shard.entries[index].cell.get_mut(version) {
            account.balance = account.balance.wrapping_add(shift);
        }
    }

    /// Publishes an account. Readers that should have seen it are added to `suspects`, unless
    /// nothing but the balance is another than they saw: most of them do not care, and those who do
    /// find out when they commit.
    pub(crate) fn write_account(
        &self,
        at: AccountRef,
        writer: Writer,
        account: Option<Account>,
        wiped: bool,
        suspects: &mut Vec<Version>,
    ) {
        let version = writer.version;
        self.hooks.at(Site::Publish, version);
        let (mut shard, index) = self.accounts.of_name(at.0);
        self.hooks.at(Site::Change, version);
        let entry = &mut shard.entries[index];
        if !entry.wipes.is_empty() {
            entry.wipes.retain(|wipe| *wipe != version);
        }
        if wiped {
            let place = entry.wipes.partition_point(|wipe| *wipe < version);
            entry.wipes.insert(place, version);
            self.wiped.store(true, Ordering::Release);
        }
        let now = entry.cell.value(version + 1).map(|seen| seen.value);
        if entry.cell.is_hot() && now.is_none_or(|now| differ_beyond_balance(now, account)) {
            self.turns.fetch_add(1, Ordering::Release);
        }
        let writer = self.superseding(writer);
        entry.cell.write(writer, account, differ_beyond_balance, suspects);
    }

    /// Grows whenever more of a hot account is changed than its balance.
    pub(crate) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Acquire)
    }

    /// Publishes a slot.
    pub(crate) fn write_slot(
        &self,
        account: AccountRef,
        slot: U256,
        writer: Writer,
        value: U256,
        suspects: &mut Vec<Version>,
    ) -> SlotRef {
        let hash = self.hash_slot(account, slot);
        self.hooks.at(Site::Publish, writer.version);
        let mut shard = self.slots.of_hash(hash);
        self.hooks.at(Site::Change, writer.version);
        let index = shard.find_or_insert(
            hash,
            |entry| entry.slot == slot && entry.account == account,
            || SlotEntry { account, slot, cell: Cell::default() },
            |entry| self.hash_slot(entry.account, entry.slot),
        );
        let (cell, writer) = (&mut shard.entries[index].cell, self.superseding(writer));
        cell.write(writer, value, |before, after| before != after, suspects);
        SlotRef(self.slots.name(hash, index))
    }

    /// Takes back what an earlier execution of `version` wrote to an account.
    pub(crate) fn remove_account(
        &self,
        at: AccountRef,
        version: Version,
        suspects: &mut Vec<Version>,
    ) {
        self.hooks.at(Site::Publish, version);
        let (mut shard, index) = self.accounts.of_name(at.0);
        self.hooks.at(Site::Change, version);
        let entry = &mut shard.entries[index];
        entry.wipes.retain(|wipe| *wipe != version);
        entry.cell.remove(version, suspects);
    }

    /// Takes back what an earlier execution of `version` wrote to a slot.
    pub(crate) fn remove_slot(&self, at: SlotRef, version: Version, suspects: &mut Vec<Version>) {
        self.hooks.at(Site::Publish, version);
        let (mut shard, index) = self.slots.of_name(at.0);
        self.hooks.at(Site::Change, version);
        shard.entries[index].cell.remove(version, suspects);
    }

    /// Makes new code known to the transactions that follow. Code is named by its hash, so it
    /// needs no version: code of an execution that is thrown away is merely never named.
    pub(crate) fn insert_code(&self, hash: B256, code: Bytecode) {
        self.codes.lock().insert(hash, code);
        // Release pairs with the acquire in `code`: whoever read the account that names the code
        // did so after it was published, which was after this.
        self.has_codes.store(true, Ordering::Release);
    }

    /// Code that came into being in this block.
    pub(crate) fn code(&self, hash: &B256) -> Option<Bytecode> {
        if !self.has_codes.load(Ordering::Acquire) {
            return None;
        }
        self.codes.lock().get(hash).cloned()
    }

    /// The hash of an account, whose shard is part of the part of the result that the account
    /// belongs to. Who crafts addresses can fill one part, as in the result, but not one shard.
    fn hash_address(&self, address: Address) -> u64 {
        table::with_shard(
            self.hasher.hash_one(address),
            StateDiff::shard_of(&address),
            StateDiff::SHARDS,
        )
    }

    fn hash_slot(&self, account: AccountRef, slot: U256) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(account.0);
        for limb in slot.as_limbs() {
            hasher.write_u64(*limb);
        }
        hasher.finish()
    }
}

/// A locked shard.
type Guard<'a, E> = MutexGuard<'a, Table<E>>;
