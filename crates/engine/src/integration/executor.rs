//! alloy-evm's block executor with the engine behind it.

use std::marker::PhantomData;

use alloy_consensus::{
    Header, Transaction, TransactionEnvelope, TxReceipt, transaction::Recovered,
};
use alloy_eips::Encodable2718;
use alloy_evm::{
    Database, Evm, EvmEnv, FromRecoveredTx, FromTxWithEncoded, RecoveredTx,
    block::{
        BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockValidationError,
        ExecutableTx, GasOutput, StateDB,
    },
    eth::{
        EthBlockExecutor, EthEvmContext, EthTxResult,
        receipt_builder::{ReceiptBuilder, ReceiptBuilderCtx},
        spec::EthExecutorSpec,
    },
};
use alloy_primitives::{B256, Log};
use revm::{
    Inspector,
    context::{TxEnv, result::HaltReason},
    state::EvmState,
};
use warpline_primitives::{BlockOutput, RecoveredBlock};

use super::{
    DynSource, ParentSource, SourceError,
    block::{Executed, GivenBlock},
    bundle::{commit, overwritten},
};
use crate::{
    AccessListMode, DeferringEvm, DeferringEvmFactory, Engine, ExecuteOptions, ExecutionError,
    InvalidBlock, Strategy,
    engine::Workers,
    vm::{WithoutDao, dao_change, is_dao_block},
};

/// Executes a block as alloy-evm's [`EthBlockExecutor`] does, and all its transactions at once on
/// the engine where [`execute_block`](BlockExecutor::execute_block) is asked for.
///
/// The other methods execute one transaction after the other, on [`EthBlockExecutor`] itself, but
/// for the DAO fork, whose change comes before the transactions here, as the rule is.
///
/// `execute_block` gives the same result, and the database the same changes, as calling the other
/// methods in order, with these differences:
///
/// - The database gets the whole block's changes at once. A state hook is called once, or twice
///   where an account was destroyed and made again. Where the block cannot be executed the database
///   is left as it was.
/// - [`ReceiptBuilder`]s are given an empty state and the database as it was before the block.
/// - Contracts of EIP-7002 and EIP-7251 that do not exist make a block invalid. (alloy-evm calls
///   them all the same.)
/// - No contract is created over storage (EIP-7610) where a source that was given says that there is
///   some. revm cannot ask its database.
/// - An access list that the database records (EIP-7928) has the block's changes in one place. One
///   that is to be compared with a header is to be had from
///   [`Engine::execute_with`](crate::Engine::execute_with).
///
/// Transactions are executed one after the other all the same where an inspector is to be shown
/// them, where there is no parent state to read from many threads (see [`ParentSource`]), where
/// transactions come with another `TxEnv` than their own, and where the executor was used before.
pub struct ParallelBlockExecutor<'a, DB: Database, I, R: ReceiptBuilder, Spec, P> {
    pub(super) workers: &'a Workers,
    pub(super) evm_factory: DeferringEvmFactory,
    pub(super) strategy: Strategy,
    pub(super) parent: P,
    pub(super) spec: &'a Spec,
    pub(super) inner: EthBlockExecutor<'a, DeferringEvm<DB, I>, WithoutDao<&'a Spec>, &'a R>,
    pub(super) begun: bool,
}

impl<DB: Database, I, R: ReceiptBuilder, Spec, P> std::fmt::Debug
    for ParallelBlockExecutor<'_, DB, I, R, Spec, P>
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParallelBlockExecutor")
            .field("strategy", &self.strategy)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}

