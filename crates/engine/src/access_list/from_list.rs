//! Executes a block from its access list: every transaction at once, each on what the list claims
//! for the steps before it. See the [module above](super).
//!
//! The results are taken in block order, as they come. The first step that does not do what is
//! claimed of it ends the block: until then everything was executed on the truth, so that step's
//! verdict is final, be it an invalid transaction or a wrong list. What ran beyond it is thrown
//! away unseen. That bounds what a wrong list costs: transactions are started in block order and
//! give up at their next read once an earlier one failed, so up to the failure no worker spends
//! more time than sequential execution would.
//!
//! A list cannot express everything that old forks do: the storage of a destroyed account is gone
//! without a word, and an empty account can come or go. A step that ends in another state than the
//! list can say makes [`execute`] return `None`, and the block is executed without the list.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use alloy_evm::{Evm, EvmFactory, block::BlockExecutionError};
use alloy_primitives::{Address, U256, map::AddressSet};
use parking_lot::Mutex;
use revm::{context::result::ResultGas, state::EvmState};
use warpline_primitives::{Account, BlockOutput, CommitStep, StateDiff, StateSource, WorkCounts};

use super::{
    Claims, FeePayment,
    claimed_state::{BeforeStep, ClaimedDb, ClaimedState, Interruption},
};
use crate::{
    EngineBug, ExecutionError, InvalidBlock,
    commit::{BlockGas, Fees, Sinks},
    execute::{Job, Outcome, Resources},
    memory::{Version, Writer},
    pool::panic_message,
    read_ahead,
    sequential::Overlay,
    step,
    vm::{BlockVm, EvmOf, Transacted, classify, diff_of, refusal},
};

/// Why a step's result is not taken.
#[derive(Debug)]
enum Stop<E> {
    Error(ExecutionError<E>),
    /// The list cannot say what the step did.
    Unsayable,
    /// An earlier transaction failed, or the execution was cancelled.
    Overtaken,
}

impl<E, I: Into<ExecutionError<E>>> From<I> for Stop<E> {
    fn from(error: I) -> Self {
        Self::Error(error.into())
    }
}

/// What a transaction that does what is claimed of it leaves behind.
#[derive(Debug)]
struct Done<R> {
    receipt: R,
    gas: ResultGas,
    /// For the observer.
    changes: Option<(StateDiff, Option<FeePayment>)>,
}

type Ended<V, S> = Result<Done<<V as BlockVm>::Receipt>, Stop<<S as StateSource>::Error>>;

/// Everything the workers share.
struct Run<'r, V: BlockVm, S: StateSource> {
    job: Job<'r, V, S>,
    state: ClaimedState<'r, S>,
    observed: bool,
    /// The next transaction to start.
    next: AtomicUsize,
    /// The lowest transaction that is known to have failed.
    failed: AtomicUsize,
    ended: Vec<Mutex<Option<Ended<V, S>>>>,
    /// Accounts of the parent state that were deleted.
    deleted: Mutex<AddressSet>,
}

/// What was taken so far, in block order.
struct Taken<'o, R, E> {
    gas: BlockGas,
    receipts: Vec<R>,
    sinks: Sinks<'o>,
    stop: Option<Stop<E>>,
}

/// Executes the block from `claims`, which `sinks` verify as well, on `width` workers over a memory
/// that must be fresh. `None` where the block does what the list cannot say.
pub(crate) fn execute<V: BlockVm, S: StateSource>(
    job: Job<'_, V, S>,
    width: usize,
    resources: Resources<'_>,
    claims: &Claims<'_>,
    sinks: Sinks<'_>,
) -> Option<Outcome<V, S>> {
    match try_execute(job, width, resources, claims, sinks) {
        Ok(output) => Some(Ok(output)),
        Err(Stop::Error(error)) => Some(Err(error)),
        Err(Stop::Overtaken) => Some(Err(ExecutionError::Cancelled)),
        Err(Stop::Unsayable) => None,
    }
}

