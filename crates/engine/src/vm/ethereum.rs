//! Ethereum's block rules, Frontier to the newest fork revm knows.

use std::sync::Arc;

use alloy_consensus::{
    Header, Receipt as ConsensusReceipt, ReceiptWithBloom, TxType, transaction::Recovered,
};
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
use alloy_primitives::{Address, Log, U256};
use alloy_rlp::Encodable;
use revm::{
    context::{
        Cfg, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    database_interface::DatabaseCommitExt,
    primitives::{eip2780, hardfork::SpecId},
    state::{AccountInfo, EvmState},
};
use warpline_chain::ChainSpec;
use warpline_primitives::{Account, Receipt, RecoveredBlock, Transaction};

use super::{
    BlockDb, BlockRules, BlockVm, DeferringEvm, DeferringEvmFactory, Noted, Transacted, account_of,
    bloom::bloom_of, eip1283,
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
        Self { spec: spec.into(), factory: DeferringEvmFactory::default() }
    }

    /// Ethereum mainnet.
    pub fn mainnet() -> Self {
        Self::new(ChainSpec::mainnet())
    }

    /// These rules with EVMs from `factory`: with other precompiles.
    #[must_use]
    pub const fn with_factory(mut self, factory: DeferringEvmFactory) -> Self {
        self.factory = factory;
        self
    }

    /// The chain specification.
    pub const fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }
}

impl BlockVm for Ethereum {
    type Factory = DeferringEvmFactory;
    type Transaction = Transaction;
    type Receipt = Receipt;
    const NOTES_BALANCES: bool = true;

    fn factory(&self) -> &DeferringEvmFactory {
        &self.factory
    }

    fn env(&self, block: &RecoveredBlock) -> EvmEnv {
        env_of(&self.spec, block)
    }

