//! The parallel execution of a block, on one screen: [`execute`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use alloy_consensus::Transaction;
use alloy_evm::{EvmFactory, block::BlockExecutionError};
use alloy_primitives::{Address, U256};
use revm::{context::result::ResultGas, state::EvmState};
use warpline_primitives::{
    Account, BlockOutput, CommitStep, RecoveredBlock, StateDiff, StateSource, WorkCounts,
};

use crate::{
    ActivityLog, BlockRules, BuildEnd, EngineBug, ExecutionError, Technique, Techniques,
    build::{Admission, Finished},
    cancel::EarlyEnd,
    commit::{Fees, Sinks},
    hooks::Hooks,
    memory::{AccountRef, Memory, ReadSet, Reader, Shift, Version, Writer},
    plan::{Advice, Plan},
    pool::{Pool, panic_message},
    read_ahead,
    scheduler::{Leaving, Permits, Scheduler, Seat},
    sequential::Overlay,
    step::{self, MemoryBelow},
    sync::{Mutex, atomic::AtomicUsize},
    vm::{BlockVm, CodeCache, EnvOf, EvmOf, WorkerDb, Written, load, take_back},
    worker::Worker,
};

/// What is to be executed, on what.
pub(crate) struct Job<'b, V: BlockVm, S> {
    pub(crate) vm: &'b V,
    pub(crate) block: &'b RecoveredBlock<V::Transaction>,
    pub(crate) source: &'b S,
    pub(crate) env: &'b EnvOf<V>,
    pub(crate) rules: BlockRules,
    pub(crate) codes: &'b CodeCache,
    pub(crate) early_end: EarlyEnd<'b>,
    pub(crate) techniques: Techniques,
    /// Where to note who executed what.
    pub(crate) activity: Option<&'b ActivityLog>,
    pub(crate) advice: Advice<'b>,
}

impl<V: BlockVm, S> Clone for Job<'_, V, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: BlockVm, S> Copy for Job<'_, V, S> {}

impl<V: BlockVm, S: StateSource> Job<'_, V, S> {
    /// Whether speculative executions say on which balances their outcome rests.
    pub(crate) const fn notes_balances(&self) -> bool {
        V::NOTES_BALANCES && self.techniques.has(Technique::Balances)
    }

    /// The length of the transaction at `index`, where it matters.
    pub(crate) fn encoded_len(&self, index: usize, admission: &Admission) -> usize {
        let building = admission.building.is_some();
        if building { self.vm.encoded_len(&self.block.transactions[index]) } else { 0 }
    }
}

/// Everything the workers of one block share.
pub(crate) struct Run<'b, V: BlockVm, S: StateSource> {
    pub(crate) job: Job<'b, V, S>,
    pub(crate) memory: &'b Memory,
    pub(crate) plan: Plan<'b, V::Transaction>,
    /// How many of those were started that the plan has before their turn.
    pub(crate) started_early: AtomicUsize,
    pub(crate) scheduler: Scheduler,
    /// What each transaction left behind. Locked by the transaction's owner only.
    pub(crate) records: Vec<Mutex<Record<V::Receipt>>>,
    /// Whether changes are kept for an observer.
    pub(crate) observed: bool,
    /// Whether journals are kept for an access list.
    pub(crate) listed: bool,
}

/// What the last execution of a transaction left behind.
#[derive(Debug)]
pub(crate) struct Record<R> {
    pub(crate) reads: ReadSet,
    pub(crate) written: Vec<Written>,
    /// `None` where it failed: only an execution on final values can tell whether that counts.
    /// Boxed because it is large and short-lived, and there is a record for every transaction.
    pub(crate) done: Option<Box<Done<R>>>,
}

impl<R> Default for Record<R> {
    fn default() -> Self {
        Self { reads: ReadSet::default(), written: Vec::new(), done: None }
    }
}

impl<R> Record<R> {
    /// A record of nothing with what this one has allocated, if anything.
    pub(crate) fn emptied(mut self) -> Option<Self> {
        self.reads.clear();
        self.written.clear();
        self.done = None;
        let Self { reads: ReadSet { accounts, slots }, written, .. } = &self;
        (accounts.capacity() + slots.capacity() + written.capacity() > 0).then_some(self)
    }
}

/// A transaction that ran to its end.
#[derive(Debug)]
pub(crate) struct Done<R> {
    pub(crate) receipt: R,
    pub(crate) gas: ResultGas,
    pub(crate) deferred_fee: Option<U256>,
    /// Whether the beneficiary's account was written, all fees included.
    pub(crate) wrote_beneficiary: bool,
    /// For the observer; boxed because it is large.
    pub(crate) changes: Option<Box<StateDiff>>,
    /// For the access list; empty where there is none.
    pub(crate) journal: EvmState,
}