fn try_execute<V: BlockVm, S: StateSource>(
    job: Job<'_, V, S>,
    width: usize,
    resources: Resources<'_>,
    claims: &Claims<'_>,
    mut sinks: Sinks<'_>,
) -> Result<BlockOutput<V::Receipt>, Stop<S::Error>> {
    let Job { vm, block, source, rules, .. } = job;
    let transactions = block.transactions.len();
    let width = width.clamp(1, resources.pool.threads()).min(transactions.max(1));
    read_ahead::run(&job, || read_ahead::of_list(claims.list()), width, &resources);
    let Resources { pool, memory, .. } = resources;
    let run = Run {
        job,
        state: ClaimedState { claims, memory, source },
        observed: sinks.observer.is_some(),
        next: AtomicUsize::new(0),
        failed: AtomicUsize::new(usize::MAX),
        ended: (0..transactions).map(|_| Mutex::default()).collect(),
        deleted: Mutex::default(),
    };

    run.step(0, CommitStep::PreBlock, &mut sinks, |evm| vm.pre_block(evm, block))?;

    let taken = Mutex::new(Taken {
        gas: BlockGas::default(),
        receipts: Vec::with_capacity(transactions),
        sinks,
        stop: None,
    });
    pool.run(width, || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run.work(&taken))) {
            run.failed.store(0, Relaxed);
            let bug = EngineBug::Panic(panic_message(&*panic));
            taken.lock().stop = Some(bug.into());
        }
    });
    run.take(&mut taken.lock());
    let Taken { gas, receipts, mut sinks, stop } = taken.into_inner();
    if let Some(stop) = stop {
        return Err(stop);
    }
    if receipts.len() != transactions {
        return Err(EngineBug::Stalled { committed: receipts.len(), transactions }.into());
    }

    let last = transactions as u64 + 1;
    let requests = run.step(last, CommitStep::PostBlock, &mut sinks, |evm| {
        vm.post_block(evm, block, &receipts)
    })?;
    let access_list = sinks.finish()?;
    run.write_last_values()?;
    Ok(BlockOutput {
        receipts,
        state: memory.diff(pool, width),
        requests,
        gas_used: gas.used(&rules),
        blob_gas_used: gas.blob(),
        access_list,
        work: WorkCounts {
            executions: transactions as u64,
            most_executions: transactions.min(1) as u64,
            width,
            ..WorkCounts::default()
        },
    })
}

