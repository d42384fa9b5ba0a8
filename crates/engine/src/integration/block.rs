//! The virtual machine of a block that an executor was given: environment and all.

use std::{fmt, marker::PhantomData};

use alloy_consensus::transaction::Recovered;
use alloy_eips::eip7685::Requests;
use alloy_evm::{
    Database, EvmEnv, FromRecoveredTx, block::BlockExecutionError, eth::spec::EthExecutorSpec,
};
use revm::{
    context::{
        TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    primitives::hardfork::SpecId,
    state::EvmState,
};
use warpline_primitives::RecoveredBlock;

use crate::{
    BlockDb, BlockRules, BlockVm, DeferringEvm, DeferringEvmFactory, Noted, Transacted,
    vm::{post_block, pre_block, rules_of},
};

/// Ethereum's rules in an environment that is given, over any transactions that become `TxEnv`s.
pub(super) struct GivenBlock<T, Spec> {
    pub(super) env: EvmEnv,
    pub(super) spec: Spec,
    pub(super) factory: DeferringEvmFactory,
    pub(super) transactions: PhantomData<fn() -> T>,
}

impl<T, Spec: Clone> Clone for GivenBlock<T, Spec> {
    fn clone(&self) -> Self {
        let Self { env, spec, factory, transactions } = self;
        Self {
            env: env.clone(),
            spec: spec.clone(),
            factory: *factory,
            transactions: *transactions,
        }
    }
}

impl<T, Spec> fmt::Debug for GivenBlock<T, Spec> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenBlock").field("env", &self.env).finish_non_exhaustive()
    }
}

/// An executed transaction, of which the executor's builder makes a receipt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Executed {
    pub(super) result: ExecutionResult<HaltReason>,
    pub(super) cumulative_gas_used: u64,
}

impl<T, Spec> BlockVm for GivenBlock<T, Spec>
where
    T: alloy_consensus::Transaction,
    TxEnv: FromRecoveredTx<T>,
    Spec: EthExecutorSpec + Clone + Send + Sync + 'static,
{
    type Factory = DeferringEvmFactory;
    type Transaction = T;
    type Receipt = Executed;
    const NOTES_BALANCES: bool = true;

    fn factory(&self) -> &DeferringEvmFactory {
        &self.factory
    }

    fn env(&self, _: &RecoveredBlock<T>) -> EvmEnv {
        self.env.clone()
    }

    fn rules(&self, env: &EvmEnv) -> BlockRules {
        rules_of(env, env.cfg_env.spec.is_enabled_in(SpecId::AMSTERDAM))
    }

    fn tx_env(&self, tx: &Recovered<T>) -> TxEnv {
        TxEnv::from_recovered_tx(tx.inner(), tx.signer())
    }

    fn transact<DB: Database>(
        &self,
        evm: &mut DeferringEvm<DB>,
        tx: TxEnv,
    ) -> Result<Transacted<HaltReason>, EVMError<DB::Error>> {
        evm.transact_deferring(tx)
    }

    fn transact_noting<DB: Database>(
        &self,
        evm: &mut DeferringEvm<DB>,
        tx: TxEnv,
    ) -> Result<Noted<HaltReason>, EVMError<DB::Error>> {
        evm.transact_noting(tx)
    }

    fn recycle<DB: Database>(&self, evm: &mut DeferringEvm<DB>, state: EvmState) {
        evm.recycle(state);
    }

    fn receipt(&self, _: &Recovered<T>, result: ExecutionResult<HaltReason>) -> Executed {
        Executed { result, cumulative_gas_used: 0 }
    }

    fn set_cumulative_gas(receipt: &mut Executed, gas: u64) {
        receipt.cumulative_gas_used = gas;
    }

    fn pre_block<DB: BlockDb>(
        &self,
        evm: &mut DeferringEvm<DB>,
        block: &RecoveredBlock<T>,
    ) -> Result<(), BlockExecutionError> {
        pre_block(&self.spec, evm, block)
    }

    fn post_block<DB: BlockDb>(
        &self,
        evm: &mut DeferringEvm<DB>,
        block: &RecoveredBlock<T>,
        receipts: &[Executed],
    ) -> Result<Requests, BlockExecutionError> {
        let logs = receipts.iter().flat_map(|executed| executed.result.logs());
        post_block(&self.spec, evm, block, logs)
    }
}
