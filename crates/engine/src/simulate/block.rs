//! One simulated block after the other.

use std::{cmp::Ordering, error::Error};

use alloy_consensus::{
    Header,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_evm::{Evm, EvmEnv, EvmFactory, block::BlockExecutionError};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, Bloom, U256};
use alloy_rpc_types_eth::{TransactionRequest, simulate::SimulatePayload};
use revm::context::{Cfg, TxEnv, result::EVMError};
use warpline_primitives::{Account, Receipt, RecoveredBlock, StateDiff};

use super::{
    SimulateError, SimulateRefusal, SimulatedBlock, SimulatedCall, headers::Plan,
    transaction::unsigned, transfers::Transfers,
};
use crate::{
    BlockVm, CallDb, CallError, CallRefusal, CallRule, Engine, EngineBug, Ethereum, ExecutionError,
    InvalidBlock, ReadFailed, SourceError,
    call::{overrides, request},
    vm::{CallEvm, EvmOf, env_of_header},
};

type Fallible<T> = Result<T, SimulateError<SourceError>>;

/// What is carried from one block to the next.
pub(super) struct Simulation<'d> {
    engine: &'d Engine<Ethereum>,
    /// Taken while a virtual machine has it.
    db: Option<CallDb<'d>>,
    validates: bool,
    traces_transfers: bool,
    /// What the calls may still use.
    gas: u64,
}

/// What the calls of a block come to, one after the other.
#[derive(Default)]
struct Outcomes {
    gas_used: u64,
    blob_gas_used: u64,
    calls: Vec<SimulatedCall>,
    receipts: Vec<Receipt>,
}

impl<'d> Simulation<'d> {
    pub(super) const fn new(
        engine: &'d Engine<Ethereum>,
        db: CallDb<'d>,
        payload: &SimulatePayload,
        gas: u64,
    ) -> Self {
        let SimulatePayload { validation: validates, trace_transfers: traces_transfers, .. } =
            *payload;
        Self { engine, db: Some(db), validates, traces_transfers, gas }
    }

    /// Simulates a block after `parent`.
    pub(super) fn run(
        &mut self,
        parent: &Header,
        plan: Plan<'_>,
        root: &mut impl FnMut(&StateDiff) -> Result<B256, Box<dyn Error + Send + Sync>>,
    ) -> Fallible<SimulatedBlock> {
        let header = self.begin(parent, plan.header);
        let env = self.env(&header, &plan.overrides);
        let vm = self.engine.vm();
        let mut precompiles = vm.factory().movable_precompiles(env.cfg_env.spec);
        let mut db = self.take_db()?;
        if let Some(state) = plan.state {
            overrides::apply(state, db.overlay(), &mut precompiles)?;
        }
        let mut block = RecoveredBlock {
            header,
            hash: B256::ZERO,
            transactions: Vec::with_capacity(plan.calls.len()),
            ommers: Vec::new(),
            withdrawals: plan.withdrawals,
        };
        let ((), db) = around(vm, db, &env, |evm| vm.pre_block(evm, &block))?;
        let transfers = Transfers::new(self.traces_transfers);
        let mut evm = CallEvm::new(db, env.clone(), transfers, precompiles);
        let mut outcomes = Outcomes::default();
        for call in plan.calls {
            self.call(&mut evm, &env, call, &mut block, &mut outcomes)?;
        }
        let (db, _) = evm.into_parts();
        let receipts = &outcomes.receipts;
        let (requests, mut db) = around(vm, db, &env, |evm| vm.post_block(evm, &block, receipts))?;
        let header = &mut block.header;
        header.state_root = root(&db.overlay().diff()).map_err(SimulateError::Root)?;
        header.gas_used = outcomes.gas_used;
        header.transactions_root = calculate_transaction_root(&block.transactions);
        header.receipts_root = calculate_receipt_root(receipts);
        header.logs_bloom =
            receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
        header.blob_gas_used = header.excess_blob_gas.map(|_| outcomes.blob_gas_used);
        header.requests_hash = vm
            .spec()
            .is_prague_active_at_timestamp(header.timestamp)
            .then(|| requests.requests_hash());
        block.hash = block.header.hash_slow();
        db.override_hashes([(block.header.number, block.hash)]);
        self.db = Some(db);
        let Outcomes { calls, receipts, .. } = outcomes;
        Ok(SimulatedBlock { block, calls, receipts })
    }

