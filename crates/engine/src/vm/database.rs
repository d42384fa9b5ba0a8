//! What an EVM of a worker reads: the multi-version memory over the parent state.

use std::{cell::Cell, time::Instant};

use alloy_primitives::{Address, B256, U256, map::AddressMap};
use revm::{
    Database,
    bytecode::Bytecode,
    state::{Account as RevmAccount, AccountId, AccountInfo, EvmState},
};
use smallvec::SmallVec;
use warpline_primitives::{Account, StateSource};

use super::{
    BalanceUses, CodeCache, Interrupted, Interruption, Mark, Mode, OwnCodes, account_id, classify,
    info_of, mark, must_ask, name_of, pause::Pauses,
};
use crate::{
    BalanceUse, BlockVm,
    cancel::EarlyEnd,
    execute::{Job, Run},
    hooks::Site,
    memory::{
        AccountRead, AccountRef, Loaded, Memory, ReadSet, Reader, SeenAccount, SlotRead, SlotRef,
        Version, Visible,
    },
    parent::Parent,
    read_ahead::Key,
    scheduler::{Ahead, HotSlots, Reach, Scheduler, Seat},
};

/// From so many values on that the memory does not have, it is guessed what else a transaction will read.
const MANY_MISSES: u32 = 4;
/// How much a guessing execution guesses before it gives up.
const MAX_GUESSES: u32 = 1024;

/// How many accounts that many transactions write a worker keeps in mind.
const MAX_HOT: usize = 64;

/// The memory does not have it.
struct Unknown;

/// The database of one worker. It serves one transaction at a time; [`begin`](Self::begin) turns
/// it to the next.
pub(crate) struct WorkerDb<'b, S: StateSource> {
    memory: &'b Memory,
    codes: &'b CodeCache,
    /// This worker, and its own copies of code.
    worker: usize,
    own_codes: OwnCodes,
    scheduler: &'b Scheduler,
    parent: Parent<'b, S>,
    beneficiary: Address,
    /// Whether the EVM says on which balances an outcome rests.
    notes_balances: bool,
    early_end: EarlyEnd<'b>,
    version: Version,
    mode: Mode,
    /// Values that the memory did not have.
    misses: Cell<u32>,
    /// A version of interest, and whether anything of it was read.
    watched: Option<Version>,
    saw_watched: bool,
    /// Accounts of that version that were read.
    watched_accounts: SmallVec<[AccountRef; 2]>,
    reads: ReadSet,
    /// Where to wait for another transaction.
    pauses: Pauses,
    /// Accounts that many transactions write, as they were when this worker last looked, and the
    /// memory's [`turns`](Memory::turns) then.
    hot: AddressMap<Hot>,
    turns: u32,
    interruption: Option<Interruption<S::Error>>,
}

/// An account that many transactions write, as the one of `version` saw it.
#[derive(Clone, Copy, Debug)]
struct Hot {
    version: Version,
    seen: SeenAccount,
}

impl<'b, S: StateSource> WorkerDb<'b, S> {
    /// The database of the worker at that index of the pool.
    pub(crate) fn new<V: BlockVm>(
        run: &'b Run<'b, V, S>,
        worker: usize,
        seat: Option<Seat<'b>>,
    ) -> Self {
        let Job { source, codes, rules, early_end, .. } = run.job;
        let notes_balances = run.job.notes_balances();
        Self {
            memory: run.memory,
            codes,
            worker,
            own_codes: codes.take_own(worker),
            scheduler: &run.scheduler,
            parent: Parent::new(source, seat),
            beneficiary: rules.beneficiary,
            notes_balances,
            early_end,
            version: 0,
            mode: Mode::Speculative,
            misses: Cell::new(0),
            watched: None,
            saw_watched: false,
            watched_accounts: SmallVec::new(),
            reads: ReadSet::default(),
            pauses: Pauses::default(),
            hot: AddressMap::default(),
            turns: 0,
            interruption: None,
        }
    }

    /// Turns to the transaction of `version`.
    pub(crate) fn begin(&mut self, version: Version, mode: Mode) {
        self.version = version;
        self.parent.version = version;
        self.mode = mode;
        self.misses.set(0);
        self.watched = None;
        self.saw_watched = false;
        self.watched_accounts.clear();
        self.reads.clear();
        self.pauses.clear();
        self.interruption = None;
    }

