//! Transactions and calls, traced with Geth's tracers.

use alloy_consensus::Header;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::{common::TraceResult, geth::GethDebugTracingOptions};
use revm::context::TxEnv;
use warpline_primitives::{RecoveredBlock, StateSource};

use super::{
    InspectOptions, Inspected, StateBefore, TraceError, TraceMemory, TracerOutput,
    flat::FlatPlace,
    inspect,
    memory::{Counted, HeldTrace},
    tracers::{Traced, Tracers},
};
use crate::{
    BlockVm, CallDb, CallError, CallOptions, Engine, EngineBug, Ethereum, ExecutionError,
    SourceError,
    call::{Caller, on_source},
    simulate::unsigned_hash,
    vm::MovablePrecompiles,
};

/// What a tracer says of a transaction of a block: as `debug_traceBlockByNumber` lists it.
pub type TracedTransaction = TraceResult<TracerOutput, String>;

/// What a tracer said.
type Said = Result<HeldTrace, NotSaid>;

/// Why a tracer said nothing.
#[derive(Debug)]
enum NotSaid {
    /// It could not read. Of that nothing more is known here.
    ReadFailed,
    /// It would have said too much.
    TooLarge,
}

impl Engine<Ethereum> {
    /// Traces all transactions of `block` with the tracer that `tracing` asks for, in parallel; see
    /// [`inspect_block`](Self::inspect_block). The timeout in `tracing` is the caller's to turn into
    /// a deadline.
    ///
    /// # Errors
    /// [`TraceError`] where there is no such tracer, or the block cannot be executed.
    pub fn trace_block<S: StateSource>(
        &self,
        block: &RecoveredBlock,
        source: &S,
        tracing: &GethDebugTracingOptions,
        options: InspectOptions<'_>,
    ) -> Result<Vec<TracedTransaction>, TraceError<S::Error>> {
        self.trace_block_with(block, source, tracing, options, |_, traced| traced)
    }

    /// As [`trace_block`](Self::trace_block), where `each` says what becomes of each trace, by the
    /// transaction's index. It is called from the workers, in any order. Traces may be many times as
    /// large as what is made of them, and to write them out may take longer than to trace.
    ///
    /// # Errors
    /// As [`trace_block`](Self::trace_block).
    pub fn trace_block_with<S: StateSource, T: Send>(
        &self,
        block: &RecoveredBlock,
        source: &S,
        tracing: &GethDebugTracingOptions,
        options: InspectOptions<'_>,
        each: impl Fn(usize, TracedTransaction) -> T + Sync,
    ) -> Result<Vec<T>, TraceError<S::Error>> {
        Tracers::new(tracing)?;
        let precompiles = &self.precompiles_of(block);
        let make = |_| tracer(tracing, options.memory);
        let done = |inspected: Inspected<'_, '_, _>| {
            let index = inspected.index;
            let tx_hash = Some(*block.transactions[index].inner().tx_hash());
            let (result, taken) = finish((block, precompiles), inspected)?.into_parts();
            let traced = each(index, TraceResult::Success { result, tx_hash });
            // What is said takes memory until it was made something of.
            drop(taken);
            Ok(traced)
        };
        let traced = self.inspect_block(block, source, options, make, done)?.transactions;
        let known = |(index, said)| known(index, said);
        traced.into_iter().enumerate().map(known).collect()
    }

    /// Traces the transaction at `index` of `block`, after a sequential execution of those before it.
    /// `source` has the state before the block.
    ///
    /// # Errors
    /// As [`trace_block`](Self::trace_block), and [`TraceError::NoSuchTransaction`].
    pub fn trace_transaction<S: StateSource>(
        &self,
        block: &RecoveredBlock,
        source: &S,
        index: usize,
        tracing: &GethDebugTracingOptions,
        options: InspectOptions<'_>,
    ) -> Result<HeldTrace, TraceError<S::Error>> {
        Tracers::new(tracing)?;
        let Some(tx) = block.transactions.get(index) else {
            let transactions = block.transactions.len();
            return Err(TraceError::NoSuchTransaction { index, transactions });
        };
        let traced = on_source(source, |source| {
            let env = self.vm().env(block);
            let rules = self.vm().rules(&env);
            let db = CallDb::new(source, self.codes(), &rules, options.early_end());
            let db = self.execute_prefix(block, index, db)?;
            let precompiles = &self.precompiles_of(block);
            let done = |inspected: Inspected<'_, '_, _>| finish((block, precompiles), inspected);
            let tracer = tracer(tracing, options.memory);
            Ok(inspect(self.vm(), db, &env, (index, tx), tracer, done)?)
        });
        known(index, traced?)
    }