    /// The header with what follows from the parent.
    fn begin(&self, parent: &Header, mut header: Header) -> Header {
        let spec = self.engine.vm().spec();
        header.parent_hash = parent.hash_slow();
        if spec.is_london_active_at_block(header.number) && header.base_fee_per_gas.is_none() {
            // Who is not asked to pay a base fee had better find none.
            let base_fee = if self.validates { spec.next_base_fee(parent) } else { None };
            header.base_fee_per_gas = Some(base_fee.unwrap_or_default());
        }
        header.excess_blob_gas = spec.next_excess_blob_gas(parent, header.timestamp);
        header
    }

    fn env(&self, header: &Header, overrides: &alloy_rpc_types_eth::BlockOverrides) -> EvmEnv {
        let mut env = env_of_header(self.engine.vm().spec(), header);
        overrides::set_blob_fee(&mut env, overrides);
        overrides::ask_less(&mut env);
        env.cfg_env.disable_nonce_check = !self.validates;
        env
    }

    fn take_db(&mut self) -> Fallible<CallDb<'d>> {
        // After an error there is no next block.
        let gone = || ExecutionError::EngineBug(EngineBug::ResultMissing { index: 0 });
        Ok(self.db.take().ok_or_else(gone)?)
    }

    /// Executes a call and commits it.
    fn call(
        &mut self,
        evm: &mut CallEvm<'d, Transfers>,
        env: &EvmEnv,
        request: &TransactionRequest,
        block: &mut RecoveredBlock,
        outcomes: &mut Outcomes,
    ) -> Fallible<()> {
        let sender = request.from.unwrap_or_default();
        let account = evm.parts().0.overlay().account_now(sender);
        let state_nonce = account.map_err(ExecutionError::StateRead)?.unwrap_or_default().nonce;
        let mut tx = self.transaction(request, env, outcomes.gas_used)?;
        tx.nonce = request.nonce.unwrap_or(state_nonce);
        if self.validates {
            check_nonce(&tx, state_nonce)?;
        }
        let transaction = unsigned(&tx);
        // Only who offers nothing at all need not pay the base fee.
        let offers = tx.gas_price != 0 || tx.gas_priority_fee.is_some_and(|tip| tip != 0);
        evm.skip_base_fee_check(!self.validates && !offers);
        if !self.validates {
            // Any nonce will do, the last one too.
            tx.nonce = 0;
            offer_blob_fee(&mut tx, env, evm.parts().0)?;
        }
        let result = match evm.inspect(tx.clone()) {
            Ok(result) => result,
            Err(error) => return Err(why(evm.parts().0, error, &tx, env, outcomes.calls.len())),
        };
        let (db, transfers) = evm.parts();
        db.overlay().commit_transaction(&result.state, None, false)?;
        if !self.validates && state_nonce == u64::MAX {
            // Geth counts on from nothing.
            let wrap = |account: &mut Account| account.nonce = 0;
            db.overlay().edit_account(sender, wrap).map_err(ExecutionError::StateRead)?;
        }
        let logs = transfers.take();
        let logs = if result.result.is_success() { logs } else { Vec::new() };
        let gas_used = result.result.gas().tx_gas_used();
        self.gas = self.gas.saturating_sub(gas_used);
        outcomes.gas_used += gas_used;
        outcomes.blob_gas_used += tx.blob_hashes.len() as u64 * DATA_GAS_PER_BLOB;
        let vm = self.engine.vm();
        let mut receipt = vm.receipt(&transaction, result.result.clone());
        Ethereum::set_cumulative_gas(&mut receipt, outcomes.gas_used);
        outcomes.receipts.push(receipt);
        outcomes.calls.push(SimulatedCall { called: result.result.into(), logs });
        block.transactions.push(transaction);
        Ok(())
    }

    /// The call as a transaction, with the gas that block and simulation have left for it.
    fn transaction(
        &self,
        request: &TransactionRequest,
        env: &EvmEnv,
        gas_used: u64,
    ) -> Fallible<TxEnv> {
        let limit = env.block_env.gas_limit;
        let gas = request.gas.unwrap_or_else(|| limit.saturating_sub(gas_used));
        let used = gas_used.saturating_add(gas);
        if used > limit {
            return Err(SimulateRefusal::BlockGas { used, limit }.into());
        }
        if self.gas == 0 {
            return Err(SimulateRefusal::GasCap.into());
        }
        let request = TransactionRequest { gas: Some(gas), ..request.clone() };
        Ok(request::transaction(&request, env, self.gas)?)
    }
}

