//! The engine behind the types of revm and alloy-evm, against these themselves.

use std::{fmt, sync::Arc};

use alloy_evm::{
    EvmFactory,
    block::{BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory},
    eth::{EthBlockExecutionCtx, EthBlockExecutor, EthEvmFactory},
};
use alloy_primitives::map::AddressSet;
use revm::database::{
    AccountStatus, BundleState, State, WrapDatabaseRef,
    states::{bundle_state::BundleRetention, reverts::AccountInfoRevert},
};
use warpline_engine::{
    BlockVm, Engine, ExecutorSpec, ParallelBlockCtx, ParallelBlockExecutorFactory, Receipts,
    SourceDb, Strategy, erased,
};
use warpline_primitives::{BlockOutput, MemoryState, Receipt, RecoveredBlock};

/// A revm state over a state in memory.
pub type RevmState<'s> = State<WrapDatabaseRef<SourceDb<&'s MemoryState>>>;

/// A factory of our executors that makes our receipts.
pub type OurFactory = ParallelBlockExecutorFactory<Receipts, ExecutorSpec>;

/// What an executor returned, and what its database then held.
pub type Ran = Result<(BlockExecutionResult<Receipt>, BundleState), BlockExecutionError>;

/// A revm state over `state` that records changes.
pub fn revm_state(state: &MemoryState) -> RevmState<'_> {
    State::builder().with_database_ref(SourceDb(state)).with_bundle_update().build()
}

/// What alloy-evm's executors are told of `block`.
pub fn execution_ctx(block: &RecoveredBlock) -> EthBlockExecutionCtx<'_> {
    let header = &block.header;
    EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &block.ommers,
        withdrawals: block.withdrawals.as_ref().map(|list| list.as_slice().into()),
        extra_data: header.extra_data.clone(),
        tx_count_hint: Some(block.transactions.len()),
        slot_number: header.slot_number,
    }
}

/// Executes `block` with alloy-evm's executor on revm's EVM.
///
/// # Errors
/// What the executor says.
pub fn execute_with_alloy(
    engine: &Engine,
    block: &RecoveredBlock,
    db: &mut RevmState<'_>,
) -> Result<BlockExecutionResult<Receipt>, BlockExecutionError> {
    let evm = EthEvmFactory::default().create_evm(db, engine.vm().env(block));
    let spec = ExecutorSpec(Arc::clone(engine.vm().spec()));
    let executor = EthBlockExecutor::new(evm, execution_ctx(block), spec, Receipts);
    executor.execute_block(&block.transactions)
}

/// Our executors on the workers of `engine`.
pub fn our_factory(engine: &Engine, strategy: Strategy) -> OurFactory {
    let spec = ExecutorSpec(Arc::clone(engine.vm().spec()));
    ParallelBlockExecutorFactory::new(engine, Receipts, spec).with_strategy(strategy)
}

/// Takes the changes of the last block out of `db`.
pub fn take_bundle(db: &mut RevmState<'_>) -> BundleState {
    db.merge_transitions(BundleRetention::Reverts);
    db.take_bundle()
}

/// A block to be executed by executors of alloy-evm's kind.
pub(crate) struct IntegrationCheck<'c> {
    pub(crate) engine: &'c Engine,
    pub(crate) width: usize,
    pub(crate) block: &'c RecoveredBlock,
    pub(crate) state: &'c MemoryState,
}

