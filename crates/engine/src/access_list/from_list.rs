//! Executes a block from its access list: every transaction at once, each on what the list claims
//! for the steps before it. See the [module above](super).
//!
//! The results are taken in block order, as they come. The first step that does not do what is
//! claimed of it ends the block: until then everything was executed on the truth, so that step's
//! verdict is final, be it an invalid transaction or a wrong list. What ran beyond it is thrown
//! away unseen. That bounds what a wrong list costs: one worker starts transactions in block order,
//! the others begin with those that may take long, and all give up at their next read once an earlier
//! one failed. So up to the failure nobody spends more time than sequential execution would, but for
//! one transaction that does not read.
//!
//! A list cannot express everything that old forks do: the storage of a destroyed account is gone
//! without a word, which matters if the account comes back, and an empty account can come or go. A
//! step that ends in another state than the list can say makes [`execute`] return `None`, and the
//! block is executed without the list.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
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
    execute::{Job, Outcome},
    hooks::Hooks,
    plan::{Advice, Batches},
    pool::{Pool, panic_message},
    read_ahead,
    sequential::Overlay,
    step,
    vm::{BlockVm, EvmOf, Transacted, classify, diff_of, refusal},
};

/// Which part of a worker's share a transaction is that does not wait for its turn.
const PARTS: u64 = 8;

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
    /// For the observer; boxed because it is large.
    changes: Option<Box<(StateDiff, Option<FeePayment>)>>,
}

type Ended<V, S> = Result<Done<<V as BlockVm>::Receipt>, Stop<<S as StateSource>::Error>>;

/// Everything the workers share.
struct Run<'r, V: BlockVm, S: StateSource> {
    job: Job<'r, V, S>,
    state: ClaimedState<'r, S>,
    /// Where the beneficiary is in the list.
    beneficiary: Option<usize>,
    observed: bool,
    batches: Batches<'r, V::Transaction>,
    /// Transactions that may take so long that they had better not come last, in block order.
    long: Vec<Long>,
    /// The next of those to start before its turn.
    next_long: AtomicUsize,
    /// The next transaction to start in its turn.
    next: AtomicUsize,
    /// The lowest transaction that is known to have failed.
    failed: AtomicUsize,
    ended: Vec<Mutex<Option<Ended<V, S>>>>,
    /// Accounts of the parent state that were deleted.
    deleted: Mutex<AddressSet>,
}

/// A transaction that may be started before its turn.
struct Long {
    index: u32,
    started: AtomicBool,
}

/// What was taken so far, in block order.
struct Taken<'o, R, E> {
    gas: BlockGas,
    receipts: Vec<R>,
    sinks: Sinks<'o>,
    stop: Option<Stop<E>>,
}

/// Executes the block from `claims`, which `sinks` verify as well, on `width` workers. `None` where
/// the block does what the list cannot say.
pub(crate) fn execute<V: BlockVm, S: StateSource>(
    job: Job<'_, V, S>,
    width: usize,
    workers: (&Pool, &Hooks),
    claims: &Claims<'_>,
    sinks: Sinks<'_>,
) -> Option<Outcome<V, S>> {
    match try_execute(job, width, workers, claims, sinks) {
        Ok(output) => Some(Ok(output)),
        Err(Stop::Error(error)) => Some(Err(error)),
        Err(Stop::Overtaken) => Some(Err(ExecutionError::Cancelled)),
        Err(Stop::Unsayable) => None,
    }
}