/// Lets a transaction that offers nothing for its blobs offer what they cost. It is charged as Geth
/// charges it, and where the sender has it not besides what else it may have to pay, it is given it: that
/// is no reason to refuse the call.
fn offer_blob_fee(tx: &mut TxEnv, env: &EvmEnv, db: &mut CallDb<'_>) -> Fallible<()> {
    let Some(blobs) = &env.block_env.blob_excess_gas_and_price else { return Ok(()) };
    if tx.blob_hashes.is_empty() || tx.max_fee_per_blob_gas != 0 {
        return Ok(());
    }
    tx.max_fee_per_blob_gas = blobs.blob_gasprice;
    let blob_gas = U256::from(DATA_GAS_PER_BLOB) * U256::from(tx.blob_hashes.len());
    let fee = blob_gas.saturating_mul(U256::from(blobs.blob_gasprice));
    let gas = U256::from(tx.gas_limit).saturating_mul(U256::from(tx.gas_price));
    let most = gas.saturating_add(tx.value).saturating_add(fee);
    let sender = db.overlay().account_now(tx.caller).map_err(ExecutionError::StateRead)?;
    if sender.unwrap_or_default().balance < most {
        let give = |account: &mut Account| account.balance = account.balance.saturating_add(fee);
        db.overlay().edit_account(tx.caller, give).map_err(ExecutionError::StateRead)?;
    }
    Ok(())
}

/// Checks the nonce of a transaction whose sender has `state`: before anything else, as Geth does.
fn check_nonce(tx: &TxEnv, state: u64) -> Result<(), CallRefusal> {
    let (address, nonce) = (tx.caller, tx.nonce);
    let rule = match nonce.cmp(&state) {
        Ordering::Less => CallRule::NonceTooLow { address, tx: nonce, state },
        Ordering::Greater => CallRule::NonceTooHigh { address, tx: nonce, state },
        Ordering::Equal if nonce == u64::MAX => CallRule::NonceMax { address, nonce },
        Ordering::Equal => return Ok(()),
    };
    Err(CallRefusal::Rule { rule, gas_limit: tx.gas_limit })
}

/// Runs a step around the calls of a block.
fn around<'d, T>(
    vm: &Ethereum,
    db: CallDb<'d>,
    env: &EvmEnv,
    step: impl FnOnce(&mut EvmOf<Ethereum, CallDb<'d>>) -> Result<T, BlockExecutionError>,
) -> Fallible<(T, CallDb<'d>)> {
    let mut evm = vm.factory().create_evm(db, env.clone());
    match step(&mut evm) {
        Ok(result) => Ok((result, evm.into_db())),
        Err(error) => Err(match evm.db_mut().take_unfinished() {
            Some(unfinished) => CallError::from(unfinished).into(),
            None => ExecutionError::InvalidBlock(InvalidBlock::System(error)).into(),
        }),
    }
}

/// Why a call was not executed.
fn why(
    db: &mut CallDb<'_>,
    error: EVMError<ReadFailed>,
    tx: &TxEnv,
    env: &EvmEnv,
    index: usize,
) -> SimulateError<SourceError> {
    if let Some(unfinished) = db.take_unfinished() {
        return CallError::from(unfinished).into();
    }
    let max_initcode = env.cfg_env.max_initcode_size();
    let rule = match error {
        EVMError::Transaction(error) => CallRule::of(error, tx, &env.block_env, max_initcode),
        EVMError::Header(error) => CallRule::Header(error),
        other => {
            let bug = EngineBug::Vm { index, error: Box::new(other) };
            return ExecutionError::EngineBug(bug).into();
        }
    };
    CallRefusal::Rule { rule, gas_limit: tx.gas_limit }.into()
}
