//! A plain executor for the tests: revm, one transaction after the other.

use std::collections::BTreeSet;

use alloy_consensus::{
    EthereumTxEnvelope, TxEip4844, TxType,
    transaction::{Recovered, SignerRecoverable as _},
};
use alloy_evm::{
    Evm, EvmEnv, EvmFactory as _,
    block::{BlockExecutionError, BlockExecutor as _},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutor, EthEvmFactory,
        receipt_builder::{AlloyReceiptBuilder, ReceiptBuilder, ReceiptBuilderCtx},
        spec::EthExecutorSpec,
    },
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use revm::{
    DatabaseCommit as _,
    context::result::ResultAndState,
    database::{BundleState, CacheDB, EmptyDB, State, states::bundle_state::BundleRetention},
    state::{AccountInfo, Bytecode, EvmState},
};
use warpline_chain::{ChainSpec, EthereumHardfork, EthereumHardforks, ForkCondition};
use warpline_primitives::{
    Account, AccountDiff, BlockOutput, MemoryState, Receipt, RecoveredBlock, StateDiff,
    StateSource as _, Transaction, WorkCounts,
};
use warpline_trie::StateTrie;
use warpline_workloads::BENEFICIARY;

/// A place in the state: an account's balance and nonce, or one of its slots.
pub(crate) type Place = (Address, Option<U256>);

/// What one transaction did.
pub(crate) struct Step {
    pub(crate) gas_used: u64,
    pub(crate) succeeded: bool,
    /// What the call returned.
    pub(crate) returned: Bytes,
    /// The places it changed, without the beneficiary.
    pub(crate) written: BTreeSet<Place>,
}

/// Executes a block.
pub(crate) fn execute(
    chain: &ChainSpec,
    block: &RecoveredBlock,
    state: &MemoryState,
) -> Result<(BlockOutput, Vec<Step>), BlockExecutionError> {
    let mut database = State::builder().with_database(database(state)).with_bundle_update().build();
    let env = environment(chain, block);
    let context = EthBlockExecutionCtx {
        parent_hash: block.header.parent_hash,
        parent_beacon_block_root: block.header.parent_beacon_block_root,
        ommers: &block.ommers,
        withdrawals: block.withdrawals.as_ref().map(|list| list.as_slice().into()),
        extra_data: block.header.extra_data.clone(),
        tx_count_hint: Some(block.transactions.len()),
        slot_number: None,
    };
    let evm = EthEvmFactory::default().create_evm(&mut database, env);
    let mut executor = EthBlockExecutor::new(evm, context, Spec(chain), Receipts);
    executor.apply_pre_execution_changes()?;
    let mut steps = Vec::new();
    for transaction in &block.transactions {
        executor.execute_transaction_with_result_closure(transaction, |result| {
            let result = &result.result;
            steps.push(Step {
                gas_used: result.result.tx_gas_used(),
                succeeded: result.result.is_success(),
                returned: result.result.output().cloned().unwrap_or_default(),
                written: written(&result.state),
            });
        })?;
    }
    let result = executor.apply_post_execution_changes()?;
    database.merge_transitions(BundleRetention::PlainState);
    let output = BlockOutput {
        receipts: result.receipts,
        state: diff(&database.take_bundle()),
        requests: result.requests,
        gas_used: result.gas_used,
        blob_gas_used: result.blob_gas_used,
        access_list: None,
        work: WorkCounts::default(),
    };
    Ok((output, steps))
}

/// Asks and calls contracts in a state, at a block's time.
pub(crate) struct Views {
    database: CacheDB<EmptyDB>,
    environment: EvmEnv,
}

impl Views {
    pub(crate) fn new(chain: &ChainSpec, block: &RecoveredBlock, state: &MemoryState) -> Self {
        Self { database: database(state), environment: environment(chain, block) }
    }

    /// What `contract` answers to `call`.
    ///
    /// # Panics
    /// When the call fails.
    pub(crate) fn ask<C: SolCall>(&mut self, contract: Address, call: &C) -> C::Return {
        let result = self.transact(BENEFICIARY, contract, call);
        assert!(result.result.is_success(), "{}: {:?}", C::SIGNATURE, result.result);
        let output = result.result.output().expect("it is a call");
        C::abi_decode_returns(output).expect("it is what the signature says")
    }