    fn rules(&self, env: &EvmEnv) -> BlockRules {
        let timestamp = env.block_env.timestamp.saturating_to();
        let blobs = self.spec.blob_params_at(timestamp);
        BlockRules {
            blob_gas_limit: blobs.map_or(0, |blobs| blobs.max_blob_gas_per_block()),
            ..rules_of(env, self.spec.block_access_lists_at(timestamp))
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

    fn receipt(&self, tx: &Recovered<Transaction>, result: ExecutionResult<HaltReason>) -> Receipt {
        let receipt = ConsensusReceipt {
            status: result.is_success().into(),
            cumulative_gas_used: 0,
            logs: result.into_logs(),
        };
        let logs_bloom = bloom_of(&receipt.logs);
        envelope(tx.tx_type(), ReceiptWithBloom { receipt, logs_bloom })
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
        pre_block(&*self.spec, evm, block)
    }

    fn post_block<DB: BlockDb>(
        &self,
        evm: &mut DeferringEvm<DB>,
        block: &RecoveredBlock,
        receipts: &[Receipt],
    ) -> Result<Requests, BlockExecutionError> {
        let logs = receipts.iter().flat_map(|receipt| receipt.logs());
        post_block(&ExecutorSpec(Arc::clone(&self.spec)), evm, block, logs)
    }
}

/// What the commit needs to know of Ethereum's rules.
pub(crate) fn rules_of(env: &EvmEnv, access_lists: bool) -> BlockRules {
    BlockRules {
        beneficiary: env.block_env.beneficiary,
        gas_limit: env.block_env.gas_limit,
        transaction_gas_cap: env.cfg_env.tx_gas_limit_cap(),
        two_dimensional_gas: env.cfg_env.enable_amsterdam_eip8037,
        least_gas: if env.cfg_env.spec.is_enabled_in(SpecId::AMSTERDAM) {
            eip2780::TX_BASE_COST
        } else {
            LEAST_GAS
        },
        blob_gas_limit: u64::MAX,
        access_lists,
        deletes_old_accounts: !env.cfg_env.spec.is_enabled_in(SpecId::CANCUN),
        deletes_empty_accounts: env.cfg_env.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
    }
}

/// What a payment without data costs until Amsterdam (EIP-2780).
const LEAST_GAS: u64 = 21_000;

/// What comes before the first transaction of an Ethereum block.
pub(crate) fn pre_block<DB: BlockDb, T>(
    spec: &impl EthereumHardforks,
    evm: &mut DeferringEvm<DB>,
    block: &RecoveredBlock<T>,
) -> Result<(), BlockExecutionError> {
    if is_dao_block(spec, block.number()) {
        let db = evm.db_mut();
        let moved = dao_change(|address| db.basic(address)).map_err(BlockExecutionError::other)?;
        for (address, _, account) in moved {
            db.overwrite_account(address, account).map_err(BlockExecutionError::other)?;
        }
    }
    SystemCaller::new(spec).apply_pre_execution_changes(&block.header, evm)
}

/// What comes after the last transaction of an Ethereum block, whose transactions left `logs`.
pub(crate) fn post_block<'l, DB: BlockDb, T>(
    spec: &impl EthExecutorSpec,
    evm: &mut DeferringEvm<DB>,
    block: &RecoveredBlock<T>,
    logs: impl Iterator<Item = &'l Log>,
) -> Result<Requests, BlockExecutionError> {
    let mut requests = Requests::default();
    if spec.is_prague_active_at_timestamp(block.header.timestamp) {
        let contract =
            spec.deposit_contract_address().unwrap_or(eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS);
        let mut deposits = Vec::new();
        eip6110::accumulate_deposits_from_logs(contract, logs, &mut deposits)?;
        if !deposits.is_empty() {
            requests.push_request_with_type(eip6110::DEPOSIT_REQUEST_TYPE, deposits);
        }
        for contract in
            [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
        {
            let info = evm.db_mut().basic(contract).map_err(BlockExecutionError::other)?;
            if info.is_none_or(|info| info.is_empty_code_hash()) {
                return Err(BlockValidationError::other(SystemContractMissing(contract)).into());
            }
        }
        SystemCaller::new(spec).append_post_execution_changes(evm, &mut requests)?;
    }
    let increments = post_block_balance_increments(
        spec,
        evm.block(),
        &block.ommers,
        block.withdrawals.as_ref().map(|withdrawals| withdrawals.as_slice()),
    );
    evm.db_mut().increment_balances(increments).map_err(BlockExecutionError::other)?;
    Ok(requests)
}

/// Whether the DAO's balances move at the beginning of block `number`.
pub(crate) fn is_dao_block(spec: &impl EthereumHardforks, number: u64) -> bool {
    spec.ethereum_fork_activation(EthereumHardfork::Dao).transitions_at_block(number)
}

/// An account that is written past every rule, before and after.
pub(crate) type Overwritten = (Address, Option<Account>, Account);

/// EIP-779: the balances of the listed accounts move to the refund contract. Says what becomes of
/// each account that `read` tells of.
pub(crate) fn dao_change<E>(
    mut read: impl FnMut(Address) -> Result<Option<AccountInfo>, E>,
) -> Result<Vec<Overwritten>, E> {
    let mut changes = Vec::new();
    let mut moved = U256::ZERO;
    for address in DAO_HARDFORK_ACCOUNTS {
        let Some(info) = read(address)?.filter(|info| !info.balance.is_zero()) else { continue };
        let before = account_of(&info);
        moved += before.balance;
        changes.push((address, Some(before), Account { balance: U256::ZERO, ..before }));
    }
    let refund = read(DAO_HARDFORK_BENEFICIARY)?.as_ref().map(account_of);
    if !moved.is_zero() || refund.is_none() {
        let mut account = refund.unwrap_or_default();
        account.balance += moved;
        changes.push((DAO_HARDFORK_BENEFICIARY, refund, account));
    }
    Ok(changes)
}

/// The environment of a block. Constantinople without Petersburg has no name of its own in revm,
/// and alloy-evm takes it for Byzantium.
pub(super) fn env_of(spec: &ChainSpec, block: &RecoveredBlock) -> EvmEnv {
    env_of_header(spec, &block.header)
}

/// As [`env_of`], of a block of which only the header is known.
pub(crate) fn env_of_header(spec: &ChainSpec, header: &Header) -> EvmEnv {
    let blob_params = spec.blob_params_at(header.timestamp);
    let mut env = EvmEnv::for_eth_block(header, spec, spec.chain_id(), blob_params);
    if env.cfg_env.spec == SpecId::BYZANTIUM
        && spec.is_constantinople_active_at_block(header.number)
    {
        eip1283::configure(&mut env.cfg_env);
    }
    env
}

/// The receipt in the envelope of its transaction's type.
pub(super) fn envelope(tx_type: TxType, receipt: ReceiptWithBloom) -> Receipt {
    match tx_type {
        TxType::Legacy => Receipt::Legacy(receipt),
        TxType::Eip2930 => Receipt::Eip2930(receipt),
        TxType::Eip1559 => Receipt::Eip1559(receipt),
        TxType::Eip4844 => Receipt::Eip4844(receipt),
        TxType::Eip7702 => Receipt::Eip7702(receipt),
    }
}

/// A chain specification as alloy-evm's block executor wants it.
#[derive(Clone, Debug)]
pub struct ExecutorSpec(pub Arc<ChainSpec>);

impl EthereumHardforks for ExecutorSpec {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        self.0.ethereum_fork_activation(fork)
    }
}

impl EthExecutorSpec for ExecutorSpec {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.0.deposit_contract())
    }
}

/// A specification without the DAO fork: alloy-evm's block executor would apply that after the
/// transactions, and the rule is before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutDao<S>(pub(crate) S);

impl<S: EthereumHardforks> EthereumHardforks for WithoutDao<S> {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        if fork == EthereumHardfork::Dao {
            return ForkCondition::Never;
        }
        self.0.ethereum_fork_activation(fork)
    }
}

impl<S: EthExecutorSpec> EthExecutorSpec for WithoutDao<S> {
    fn deposit_contract_address(&self) -> Option<Address> {
        self.0.deposit_contract_address()
    }
}