impl<R> Done<R> {
    /// The balance at `address` differed by so much before, and so it does now.
    pub(crate) fn shift_balance(&mut self, address: Address, shift: Shift) {
        let add = |balance: &mut U256| *balance = balance.wrapping_add(shift);
        let changed = self.changes.as_mut().filter(|changes| changes.account(&address).is_some());
        if let Some(account) =
            changed.and_then(|changes| changes.account_mut(address).account.as_mut())
        {
            add(&mut account.balance);
        }
        if let Some(account) = self.journal.get_mut(&address) {
            add(&mut account.info.balance);
            add(&mut account.original_info_mut().balance);
        }
    }
}

/// What the commits so far add up to. Locked by the holder of the commit role.
pub(crate) struct Committed<'o, R, E> {
    pub(crate) admission: Admission,
    pub(crate) fees: Fees,
    pub(crate) receipts: Vec<R>,
    pub(crate) sinks: Sinks<'o>,
    /// Why a block that is built ends before the candidates do.
    pub(crate) end: Option<BuildEnd>,
    pub(crate) error: Option<ExecutionError<E>>,
}

impl<R, E> Committed<'_, R, E> {
    /// Ends a block that is built, and calls off one that was given.
    pub(crate) fn end_early(&mut self, end: BuildEnd) {
        if self.admission.building.is_some() {
            self.end.get_or_insert(end);
        } else {
            self.error.get_or_insert(ExecutionError::Cancelled);
        }
    }
}

/// The result of a block, or why there is none.
pub(crate) type Outcome<V, S> =
    Result<BlockOutput<<V as BlockVm>::Receipt>, ExecutionError<<S as StateSource>::Error>>;

/// As [`Outcome`], with what became of a block that was to be built.
pub(crate) type Ended<V, S> =
    Result<Finished<<V as BlockVm>::Receipt>, ExecutionError<<S as StateSource>::Error>>;

/// What a parallel execution borrows from its engine.
#[derive(Clone, Debug)]
pub(crate) struct Resources<'b> {
    pub(crate) pool: &'b Pool,
    pub(crate) memory: &'b Memory,
    pub(crate) hooks: Hooks,
}

/// Executes `block` as planned on `width` workers over a memory that must be fresh.
///
/// 1. What comes before the transactions is written as version 0.
/// 2. Workers execute transactions speculatively, in any order, and commit them in block order;
///    see [`Worker`].
/// 3. Deferred fees are paid as a version of their own, and what comes after the transactions is
///    written as the last one.
/// 4. The final versions against the parent state are the block's changes.
pub(crate) fn execute<'b, V: BlockVm, S: StateSource>(
    job: Job<'b, V, S>,
    (plan, width): (Plan<'b, V::Transaction>, usize),
    Resources { pool, memory, hooks }: Resources<'b>,
    mut sinks: Sinks<'_>,
    admission: Admission,
) -> Ended<V, S> {
    let Job { vm, block, rules, .. } = job;
    let transactions = block.transactions.len();
    let depth = pool.depth().filter(|_| transactions > 0);
    let useful = if depth.is_some() { usize::MAX } else { transactions.max(1) };
    let width = width.clamp(1, pool.threads()).min(useful);
    let workers = depth.unwrap_or(width);
    let permits = (workers > width).then(|| Permits::new(width, workers, hooks.clone()));
    let goes_on_alone = job.techniques.has(Technique::Alone) && workers == width;
    let alone = if goes_on_alone { width } else { 1 };
    let run = Run {
        job,
        memory,
        plan,
        started_early: AtomicUsize::new(0),
        scheduler: Scheduler::new(transactions, hooks, permits).among(alone),
        records: (0..transactions).map(|_| Mutex::default()).collect(),
        observed: sinks.observer.is_some(),
        listed: sinks.list.listens(),
    };

    run.step(0, CommitStep::PreBlock, &mut sinks, |evm| vm.pre_block(evm, block))?;

    if depth.is_some() {
        run.scheduler.push_keys(read_ahead::of_block(&job).chain(job.advice.keys()));
    }
    let committed = Mutex::new(Committed {
        admission,
        fees: Fees::none(rules.deletes_empty_accounts),
        receipts: Vec::with_capacity(transactions),
        sinks,
        end: None,
        error: None,
    });
    let counts = Mutex::new(WorkCounts::default());
    pool.run(workers, || {
        let work = || {
            let seat = run.scheduler.seat();
            let _leaving = seat.map(Leaving);
            let counted = Worker::new(&run, &committed, pool.index(), seat).work();
            let mut counts = counts.lock();
            counts.executions += counted.executions;
            counts.validations += counted.validations;
            counts.most_executions = counts.most_executions.max(counted.most_executions);
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            run.scheduler.halt();
            let bug = EngineBug::Panic(panic_message(&*panic));
            committed.lock().error.get_or_insert(bug.into());
        }
    });
    let Committed { admission, fees, receipts, mut sinks, end, error } = committed.into_inner();
    if let Some(error) = error {
        return Err(error);
    }
    let committed = run.scheduler.committed() as usize;
    match end {
        None if committed < transactions => {
            return Err(EngineBug::Stalled { committed, transactions }.into());
        }
        None => {}
        Some(_) => run.retract(committed),
    }

    run.pay_fees(&fees)?;
    let requests = run.step(run.fees_version() + 1, CommitStep::PostBlock, &mut sinks, |evm| {
        vm.post_block(evm, block, &receipts)
    })?;

    let mut work = counts.into_inner();
    work.reexecutions = work.executions.saturating_sub(transactions as u64);
    work.width = width;
    let gas = admission.gas;
    let output = BlockOutput {
        receipts,
        state: memory.diff(pool, width),
        requests,
        gas_used: gas.used(&rules),
        blob_gas_used: gas.blob(),
        access_list: sinks.finish()?,
        work,
    };
    let end = end.unwrap_or(BuildEnd::NoMoreCandidates);
    Ok(Finished { output, end, building: admission.building })
}

