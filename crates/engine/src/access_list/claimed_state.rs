//! The state before a step, as an access list claims it.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    Database,
    bytecode::Bytecode,
    context::DBErrorMarker,
    primitives::KECCAK_EMPTY,
    state::{AccountId, AccountInfo},
};
use warpline_primitives::{Account, StateSource};

use super::Claims;
use crate::{
    BlockRules, BlockVm,
    execute::Job,
    memory::Loaded,
    read_ahead::{self, Key},
    scheduler::Seat,
    vm::{OwnCodes, account_id, info_of, load, name_of},
};

/// What the parent state has and what the list claims on top.
///
/// What is listed has a place of its own, so nothing has to be looked up twice and no reader waits
/// for another. What is not listed is asked for whenever it is wanted: a step that does makes the
/// block invalid.
pub(super) struct ClaimedState<'r, S> {
    pub(super) claims: &'r Claims<'r>,
    source: &'r S,
    /// Whether accounts can vanish that were there before the transaction, and their storage with
    /// them, of which the list says nothing.
    storage_vanishes: bool,
    /// What the parent state has at each place, once somebody asked.
    accounts: Vec<OnceLock<Loaded>>,
    slots: Vec<OnceLock<U256>>,
}

impl<'r, S: StateSource> ClaimedState<'r, S> {
    /// The state that `claims` makes of what `source` has, under `rules`.
    pub(super) fn new(claims: &'r Claims<'r>, source: &'r S, rules: &BlockRules) -> Self {
        let accounts = claims.accounts().iter().map(|_| OnceLock::new()).collect();
        let slots = (0..claims.slots()).map(|_| OnceLock::new()).collect();
        let storage_vanishes = rules.deletes_old_accounts;
        Self { claims, source, storage_vanishes, accounts, slots }
    }

    /// The account at that place of the list in the parent state.
    pub(super) fn parent(&self, place: usize) -> Result<Loaded, S::Error> {
        let address = self.claims.at(place).address();
        remembered(&self.accounts[place], || load(self.source, address))
    }

    /// A slot of an account, at that place among all slots, in the parent state.
    pub(super) fn parent_slot(
        &self,
        place: usize,
        address: Address,
        slot: U256,
    ) -> Result<U256, S::Error> {
        remembered(&self.slots[place], || self.source.storage(address, slot))
    }

    /// An account, which is at that `place` of the list, before `step`.
    pub(super) fn account(
        &self,
        step: u64,
        address: Address,
        place: Option<usize>,
    ) -> Result<Loaded, S::Error> {
        let Some(place) = place else { return load(self.source, address) };
        let mut loaded = self.parent(place)?;
        loaded.account = self.claims.at(place).before(step, loaded.account);
        Ok(loaded)
    }

    /// A slot before `step` of an account that is at that `place` of the list.
    pub(super) fn slot(
        &self,
        step: u64,
        address: Address,
        place: Option<usize>,
        slot: U256,
    ) -> Result<U256, S::Error> {
        if self.storage_vanishes && self.account(step, address, place)?.account.is_none() {
            return Ok(U256::ZERO);
        }
        let claimed = place.and_then(|place| self.claims.at(place).slot(&slot));
        if let Some(value) = claimed.and_then(|claimed| claimed.before(step)) {
            return Ok(value);
        }
        let parent =
            place.map_or_else(|| load(self.source, address), |place| self.parent(place))?;
        match claimed {
            _ if parent.account.is_none() => Ok(U256::ZERO),
            Some(claimed) => self.parent_slot(claimed.place, address, slot),
            None => self.source.storage(address, slot),
        }
    }

    /// Reads `key`, if it is listed, to be there when it is wanted.
    pub(super) fn read_ahead<V: BlockVm>(
        &self,
        job: &Job<'_, V, S>,
        seat: &Seat<'_>,
        key: Key,
    ) -> Result<(), S::Error> {
        let (Key::Account { address, .. } | Key::Slot(address, _)) = key;
        let Some(place) = self.claims.place(&address) else { return Ok(()) };
        let account = self.parent(place)?.account;
        match key {
            Key::Account { runs, .. } if runs => read_ahead::read_code(job, seat, account),
            Key::Slot(_, slot) if account.is_some() => match self.claims.at(place).slot(&slot) {
                Some(claimed) => self.parent_slot(claimed.place, address, slot).map(|_| ()),
                None => Ok(()),
            },
            Key::Account { .. } | Key::Slot(..) => Ok(()),
        }
    }
}

/// What `place` holds, else what `load` finds to put there.
fn remembered<T: Copy, E>(
    place: &OnceLock<T>,
    load: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    if let Some(known) = place.get() {
        return Ok(*known);
    }
    // Not while others wait for it: the source may be slow, and finds the same for all.
    let loaded = load()?;
    Ok(*place.get_or_init(|| loaded))
}

/// The state before one step as a source, for the steps around the transactions.
pub(super) struct BeforeStep<'r, S> {
    pub(super) state: &'r ClaimedState<'r, S>,
    pub(super) step: u64,
}

