//! One transaction after the other: what the parallel path must equal, and what it must beat.

use alloy_evm::{Evm, EvmError, EvmFactory, block::BlockExecutionError};
use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map, Entry, U256Map},
};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    context::DBErrorMarker,
    primitives::KECCAK_EMPTY,
    state::{Account as RevmAccount, AccountInfo},
};
use warpline_primitives::{
    Account, AccountDiff, BlockOutput, CommitObserver, CommitStep, RecoveredBlock, Slots,
    StateDiff, StateSource, WorkCounts,
};

use crate::{
    BlockRules, EngineBug, ExecutionError, InvalidBlock,
    commit::{BlockGas, Fees},
    execute::Outcome,
    memory::Loaded,
    vm::{
        BlockDb, BlockVm, CodeCache, EvmOf, Transacted, account_id, changed_slots, classify,
        diff_of, load, new_code,
    },
};

/// Executes `block` on the calling thread.
pub(crate) fn execute<V: BlockVm, S: StateSource>(
    vm: &V,
    block: &RecoveredBlock<V::Transaction>,
    source: &S,
    codes: &CodeCache,
    mut observer: Option<&mut dyn CommitObserver>,
) -> Outcome<V, S> {
    let env = vm.env(block);
    let rules = vm.rules(&env);
    let db = Overlay::new(source, codes, &rules, observer.is_some());
    let mut evm = vm.factory().create_evm(db, env);
    let mut gas = BlockGas::default();
    let mut receipts = Vec::with_capacity(block.transactions.len());

    let pre_block = vm.pre_block(&mut evm, block);
    end_step::<V, S, _>(&mut evm, pre_block)?;
    show::<V, S>(&mut evm, CommitStep::PreBlock, &mut observer);

    for (index, tx) in block.transactions.iter().enumerate() {
        gas.check(index, tx.inner(), &rules)?;
        let env = vm.tx_env(tx);
        let Transacted { result, state, deferred_fee } = match vm.transact(&mut evm, env) {
            Ok(transacted) => transacted,
            Err(error) => {
                if let Some(error) = evm.db_mut().failure.take() {
                    return Err(ExecutionError::StateRead(error));
                }
                return Err(match error.try_into_invalid_tx_err() {
                    Ok(error) => InvalidBlock::Transaction { index, error: Box::new(error) }.into(),
                    Err(error) => EngineBug::Vm { index, error: Box::new(error) }.into(),
                });
            }
        };
        let cumulative = gas.add(result.gas(), tx.inner());
        let mut receipt = vm.receipt(tx, result);
        V::set_cumulative_gas(&mut receipt, cumulative);
        receipts.push(receipt);
        evm.db_mut().commit_transaction(state, deferred_fee)?;
        show::<V, S>(&mut evm, CommitStep::Transaction(index), &mut observer);
    }

    evm.db_mut().pay_fees()?;
    let post_block = vm.post_block(&mut evm, block, &receipts);
    let requests = end_step::<V, S, _>(&mut evm, post_block)?;
    show::<V, S>(&mut evm, CommitStep::PostBlock, &mut observer);

    let executions = block.transactions.len() as u64;
    Ok(BlockOutput {
        receipts,
        state: evm.into_db().into_diff(),
        requests,
        gas_used: gas.used(&rules),
        blob_gas_used: gas.blob(),
        work: WorkCounts { executions, width: 1, ..WorkCounts::default() },
    })
}

/// The outcome of a step: a failed read is reported as such, whatever the step made of it.
fn end_step<'s, V: BlockVm, S: StateSource, T>(
    evm: &mut EvmOf<V, Overlay<'s, S>>,
    result: Result<T, BlockExecutionError>,
) -> Result<T, ExecutionError<S::Error>> {
    if let Some(error) = evm.db_mut().failure.take() {
        return Err(ExecutionError::StateRead(error));
    }
    result.map_err(|error| InvalidBlock::System(error).into())
}

/// Shows the observer what was committed since the last time.
fn show<'s, V: BlockVm, S: StateSource>(
    evm: &mut EvmOf<V, Overlay<'s, S>>,
    step: CommitStep,
    observer: &mut Option<&mut dyn CommitObserver>,
) {
    if let Some(observer) = observer {
        for changes in evm.db_mut().observed.iter_mut().flat_map(std::mem::take) {
            observer.on_commit(step, &changes);
        }
    }
}

/// A read did not deliver; [`Overlay::failure`] tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read failed")]
struct ReadFailed;

impl DBErrorMarker for ReadFailed {}