impl<V: BlockVm, S: StateSource> Run<'_, V, S> {
    /// An EVM over this block's memory for the worker at that index of the pool.
    pub(crate) fn evm<'r>(
        &'r self,
        worker: usize,
        seat: Option<Seat<'r>>,
    ) -> EvmOf<V, WorkerDb<'r, S>> {
        let Job { vm, env, .. } = self.job;
        vm.factory().create_evm(WorkerDb::new(self, worker, seat), env.clone())
    }

    /// Another for the same worker, that executes only to read, whether it is the transaction's turn
    /// or not.
    pub(crate) fn evm_ahead<'r>(
        &'r self,
        worker: usize,
        seat: Option<Seat<'r>>,
    ) -> EvmOf<V, WorkerDb<'r, S>> {
        let Job { vm, env, .. } = self.job;
        let mut env = env.clone();
        env.cfg_env.disable_nonce_check = true;
        vm.factory().create_evm(WorkerDb::new(self, worker, seat), env)
    }

    /// Takes back what the transactions from `first` on wrote. No worker is at work any more.
    fn retract(&self, first: usize) {
        for (index, record) in self.records.iter().enumerate().skip(first) {
            let written = std::mem::take(&mut record.lock().written);
            take_back(self.memory, version_of(index), written, &mut Vec::new());
        }
    }

    /// The version of the fees that are paid after the last transaction.
    fn fees_version(&self) -> Version {
        version_of(self.job.block.transactions.len())
    }

    /// Runs a step around the transactions and tells what it committed.
    fn step<T>(
        &self,
        version: Version,
        name: CommitStep,
        sinks: &mut Sinks<'_>,
        run: impl for<'s> FnOnce(
            &mut EvmOf<V, Overlay<'s, MemoryBelow<'_, S>>>,
        ) -> Result<T, BlockExecutionError>,
    ) -> Result<T, ExecutionError<S::Error>> {
        let before = MemoryBelow { memory: self.memory, source: self.job.source, version };
        let told = sinks.follow_fees();
        let (result, mut overlay) = step::run(&self.job, &before, told, run)?;
        overlay.publish(self.memory, version);
        sinks.step(name, overlay.take_commits())?;
        Ok(result)
    }

    /// What tells the transactions' classes apart: whom they call, and which function. Contract
    /// creations are all different.
    pub(crate) fn class_keys(&self) -> impl Iterator<Item = (Address, [u8; 4])> {
        self.job.block.transactions.iter().map(|tx| {
            let mut selector = [0; 4];
            let input = tx.input();
            let length = input.len().min(4);
            selector[..length].copy_from_slice(&input[..length]);
            (tx.kind().to().copied().unwrap_or_else(|| tx.signer()), selector)
        })
    }

    /// The beneficiary's account as the transaction or step of `version` finds it, fees that are
    /// still owed not included.
    pub(crate) fn beneficiary(
        &self,
        version: Version,
    ) -> Result<(AccountRef, Option<Account>), ExecutionError<S::Error>> {
        let address = self.job.rules.beneficiary;
        let reader = Reader { below: version, register: None };
        let seen = self.memory.account(address, reader, || load(self.job.source, address));
        let seen = seen.map_err(ExecutionError::StateRead)?;
        Ok((seen.at, seen.account))
    }

    /// Pays the beneficiary what is still owed.
    fn pay_fees(&self, fees: &Fees) -> Result<(), ExecutionError<S::Error>> {
        if fees.is_none() {
            return Ok(());
        }
        let (at, before) = self.beneficiary(self.fees_version())?;
        let after = fees.credited_to(before);
        if after != before {
            let wiped = after.is_none();
            self.memory.write_account(
                at,
                Writer::last(self.fees_version()),
                after,
                wiped,
                &mut Vec::new(),
            );
        }
        Ok(())
    }
}

/// The version of the transaction at `index`, and of what comes after the last one.
pub(crate) fn version_of(index: usize) -> Version {
    #[expect(clippy::cast_possible_truncation, reason = "a block's gas bounds its length")]
    let version = index as Version + 1;
    version
}
