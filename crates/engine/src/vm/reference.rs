//! A plain loop over revm and alloy-evm, with nothing of the engine in it: the oracle of the tests
//! and the yardstick of the benchmarks.

use std::sync::Arc;

use alloy_consensus::{Receipt as ConsensusReceipt, TxType};
use alloy_eip7928::BlockAccessList;
use alloy_eips::{
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_evm::{
    Evm, EvmFactory,
    block::{BlockExecutionError, BlockExecutionResult, BlockExecutor},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutor, EthEvmFactory,
        dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY},
        receipt_builder::{ReceiptBuilder, ReceiptBuilderCtx},
    },
};
use alloy_primitives::{Address, B256, U256, map::AddressMap};
use parking_lot::Mutex;
use revm::{
    Database, DatabaseRef,
    bytecode::Bytecode,
    context::DBErrorMarker,
    database::{BundleState, State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    primitives::KECCAK_EMPTY,
    state::AccountInfo,
};
use warpline_chain::{ChainSpec, EthereumHardforks};
use warpline_primitives::{
    Account, AccountDiff, BlockOutput, Receipt, RecoveredBlock, Slots, StateDiff, StateSource,
    Transaction, WorkCounts,
};

use super::{
    CodeCache, SystemContractMissing, account_of,
    ethereum::{ExecutorSpec, WithoutDao, env_of},
    info_of,
};
use crate::{ExecutionError, InvalidBlock};

/// Executes `block` with alloy-evm's block executor over revm's state.
pub(crate) fn execute<S: StateSource>(
    spec: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    source: &S,
    codes: &CodeCache,
) -> Result<BlockOutput, ExecutionError<S::Error>> {
    let irregular = irregular_change(spec, block, source).map_err(ExecutionError::StateRead)?;
    let source = Source { source, codes, irregular, failure: Mutex::new(None) };
    let result = run(spec, block, &source);
    if let Some(error) = source.failure.into_inner() {
        return Err(ExecutionError::StateRead(error));
    }
    let Ran { result, bundle, access_list } = result.map_err(InvalidBlock::System)?;
    let BlockExecutionResult { receipts, requests, gas_used, blob_gas_used } = result;
    let executions = receipts.len() as u64;
    Ok(BlockOutput {
        receipts,
        state: diff_of(bundle, source.irregular),
        requests,
        gas_used,
        blob_gas_used,
        access_list,
        work: WorkCounts {
            executions,
            most_executions: executions.min(1),
            width: 1,
            ..WorkCounts::default()
        },
    })
}

/// What alloy-evm's executor leaves behind.
struct Ran {
    result: BlockExecutionResult<Receipt>,
    bundle: BundleState,
    access_list: Option<BlockAccessList>,
}

fn run<S: StateSource>(
    spec: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    source: &Source<'_, S>,
) -> Result<Ran, BlockExecutionError> {
    let header = &block.header;
    let env = env_of(spec, block);
    let builder = State::builder().with_database(WrapDatabaseRef(source)).with_bundle_update();
    let has_list = spec.block_access_lists_at(header.timestamp);
    let db = if has_list { builder.with_bal_builder().build() } else { builder.build() };
    let evm = EthEvmFactory::default().create_evm(db, env);
    let ctx = EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &block.ommers,
        withdrawals: block.withdrawals.as_ref().map(|list| list.as_slice().into()),
        extra_data: header.extra_data.clone(),
        tx_count_hint: Some(block.transactions.len()),
        slot_number: header.slot_number,
    };
    let mut executor =
        EthBlockExecutor::new(evm, ctx, WithoutDao(ExecutorSpec(Arc::clone(spec))), Receipts);
    executor.apply_pre_execution_changes()?;
    for tx in &block.transactions {
        executor.evm_mut().db_mut().bump_bal_index();
        executor.execute_transaction(tx)?;
    }
    if spec.is_prague_active_at_timestamp(header.timestamp) {
        // alloy-evm calls these contracts whether they exist or not.
        for contract in
            [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
        {
            let info = executor.evm_mut().db_mut().basic(contract);
            if info.map_err(BlockExecutionError::other)?.is_none_or(|it| it.is_empty_code_hash()) {
                return Err(BlockExecutionError::other(SystemContractMissing(contract)));
            }
        }
    }
    executor.evm_mut().db_mut().bump_bal_index();
    let (evm, result) = executor.finish()?;
    let mut db = evm.into_db();
    db.merge_transitions(BundleRetention::PlainState);
    let access_list = db.take_built_alloy_bal();
    Ok(Ran { result, bundle: db.take_bundle(), access_list })
}

/// Makes the receipts of [`Ethereum`](super::Ethereum) for alloy-evm's block executors, and for
/// [`ParallelBlockExecutorFactory`](crate::ParallelBlockExecutorFactory).
#[derive(Clone, Copy, Debug, Default)]
pub struct Receipts;

impl ReceiptBuilder for Receipts {
    type Transaction = Transaction;
    type Receipt = Receipt;

    fn build_receipt<E: Evm>(&self, ctx: ReceiptBuilderCtx<'_, TxType, E>) -> Receipt {
        let receipt = ConsensusReceipt {
            status: ctx.result.is_success().into(),
            cumulative_gas_used: ctx.cumulative_gas_used,
            logs: ctx.result.into_logs(),
        };
        super::ethereum::envelope(ctx.tx_type, receipt.with_bloom())
    }
}

/// The parent state as revm wants it, the DAO fork's change already made where it applies.
struct Source<'s, S: StateSource> {
    source: &'s S,
    codes: &'s CodeCache,
    irregular: AddressMap<(Option<Account>, Account)>,
    failure: Mutex<Option<S::Error>>,
}

