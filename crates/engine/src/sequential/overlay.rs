//! The changes of a block so far over its parent state.

#[cfg(feature = "tracers")]
mod edit;

use std::time::Instant;

use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map, Entry, U256Map},
};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    context::DBErrorMarker,
    primitives::KECCAK_EMPTY,
    state::{Account as RevmAccount, AccountInfo, EvmState},
};
use warpline_primitives::{Account, AccountDiff, Slots, StateDiff, StateSource};

use crate::{
    BlockRules, ExecutionError,
    access_list::FeePayment,
    commit::Fees,
    memory::{Loaded, Memory, Version, Writer},
    trace::{Meeting, Met, Meter, Position},
    vm::{
        BlockDb, CodeCache, Commit, account_id, changed_slots, classify, info_of, load, new_code,
    },
};

/// A read did not deliver; who gave the state knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read failed")]
pub struct ReadFailed;

impl DBErrorMarker for ReadFailed {}

/// The block's changes so far over its parent state, which is cached.
pub(crate) struct Overlay<'s, S: StateSource> {
    source: &'s S,
    codes: &'s CodeCache,
    accounts: AddressMap<Cached>,
    new_codes: B256Map<Bytecode>,
    beneficiary: Address,
    fees: Fees,
    failure: Option<S::Error>,
    /// What the step under way committed; `None` where nobody wants to know.
    commits: Option<Vec<Commit>>,
    /// What the transaction under way met; `None` where nobody wants to know.
    meeting: Option<Meeting>,
}

/// An account that was read.
#[derive(Debug)]
pub(super) struct Cached {
    before: Option<Account>,
    now: Option<Account>,
    /// Whether the account has storage that stops a creation (EIP-7610).
    has_storage: bool,
    /// Whether storage that existed before the block was cleared.
    wiped: bool,
    /// Slot to the value before the block and the value now.
    slots: U256Map<(U256, U256)>,
}

impl<'s, S: StateSource> Overlay<'s, S> {
    /// Nothing over `source`. `told` says whether commits of steps are kept for
    /// [`take_commits`](Self::take_commits).
    pub(crate) fn new(source: &'s S, codes: &'s CodeCache, rules: &BlockRules, told: bool) -> Self {
        Self {
            source,
            codes,
            accounts: AddressMap::default(),
            new_codes: B256Map::default(),
            beneficiary: rules.beneficiary,
            fees: Fees::none(rules.deletes_empty_accounts),
            failure: None,
            commits: told.then(Vec::new),
            meeting: None,
        }
    }

    /// From now on it is noted what is met, and when, from `start` on.
    pub(super) fn meter_time(&mut self, start: Instant) {
        self.meeting = Some(Meeting::new(Meter::Clock(start)));
    }

    /// From now on it is noted what is met, and where an inspector says the transaction is.
    pub(crate) fn meter_gas(&mut self, position: Position) {
        self.meeting = Some(Meeting::new(Meter::Gas(position)));
    }

    /// What was met since the last time.
    pub(crate) fn take_met(&mut self) -> Vec<Met> {
        self.meeting.as_mut().map(Meeting::take).unwrap_or_default()
    }

    /// What was committed since the last time, in order.
    pub(crate) fn take_commits(&mut self) -> Vec<Commit> {
        self.commits.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Why the last read failed, if one did.
    pub(crate) fn take_failure(&mut self) -> Option<S::Error> {
        self.failure.take()
    }

    /// Every account that was read, with its state now and whether storage that existed was cleared.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (Address, Option<Account>, bool)> {
        self.accounts.iter().map(|(address, cached)| (*address, cached.now, cached.wiped))
    }

    fn fail<T>(&mut self, error: S::Error) -> Result<T, ReadFailed> {
        self.failure = Some(error);
        Err(ReadFailed)
    }

    fn cached(&mut self, address: Address) -> Result<&mut Cached, S::Error> {
        match self.accounts.entry(address) {
            Entry::Occupied(cached) => Ok(cached.into_mut()),
            Entry::Vacant(place) => {
                let Loaded { account: before, has_storage } = load(self.source, address)?;
                let slots = U256Map::default();
                Ok(place.insert(Cached { before, now: before, has_storage, wiped: false, slots }))
            }
        }
    }