impl<S: StateSource> BeforeStep<'_, S> {
    fn loaded(&self, address: Address) -> Result<Loaded, S::Error> {
        self.state.account(self.step, address, self.state.claims.place(&address))
    }
}

impl<S: StateSource> StateSource for BeforeStep<'_, S> {
    type Error = S::Error;

    fn account(&self, address: Address) -> Result<Option<Account>, S::Error> {
        Ok(self.loaded(address)?.account)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, S::Error> {
        self.state.slot(self.step, address, self.state.claims.place(&address), slot)
    }

    fn has_storage(&self, address: Address) -> Result<bool, S::Error> {
        Ok(self.loaded(address)?.has_storage)
    }

    fn code(&self, hash: B256) -> Result<Bytes, S::Error> {
        match self.state.claims.code(&hash) {
            Some(code) => Ok(code.original_bytes()),
            None => self.state.source.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        self.state.source.block_hash(number)
    }
}

/// The database of one worker. Its accounts have their places in the list for names.
pub(super) struct ClaimedDb<'r, 'b, V: BlockVm, S: StateSource> {
    state: &'r ClaimedState<'r, S>,
    job: Job<'b, V, S>,
    /// The lowest transaction that is known to have failed.
    failed: &'r AtomicUsize,
    /// Which of the pool's workers it serves, and that one's copies of code.
    worker: usize,
    own_codes: OwnCodes,
    transaction: usize,
    interruption: Option<Interruption<S::Error>>,
}

/// Why a read did not deliver.
#[derive(Debug)]
pub(super) enum Interruption<E> {
    Source(E),
    /// Nobody is interested in the transaction any more.
    Overtaken,
}

/// A read did not deliver; the database knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read was interrupted")]
pub(super) struct Interrupted;

impl DBErrorMarker for Interrupted {}

impl<'r, 'b, V: BlockVm, S: StateSource> ClaimedDb<'r, 'b, V, S> {
    pub(super) fn new(
        state: &'r ClaimedState<'r, S>,
        job: Job<'b, V, S>,
        failed: &'r AtomicUsize,
        worker: usize,
    ) -> Self {
        let own_codes = job.codes.take_own(worker);
        Self { state, job, failed, worker, own_codes, transaction: 0, interruption: None }
    }

    /// Turns to the transaction at that index.
    pub(super) fn begin(&mut self, transaction: usize) {
        self.transaction = transaction;
        self.interruption = None;
    }

    /// Why the last transaction was interrupted, if it was.
    pub(super) fn take_interruption(&mut self) -> Option<Interruption<S::Error>> {
        self.interruption.take()
    }

    fn read<T>(
        &mut self,
        read: impl FnOnce(&mut Self, u64) -> Result<T, S::Error>,
    ) -> Result<T, Interrupted> {
        // Relaxed: who misses a failure works in vain a little longer.
        if self.failed.load(Relaxed) < self.transaction || self.job.early_end.reason().is_some() {
            self.interruption = Some(Interruption::Overtaken);
            return Err(Interrupted);
        }
        let step = self.transaction as u64 + 1;
        read(self, step).map_err(|error| {
            self.interruption = Some(Interruption::Source(error));
            Interrupted
        })
    }
}

impl<V: BlockVm, S: StateSource> Database for ClaimedDb<'_, '_, V, S> {
    type Error = Interrupted;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Interrupted> {
        let place = self.state.claims.place(&address);
        let Loaded { account, has_storage } =
            self.read(|db, step| db.state.account(step, address, place))?;
        let Some(account) = account else { return Ok(None) };
        let code = (!account.has_code()).then(|| self.own_codes.empty());
        // An account that is not listed gets a name that nobody has.
        let name = place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX);
        Ok(Some(AccountInfo { code, ..info_of(account, account_id(name, has_storage)) }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Interrupted> {
        if hash == KECCAK_EMPTY {
            return Ok(self.own_codes.empty());
        }
        self.read(|db, _| match db.state.claims.code(&hash) {
            Some(code) => Ok(code.clone()),
            None => db.own_codes.get(hash, db.job.codes, db.state.source),
        })
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Interrupted> {
        let place = self.state.claims.place(&address);
        self.read(|db, step| db.state.slot(step, address, place, slot))
    }

    fn storage_by_account_id(
        &mut self,
        address: Address,
        account: AccountId,
        slot: U256,
    ) -> Result<U256, Interrupted> {
        let place = name_of(account) as usize;
        let place = (place < self.state.accounts.len()).then_some(place);
        debug_assert_eq!(place, self.state.claims.place(&address), "whoever has an id has it here");
        self.read(|db, step| db.state.slot(step, address, place, slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Interrupted> {
        self.read(|db, _| db.state.source.block_hash(number))
    }
}

impl<V: BlockVm, S: StateSource> Drop for ClaimedDb<'_, '_, V, S> {
    fn drop(&mut self) {
        self.job.codes.keep_own(self.worker, std::mem::take(&mut self.own_codes));
    }
}

impl<V: BlockVm, S: StateSource> std::fmt::Debug for ClaimedDb<'_, '_, V, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimedDb").field("transaction", &self.transaction).finish_non_exhaustive()
    }
}