/// A read failed; [`Source::failure`] holds why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read failed")]
struct ReadFailed;

impl DBErrorMarker for ReadFailed {}

impl<S: StateSource> Source<'_, S> {
    fn note(&self, error: S::Error) -> ReadFailed {
        *self.failure.lock() = Some(error);
        ReadFailed
    }
}

impl<S: StateSource> DatabaseRef for Source<'_, S> {
    type Error = ReadFailed;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ReadFailed> {
        let account = match self.irregular.get(&address) {
            Some((_, after)) => Some(*after),
            None => self.source.account(address).map_err(|error| self.note(error))?,
        };
        Ok(account.map(|account| info_of(account, None)))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ReadFailed> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        self.codes.get(hash, self.source).map_err(|error| self.note(error))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ReadFailed> {
        self.source.storage(address, slot).map_err(|error| self.note(error))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ReadFailed> {
        self.source.block_hash(number).map_err(|error| self.note(error))
    }
}

/// What EIP-779 makes of the accounts it names, in its block: before and after.
fn irregular_change<S: StateSource>(
    spec: &ChainSpec,
    block: &RecoveredBlock,
    source: &S,
) -> Result<AddressMap<(Option<Account>, Account)>, S::Error> {
    let mut changes = AddressMap::default();
    if !spec.is_dao_block(block.number()) {
        return Ok(changes);
    }
    let mut moved = U256::ZERO;
    for address in DAO_HARDFORK_ACCOUNTS {
        if let Some(before) = source.account(address)? {
            moved += before.balance;
            changes.insert(address, (Some(before), Account { balance: U256::ZERO, ..before }));
        }
    }
    let before = source.account(DAO_HARDFORK_BENEFICIARY)?;
    let mut after = before.unwrap_or_default();
    after.balance += moved;
    changes.insert(DAO_HARDFORK_BENEFICIARY, (before, after));
    Ok(changes)
}

/// The bundle in canonical form.
#[expect(clippy::iter_over_hash_type, reason = "each account is recorded on its own")]
fn diff_of(
    bundle: BundleState,
    mut irregular: AddressMap<(Option<Account>, Account)>,
) -> StateDiff {
    let mut diff = StateDiff::with_capacity(bundle.state.len());
    for (address, account) in bundle.state {
        let before = match irregular.remove(&address) {
            Some((before, _)) => before,
            None => account.original_info.as_ref().map(account_of),
        };
        let now = account.info.as_ref().map(account_of);
        let storage_wiped = account.was_destroyed() && before.is_some();
        let value_before = |before: U256| if storage_wiped { U256::ZERO } else { before };
        let storage = account.storage.iter().filter_map(|(slot, value)| {
            let before = value_before(value.previous_or_original_value);
            (value.present_value != before).then_some((*slot, value.present_value))
        });
        let storage = if now.is_some() { storage.collect() } else { Slots::default() };
        let entry = AccountDiff { account: now, storage_wiped, storage };
        if before == now && !storage_wiped && entry.storage.is_empty() {
            continue;
        }
        if let Some(info) = &account.info
            && before.is_none_or(|before| before.code_hash != info.code_hash)
            && let Some(code) = info.code.as_ref().or_else(|| bundle.contracts.get(&info.code_hash))
            && !code.is_empty()
        {
            diff.insert_code(info.code_hash, code.original_bytes());
        }
        diff.insert_account(address, entry);
    }
    for (address, (before, after)) in irregular {
        if before != Some(after) {
            diff.account_mut(address).account = Some(after);
        }
    }
    diff
}

impl<S: StateSource> std::fmt::Debug for Source<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}