    /// Lets `caller` call `contract` and keeps what comes of it. Returns whether it succeeds.
    pub(crate) fn call<C: SolCall>(
        &mut self,
        caller: Address,
        contract: Address,
        call: &C,
    ) -> bool {
        let result = self.transact(caller, contract, call);
        self.database.commit(result.state);
        result.result.is_success()
    }

    fn transact<C: SolCall>(
        &mut self,
        caller: Address,
        contract: Address,
        call: &C,
    ) -> ResultAndState {
        let environment = self.environment.clone();
        let mut evm = EthEvmFactory::default().create_evm(&mut self.database, environment);
        let input = call.abi_encode().into();
        evm.transact_system_call(caller, contract, input).expect("the state is in memory")
    }
}

fn environment(chain: &ChainSpec, block: &RecoveredBlock) -> EvmEnv {
    let params = chain.blob_params_at(block.header.timestamp);
    EvmEnv::for_eth_block(&block.header, chain, chain.chain_id(), params)
}

/// The root of a complete state.
pub(crate) fn state_root(state: &MemoryState) -> B256 {
    let accounts = state.accounts().map(|(address, account, slots)| {
        let slots = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value));
        (*address, *account, slots)
    });
    StateTrie::from_accounts(accounts).root()
}

/// Whether the sender that comes along is the one the signature gives.
pub(crate) fn truly_signed(transaction: &Recovered<Transaction>) -> bool {
    transaction.inner().recover_signer().ok() == Some(transaction.signer())
}

fn database(state: &MemoryState) -> CacheDB<EmptyDB> {
    let mut database = CacheDB::new(EmptyDB::default());
    for (address, account, slots) in state.accounts() {
        let code = account.has_code().then(|| state.code(account.code_hash).expect("it is there"));
        let info = AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: Some(code.map(Bytecode::new_raw).unwrap_or_default()),
            ..AccountInfo::default()
        };
        database.insert_account_info(*address, info);
        for (slot, value) in slots.into_iter().flatten() {
            database.insert_account_storage(*address, *slot, *value).expect("infallible");
        }
    }
    database
}

fn written(state: &EvmState) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    for (address, account) in state.iter().filter(|(address, _)| **address != BENEFICIARY) {
        let original = account.original_info();
        if (original.balance, original.nonce) != (account.info.balance, account.info.nonce) {
            places.insert((*address, None));
        }
        let slots = account.changed_storage_slots().map(|(slot, _)| (*address, Some(*slot)));
        places.extend(slots);
    }
    places
}

#[expect(clippy::iter_over_hash_type, reason = "each entry is copied on its own")]
fn diff(bundle: &BundleState) -> StateDiff {
    let mut diff = StateDiff::default();
    for (address, change) in &bundle.state {
        assert!(!change.was_destroyed(), "no workload destroys {address}");
        let account = |info: &AccountInfo| Account {
            balance: info.balance,
            nonce: info.nonce,
            code_hash: info.code_hash,
        };
        let storage = change.storage.iter().filter(|(_, slot)| slot.is_changed());
        let storage = storage.map(|(slot, value)| (*slot, value.present_value)).collect();
        let after = change.info.as_ref().map(account);
        let listed = AccountDiff { account: after, storage_wiped: false, storage };
        if after != change.original_info.as_ref().map(account) || !listed.storage.is_empty() {
            diff.insert_account(*address, listed);
        }
    }
    for (hash, code) in &bundle.contracts {
        diff.insert_code(*hash, code.original_bytes());
    }
    diff
}

/// The chain's forks and deposit contract in the words of the executor.
#[derive(Clone, Debug)]
struct Spec<'a>(&'a ChainSpec);

impl EthereumHardforks for Spec<'_> {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        self.0.ethereum_fork_activation(fork)
    }
}

impl EthExecutorSpec for Spec<'_> {
    fn deposit_contract_address(&self) -> Option<Address> {
        Some(self.0.deposit_contract())
    }
}

/// Builds receipts for transactions without blob sidecars.
struct Receipts;

impl ReceiptBuilder for Receipts {
    type Transaction = EthereumTxEnvelope<TxEip4844>;
    type Receipt = Receipt;

    fn build_receipt<E: Evm>(&self, context: ReceiptBuilderCtx<'_, TxType, E>) -> Receipt {
        AlloyReceiptBuilder::default().build_receipt(context)
    }
}