    /// Lets the transaction wait for `previous` where it comes to one of `slots`, if that is late.
    pub(crate) fn expect(&mut self, slots: HotSlots, reach: Reach, previous: u32) {
        self.pauses.expect(slots, reach, previous);
    }

    /// When it came to one of those slots, where that was measured.
    pub(crate) fn reach(&self) -> Option<Reach> {
        self.pauses.reach()
    }

    /// Watches out for values of `version`.
    pub(crate) fn watch(&mut self, version: Version) {
        self.watched = Some(version);
    }

    /// Whether a value of the version to watch out for, or to wait for, was read; `None` without such
    /// a version.
    pub(crate) fn saw_watched(&self) -> Option<bool> {
        self.watched.map(|_| self.saw_watched).or(self.pauses.depended())
    }

    /// Takes note of what the transaction, which left `state`, found out about `balances`. Says
    /// whether its outcome can stand before everything before it is committed.
    pub(crate) fn note(&mut self, balances: &BalanceUses, state: &mut EvmState) -> bool {
        let mut stands = true;
        for read in &mut self.reads.accounts {
            let Some(account) = state.get_mut(&read.address) else { continue };
            read.balance = balances.of_read(&read.address, account.info.account_id, read.seen);
            if read.balance == BalanceUse::Exact {
                stands &= read.address != self.beneficiary;
                self.hot.remove(&read.address);
            } else if read.is_hot
                && let Some(added) = added_to_balance(account, read.seen)
            {
                read.held_back = Some(added);
                mark(&mut account.info, Mark::HeldBack);
            }
        }
        if let Some(watched) = self.watched {
            let Self { memory, watched_accounts, reads, .. } = self;
            self.saw_watched |= watched_accounts.iter().any(|at| {
                let exactly =
                    |read: &AccountRead| read.at == *at && read.balance == BalanceUse::Exact;
                reads.accounts.iter().any(exactly) || memory.changes_more_than_balance(*at, watched)
            });
        }
        stands
    }

    /// What the transaction read. Empty unless it ran speculatively.
    pub(crate) fn swap_reads(&mut self, reads: &mut ReadSet) {
        std::mem::swap(&mut self.reads, reads);
    }

    /// Why the last transaction was interrupted, if it was.
    pub(crate) fn take_interruption(&mut self) -> Option<Interruption<S::Error>> {
        self.interruption.take()
    }

    fn interrupt<T>(&mut self, interruption: Interruption<S::Error>) -> Result<T, Interrupted> {
        self.interruption = Some(interruption);
        Err(Interrupted)
    }

    fn reader(&self) -> Reader {
        match self.mode {
            Mode::Speculative => {
                // As many transactions as are committed is the version of the last of them.
                let committed = self.scheduler.committed();
                Reader { below: self.version, register: Some(committed) }
            }
            Mode::Ahead | Mode::Guessing(_) | Mode::Final(_) => {
                Reader { below: self.version, register: None }
            }
        }
    }

    /// Whether a value of `writer` may not be used yet.
    fn is_under_revision(&self, writer: Option<Version>) -> Option<Version> {
        let writer = writer?;
        // Version 0 is the step before the transactions: long over.
        let settled =
            self.mode != Mode::Speculative || writer == 0 || self.scheduler.is_settled(writer - 1);
        (!settled).then_some(writer)
    }

    /// Interrupts a transaction that nobody is interested in any more, so that neither a
    /// cancellation nor a failure elsewhere has to wait for its end.
    fn check_halted(&mut self) -> Result<(), Interrupted> {
        let halted = match self.mode {
            Mode::Speculative => self.scheduler.is_halted() || self.early_end.reason().is_some(),
            // The transaction itself may have been committed meanwhile.
            Mode::Ahead | Mode::Guessing(_) => {
                self.scheduler.is_halted()
                    || self.scheduler.committed() >= self.version
                    || self.early_end.reason().is_some()
            }
            Mode::Final(_) => self.early_end.reason().is_some(),
        };
        if halted { self.interrupt(Interruption::Halted) } else { Ok(()) }
    }