    /// Commits a transaction and books its fee. `followed` says whether to return the payment.
    pub(crate) fn commit_transaction(
        &mut self,
        state: &EvmState,
        deferred_fee: Option<U256>,
        followed: bool,
    ) -> Result<Option<FeePayment>, ExecutionError<S::Error>> {
        let beneficiary = state.get(&self.beneficiary).and_then(classify);
        let wrote_beneficiary = beneficiary.is_some_and(|change| change.changed);
        self.apply(state);
        if wrote_beneficiary {
            self.fees.clear();
        }
        let Some(fee) = deferred_fee else { return Ok(None) };
        let before = if followed { Some(self.beneficiary_now()?) } else { None };
        self.fees.add(fee);
        if self.fees.may_delete() {
            let cached = self.cached(self.beneficiary).map_err(ExecutionError::StateRead)?;
            if cached.now.is_some_and(|account| account.is_empty()) {
                cached.wipe();
                cached.now = None;
                self.fees.clear();
            }
        }
        let Some(before) = before else { return Ok(None) };
        let after = self.beneficiary_now()?;
        Ok(Some(FeePayment { beneficiary: self.beneficiary, before, after }))
    }

    /// The beneficiary's account with what it is owed.
    fn beneficiary_now(&mut self) -> Result<Option<Account>, ExecutionError<S::Error>> {
        let fees = self.fees;
        let cached = self.cached(self.beneficiary).map_err(ExecutionError::StateRead)?;
        Ok(fees.credited_to(cached.now))
    }

    /// Pays the beneficiary what is still owed.
    pub(crate) fn pay_fees(&mut self) -> Result<(), ExecutionError<S::Error>> {
        if self.fees.is_none() {
            return Ok(());
        }
        let fees = self.fees;
        let cached = self.cached(self.beneficiary).map_err(ExecutionError::StateRead)?;
        let after = fees.credited_to(cached.now);
        if after.is_none() && cached.now.is_some() {
            cached.wipe();
        }
        cached.now = after;
        self.fees.clear();
        Ok(())
    }

    /// Takes in what a journal says.
    #[expect(clippy::iter_over_hash_type, reason = "each account is committed on its own")]
    fn apply(&mut self, changes: &EvmState) {
        for (address, account) in changes {
            let Some(change) = classify(account) else { continue };
            // Whatever the journal holds was read through this overlay.
            let Some(cached) = self.accounts.get_mut(address) else { continue };
            if change.wiped {
                cached.wipe();
            }
            if change.changed {
                cached.now = change.account;
            }
            if change.account.is_some() {
                for (slot, value) in changed_slots(account) {
                    let known = cached.slots.entry(slot).or_default();
                    known.1 = value;
                }
            }
            if let Some(code) = new_code(account) {
                self.new_codes.insert(account.info.code_hash, code.clone());
            }
        }
    }

    /// Writes everything that differs from before to `memory`, which this was read through.
    #[expect(clippy::iter_over_hash_type, reason = "each location is written on its own")]
    pub(crate) fn publish(&self, memory: &Memory, version: Version) {
        let nobody = &mut Vec::new();
        for (hash, code) in &self.new_codes {
            memory.insert_code(*hash, code.clone());
        }
        for (address, cached) in &self.accounts {
            let Some(at) = memory.find_account(*address) else { continue };
            if cached.now != cached.before || cached.wiped {
                memory.write_account(at, Writer::last(version), cached.now, cached.wiped, nobody);
            }
            for (slot, now) in cached.changed_slots() {
                memory.write_slot(at, slot, Writer::last(version), now, nobody);
            }
        }
    }