    /// Traces a call that is executed as [`call`](Self::call) executes it.
    ///
    /// # Errors
    /// [`TraceError`] where there is no such tracer, and as [`call`](Self::call).
    pub fn trace_call<S: StateSource>(
        &self,
        header: &Header,
        source: &S,
        request: &TransactionRequest,
        tracing: &GethDebugTracingOptions,
        options: CallOptions<'_>,
    ) -> Result<HeldTrace, TraceError<S::Error>> {
        Tracers::new(tracing)?;
        let traced = on_source(source, |source| {
            let db = self.call_db(header, source, options);
            self.trace_call_on(db, header, request, tracing, options)
        });
        known(0, traced?)
    }

    /// Traces a call in the midst of a block: after its first `index` transactions. `source` has the
    /// state before the block.
    ///
    /// # Errors
    /// As [`trace_call`](Self::trace_call), and [`TraceError::NoSuchTransaction`].
    pub fn trace_call_within<S: StateSource>(
        &self,
        (block, index): (&RecoveredBlock, usize),
        source: &S,
        request: &TransactionRequest,
        tracing: &GethDebugTracingOptions,
        options: CallOptions<'_>,
    ) -> Result<HeldTrace, TraceError<S::Error>> {
        Tracers::new(tracing)?;
        let transactions = block.transactions.len();
        if index > transactions {
            return Err(TraceError::NoSuchTransaction { index, transactions });
        }
        let traced = on_source(source, |source| {
            let db = self.call_db(&block.header, source, options);
            let db = self.execute_prefix(block, index, db)?;
            self.trace_call_on(db, &block.header, request, tracing, options)
        });
        known(index, traced?)
    }

    fn trace_call_on<'d>(
        &'d self,
        db: CallDb<'d>,
        header: &Header,
        request: &TransactionRequest,
        tracing: &GethDebugTracingOptions,
        options: CallOptions<'d>,
    ) -> Result<Said, CallError<SourceError>> {
        let tracer = tracer(tracing, options.memory);
        let (mut caller, tx) = Caller::over(self, header, db, options, request, tracer)?;
        let result = caller.inspect(tx.clone())?;
        let block = &caller.block().clone();
        let precompiles = &self.vm().factory().movable_precompiles(caller.spec());
        let (db, tracer) = caller.parts();
        let tx_hash =
            unsigned_hash(&TxEnv { nonce: request.nonce.unwrap_or_default(), ..tx.clone() });
        let block_number = block.number.saturating_to();
        let place = FlatPlace { block_hash: None, block_number, tx_hash, tx_index: 0 };
        let traced = Traced { place, tx: &tx, block, result: &result, precompiles };
        let said = say(tracer, &traced, &mut StateBefore::new(db));
        let said = said.map(|trace| HeldTrace::new(trace, tracer.take()));
        match db.take_unfinished() {
            Some(unfinished) => Err(unfinished.into()),
            None => Ok(said),
        }
    }

    fn precompiles_of(&self, block: &RecoveredBlock) -> MovablePrecompiles {
        self.vm().factory().movable_precompiles(self.vm().env(block).cfg_env.spec)
    }
}

/// The tracers that `tracing` asks for. Whoever comes here has made them before, so that they can be
/// made.
fn tracer(tracing: &GethDebugTracingOptions, memory: Option<&TraceMemory>) -> Counted {
    let tracers = Tracers::new(tracing).unwrap_or_else(|_| Tracers::none());
    Counted::new(tracers, tracing, memory)
}

/// What the tracers of a transaction of `block` say at the end.
fn finish(
    (block, precompiles): (&RecoveredBlock, &MovablePrecompiles),
    inspected: Inspected<'_, '_, Counted>,
) -> Said {
    let Inspected { index, mut inspector, tx, block: env, result, mut before } = inspected;
    let place = FlatPlace {
        block_hash: Some(block.hash),
        block_number: block.number(),
        tx_hash: *block.transactions[index].inner().tx_hash(),
        tx_index: index as u64,
    };
    let traced = Traced { place, tx, block: env, result, precompiles };
    let said = say(&mut inspector, &traced, &mut before)?;
    Ok(HeldTrace::new(said, inspector.take()))
}

fn say(
    tracer: &mut Counted,
    traced: &Traced<'_>,
    before: &mut StateBefore<'_, '_>,
) -> Result<TracerOutput, NotSaid> {
    if tracer.taken.is_exhausted() {
        return Err(NotSaid::TooLarge);
    }
    tracer.tracers.say(traced, before).map_err(|_| NotSaid::ReadFailed)
}

/// What a tracer said, whose reads have not failed.
fn known<T, E>(index: usize, said: Result<T, NotSaid>) -> Result<T, TraceError<E>> {
    said.map_err(|not_said| match not_said {
        NotSaid::ReadFailed => ExecutionError::from(EngineBug::ResultMissing { index }).into(),
        NotSaid::TooLarge => TraceError::TooLarge,
    })
}