    /// The parent state, to read something that the memory does not have.
    fn missed(&self) -> &Parent<'b, S> {
        let misses = self.misses.get() + 1;
        self.misses.set(misses);
        // While this transaction waits for one after the other, somebody may find out what else it is
        // going to read; later again, with what is known by then.
        if misses >= MANY_MISSES && misses.is_power_of_two() && self.version > 0 {
            self.scheduler.push_ahead(Ahead::Guess(self.version - 1));
        }
        &self.parent
    }

    /// The account at `address`, or nothing if it is not in the memory.
    fn guess_account(&mut self, address: Address) -> Result<Option<AccountInfo>, Interrupted> {
        self.check_halted()?;
        match self.memory.account(address, self.reader(), || Err(Unknown)) {
            Ok(seen) => Ok(self.info(seen)),
            Err(Unknown) => self.guess(Key::Account { address, runs: true }, None),
        }
    }

    /// A slot, or `guess` if it is not in the memory.
    fn guess_slot(
        &mut self,
        address: Address,
        slot: U256,
        guess: U256,
    ) -> Result<U256, Interrupted> {
        self.check_halted()?;
        let Some(account) = self.memory.find_account(address) else { return Ok(U256::ZERO) };
        match self.memory.slot(account, slot, self.reader(), || Err(Unknown)) {
            Ok((_, seen)) => Ok(seen.value),
            Err(Unknown) => self.guess(Key::Slot(address, slot), guess),
        }
    }

    /// Takes `key` to hold `guess`, and lets somebody read it.
    fn guess<T>(&mut self, key: Key, guess: T) -> Result<T, Interrupted> {
        let guesses = self.misses.get() + 1;
        self.misses.set(guesses);
        if guesses > MAX_GUESSES {
            return self.interrupt(Interruption::Halted);
        }
        self.scheduler.push_ahead(Ahead::Read(key));
        Ok(guess)
    }

    /// An account as revm wants it.
    fn info(&self, seen: SeenAccount) -> Option<AccountInfo> {
        let SeenAccount { at, account, has_storage, .. } = seen;
        let account = account?;
        let code = (!account.has_code()).then(|| self.own_codes.empty());
        Some(AccountInfo { code, ..info_of(account, account_id(at.0, has_storage)) })
    }

    fn read_account(&mut self, address: Address) -> Result<SeenAccount, Interrupted> {
        self.check_halted()?;
        if self.mode == Mode::Speculative && address == self.beneficiary && !self.notes_balances {
            return self.interrupt(Interruption::AwaitsCommit);
        }
        if let Some(seen) = self.read_hot(address) {
            return Ok(seen);
        }
        let load = || load(self.missed(), address);
        let mut seen = match self.memory.account(address, self.reader(), load) {
            Ok(seen) => seen,
            Err(error) => return self.interrupt(Interruption::Source(error)),
        };
        self.scheduler.hooks.at(Site::Record, self.version);
        // Where balances make no difference, hardly any revision of an account does.
        if !self.notes_balances
            && let Some(writer) = self.is_under_revision(seen.writer)
        {
            return self.interrupt(Interruption::Blocked(writer));
        }
        if seen.writer.is_some() && seen.writer == self.watched {
            self.watched_accounts.push(seen.at);
        }
        match self.mode {
            Mode::Speculative => {
                self.record(address, seen);
                if seen.is_hot && self.notes_balances {
                    if self.hot.len() >= MAX_HOT {
                        self.hot.clear();
                    }
                    self.hot.insert(address, Hot { version: self.version, seen });
                }
            }
            Mode::Final(fees) if address == self.beneficiary => {
                seen.account = fees.credited_to(seen.account);
            }
            Mode::Ahead | Mode::Guessing(_) | Mode::Final(_) => {}
        }
        Ok(seen)
    }

    /// An account that many transactions write, as this worker has seen it already: most do not
    /// care how much it has, and those who do had better not be quick.
    fn read_hot(&mut self, address: Address) -> Option<SeenAccount> {
        if self.mode != Mode::Speculative || self.hot.is_empty() {
            return None;
        }
        let turns = self.memory.turns();
        if self.turns != turns {
            self.turns = turns;
            self.hot.clear();
        }
        let Hot { seen, .. } = *self.hot.get(&address).filter(|hot| hot.version < self.version)?;
        self.record(address, seen);
        Some(seen)
    }

    /// Remembers that an account was seen.
    fn record(&mut self, address: Address, seen: SeenAccount) {
        let SeenAccount { at, account, has_storage, is_hot, .. } = seen;
        self.reads.accounts.push(AccountRead {
            at,
            address,
            seen: account,
            has_storage,
            balance: BalanceUse::Exact,
            is_hot,
            held_back: None,
        });
    }

    /// The transaction comes to a slot over which its class conflicted. Returns whether it was to wait
    /// for another there, and should look again.
    fn pause(&mut self) -> Result<bool, Interrupted> {
        let Some(on) = self.pauses.reached().filter(|_| self.mode == Mode::Speculative) else {
            return Ok(false);
        };
        let start = Instant::now();
        let early_end = self.early_end;
        let tx = self.version - 1;
        let settled = self.scheduler.pause(tx, on, || early_end.reason().is_some());
        self.pauses.waited(start);
        if settled { Ok(true) } else { self.interrupt(Interruption::Blocked(on + 1)) }
    }

    fn look_up_slot(
        &mut self,
        address: Address,
        account: AccountRef,
        slot: U256,
    ) -> Result<(SlotRef, Visible<U256>), Interrupted> {
        self.check_halted()?;
        let load = || self.missed().storage(address, slot);
        match self.memory.slot(account, slot, self.reader(), load) {
            Ok(read) => Ok(read),
            Err(error) => self.interrupt(Interruption::Source(error)),
        }
    }

    fn read_slot(
        &mut self,
        address: Address,
        account: AccountRef,
        slot: U256,
    ) -> Result<U256, Interrupted> {
        let (at, mut seen) = self.look_up_slot(address, account, slot)?;
        if self.pauses.concern(at) && self.pause()? {
            (_, seen) = self.look_up_slot(address, account, slot)?;
            self.pauses.saw(seen.writer);
        }
        self.scheduler.hooks.at(Site::Record, self.version);
        if let Some(writer) = self.is_under_revision(seen.writer) {
            return self.interrupt(Interruption::Blocked(writer));
        }
        self.saw_watched |= seen.writer.is_some() && seen.writer == self.watched;
        if self.mode == Mode::Speculative {
            self.reads.slots.push(SlotRead { at, account, seen: seen.value });
        }
        Ok(seen.value)
    }
}