/// The block's changes so far over its parent state, which is cached.
struct Overlay<'s, S: StateSource> {
    source: &'s S,
    codes: &'s CodeCache,
    accounts: AddressMap<Cached>,
    new_codes: B256Map<Bytecode>,
    beneficiary: Address,
    fees: Fees,
    failure: Option<S::Error>,
    /// What was committed, until the observer has seen it; `None` where there is no observer.
    observed: Option<Vec<StateDiff>>,
}

/// An account that was read.
#[derive(Debug)]
struct Cached {
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
    fn new(source: &'s S, codes: &'s CodeCache, rules: &BlockRules, observed: bool) -> Self {
        Self {
            source,
            codes,
            accounts: AddressMap::default(),
            new_codes: B256Map::default(),
            beneficiary: rules.beneficiary,
            fees: Fees::none(rules.deletes_empty_accounts),
            failure: None,
            observed: observed.then(Vec::new),
        }
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

    /// Commits a transaction and books its fee.
    fn commit_transaction(
        &mut self,
        state: AddressMap<RevmAccount>,
        deferred_fee: Option<U256>,
    ) -> Result<(), ExecutionError<S::Error>> {
        let beneficiary = state.get(&self.beneficiary).and_then(classify);
        let wrote_beneficiary = beneficiary.is_some_and(|change| change.changed);
        self.commit(state);
        if wrote_beneficiary {
            self.fees.clear();
        }
        let Some(fee) = deferred_fee else { return Ok(()) };
        let before = match &self.observed {
            Some(_) => Some(self.beneficiary_now()?),
            None => None,
        };
        self.fees.add(fee);
        if self.fees.may_delete() {
            let cached = self.cached(self.beneficiary).map_err(ExecutionError::StateRead)?;
            if cached.now.is_some_and(|account| account.is_empty()) {
                cached.wipe();
                cached.now = None;
                self.fees.clear();
            }
        }
        match before {
            Some(before) => self.observe_fee(before),
            None => Ok(()),
        }
    }

    /// The beneficiary's account with what it is owed.
    fn beneficiary_now(&mut self) -> Result<Option<Account>, ExecutionError<S::Error>> {
        let fees = self.fees;
        let cached = self.cached(self.beneficiary).map_err(ExecutionError::StateRead)?;
        Ok(fees.credited_to(cached.now))
    }

    /// Adds the beneficiary's new balance to what the observer will see of the transaction.
    fn observe_fee(&mut self, before: Option<Account>) -> Result<(), ExecutionError<S::Error>> {
        let after = self.beneficiary_now()?;
        if before != after
            && let Some(changes) = self.observed.as_mut().and_then(|observed| observed.last_mut())
        {
            let entry = changes.account_mut(self.beneficiary);
            entry.account = after;
            entry.storage_wiped = after.is_none();
        }
        Ok(())
    }

    /// Pays the beneficiary what is still owed.
    fn pay_fees(&mut self) -> Result<(), ExecutionError<S::Error>> {
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

    /// Everything that differs from before the block.
    #[expect(clippy::iter_over_hash_type, reason = "each account is recorded on its own")]
    fn into_diff(self) -> StateDiff {
        let mut diff = StateDiff::with_capacity(self.accounts.len());
        for (address, cached) in self.accounts {
            let Cached { before, now, wiped, slots, .. } = cached;
            let value_before = |before: U256| if wiped { U256::ZERO } else { before };
            let storage: Slots = slots
                .into_iter()
                .filter(|(_, (before, now))| *now != value_before(*before))
                .map(|(slot, (_, now))| (slot, now))
                .collect();
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
            diff.insert_account(address, entry);
        }
        diff
    }
}

impl Cached {
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
        let (account, has_storage) = match self.cached(address) {
            Ok(cached) => (cached.now, cached.has_storage),
            Err(error) => return self.fail(error),
        };
        let account = if address == beneficiary { fees.credited_to(account) } else { account };
        Ok(account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: has_storage.then(|| account_id(0, true)).flatten(),
            code: None,
        }))
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

impl<S: StateSource> DatabaseCommit for Overlay<'_, S> {
    #[expect(clippy::iter_over_hash_type, reason = "each account is committed on its own")]
    fn commit(&mut self, changes: AddressMap<RevmAccount>) {
        if let Some(observed) = &mut self.observed {
            observed.push(diff_of(&changes));
        }
        for (address, account) in &changes {
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
}

impl<S: StateSource> BlockDb for Overlay<'_, S> {
    fn overwrite_account(&mut self, address: Address, account: Account) -> Result<(), ReadFailed> {
        match self.cached(address) {
            Ok(cached) => cached.now = Some(account),
            Err(error) => return self.fail(error),
        }
        if let Some(observed) = &mut self.observed {
            let mut diff = StateDiff::default();
            diff.account_mut(address).account = Some(account);
            observed.push(diff);
        }
        Ok(())
    }
}

impl<S: StateSource> std::fmt::Debug for Overlay<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}