impl IntegrationCheck<'_> {
    /// What the engine's `output` is as a bundle, and what our executors give, is what alloy-evm's
    /// executor gives; or our own executor one by one, where that one does not know the rules.
    pub(crate) fn run(&self, output: Result<&BlockOutput, &str>, oracle: bool) {
        let number = self.block.number();
        let is_dao = self.engine.vm().spec().is_dao_block(number);
        let given = self.given_parent();
        if let Ok(output) = output {
            self.assert_bundle(output, &given, oracle);
        }
        if !oracle {
            return;
        }
        let expected = if is_dao { self.one_by_one() } else { self.alloy() };
        let lacks_contract = output.is_err_and(|error| error.contains("has no code"));
        for (way, found) in [
            ("reading a given parent", given),
            ("reading its state", self.state_parent()),
            ("one by one", self.one_by_one()),
        ] {
            match (&expected, &found) {
                // alloy-evm calls contracts that are not there.
                (Ok(_), Err(error)) if lacks_contract => assert_validation(error),
                (Ok((_, _)), Ok((_, _))) if lacks_contract => assert_eq!(way, "one by one"),
                (Ok((expected, bundle)), Ok((found, found_bundle))) => {
                    assert_eq!(expected, found, "{way}: another result");
                    assert_same_bundle(bundle, found_bundle, &way);
                }
                (Err(expected), Err(found)) => {
                    assert_validation(expected);
                    assert_validation(found);
                    assert_eq!(expected.to_string(), found.to_string(), "{way}");
                }
                _ => panic!("{way}: expected {expected:?}, found {found:?}"),
            }
        }
    }

    /// `bundle_state` says what the executor's database says.
    fn assert_bundle(&self, output: &BlockOutput, given: &Ran, oracle: bool) {
        let bundle = |retention| {
            let bundle = self.engine.bundle_state(&output.state, self.state, retention);
            bundle.expect("memory answers every question")
        };
        let found = bundle(BundleRetention::Reverts);
        let (_, expected) = given.as_ref().expect("the block is valid");
        assert_same_bundle(expected, &found, &"the bundle of an output");
        if oracle && let Ok((_, expected)) = self.alloy() {
            let is_dao = self.engine.vm().spec().is_dao_block(self.block.number());
            if !is_dao {
                assert_same_bundle(&expected, &found, &"the bundle of an output");
            }
        }
        let mut without_reverts = found;
        without_reverts.take_all_reverts();
        without_reverts.reverts.push(Vec::new());
        without_reverts.reverts_size = 0;
        assert_eq!(bundle(BundleRetention::PlainState), without_reverts, "without reverts");
    }

    fn alloy(&self) -> Ran {
        let mut db = revm_state(self.state);
        let result = execute_with_alloy(self.engine, self.block, &mut db)?;
        Ok((result, take_bundle(&mut db)))
    }

    fn state_parent(&self) -> Ran {
        let mut db = revm_state(self.state);
        let factory = our_factory(self.engine, Strategy::Parallel(self.width));
        let evm = factory.evm_factory().create_evm(&mut db, self.engine.vm().env(self.block));
        let executor = factory.create_state_executor(evm, execution_ctx(self.block));
        let result = executor.execute_block(&self.block.transactions);
        self.taken(result, db)
    }

    fn given_parent(&self) -> Ran {
        let mut db = revm_state(self.state);
        let parent = erased(self.state);
        let factory = our_factory(self.engine, Strategy::Parallel(self.width));
        let evm = factory.evm_factory().create_evm(&mut db, self.engine.vm().env(self.block));
        let eth = execution_ctx(self.block);
        let executor =
            factory.create_executor(evm, ParallelBlockCtx { eth, parent: Some(&parent) });
        let result = executor.execute_block(&self.block.transactions);
        self.taken(result, db)
    }

    fn one_by_one(&self) -> Ran {
        let mut db = revm_state(self.state);
        let factory = our_factory(self.engine, Strategy::Parallel(self.width));
        let evm = factory.evm_factory().create_evm(&mut db, self.engine.vm().env(self.block));
        let executor = factory.create_executor(evm, execution_ctx(self.block).into());
        let result = executor.execute_block(&self.block.transactions)?;
        Ok((result, take_bundle(&mut db)))
    }

    /// What the parallel executor left; nothing where it failed.
    fn taken(
        &self,
        result: Result<BlockExecutionResult<Receipt>, BlockExecutionError>,
        mut db: RevmState<'_>,
    ) -> Ran {
        let bundle = take_bundle(&mut db);
        assert!(result.is_ok() || bundle.is_empty(), "a failed block left changes");
        Ok((result?, bundle))
    }
}

fn assert_validation(error: &BlockExecutionError) {
    assert!(error.as_validation().is_some(), "an invalid block is reported as {error:?}");
}

/// Two bundles of one block say the same.
///
/// # Panics
/// When they do not.
pub fn assert_same_bundle(expected: &BundleState, found: &BundleState, way: &dyn fmt::Display) {
    let (expected, found) = (normalised(expected), normalised(found));
    let mut accounts: Vec<_> = expected.state.iter().collect();
    accounts.sort_unstable_by_key(|(address, _)| **address);
    for (address, account) in accounts {
        assert_eq!(Some(account), found.state.get(address), "{way}: {address} differs");
    }
    assert_eq!(expected.state.len(), found.state.len(), "{way}: more accounts");
    assert_eq!(expected.contracts, found.contracts, "{way}: other contracts");
    for (expected, found) in expected.reverts.iter().zip(found.reverts.iter()) {
        for (expected, found) in expected.iter().zip(found) {
            assert_eq!(expected, found, "{way}: other reverts");
        }
        assert_eq!(expected.len(), found.len(), "{way}: more reverts");
    }
    assert_eq!(expected, found, "{way}: another bundle");
}

/// `bundle` without what is representation only: how an account came to be what it is within the
/// block (see `Engine::bundle_state`), accounts and slots that are as before, whether an account that
/// was changed first had been touched, and the empty code.
#[expect(clippy::iter_over_hash_type, reason = "each account is normalised on its own")]
fn normalised(bundle: &BundleState) -> BundleState {
    let mut bundle = bundle.clone();
    for account in bundle.state.values_mut() {
        account.status = match account.status {
            AccountStatus::DestroyedAgain => AccountStatus::Destroyed,
            AccountStatus::DestroyedChanged if account.original_info.is_none() => {
                AccountStatus::InMemoryChange
            }
            status => status,
        };
        account.storage.retain(|_, slot| slot.is_changed());
    }
    bundle.state.retain(|_, account| {
        account.original_info.is_some() && account.was_destroyed()
            || account.info != account.original_info
            || !account.storage.is_empty()
    });
    bundle.contracts.retain(|_, code| !code.is_empty());
    let mut changed = AddressSet::default();
    for block in bundle.reverts.iter_mut() {
        block.retain(|(address, revert)| {
            let was_there = revert.account != AccountInfoRevert::DeleteIt;
            was_there || bundle.state.contains_key(address)
        });
        for (address, revert) in block {
            // An earlier block touched it, and changed nothing.
            let was = revert.previous_status;
            let is_changed = matches!(was, AccountStatus::Changed | AccountStatus::InMemoryChange);
            if changed.insert(*address) && is_changed {
                revert.previous_status = AccountStatus::Loaded;
            }
        }
    }
    bundle.reverts.sort();
    bundle.state_size = bundle.state.values().map(|account| account.size_hint()).sum();
    let reverts = bundle.reverts.iter().flatten();
    bundle.reverts_size = reverts.map(|(_, revert)| revert.size_hint()).sum();
    bundle
}