impl<DB, I, R, Spec, P> BlockExecutor for ParallelBlockExecutor<'_, DB, I, R, Spec, P>
where
    DB: StateDB,
    I: Inspector<EthEvmContext<DB>>,
    R: ReceiptBuilder<
            Transaction: Transaction + Encodable2718 + Clone,
            Receipt: TxReceipt<Log = Log>,
        >,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    Spec: EthExecutorSpec + Clone + Send + Sync + 'static,
    P: ParentSource<DB>,
{
    type Transaction = R::Transaction;
    type Receipt = R::Receipt;
    type Evm = DeferringEvm<DB, I>;
    type Result = EthTxResult<HaltReason, <R::Transaction as TransactionEnvelope>::TxType>;

    fn apply_pre_execution_changes(&mut self) -> Result<(), BlockExecutionError> {
        self.begun = true;
        let number = self.inner.evm.block().number.saturating_to();
        if is_dao_block(self.spec, number) {
            let db = self.inner.evm.db_mut();
            let moved = dao_change(|address| db.basic(address));
            db.commit(overwritten(moved.map_err(BlockExecutionError::other)?));
        }
        self.inner.apply_pre_execution_changes()
    }

    fn execute_transaction_without_commit(
        &mut self,
        tx: impl ExecutableTx<Self>,
    ) -> Result<Self::Result, BlockExecutionError> {
        self.begun = true;
        self.inner.execute_transaction_without_commit(tx.into_parts())
    }

    fn commit_transaction(&mut self, output: Self::Result) -> GasOutput {
        self.begun = true;
        self.inner.commit_transaction(output)
    }

    fn finish(self) -> Result<(Self::Evm, BlockExecutionResult<R::Receipt>), BlockExecutionError> {
        self.inner.finish()
    }

    fn evm_mut(&mut self) -> &mut Self::Evm {
        &mut self.inner.evm
    }

    fn evm(&self) -> &Self::Evm {
        &self.inner.evm
    }

    fn receipts(&self) -> &[R::Receipt] {
        &self.inner.receipts
    }

    fn execute_block(
        self,
        transactions: impl IntoIterator<Item = impl ExecutableTx<Self>>,
    ) -> Result<BlockExecutionResult<R::Receipt>, BlockExecutionError> {
        let mut all_own = true;
        let transactions: Vec<_> = transactions
            .into_iter()
            .map(|tx| {
                let (env, tx) = tx.into_parts();
                let tx = Recovered::new_unchecked(tx.tx().clone(), *tx.signer());
                all_own &= env == TxEnv::from_recovered_tx(tx.inner(), tx.signer());
                (env, tx)
            })
            .collect();
        if !all_own || self.begun || self.inner.evm.is_inspecting() {
            return self.one_by_one(transactions);
        }
        let (envs, transactions): (Vec<_>, Vec<_>) = transactions.into_iter().unzip();
        let block = self.block(transactions);
        match self.in_parallel(&block) {
            Some(result) => self.end(&block, result?),
            None => self.one_by_one(envs.into_iter().zip(block.transactions)),
        }
    }
}

/// The engine for a block that an executor was given.
type BlockEngine<R, Spec> = Engine<GivenBlock<<R as ReceiptBuilder>::Transaction, Spec>>;

