//! The engine behind the types of revm and alloy-evm: what is beyond single blocks that succeed.
//! (Those are compared wherever the testkit executes a block.)

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_consensus::transaction::Recovered;
use alloy_evm::{
    EvmFactory, FromRecoveredTx,
    block::{BlockExecutionError, BlockExecutor, BlockExecutorFactory},
    eth::{EthBlockExecutor, EthEvmFactory},
};
use alloy_primitives::{Address, U256};
use revm::{
    Inspector,
    context::TxEnv,
    database::{State, states::bundle_state::BundleRetention},
    interpreter::{CallInputs, CallOutcome},
    state::EvmState,
};
use warpline_engine::{
    BlockVm, Engine, EngineConfig, Ethereum, ExecutionError, ExecutorSpec, ParallelBlockCtx,
    Receipts, SourceDb, SourceError, Strategy, erased,
};
use warpline_primitives::{MemoryState, MissingState, RecoveredBlock, StateSource, Transaction};
use warpline_testkit::{
    Asm, Case, FailingSource, Fork, Key, PanickingSource, ReadFailed, RevmState, Tx, account,
    assert_same_bundle, create2_address, deployer, execute_with_alloy, execution_ctx, op,
    our_factory, revm_state, take_bundle, within,
};
use warpline_workloads::{Size, Workload, generate};

const LIMIT: Duration = Duration::from_secs(60);
const PARALLEL: Strategy = Strategy::Parallel(2);

const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const COUNTER: Address = account(0xcc);
const NEST: Address = account(0x2e);

fn engine(case: &Case) -> Engine {
    let vm = Ethereum::new(case.chain().clone());
    Engine::new(vm, EngineConfig::with_threads(2)).expect("threads can be started")
}

fn increment() -> Asm {
    Asm::new().push(1).add_to_slot(0)
}

/// Executes with the executor that reads its state.
fn execute(
    engine: &Engine,
    block: &RecoveredBlock,
    db: &mut RevmState<'_>,
) -> Result<(), BlockExecutionError> {
    let factory = our_factory(engine, PARALLEL);
    let evm = factory.evm_factory().create_evm(db, engine.vm().env(block));
    let executor = factory.create_state_executor(evm, execution_ctx(block));
    executor.execute_block(&block.transactions).map(drop)
}

/// Counts what it is called with, and dies when called with nothing.
fn mortal() -> Asm {
    Asm::new().arg(0).op(op::ISZERO).if_top(|asm| asm.self_destruct(BOB)).arg(0).add_to_slot(3)
}

/// Blocks on one state: contracts that are created, delegated to, destroyed and revived in one
/// block, and used in the next.
fn blocks(fork: Fork) -> (Case, Vec<RecoveredBlock>) {
    let key = Key::new(1);
    let init = deployer(mortal());
    let mortal_address = create2_address(NEST, 0, &init);
    let base = || {
        Case::new(fork)
            .fund_all([ALICE, BOB, key.address])
            .contract(COUNTER, increment())
            .slot(COUNTER, 0, 7)
            .contract(NEST, Asm::new().create2(&init, 0, 0))
            .contract(mortal_address, mortal())
            .slot(mortal_address, 3, 5)
            .slot(mortal_address, 4, 6)
    };
    let delegate = |tx: Tx, target, nonce| match fork {
        Fork::Prague => tx.authorize(key.authorize(target, nonce)),
        _ => tx,
    };
    let txs = [
        vec![
            Tx::create(ALICE, deployer(increment())).nonce(0),
            delegate(Tx::call(BOB, key.address).nonce(0), COUNTER, 0),
            Tx::call(ALICE, mortal_address).nonce(1),
        ],
        vec![
            Tx::call(ALICE, ALICE.create(0)).nonce(2),
            Tx::call(BOB, key.address).nonce(1),
            Tx::call(ALICE, NEST).nonce(3),
            Tx::call(ALICE, mortal_address).args(&[1]).nonce(4),
        ],
        vec![
            Tx::pay(BOB, key.address, 1).nonce(2),
            Tx::call(ALICE, mortal_address).args(&[0]).nonce(5),
            Tx::call(ALICE, ALICE.create(0)).nonce(6),
            Tx::pay(ALICE, mortal_address, 1).nonce(7),
        ],
        vec![
            delegate(Tx::call(BOB, key.address).nonce(3), NEST, 1),
            Tx::call(ALICE, mortal_address).args(&[2]).nonce(8),
            Tx::call(BOB, ALICE.create(0)).nonce(4),
        ],
    ];
    let blocks = txs.into_iter().map(|txs| base().txs(txs).block()).collect();
    (base(), blocks)
}

