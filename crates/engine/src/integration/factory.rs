//! alloy-evm's factory of block executors with the engine behind it.

use alloy_consensus::{Transaction, TransactionEnvelope, TxReceipt};
use alloy_eips::Encodable2718;
use alloy_evm::{
    Database, EvmFactory, FromRecoveredTx, FromTxWithEncoded,
    block::{BlockExecutorFactory, StateDB},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutor, EthEvmContext, EthTxResult,
        receipt_builder::ReceiptBuilder, spec::EthExecutorSpec,
    },
};
use alloy_primitives::Log;
use revm::{
    Inspector,
    context::{TxEnv, result::HaltReason},
};

use super::{DynSource, GivenParent, ParallelBlockExecutor, ParentSource, StateParent};
use crate::{
    BlockVm, DeferringEvm, DeferringEvmFactory, Engine, Strategy, engine::Workers, vm::WithoutDao,
};

/// Makes [`ParallelBlockExecutor`]s: what alloy-evm's `EthBlockExecutorFactory` is for
/// `EthBlockExecutor`s, with the same receipt builders and chain specifications.
///
/// alloy-evm's trait makes executors over *any* database, and a database that is any cannot be read
/// from many threads. There are two ways out:
///
/// - [`create_state_executor`](Self::create_state_executor) takes a revm `State` over a database
///   that can, and needs nothing else.
/// - Executors that the trait's method makes read the parent state from a source that the
///   [context](ParallelBlockCtx) names, and execute one transaction after the other without one.
#[derive(Clone, Debug)]
pub struct ParallelBlockExecutorFactory<R, Spec> {
    workers: Workers,
    evm_factory: DeferringEvmFactory,
    receipt_builder: R,
    spec: Spec,
    strategy: Strategy,
}

/// What a block executor is told of its block, and where to read the state before it.
#[derive(Clone)]
pub struct ParallelBlockCtx<'a> {
    /// What alloy-evm's executor is told.
    pub eth: EthBlockExecutionCtx<'a>,
    /// What the database shows before the block, from many threads; `None` to execute one
    /// transaction after the other. [`erased`](super::erased) makes one of any source.
    pub parent: Option<&'a DynSource<'a>>,
}

impl std::fmt::Debug for ParallelBlockCtx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParallelBlockCtx")
            .field("eth", &self.eth)
            .field("parent", &self.parent.is_some())
            .finish()
    }
}

impl<'a> From<EthBlockExecutionCtx<'a>> for ParallelBlockCtx<'a> {
    fn from(eth: EthBlockExecutionCtx<'a>) -> Self {
        Self { eth, parent: None }
    }
}

impl<R: ReceiptBuilder, Spec> ParallelBlockExecutorFactory<R, Spec> {
    /// A factory of executors on the workers of `engine`, whose own virtual machine is not used.
    ///
    /// A `spec` that is costly to clone belongs into an `Arc`.
    pub fn new(engine: &Engine<impl BlockVm>, receipt_builder: R, spec: Spec) -> Self {
        Self {
            workers: engine.workers(),
            evm_factory: DeferringEvmFactory::default(),
            receipt_builder,
            spec,
            strategy: Strategy::Auto,
        }
    }

    /// This factory with EVMs from `evm_factory`: with other precompiles.
    #[must_use]
    pub const fn with_evm_factory(mut self, evm_factory: DeferringEvmFactory) -> Self {
        self.evm_factory = evm_factory;
        self
    }

    /// This factory with executors that execute blocks this way.
    #[must_use]
    pub const fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// An executor over a revm `State`, or a reference to one, that reads the state before the block
    /// through it. What the `State` holds of earlier blocks is part of that.
    pub fn create_state_executor<'a, DB, I>(
        &'a self,
        evm: DeferringEvm<DB, I>,
        ctx: EthBlockExecutionCtx<'a>,
    ) -> ParallelBlockExecutor<'a, DB, I, R, Spec, StateParent>
    where
        DB: StateDB,
        I: Inspector<EthEvmContext<DB>>,
        StateParent: ParentSource<DB>,
    {
        self.executor(evm, ctx, StateParent)
    }

    fn executor<'a, DB: Database, I, P>(
        &'a self,
        evm: DeferringEvm<DB, I>,
        ctx: EthBlockExecutionCtx<'a>,
        parent: P,
    ) -> ParallelBlockExecutor<'a, DB, I, R, Spec, P> {
        let spec = WithoutDao(&self.spec);
        ParallelBlockExecutor {
            workers: &self.workers,
            evm_factory: self.evm_factory,
            strategy: self.strategy,
            parent,
            spec: &self.spec,
            inner: EthBlockExecutor::new(evm, ctx, spec, &self.receipt_builder),
            begun: false,
        }
    }
}

impl<R, Spec> BlockExecutorFactory for ParallelBlockExecutorFactory<R, Spec>
where
    R: ReceiptBuilder<
            Transaction: Transaction + Encodable2718 + Clone,
            Receipt: TxReceipt<Log = Log>,
        > + 'static,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    Spec: EthExecutorSpec + Clone + Send + Sync + 'static,
{
    type EvmFactory = DeferringEvmFactory;
    type TxExecutionResult =
        EthTxResult<HaltReason, <R::Transaction as TransactionEnvelope>::TxType>;
    type ExecutionCtx<'a> = ParallelBlockCtx<'a>;
    type Transaction = R::Transaction;
    type Receipt = R::Receipt;
    type Executor<'a, DB: StateDB, I: Inspector<EthEvmContext<DB>>> =
        ParallelBlockExecutor<'a, DB, I, R, Spec, GivenParent<'a>>;

    fn evm_factory(&self) -> &DeferringEvmFactory {
        &self.evm_factory
    }

    fn create_executor<'a, DB, I>(
        &'a self,
        evm: <DeferringEvmFactory as EvmFactory>::Evm<DB, I>,
        ParallelBlockCtx { eth, parent }: ParallelBlockCtx<'a>,
    ) -> Self::Executor<'a, DB, I>
    where
        DB: StateDB,
        I: Inspector<EthEvmContext<DB>>,
    {
        self.executor(evm, eth, GivenParent(parent))
    }
}
