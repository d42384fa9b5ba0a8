//! Ethereum's block rules, Frontier to the newest fork revm knows.

use std::sync::Arc;

use alloy_consensus::{Receipt as ConsensusReceipt, TxType, transaction::Recovered};
use alloy_eips::{
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7685::Requests,
};
use alloy_evm::{
    Database, Evm, EvmEnv, FromRecoveredTx,
    block::{
        BlockExecutionError, BlockValidationError, SystemCaller,
        state_changes::post_block_balance_increments,
    },
    eth::{
        dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY},
        eip6110,
        spec::EthExecutorSpec,
    },
};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256};
use alloy_rlp::Encodable;
use revm::{
    context::{
        Cfg, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    database_interface::DatabaseCommitExt,
    primitives::hardfork::SpecId,
};
use warpline_chain::ChainSpec;
use warpline_primitives::{Receipt, RecoveredBlock, Transaction};

use super::{
    BlockDb, BlockRules, BlockVm, DeferringEvm, DeferringEvmFactory, Transacted, account_of,
    eip1283,
};

/// Ethereum under a [`ChainSpec`].
#[derive(Clone, Debug)]
pub struct Ethereum {
    spec: Arc<ChainSpec>,
    factory: DeferringEvmFactory,
}

/// A system contract that must exist from Prague on (EIP-7002, EIP-7251) has no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system contract {0} has no code")]
pub struct SystemContractMissing(pub Address);

impl Ethereum {
    /// Ethereum's rules with the forks, blob parameters and chain id of `spec`.
    pub fn new(spec: impl Into<Arc<ChainSpec>>) -> Self {
        Self { spec: spec.into(), factory: DeferringEvmFactory }
    }

    /// Ethereum mainnet.
    pub fn mainnet() -> Self {
        Self::new(ChainSpec::mainnet())
    }

    /// The chain specification.
    pub const fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// EIP-779: the balances of the listed accounts move to the refund contract.
    fn apply_dao_fork<DB: BlockDb>(db: &mut DB) -> Result<(), DB::Error> {
        let mut moved = U256::ZERO;
        for address in DAO_HARDFORK_ACCOUNTS {
            let Some(info) = db.basic(address)?.filter(|info| !info.balance.is_zero()) else {
                continue;
            };
            let mut account = account_of(&info);
            moved += std::mem::take(&mut account.balance);
            db.overwrite_account(address, account)?;
        }
        let refund = db.basic(DAO_HARDFORK_BENEFICIARY)?;
        if moved.is_zero() && refund.is_some() {
            return Ok(());
        }
        let mut account = account_of(&refund.unwrap_or_default());
        account.balance += moved;
        db.overwrite_account(DAO_HARDFORK_BENEFICIARY, account)
    }
}

impl BlockVm for Ethereum {
    type Factory = DeferringEvmFactory;
    type Transaction = Transaction;
    type Receipt = Receipt;

    fn factory(&self) -> &DeferringEvmFactory {
        &self.factory
    }

    fn env(&self, block: &RecoveredBlock) -> EvmEnv {
        env_of(&self.spec, block)
    }

    fn rules(&self, env: &EvmEnv) -> BlockRules {
        BlockRules {
            beneficiary: env.block_env.beneficiary,
            gas_limit: env.block_env.gas_limit,
            transaction_gas_cap: env.cfg_env.tx_gas_limit_cap(),
            two_dimensional_gas: env.cfg_env.enable_amsterdam_eip8037,
            access_lists: self.spec.block_access_lists_at(env.block_env.timestamp.saturating_to()),
            deletes_old_accounts: !env.cfg_env.spec.is_enabled_in(SpecId::CANCUN),
            deletes_empty_accounts: env.cfg_env.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
        }
    }

    fn tx_env(&self, tx: &Recovered<Transaction>) -> TxEnv {
        TxEnv::from_recovered_tx(tx.inner(), tx.signer())
    }

    fn transact<DB: Database>(
        &self,
        evm: &mut DeferringEvm<DB>,
        tx: TxEnv,
    ) -> Result<Transacted<HaltReason>, EVMError<DB::Error>> {
        evm.transact_deferring(tx)
    }

    fn receipt(&self, tx: &Recovered<Transaction>, result: ExecutionResult<HaltReason>) -> Receipt {
        let receipt = ConsensusReceipt {
            status: result.is_success().into(),
            cumulative_gas_used: 0,
            logs: result.into_logs(),
        };
        envelope(tx.tx_type(), receipt)
    }

    fn encoded_len(&self, tx: &Recovered<Transaction>) -> usize {
        tx.inner().length()
    }

    fn set_cumulative_gas(receipt: &mut Receipt, gas: u64) {
        let (Receipt::Legacy(with_bloom)
        | Receipt::Eip2930(with_bloom)
        | Receipt::Eip1559(with_bloom)
        | Receipt::Eip4844(with_bloom)
        | Receipt::Eip7702(with_bloom)) = receipt;
        with_bloom.receipt.cumulative_gas_used = gas;
    }

    fn pre_block<DB: BlockDb>(
        &self,
        evm: &mut DeferringEvm<DB>,
        block: &RecoveredBlock,
    ) -> Result<(), BlockExecutionError> {
        if self.spec.is_dao_block(block.number()) {
            Self::apply_dao_fork(evm.db_mut()).map_err(BlockExecutionError::other)?;
        }
        SystemCaller::new(&*self.spec).apply_pre_execution_changes(&block.header, evm)
    }

    fn post_block<DB: BlockDb>(
        &self,
        evm: &mut DeferringEvm<DB>,
        block: &RecoveredBlock,
        receipts: &[Receipt],
    ) -> Result<Requests, BlockExecutionError> {
        let mut requests = Requests::default();
        if self.spec.is_prague_active_at_timestamp(block.header.timestamp) {
            let deposits =
                eip6110::parse_deposits_from_receipts(ExecutorSpec(&self.spec), receipts)?;
            if !deposits.is_empty() {
                requests.push_request_with_type(eip6110::DEPOSIT_REQUEST_TYPE, deposits);
            }
            for contract in
                [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
            {
                let info = evm.db_mut().basic(contract).map_err(BlockExecutionError::other)?;
                if info.is_none_or(|info| info.is_empty_code_hash()) {
                    let missing = SystemContractMissing(contract);
                    return Err(BlockValidationError::other(missing).into());
                }
            }
            SystemCaller::new(&*self.spec).append_post_execution_changes(evm, &mut requests)?;
        }
        let increments = post_block_balance_increments(
            &*self.spec,
            evm.block(),
            &block.ommers,
            block.withdrawals.as_ref().map(|withdrawals| withdrawals.as_slice()),
        );
        evm.db_mut().increment_balances(increments).map_err(BlockExecutionError::other)?;
        Ok(requests)
    }
}

/// The environment of a block. Constantinople without Petersburg has no name of its own in revm,
/// and alloy-evm takes it for Byzantium.
pub(super) fn env_of(spec: &ChainSpec, block: &RecoveredBlock) -> EvmEnv {
    let header = &block.header;
    let blob_params = spec.blob_params_at(header.timestamp);
    let mut env = EvmEnv::for_eth_block(header, spec, spec.chain_id(), blob_params);
    if env.cfg_env.spec == SpecId::BYZANTIUM
        && spec.is_constantinople_active_at_block(header.number)
    {
        eip1283::configure(&mut env.cfg_env);
    }
    env
}

/// The receipt with its bloom, in the envelope of its transaction's type.
pub(super) fn envelope(tx_type: TxType, receipt: ConsensusReceipt) -> Receipt {
    let receipt = receipt.with_bloom();
    match tx_type {
        TxType::Legacy => Receipt::Legacy(receipt),
        TxType::Eip2930 => Receipt::Eip2930(receipt),
        TxType::Eip1559 => Receipt::Eip1559(receipt),
        TxType::Eip4844 => Receipt::Eip4844(receipt),
        TxType::Eip7702 => Receipt::Eip7702(receipt),
    }
}

/// The chain spec as alloy-evm wants it, without the DAO fork: its block executor would apply that
/// after the transactions, and the rule is before.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExecutorSpec<'a>(pub(super) &'a ChainSpec);

impl EthereumHardforks for ExecutorSpec<'_> {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        if fork == EthereumHardfork::Dao {
            return ForkCondition::Never;
        }
        self.0.ethereum_fork_activation(fork)
    }
}

impl EthExecutorSpec for ExecutorSpec<'_> {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.0.deposit_contract())
    }
}