impl<V: BlockVm, S: StateSource> Run<'_, V, S> {
    /// Executes transactions in block order until there are none, and takes results in passing.
    fn work(&self, taken: &Mutex<Taken<'_, V::Receipt, S::Error>>) {
        let db = ClaimedDb {
            state: &self.state,
            job: self.job,
            failed: &self.failed,
            transaction: 0,
            interruption: None,
        };
        let mut evm = self.job.vm.factory().create_evm(db, self.job.env.clone());
        loop {
            let index = self.next.fetch_add(1, Relaxed);
            if index >= self.ended.len() || index > self.failed.load(Relaxed) {
                return;
            }
            let ended = self.execute(&mut evm, index);
            if ended.is_err() {
                self.failed.fetch_min(index, Relaxed);
            }
            *self.ended[index].lock() = Some(ended);
            // Whoever holds it takes this result, or the end of the block does.
            if let Some(mut taken) = taken.try_lock() {
                self.take(&mut taken);
            }
        }
    }

    /// Takes what has ended, in block order, up to the first failure.
    fn take(&self, taken: &mut Taken<'_, V::Receipt, S::Error>) {
        while taken.stop.is_none() {
            let index = taken.receipts.len();
            let Some(ended) = self.ended.get(index).and_then(|ended| ended.lock().take()) else {
                return;
            };
            if let Err(stop) = self.take_one(index, ended, taken) {
                self.failed.fetch_min(index, Relaxed);
                taken.stop = Some(stop);
            }
        }
    }

    fn take_one(
        &self,
        index: usize,
        ended: Ended<V, S>,
        taken: &mut Taken<'_, V::Receipt, S::Error>,
    ) -> Result<(), Stop<S::Error>> {
        let tx = self.job.block.transactions[index].inner();
        taken.gas.check(index, tx, &self.job.rules)?;
        let Done { mut receipt, gas, changes } = ended?;
        V::set_cumulative_gas(&mut receipt, taken.gas.add(&gas, tx));
        taken.receipts.push(receipt);
        if let Some((changes, fee)) = changes {
            taken.sinks.observe(index, changes, fee);
        }
        Ok(())
    }

    /// Executes a transaction on what is claimed and compares what it does with what is claimed.
    fn execute(&self, evm: &mut EvmOf<V, ClaimedDb<'_, '_, V, S>>, index: usize) -> Ended<V, S> {
        let vm = self.job.vm;
        let tx = &self.job.block.transactions[index];
        evm.db_mut().transaction = index;
        let Transacted { result, state, deferred_fee } = match vm.transact(evm, vm.tx_env(tx)) {
            Ok(transacted) => transacted,
            Err(error) => {
                return Err(match evm.db_mut().interruption.take() {
                    Some(Interruption::Source(error)) => ExecutionError::StateRead(error).into(),
                    Some(Interruption::Overtaken) => Stop::Overtaken,
                    None => refusal(index, error)?.into(),
                });
            }
        };
        let step = index as u64 + 1;
        let fee = deferred_fee.map(|fee| self.payment(step, fee)).transpose()?;
        let claims = self.state.claims;
        claims.check_step(step, &state, fee).map_err(InvalidBlock::AccessList)?;
        self.check_sayable(step, &state, fee)?;
        let changes = self.observed.then(|| (diff_of(&state), fee));
        Ok(Done { gas: *result.gas(), receipt: vm.receipt(tx, result), changes })
    }

    /// What a fee makes of the beneficiary in `step`.
    fn payment(&self, step: u64, fee: U256) -> Result<FeePayment, Stop<S::Error>> {
        let beneficiary = self.job.rules.beneficiary;
        let before = self.state.account(step, beneficiary).map_err(ExecutionError::StateRead)?;
        let before = before.account;
        let mut fees = Fees::none(self.job.rules.deletes_empty_accounts);
        fees.add(fee);
        Ok(FeePayment { beneficiary, before, after: fees.credited_to(before) })
    }

    /// Whether later steps, and the result, will see what `step` did.
    fn check_sayable(
        &self,
        step: u64,
        state: &EvmState,
        fee: Option<FeePayment>,
    ) -> Result<(), Stop<S::Error>> {
        let changed = |(address, account): (&Address, _)| {
            let change = classify(account)?;
            change.changed.then_some((*address, change.account, change.wiped))
        };
        for (address, after, wiped) in state.iter().filter_map(changed) {
            self.check_account_sayable(step, address, after, wiped)?;
        }
        match fee {
            Some(FeePayment { beneficiary, before, after }) if before != after => {
                self.check_account_sayable(step, beneficiary, after, after.is_none())
            }
            _ => Ok(()),
        }
    }

    fn check_account_sayable(
        &self,
        step: u64,
        address: Address,
        after: Option<Account>,
        wiped: bool,
    ) -> Result<(), Stop<S::Error>> {
        let seen = self.state.account(step + 1, address).map_err(ExecutionError::StateRead)?;
        if seen.account != after {
            return Err(Stop::Unsayable);
        }
        let parent = self.state.parent(address).map_err(ExecutionError::StateRead)?;
        if wiped && self.job.rules.deletes_old_accounts {
            return Err(Stop::Unsayable);
        }
        if wiped && parent.account.is_some() {
            self.deleted.lock().insert(address);
        }
        Ok(())
    }

    /// Runs a step around the transactions on what is claimed, and compares.
    fn step<T>(
        &self,
        step: u64,
        name: CommitStep,
        sinks: &mut Sinks<'_>,
        run: impl FnOnce(
            &mut EvmOf<V, Overlay<'_, BeforeStep<'_, S>>>,
        ) -> Result<T, BlockExecutionError>,
    ) -> Result<T, Stop<S::Error>> {
        let before = BeforeStep { state: &self.state, step };
        let (result, mut overlay) = step::run(&self.job, &before, true, run)?;
        sinks.list.skip_to(step);
        sinks.step(name, overlay.take_commits())?;
        for (address, after, wiped) in overlay.accounts() {
            self.check_account_sayable(step, address, after, wiped)?;
        }
        Ok(result)
    }

    /// Writes what accounts and slots end with to the memory, as its only version.
    fn write_last_values(&self) -> Result<(), Stop<S::Error>> {
        const LAST: Version = 1;
        let ClaimedState { claims, memory, .. } = self.state;
        let deleted = self.deleted.lock();
        for (address, claimed) in claims.accounts() {
            let (at, parent) = self.state.entry(address).map_err(ExecutionError::StateRead)?;
            let account = claimed.before(u64::MAX, parent);
            let wiped = deleted.contains(&address);
            if account != parent || wiped {
                memory.write_account(at, Writer::last(LAST), account, wiped, &mut Vec::new());
            }
            for (slot, value) in claimed.last_values() {
                memory.write_slot(at, slot, Writer::last(LAST), value, &mut Vec::new());
            }
        }
        for (hash, code) in claims.codes() {
            memory.insert_code(*hash, code.clone());
        }
        Ok(())
    }
}