#[test]
fn blocks_that_follow_one_another_on_one_state() {
    within(LIMIT, || {
        for fork in [Fork::Prague, Fork::Shanghai] {
            let (case, blocks) = blocks(fork);
            let engine = engine(&case);
            let mut theirs = revm_state(case.state());
            // Merged after every block, after the last one only, and begun anew on a bundle.
            let mut merged = revm_state(case.state());
            let mut unmerged = revm_state(case.state());
            let mut begun_anew = revm_state(case.state());
            for block in &blocks {
                execute_with_alloy(&engine, block, &mut theirs).unwrap();
                theirs.merge_transitions(BundleRetention::Reverts);
                execute(&engine, block, &mut merged).unwrap();
                merged.merge_transitions(BundleRetention::Reverts);
                assert_same_bundle(&theirs.bundle_state, &merged.bundle_state, &"merged");
                execute(&engine, block, &mut unmerged).unwrap();
                execute(&engine, block, &mut begun_anew).unwrap();
                let bundle = take_bundle(&mut begun_anew);
                assert_same_bundle(&theirs.bundle_state, &bundle, &"begun anew");
                begun_anew = State::builder()
                    .with_database_ref(SourceDb(case.state()))
                    .with_bundle_prestate(bundle)
                    .with_bundle_update()
                    .build();
            }
            // What reverts of several blocks at once say is another thing.
            let mut theirs = revm_state(case.state());
            for block in &blocks {
                execute_with_alloy(&engine, block, &mut theirs).unwrap();
            }
            let (theirs, ours) = (take_bundle(&mut theirs), take_bundle(&mut unmerged));
            assert_same_bundle(&theirs, &ours, &"merged at the end");
        }
    });
}

#[test]
fn outputs_of_blocks_that_follow_one_another_are_joined_and_committed() {
    within(LIMIT, || {
        for fork in [Fork::Prague, Fork::Shanghai] {
            let (case, blocks) = blocks(fork);
            let engine = engine(&case);
            let mut state = case.state().clone();
            let mut joined = revm::database::BundleState::default();
            let mut theirs = revm_state(case.state());
            let mut committed = revm_state(case.state());
            for block in &blocks {
                let output = engine.execute_with(block, &state, PARALLEL).unwrap();
                engine.commit_to(&output.state, &state, &mut committed).unwrap();
                committed.merge_transitions(BundleRetention::Reverts);
                let bundle = engine.bundle_state(&output.state, &state, BundleRetention::Reverts);
                joined.extend(bundle.unwrap());
                state.apply(&output.state);
                execute_with_alloy(&engine, block, &mut theirs).unwrap();
                theirs.merge_transitions(BundleRetention::Reverts);
                let (theirs, ours) = (&theirs.bundle_state, &committed.bundle_state);
                assert_same_bundle(theirs, ours, &"committed");
            }
            let theirs = theirs.take_bundle();
            let mut accounts: Vec<_> = theirs.state.iter().collect();
            accounts.sort_unstable_by_key(|(address, _)| **address);
            for (address, account) in accounts {
                let found = joined.account(address).map(|account| &account.info);
                assert_eq!(found, Some(&account.info), "{address}");
                let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
                for (slot, value) in slots {
                    let found = joined.storage(address, *slot);
                    assert_eq!(found, Some(value.present_value), "{address} {slot}");
                }
            }
        }
    });
}

/// What an error of an executor was caused by, if that was a failed read.
fn failed_read(error: &BlockExecutionError) -> Option<&ReadFailed<MissingState>> {
    let source = error.as_internal()?.downcast_other::<SourceError>()?;
    source.get_ref().downcast_ref()
}