impl<S: StateSource> Database for WorkerDb<'_, S> {
    type Error = Interrupted;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Interrupted> {
        if let Mode::Guessing(_) = self.mode {
            return self.guess_account(address);
        }
        let seen = self.read_account(address)?;
        Ok(self.info(seen))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Interrupted> {
        if let Some(code) = self.memory.code(&hash) {
            return Ok(code);
        }
        match self.own_codes.get(hash, self.codes, &self.parent) {
            Ok(code) => Ok(code),
            Err(error) => self.interrupt(Interruption::Source(error)),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Interrupted> {
        if let Mode::Guessing(guess) = self.mode {
            return self.guess_slot(address, slot, guess);
        }
        // The journal loads an account before its storage, so it is known; but an absent account
        // has no id to come back with.
        let account = match self.memory.find_account(address) {
            Some(account) => account,
            None => self.read_account(address)?.at,
        };
        self.read_slot(address, account, slot)
    }

    fn storage_by_account_id(
        &mut self,
        address: Address,
        account: AccountId,
        slot: U256,
    ) -> Result<U256, Interrupted> {
        if let Mode::Guessing(guess) = self.mode {
            return self.guess_slot(address, slot, guess);
        }
        self.read_slot(address, AccountRef(name_of(account)), slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Interrupted> {
        match self.parent.block_hash(number) {
            Ok(hash) => Ok(hash),
            Err(error) => self.interrupt(Interruption::Source(error)),
        }
    }
}

/// What the parent state has at `address`.
pub(crate) fn load<S: StateSource>(source: &S, address: Address) -> Result<Loaded, S::Error> {
    let account = source.account(address)?;
    let has_storage = match &account {
        Some(account) if must_ask(account) => source.has_storage(address)?,
        _ => false,
    };
    Ok(Loaded { account, has_storage })
}

/// What a transaction, for which `account` was as `seen` before, added to its balance, modulo 2²⁵⁶;
/// `None` where that is not all it did to it, or where it did nothing.
fn added_to_balance(account: &RevmAccount, seen: Option<Account>) -> Option<U256> {
    let before = seen?;
    let after = classify(account).filter(|change| change.changed)?.account?;
    let only = Account { balance: before.balance, ..after } == before;
    only.then(|| after.balance.wrapping_sub(before.balance))
}

impl<S: StateSource> Drop for WorkerDb<'_, S> {
    fn drop(&mut self) {
        self.codes.keep_own(self.worker, std::mem::take(&mut self.own_codes));
    }
}

impl<S: StateSource> std::fmt::Debug for WorkerDb<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerDb")
            .field("version", &self.version)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
