//! Looking on while transactions of a block are executed.
//!
//! Looking on slows down execution, and what one sees depends on nothing but the state that a
//! transaction began with. So a block is first executed as any other, in parallel. The multi-version
//! memory then holds, below each transaction's version, exactly what the transaction began with, and
//! each is executed once more on that, before the eyes of an inspector of its own: all of them at
//! once, whatever they depend on. Two things are different from an ordinary execution. The memory
//! keeps versions that later ones supersede. And fees that are owed to the beneficiary before each
//! transaction are written down, for they are in no version.
//!
//! Single transactions are inspected after a sequential execution of those before them.

mod before;
mod error;
mod flat;
mod memory;
mod tracer;
mod tracers;
mod words;

use std::time::Instant;

use alloy_consensus::transaction::Recovered;
use alloy_evm::{Evm, EvmEnv, EvmFactory, eth::EthEvmContext};
use parking_lot::Mutex;
use revm::{
    Inspector,
    context::{BlockEnv, TxEnv, result::ResultAndState},
};
use warpline_primitives::{BlockOutput, RecoveredBlock, StateSource, Transaction};

pub use before::StateBefore;
pub use error::{BadTracer, TraceError};
pub use flat::FlatTrace;
pub use memory::{HeldTrace, TraceMemory};
pub use tracer::TracedTransaction;
pub use tracers::TracerOutput;

use crate::{
    BlockVm, Cancellation, DynSource, Engine, EngineBug, Ethereum, ExecutionError, InvalidBlock,
    SourceError,
    build::Admission,
    call::{CallDb, Unfinished, typed},
    cancel::EarlyEnd,
    commit::{Fees, Sinks},
    engine::{contain, plan_parallel},
    erased,
    execute::{self, Job, version_of},
    memory::Memory,
    step::MemoryBelow,
    vm::{CallEvm, Transacted, refusal},
};

/// How far inspecting may go.
#[derive(Clone, Copy, Debug, Default)]
pub struct InspectOptions<'c> {
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Gives up as soon as it is switched.
    pub cancellation: Option<&'c Cancellation>,
    /// What tracers may take; as much as they need where nothing is said. Other inspectors are not
    /// asked.
    pub memory: Option<&'c TraceMemory>,
}

impl<'c> InspectOptions<'c> {
    const fn early_end(&self) -> EarlyEnd<'c> {
        EarlyEnd { cancellation: self.cancellation, deadline: self.deadline }
    }
}

/// A transaction that was executed before the eyes of an inspector.
#[derive(Debug)]
pub struct Inspected<'i, 'd, I> {
    /// Its index in the block.
    pub index: usize,
    /// Who looked on.
    pub inspector: I,
    /// The transaction.
    pub tx: &'i TxEnv,
    /// The block.
    pub block: &'i BlockEnv,
    /// What it came to, the beneficiary's fee included.
    pub result: &'i ResultAndState,
    /// The state before it.
    pub before: StateBefore<'i, 'd>,
}

/// A block whose transactions were inspected.
#[derive(Debug)]
pub struct InspectedBlock<T> {
    /// What executing the block yields.
    pub output: BlockOutput,
    /// What was made of each transaction, in block order.
    pub transactions: Vec<T>,
}

impl Engine<Ethereum> {
    /// Executes `block`, and then each of its transactions again on the state that it began with,
    /// before the eyes of an inspector that `make` makes for it, by its index. `done` says what
    /// becomes of that. Both are called from the workers, in any order.
    ///
    /// # Errors
    /// As [`execute_with`](Self::execute_with); [`ExecutionError::Cancelled`] at the deadline, too.
    pub fn inspect_block<S, I, T>(
        &self,
        block: &RecoveredBlock,
        source: &S,
        options: InspectOptions<'_>,
        make: impl Fn(usize) -> I + Sync,
        done: impl Fn(Inspected<'_, '_, I>) -> T + Sync,
    ) -> Result<InspectedBlock<T>, ExecutionError<S::Error>>
    where
        S: StateSource,
        I: for<'d> Inspector<EthEvmContext<CallDb<'d>>>,
        T: Send,
    {
        contain(|| {
            let env = &self.vm().env(block);
            let job = self.job(block, source, env, options.early_end());
            let plan = plan_parallel(&job, self.threads(), self.pool());
            self.with_prepared_memory(Memory::keep_versions, |resources| {
                let mut owed = Vec::with_capacity(block.transactions.len());
                let sinks = Sinks { owed: Some(&mut owed), ..Sinks::default() };
                let admission = Admission::new(job.rules, None);
                let memory = resources.memory;
                let output = execute::execute(job, plan, resources, sinks, admission)?.output;
                let again = Again { engine: self, job, memory, owed: &owed };
                let transactions = again.all(make, done)?;
                Ok(InspectedBlock { output, transactions })
            })
        })
    }