#[test]
fn a_failed_read_is_internal_and_says_why_and_changes_nothing() {
    within(LIMIT, || {
        let (case, blocks) = blocks(Fork::Shanghai);
        let block = &blocks[0];
        let mut failures = 0;
        for at in 0.. {
            let engine = engine(&case);
            let source = FailingSource::from(case.state(), at);
            let parent = erased(&source);
            let mut db = revm_state(case.state());
            let factory = our_factory(&engine, PARALLEL);
            let evm = factory.evm_factory().create_evm(&mut db, engine.vm().env(block));
            let eth = execution_ctx(block);
            let ctx = ParallelBlockCtx { eth, parent: Some(&parent) };
            let executor = factory.create_executor(evm, ctx);
            let Err(error) = executor.execute_block(&block.transactions) else { break };
            assert!(matches!(failed_read(&error), Some(ReadFailed::OnPurpose(_))), "{error:?}");
            assert!(take_bundle(&mut db).is_empty());
            failures += 1;
        }
        assert!(failures > 10, "only {failures} reads");
    });
}

#[test]
fn a_read_that_fails_while_the_bundle_is_made() {
    within(LIMIT, || {
        let (case, blocks) = blocks(Fork::Shanghai);
        let engine = engine(&case);
        let output = engine.execute(&blocks[0], case.state()).unwrap();
        let make = |source: &FailingSource<&MemoryState>| {
            engine.bundle_state(&output.state, source, BundleRetention::Reverts)
        };
        let all = FailingSource::once(case.state(), u64::MAX);
        make(&all).unwrap();
        let survived = output.state.accounts().filter(|(_, diff)| !diff.storage_wiped);
        let slots: usize = survived.map(|(_, diff)| diff.storage.len()).sum();
        assert!(all.reads() <= (output.state.len() + slots) as u64, "one read each");
        for at in 0..all.reads() {
            let error = make(&FailingSource::once(case.state(), at)).unwrap_err();
            assert!(
                matches!(error, ExecutionError::StateRead(ReadFailed::OnPurpose(_))),
                "{error}"
            );
        }
        let panicking = PanickingSource::new(case.state().clone(), 0);
        let error = engine.bundle_state(&output.state, &panicking, BundleRetention::Reverts);
        assert!(matches!(error, Err(ExecutionError::EngineBug(_))));
    });
}

#[test]
fn a_large_block_is_read_by_several_workers() {
    within(LIMIT, || {
        let generated = generate(Workload::TransfersIndependent, Size::Transactions(1_200), 42);
        let engine = |threads| {
            let vm = Ethereum::new(generated.chain.clone());
            Engine::new(vm, EngineConfig::with_threads(threads)).unwrap()
        };
        let output = engine(1).execute(&generated.block, &generated.state).unwrap();
        let bundle = |engine: Engine| {
            let reverts = BundleRetention::Reverts;
            engine.bundle_state(&output.state, &generated.state, reverts).unwrap()
        };
        assert_eq!(bundle(engine(1)), bundle(engine(4)));
    });
}

/// The states that the hook of an executor's database was shown.
fn hooked(case: &Case, block: &RecoveredBlock) -> Vec<EvmState> {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&shown);
    let hook = move |state| hook.lock().expect("nobody panicked").push(state);
    let mut db = revm_state(case.state());
    db.set_state_hook(Some(Box::new(hook)));
    execute(&engine(case), block, &mut db).expect("the block is valid");
    std::mem::take(&mut *shown.lock().expect("nobody panicked"))
}

#[test]
fn a_state_hook_is_shown_the_block_at_once_and_what_was_destroyed_first() {
    let (case, blocks) = blocks(Fork::Shanghai);
    let output = engine(&case).execute(&blocks[0], case.state()).unwrap();
    let [changes] = &hooked(&case, &blocks[0])[..] else { panic!("called once") };
    assert_eq!(changes.len(), output.state.len());
    for (address, diff) in output.state.accounts() {
        let account = &changes[address];
        assert!(account.is_touched());
        assert_eq!(account.is_selfdestructed(), diff.account.is_none());
        assert_eq!(account.changed_storage_slots().count(), diff.storage.len());
    }

    let mortal = create2_address(NEST, 0, &deployer(mortal()));
    let block = case.tx(Tx::call(ALICE, mortal)).tx(Tx::call(BOB, NEST)).block();
    let (case, _) = self::blocks(Fork::Shanghai);
    let [destroyed, changes] = &hooked(&case, &block)[..] else { panic!("called twice") };
    assert!(destroyed[&mortal].is_selfdestructed());
    assert!(changes[&mortal].is_created());
    assert_eq!(destroyed.len(), 1);
}

/// Counts calls.
#[derive(Debug, Default)]
struct Calls(u64);