fn try_execute<V: BlockVm, S: StateSource>(
    job: Job<'_, V, S>,
    width: usize,
    (pool, hooks): (&Pool, &Hooks),
    claims: &Claims<'_>,
    mut sinks: Sinks<'_>,
) -> Result<BlockOutput<V::Receipt>, Stop<S::Error>> {
    let Job { vm, block, rules, .. } = job;
    let transactions = block.transactions.len();
    let width = width.clamp(1, pool.threads()).min(transactions.max(1));
    let state = ClaimedState::new(claims, job.source, &rules);
    let keys = || read_ahead::of_list(claims.list());
    read_ahead::run(&job, keys, width, (pool, hooks), |seat, key| {
        // Whoever needs it reads it again, and reports what fails.
        let _ = state.read_ahead(&job, seat, key);
    });
    let batches = Batches::of(block, Advice::NONE, width);
    let run = Run {
        job,
        state,
        beneficiary: claims.place(&rules.beneficiary),
        observed: sinks.observer.is_some(),
        long: batches.long(width, PARTS).into_iter().map(Long::new).collect(),
        batches,
        next_long: AtomicUsize::new(0),
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
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run.work(pool.index(), &taken))) {
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
    let deleted = run.deleted.into_inner();
    Ok(BlockOutput {
        receipts,
        state: run.state.diff(&deleted, pool, width).map_err(ExecutionError::StateRead)?,
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

impl Long {
    const fn new(index: u32) -> Self {
        Self { index, started: AtomicBool::new(false) }
    }

    /// Whether nobody has started it yet.
    fn start(&self) -> bool {
        !self.started.swap(true, Relaxed)
    }
}

impl<V: BlockVm, S: StateSource> Run<'_, V, S> {
    /// Executes transactions in block order until there are none, and takes results in passing.
    fn work(&self, worker: usize, taken: &Mutex<Taken<'_, V::Receipt, S::Error>>) {
        let db = ClaimedDb::new(&self.state, self.job, &self.failed, worker);
        let mut evm = self.job.vm.factory().create_evm(db, self.job.env.clone());
        let mut execute = |index| {
            let ended = self.execute(&mut evm, index);
            if ended.is_err() {
                self.failed.fetch_min(index, Relaxed);
            }
            *self.ended[index].lock() = Some(ended);
        };
        // The calling thread keeps to the order of the block, so that it comes to what is wrong with
        // it no later than sequential execution would.
        while worker > 0 && self.failed.load(Relaxed) == usize::MAX {
            let Some(long) = self.long.get(self.next_long.fetch_add(1, Relaxed)) else { break };
            if long.start() {
                execute(long.index as usize);
            }
        }
        while let Some(batch) = self.next_batch() {
            for index in batch {
                if index > self.failed.load(Relaxed) {
                    return;
                }
                let long = self.long.binary_search_by_key(&index, |long| long.index as usize);
                if long.is_ok_and(|at| !self.long[at].start()) {
                    continue;
                }
                execute(index);
            }
            // Whoever holds it takes these results, or the end of the block does.
            if let Some(mut taken) = taken.try_lock() {
                self.take(&mut taken);
            }
        }
    }

    /// The next transactions in block order that nobody took.
    fn next_batch(&self) -> Option<Range<usize>> {
        let limit = self.ended.len();
        let mut start = self.next.load(Relaxed);
        while start < limit {
            let end = self.batches.end(start, limit);
            match self.next.compare_exchange(start, end, Relaxed, Relaxed) {
                Ok(_) => return Some(start..end),
                Err(now) => start = now,
            }
        }
        None
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
        if let Some((changes, fee)) = changes.map(|changes| *changes) {
            taken.sinks.observe(index, changes, fee);
        }
        Ok(())
    }

    /// Executes a transaction on what is claimed and compares what it does with what is claimed.
    fn execute(&self, evm: &mut EvmOf<V, ClaimedDb<'_, '_, V, S>>, index: usize) -> Ended<V, S> {
        let vm = self.job.vm;
        let tx = &self.job.block.transactions[index];
        evm.db_mut().begin(index);
        let Transacted { result, state, deferred_fee } = match vm.transact(evm, vm.tx_env(tx)) {
            Ok(transacted) => transacted,
            Err(error) => {
                return Err(match evm.db_mut().take_interruption() {
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
        let changes = self.observed.then(|| Box::new((diff_of(&state), fee)));
        vm.recycle(evm, state);
        Ok(Done { gas: *result.gas(), receipt: vm.receipt(tx, result), changes })
    }

    /// What a fee makes of the beneficiary in `step`.
    fn payment(&self, step: u64, fee: U256) -> Result<FeePayment, Stop<S::Error>> {
        let beneficiary = self.job.rules.beneficiary;
        let before = self.state.account(step, beneficiary, self.beneficiary);
        let before = before.map_err(ExecutionError::StateRead)?.account;
        let mut fees = Fees::none(self.job.rules.deletes_empty_accounts);
        fees.add(fee);
        Ok(FeePayment { beneficiary, before, after: fees.credited_to(before) })
    }

    /// Whether later steps, and the result, will see what `step`, which does what is claimed of it,
    /// did.
    fn check_sayable(
        &self,
        step: u64,
        state: &EvmState,
        fee: Option<FeePayment>,
    ) -> Result<(), Stop<S::Error>> {
        // What becomes of an account that is not empty afterwards, the list says.
        let is_empty = |after: Option<Account>| after.is_none_or(|account| account.is_empty());
        #[expect(clippy::iter_over_hash_type, reason = "each account is checked on its own")]
        for (address, account) in state {
            let change = classify(account);
            if let Some(change) = change.filter(|it| it.changed && is_empty(it.account)) {
                self.check_account_sayable(step, *address, change.account, change.wiped)?;
            }
        }
        match fee {
            Some(FeePayment { beneficiary, before, after })
                if before != after && is_empty(after) =>
            {
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
        let place = self.state.claims.place(&address);
        let account = |step| {
            let loaded = self.state.account(step, address, place);
            loaded.map(|loaded| loaded.account).map_err(ExecutionError::StateRead)
        };
        // Nobody sees the storage of what is gone, but if it comes back, the list has what was there
        // before.
        let comes_back =
            || place.is_some_and(|place| self.state.claims.at(place).changes_from(step + 1));
        let unsayable = wiped && self.job.rules.deletes_old_accounts && comes_back();
        if account(step + 1)? != after || unsayable {
            return Err(Stop::Unsayable);
        }
        // Before the first step there is nothing but the parent state.
        if wiped && account(0)?.is_some() {
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
}