    /// Everything that differs from before the block.
    #[expect(clippy::iter_over_hash_type, reason = "each account is recorded on its own")]
    pub(crate) fn diff(&self) -> StateDiff {
        let mut diff = StateDiff::with_capacity(self.accounts.len());
        for (address, cached) in &self.accounts {
            let storage: Slots = cached.changed_slots().collect();
            let Cached { before, now, wiped, .. } = *cached;
            if before == now && !wiped && (storage.is_empty() || now.is_none()) {
                continue;
            }
            if let Some(now) = now
                && before.is_none_or(|before| before.code_hash != now.code_hash)
                && let Some(code) = self.new_codes.get(&now.code_hash)
            {
                diff.insert_code(now.code_hash, code.original_bytes());
            }
            let entry = AccountDiff { account: now, storage_wiped: wiped, storage };
            diff.insert_account(*address, entry);
        }
        diff
    }
}

impl Cached {
    /// The slots whose values differ from before, or from nothing if they were cleared.
    fn changed_slots(&self) -> impl Iterator<Item = (U256, U256)> {
        let wiped = self.wiped;
        let changed = move |before: &U256, now: &U256| {
            let before = if wiped { &U256::ZERO } else { before };
            now != before
        };
        let slots = self.slots.iter().filter(move |(_, (before, now))| changed(before, now));
        slots.map(|(slot, (_, now))| (*slot, *now))
    }

    /// Clears the storage.
    #[expect(clippy::iter_over_hash_type, reason = "each slot is cleared on its own")]
    fn wipe(&mut self) {
        self.wiped |= self.before.is_some();
        self.has_storage = false;
        for (_, now) in self.slots.values_mut() {
            *now = U256::ZERO;
        }
    }

    /// Whether slots that were not written since must be empty.
    fn starts_empty(&self) -> bool {
        self.wiped || self.before.is_none()
    }
}

impl<S: StateSource> Database for Overlay<'_, S> {
    type Error = ReadFailed;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadFailed> {
        let (fees, beneficiary) = (self.fees, self.beneficiary);
        if let Some(meeting) = &mut self.meeting {
            meeting.note(address, None);
        }
        let (account, has_storage) = match self.cached(address) {
            Ok(cached) => (cached.now, cached.has_storage),
            Err(error) => return self.fail(error),
        };
        let account = if address == beneficiary { fees.credited_to(account) } else { account };
        // Only its marks matter here: nothing is found by the name.
        Ok(account.map(|account| info_of(account, account_id(0, has_storage))))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ReadFailed> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.new_codes.get(&hash) {
            return Ok(code.clone());
        }
        match self.codes.get(hash, self.source) {
            Ok(code) => Ok(code),
            Err(error) => self.fail(error),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ReadFailed> {
        let source = self.source;
        if let Some(meeting) = &mut self.meeting {
            meeting.note(address, Some(slot));
        }
        let read = self.cached(address).and_then(|cached| {
            let empty = cached.starts_empty();
            match cached.slots.entry(slot) {
                Entry::Occupied(known) => Ok(known.get().1),
                Entry::Vacant(place) => {
                    let before = if empty { U256::ZERO } else { source.storage(address, slot)? };
                    Ok(place.insert((before, before)).1)
                }
            }
        });
        read.or_else(|error| self.fail(error))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadFailed> {
        self.source.block_hash(number).or_else(|error| self.fail(error))
    }
}

/// Only steps commit this way, transactions by [`Overlay::commit_transaction`].
impl<S: StateSource> DatabaseCommit for Overlay<'_, S> {
    fn commit(&mut self, changes: AddressMap<RevmAccount>) {
        self.apply(&changes);
        if let Some(commits) = &mut self.commits {
            commits.push(Commit::Journal(changes));
        }
    }
}

impl<S: StateSource> BlockDb for Overlay<'_, S> {
    fn overwrite_account(&mut self, address: Address, account: Account) -> Result<(), ReadFailed> {
        match self.cached(address) {
            Ok(cached) => cached.now = Some(account),
            Err(error) => return self.fail(error),
        }
        if let Some(commits) = &mut self.commits {
            commits.push(Commit::Overwrite(address, account));
        }
        Ok(())
    }
}

impl<S: StateSource> std::fmt::Debug for Overlay<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}