impl<CTX> Inspector<CTX> for Calls {
    fn call(&mut self, _: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        self.0 += 1;
        None
    }
}

#[test]
fn an_inspector_is_shown_everything() {
    let (case, blocks) = blocks(Fork::Shanghai);
    let engine = engine(&case);
    let mut calls = Calls::default();
    let mut db = revm_state(case.state());
    let factory = our_factory(&engine, PARALLEL);
    let env = engine.vm().env(&blocks[0]);
    let evm = factory.evm_factory().create_evm_with_inspector(&mut db, env, &mut calls);
    let executor = factory.create_state_executor(evm, execution_ctx(&blocks[0]));
    let result = executor.execute_block(&blocks[0].transactions).unwrap();
    assert_eq!(result.receipts.len(), 3);
    assert_eq!(calls.0, 2, "two of the three are calls");
}

#[test]
fn environments_that_come_with_transactions_are_used() {
    let (case, blocks) = blocks(Fork::Shanghai);
    let (engine, block) = (engine(&case), &blocks[0]);
    let transactions: Vec<(TxEnv, Recovered<Transaction>)> = block
        .transactions
        .iter()
        .map(|tx| {
            let env = TxEnv::from_recovered_tx(tx.inner(), tx.signer());
            (TxEnv { value: env.value + U256::ONE, ..env }, tx.clone())
        })
        .collect();

    let mut theirs = revm_state(case.state());
    let evm = EthEvmFactory::default().create_evm(&mut theirs, engine.vm().env(block));
    let spec = ExecutorSpec(Arc::clone(engine.vm().spec()));
    let executor = EthBlockExecutor::new(evm, execution_ctx(block), spec, Receipts);
    let expected = executor.execute_block(transactions.clone()).unwrap();

    let mut ours = revm_state(case.state());
    let factory = our_factory(&engine, PARALLEL);
    let evm = factory.evm_factory().create_evm(&mut ours, engine.vm().env(block));
    let executor = factory.create_state_executor(evm, execution_ctx(block));
    assert_eq!(executor.execute_block(transactions).unwrap(), expected);
    assert_same_bundle(&take_bundle(&mut theirs), &take_bundle(&mut ours), &"other environments");
}

#[test]
fn one_transaction_after_the_other_some_of_them_not_committed() {
    let (case, blocks) = blocks(Fork::Prague);
    let (engine, block) = (engine(&case), &blocks[0]);
    let mut ours = revm_state(case.state());
    let factory = our_factory(&engine, PARALLEL);
    let evm = factory.evm_factory().create_evm(&mut ours, engine.vm().env(block));
    let mut executor = factory.create_state_executor(evm, execution_ctx(block));
    executor.apply_pre_execution_changes().unwrap();
    for (index, tx) in block.transactions.iter().enumerate() {
        // Looked at and dropped.
        executor.execute_transaction_without_commit(tx).unwrap();
        executor.execute_transaction(tx).unwrap();
        assert_eq!(executor.receipts().len(), index + 1);
    }
    let (_, result) = executor.finish().unwrap();
    let mut theirs = revm_state(case.state());
    assert_eq!(result, execute_with_alloy(&engine, block, &mut theirs).unwrap());
    assert_same_bundle(&take_bundle(&mut theirs), &take_bundle(&mut ours), &"one by one");
}

#[test]
fn sources_of_any_kind_of_pointer() -> Result<(), Box<dyn Error>> {
    let (case, blocks) = blocks(Fork::Shanghai);
    let engine = engine(&case);
    let expected = engine.execute(&blocks[0], case.state())?;
    let shared: Arc<dyn StateSource<Error = MissingState>> = Arc::new(case.state().clone());
    let owned: Box<dyn StateSource<Error = MissingState>> = Box::new(case.state().clone());
    let borrowed: &dyn StateSource<Error = MissingState> = case.state();
    let any: &dyn StateSource<Error = SourceError> = &erased(case.state());
    expected.compare(&engine.execute_with(&blocks[0], &shared, PARALLEL)?)?;
    expected.compare(&engine.execute_with(&blocks[0], &owned, PARALLEL)?)?;
    expected.compare(&engine.execute_with(&blocks[0], &borrowed, PARALLEL)?)?;
    expected.compare(&engine.execute_with(&blocks[0], &any, PARALLEL)?)?;
    Ok(())
}