    /// Executes the first `count` transactions of `block` and what comes before them, one after
    /// the other.
    fn execute_prefix<'d>(
        &self,
        block: &RecoveredBlock,
        count: usize,
        db: CallDb<'d>,
    ) -> Result<CallDb<'d>, ExecutionError<SourceError>> {
        let vm = self.vm();
        let mut evm = vm.factory().create_evm(db, vm.env(block));
        if let Err(error) = vm.pre_block(&mut evm, block) {
            let unfinished = unfinished(evm.db_mut());
            return Err(unfinished.unwrap_or_else(|| InvalidBlock::System(error).into()));
        }
        for (index, tx) in block.transactions.iter().take(count).enumerate() {
            let Transacted { state, deferred_fee, .. } = match vm.transact(&mut evm, vm.tx_env(tx))
            {
                Ok(transacted) => transacted,
                Err(error) => {
                    return Err(match unfinished(evm.db_mut()) {
                        Some(error) => error,
                        None => refusal(index, error)?.into(),
                    });
                }
            };
            evm.db_mut().overlay().commit_transaction(&state, deferred_fee, false)?;
            vm.recycle(&mut evm, state);
        }
        evm.db_mut().overlay().pay_fees()?;
        Ok(evm.into_db())
    }
}

/// The transactions of a block that was executed, to be executed again.
struct Again<'b, S: StateSource> {
    engine: &'b Engine<Ethereum>,
    job: Job<'b, Ethereum, S>,
    memory: &'b Memory,
    owed: &'b [Fees],
}

impl<S: StateSource> Again<'_, S> {
    fn all<I, T>(
        &self,
        make: impl Fn(usize) -> I + Sync,
        done: impl Fn(Inspected<'_, '_, I>) -> T + Sync,
    ) -> Result<Vec<T>, ExecutionError<S::Error>>
    where
        I: for<'d> Inspector<EthEvmContext<CallDb<'d>>>,
        T: Send,
    {
        let Self { engine, job, owed, .. } = self;
        let count = job.block.transactions.len();
        if owed.len() != count {
            return Err(EngineBug::Stalled { committed: owed.len(), transactions: count }.into());
        }
        let results: Vec<_> = (0..count).map(|_| Mutex::new(None)).collect();
        let failure = Mutex::new(None);
        engine.pool().for_each(engine.threads(), count, |index| {
            if failure.lock().is_some() {
                return;
            }
            match self.one(index, &make, &done) {
                Ok(result) => *results[index].lock() = Some(result),
                Err(error) => {
                    failure.lock().get_or_insert(error);
                }
            }
        });
        if let Some(error) = failure.into_inner() {
            return Err(typed(error));
        }
        let results = results.into_iter().enumerate().map(|(index, result)| {
            result.into_inner().ok_or_else(|| EngineBug::ResultMissing { index }.into())
        });
        results.collect()
    }

    fn one<I, T>(
        &self,
        index: usize,
        make: &impl Fn(usize) -> I,
        done: &impl Fn(Inspected<'_, '_, I>) -> T,
    ) -> Result<T, ExecutionError<SourceError>>
    where
        I: for<'d> Inspector<EthEvmContext<CallDb<'d>>>,
    {
        let Self { engine, job, memory, owed } = self;
        let below = MemoryBelow { memory, source: job.source, version: version_of(index) };
        let below = erased(below);
        let below: &DynSource<'_> = &below;
        let mut db = CallDb::new(&below, job.codes, &job.rules, job.early_end);
        db.overlay().owe(owed[index]);
        let tx = &job.block.transactions[index];
        inspect(engine.vm(), db, job.env, (index, tx), make(index), done)
    }
}

/// Executes a transaction on `db` before the eyes of `inspector`.
fn inspect<'d, I, T>(
    vm: &Ethereum,
    db: CallDb<'d>,
    env: &EvmEnv,
    (index, tx): (usize, &Recovered<Transaction>),
    inspector: I,
    done: impl FnOnce(Inspected<'_, '_, I>) -> T,
) -> Result<T, ExecutionError<SourceError>>
where
    I: Inspector<EthEvmContext<CallDb<'d>>>,
{
    let precompiles = vm.factory().movable_precompiles(env.cfg_env.spec);
    let mut evm = CallEvm::new(db, env.clone(), inspector, precompiles);
    let tx = vm.tx_env(tx);
    let result = evm.inspect(tx.clone());
    let (mut db, inspector) = evm.into_parts();
    let result = match result {
        Ok(result) => result,
        Err(error) => {
            return Err(match unfinished(&mut db) {
                Some(error) => error,
                None => refusal(index, error)?.into(),
            });
        }
    };
    let (block, before) = (&env.block_env, StateBefore::new(&mut db));
    let done = done(Inspected { index, inspector, tx: &tx, block, result: &result, before });
    unfinished(&mut db).map_or(Ok(done), Err)
}

/// Why an execution on `db` did not come to its end, if it did not.
fn unfinished(db: &mut CallDb<'_>) -> Option<ExecutionError<SourceError>> {
    Some(match db.take_unfinished()? {
        Unfinished::Source(error) => ExecutionError::StateRead(error),
        Unfinished::Ended(_) => ExecutionError::Cancelled,
    })
}