impl<DB, I, R, Spec, P> ParallelBlockExecutor<'_, DB, I, R, Spec, P>
where
    DB: StateDB,
    I: Inspector<EthEvmContext<DB>>,
    R: ReceiptBuilder<
            Transaction: Transaction + Encodable2718 + Clone,
            Receipt: TxReceipt<Log = Log>,
        >,
    <R::Transaction as TransactionEnvelope>::TxType: Send + 'static,
    TxEnv: FromRecoveredTx<R::Transaction> + FromTxWithEncoded<R::Transaction>,
    Spec: EthExecutorSpec + Clone + Send + Sync + 'static,
    P: ParentSource<DB>,
{
    /// What the trait does for executors that have no better way.
    fn one_by_one(
        mut self,
        transactions: impl IntoIterator<Item = (TxEnv, Recovered<R::Transaction>)>,
    ) -> Result<BlockExecutionResult<R::Receipt>, BlockExecutionError> {
        self.apply_pre_execution_changes()?;
        for tx in transactions {
            self.execute_transaction(tx)?;
        }
        self.apply_post_execution_changes()
    }

    /// The block as far as executing it goes; roots and hashes are not looked at.
    fn block(
        &self,
        transactions: Vec<Recovered<R::Transaction>>,
    ) -> RecoveredBlock<R::Transaction> {
        let (env, ctx) = (self.inner.evm.block(), &self.inner.ctx);
        let header = Header {
            parent_hash: ctx.parent_hash,
            parent_beacon_block_root: ctx.parent_beacon_block_root,
            extra_data: ctx.extra_data.clone(),
            number: env.number.saturating_to(),
            timestamp: env.timestamp.saturating_to(),
            beneficiary: env.beneficiary,
            gas_limit: env.gas_limit,
            difficulty: env.difficulty,
            ..Header::default()
        };
        RecoveredBlock {
            header,
            hash: B256::ZERO,
            transactions,
            ommers: ctx.ommers.to_vec(),
            withdrawals: ctx.withdrawals.as_ref().map(|list| list.to_vec().into()),
        }
    }

    /// Executes `block`, and says what is to be committed; `None` without a state to read.
    #[expect(clippy::type_complexity, reason = "what is to be committed has no name elsewhere")]
    fn in_parallel(
        &self,
        block: &RecoveredBlock<R::Transaction>,
    ) -> Option<Result<(BlockOutput<Executed>, Vec<EvmState>), BlockExecutionError>> {
        let evm = &self.inner.evm;
        let env = EvmEnv { cfg_env: evm.cfg_env().clone(), block_env: evm.block().clone() };
        let engine: BlockEngine<R, Spec> = self.workers.engine(GivenBlock {
            env,
            spec: self.spec.clone(),
            factory: self.evm_factory,
            transactions: PhantomData,
        });
        let options = ExecuteOptions::from(self.strategy).access_list(AccessListMode::Ignore);
        let work = |source: &DynSource<'_>| {
            let output = engine.execute_with(block, &source, options)?;
            let commits = engine.commits(&output.state, &source)?;
            Ok((output, commits))
        };
        let result = self.parent.with_source(evm.db(), work)?;
        Some(result.map_err(|error| error_of(error, block)))
    }

    /// Commits a block's changes and makes its receipts.
    fn end(
        mut self,
        block: &RecoveredBlock<R::Transaction>,
        (output, commits): (BlockOutput<Executed>, Vec<EvmState>),
    ) -> Result<BlockExecutionResult<R::Receipt>, BlockExecutionError> {
        let BlockOutput { receipts, requests, gas_used, blob_gas_used, .. } = output;
        let state = EvmState::default();
        let receipts = block.transactions.iter().zip(receipts).map(|(tx, executed)| {
            self.inner.receipt_builder.build_receipt(ReceiptBuilderCtx {
                tx_type: tx.tx_type(),
                evm: &self.inner.evm,
                result: executed.result,
                state: &state,
                cumulative_gas_used: executed.cumulative_gas_used,
            })
        });
        let receipts = receipts.collect();
        commit(self.inner.evm.db_mut(), commits).map_err(BlockExecutionError::other)?;
        Ok(BlockExecutionResult { receipts, requests, gas_used, blob_gas_used })
    }
}

/// The error as alloy-evm has it: of an invalid block, or internal.
fn error_of<T: Encodable2718>(
    error: ExecutionError<SourceError>,
    block: &RecoveredBlock<T>,
) -> BlockExecutionError {
    let invalid = match error {
        ExecutionError::InvalidBlock(invalid) => invalid,
        ExecutionError::StateRead(error) => return BlockExecutionError::other(error),
        error => return BlockExecutionError::other(error),
    };
    match invalid {
        InvalidBlock::Transaction { index, error } => {
            let hash = block.transactions[index].trie_hash();
            BlockValidationError::InvalidTx { hash, error }.into()
        }
        InvalidBlock::GasLimit { gas_limit, available, .. } => {
            BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas {
                transaction_gas_limit: gas_limit,
                block_available_gas: available,
            }
            .into()
        }
        InvalidBlock::System(error) => error,
        invalid @ InvalidBlock::AccessList(_) => BlockValidationError::other(invalid).into(),
    }
}
