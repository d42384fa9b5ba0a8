//! Sources that fail and panic, workers that panic, bounds that hold, and engines that are shared,
//! dropped and used again.

mod bounds;
mod depth;
mod panics;

use std::{thread, time::Duration};

use alloy_primitives::Address;
use warpline_engine::{
    Engine, EngineConfig, Ethereum, ExecuteOptions, ExecutionError, InvalidBlock, Strategy,
};
use warpline_primitives::{
    BlockOutput, CommitStep, MemoryState, RecoveredBlock, StateDiff, StateSource,
};
use warpline_testkit::{
    Asm, Case, FailingSource, Fork, Key, ReadFailed, SlowSource, Tx, account, deployer, op, within,
};

const LIMIT: Duration = Duration::from_secs(60);

const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const CAROL: Address = account(0xca);
const COUNTER: Address = account(0xcc);
const LOOKER: Address = account(0xdd);

/// A bit of everything: payments, a hot slot, a look at the beneficiary, block hashes, a
/// deployment and its use, a delegation, requests, a withdrawal.
fn mixed() -> Case {
    let counter = Asm::new().push(1).add_to_slot(0);
    let looker = Asm::new()
        .ops(&[op::COINBASE, op::BALANCE])
        .store_top(0)
        .push(999)
        .op(op::BLOCKHASH)
        .store_top(1)
        .balance(BOB)
        .store_top(2);
    let key = Key::new(1);
    Case::new(Fork::Prague)
        .fund_all([ALICE, BOB, CAROL])
        .contract(COUNTER, counter.clone())
        .slot(COUNTER, 0, 7)
        .contract(LOOKER, looker)
        .txs([Tx::pay(ALICE, BOB, 1), Tx::call(BOB, COUNTER), Tx::call(CAROL, COUNTER)])
        .tx(Tx::create(ALICE, deployer(counter)))
        .txs([Tx::call(CAROL, ALICE.create(1)), Tx::call(BOB, LOOKER)])
        .tx(Tx::call(ALICE, key.address).authorize(key.authorize(COUNTER, 0)))
        .txs([Tx::pay(CAROL, account(0x99), 3), Tx::call(ALICE, COUNTER)])
        .withdrawal(account(0x77), 1)
}

fn engine(case: &Case, threads: usize) -> Engine {
    let vm = Ethereum::new(case.chain().clone());
    Engine::new(vm, EngineConfig::with_threads(threads)).expect("threads can be started")
}

fn run<S: StateSource>(
    engine: &Engine,
    block: &RecoveredBlock,
    source: &S,
    strategy: Strategy,
) -> Result<BlockOutput, ExecutionError<S::Error>> {
    engine.execute_with(block, source, strategy)
}

fn assert_usable(engine: &Engine, block: &RecoveredBlock, state: &MemoryState) {
    let expected = run(engine, block, state, Strategy::Sequential).expect("nothing fails");
    for width in [1, 2, 8] {
        let found = run(engine, block, state, Strategy::Parallel(width)).expect("nothing fails");
        expected.compare(&found).expect("a fresh start");
    }
}

/// How many reads a sequential execution takes when no code is cached.
fn reads_of(case: &Case) -> u64 {
    let source = FailingSource::once(case.state(), u64::MAX);
    let result = run(&engine(case, 1), &case.block(), &source, Strategy::Sequential);
    result.expect("nothing fails");
    source.reads()
}

/// Something is about to happen at one read of [`mixed`].
struct Attempt<'c> {
    /// New each time: a cache of code would hide reads.
    engine: &'c Engine,
    block: &'c RecoveredBlock,
    state: &'c MemoryState,
    /// What the block comes to when nothing happens.
    expected: &'c BlockOutput,
    at: u64,
}

/// Lets it happen at each read in turn. Whatever did, the engine goes on. Returns how many reads
/// there are.
fn at_each_read(engine: impl Fn(&Case) -> Engine, mut happen: impl FnMut(Attempt<'_>)) -> u64 {
    let case = mixed();
    let (block, state) = (case.block(), case.state());
    let expected = run(&engine(&case), &block, state, Strategy::Sequential).expect("nothing fails");
    let reads = reads_of(&case);
    assert!(reads > 20);
    for at in 0..reads {
        let engine = engine(&case);
        happen(Attempt { engine: &engine, block: &block, state, expected: &expected, at });
        assert_usable(&engine, &block, state);
    }
    reads
}

#[test]
fn a_source_that_fails_from_some_read_on() {
    within(LIMIT, || {
        for strategy in [Strategy::Sequential, Strategy::Parallel(1), Strategy::Parallel(2)] {
            at_each_read(
                |case| engine(case, 2),
                |Attempt { engine, block, state, at, .. }| {
                    let source = FailingSource::from(state, at);
                    let error = run(engine, block, &source, strategy).expect_err("it must fail");
                    assert!(
                        matches!(error, ExecutionError::StateRead(ReadFailed::OnPurpose(_))),
                        "{strategy:?}, from read {at} on: {error}"
                    );
                },
            );
        }
    });
}

#[test]
fn a_source_that_fails_once() {
    within(LIMIT, || {
        at_each_read(
            |case| engine(case, 2),
            |Attempt { engine, block, state, expected, at }| {
                let source = FailingSource::once(state, at);
                let error = run(engine, block, &source, Strategy::Sequential);
                assert!(matches!(error, Err(ExecutionError::StateRead(_))), "read {at}");
                for width in [1, 2, 8] {
                    let source = FailingSource::once(SlowSource::new(state, at), at);
                    // A failure in speculation may be overcome, but nothing else may come of it.
                    match run(engine, block, &source, Strategy::Parallel(width)) {
                        Ok(output) => expected.compare(&output).expect("a right success"),
                        Err(ExecutionError::StateRead(_)) => {}
                        Err(other) => panic!("read {at} on {width}: {other}"),
                    }
                }
            },
        );
    });
}

#[test]
fn a_source_that_fails_while_somebody_observes() {
    within(LIMIT, || {
        let case = mixed();
        let (block, state) = (case.block(), case.state());
        for at in 0..reads_of(&case) {
            for strategy in [Strategy::Sequential, Strategy::Parallel(2)] {
                let engine = engine(&case, 2);
                let source = FailingSource::from(state, at);
                let mut steps = Vec::new();
                let mut observer = |step: CommitStep, _: &StateDiff| steps.push(step);
                let result = engine.execute_with(
                    &block,
                    &source,
                    ExecuteOptions::from(strategy).observed_by(&mut observer),
                );
                let error = result.expect_err("it cannot succeed");
                assert!(matches!(error, ExecutionError::StateRead(_)), "{strategy:?}, {at}");
                assert!(steps.is_sorted(), "{strategy:?}, {at}: {steps:?}");
            }
        }
    });
}

#[test]
fn a_failed_read_does_not_hide_an_invalid_block_before_it() {
    within(LIMIT, || {
        let case = Case::new(Fork::London)
            .fund_all([ALICE, BOB, CAROL])
            .contract(COUNTER, Asm::new().push(1).add_to_slot(0))
            .tx(Tx::pay(ALICE, BOB, 1))
            .tx(Tx::pay(ALICE, BOB, 1).nonce(9))
            .txs([Tx::call(BOB, COUNTER), Tx::call(CAROL, COUNTER)]);
        let (block, state) = (case.block(), case.state());
        for at in 0..16 {
            for strategy in [Strategy::Sequential, Strategy::Parallel(1), Strategy::Parallel(2)] {
                let engine = engine(&case, 2);
                let source = FailingSource::from(state, at);
                match run(&engine, &block, &source, strategy) {
                    Err(ExecutionError::InvalidBlock(InvalidBlock::Transaction {
                        index: 1,
                        ..
                    })) => {}
                    Err(ExecutionError::StateRead(_)) if at < 4 => {}
                    other => panic!("{strategy:?}, from read {at} on: {:?}", other.err()),
                }
            }
        }
    });
}

#[test]
fn one_engine_used_from_several_threads_at_once() {
    within(LIMIT, || {
        let good = mixed();
        let bad = mixed().tx(Tx::pay(ALICE, BOB, 1).nonce(99));
        let engine = engine(&good, 2);
        thread::scope(|scope| {
            for seed in 0..4 {
                let (engine, good, bad) = (&engine, &good, &bad);
                scope.spawn(move || {
                    let expected =
                        run(engine, &good.block(), good.state(), Strategy::Sequential).unwrap();
                    for round in 0..15 {
                        let source = SlowSource::new(good.state(), 100 * seed + round);
                        let found = run(engine, &good.block(), &source, Strategy::Parallel(2));
                        expected.compare(&found.expect("a valid block")).expect("equal");
                        let found = run(engine, &bad.block(), bad.state(), Strategy::Parallel(2));
                        let Err(ExecutionError::InvalidBlock(InvalidBlock::Transaction {
                            index,
                            ..
                        })) = found
                        else {
                            panic!("the block is invalid");
                        };
                        assert_eq!(index, 9);
                    }
                });
            }
        });
    });
}

#[test]
fn two_engines_at_once_one_of_them_dropped_in_between() {
    within(LIMIT, || {
        let case = mixed();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let engine = engine(&case, 8);
                        assert_usable(&engine, &case.block(), case.state());
                    }
                });
            }
        });
    });
}

#[test]
fn a_clone_outlives_its_engine() {
    within(LIMIT, || {
        let case = mixed();
        let first = engine(&case, 2);
        let clone = first.clone();
        let other = first.with_vm(Ethereum::new(case.chain().clone()));
        drop(first);
        assert_usable(&clone, &case.block(), case.state());
        drop(clone);
        assert_usable(&other, &case.block(), case.state());
    });
}

#[test]
fn blocks_back_to_back_leave_nothing_behind() {
    within(LIMIT, || {
        let engine = engine(&mixed(), 2);
        let stays = Asm::new().push(1).add_to_slot(0);
        let goes = Asm::new().self_destruct(ALICE);
        let blocks = [
            mixed(),
            mixed().slot(COUNTER, 0, 1_000),
            mixed().contract(COUNTER, Asm::new().push(5).add_to_slot(0)),
            mixed().contract(COUNTER, goes).slot(COUNTER, 0, 3),
            mixed().tx(Tx::pay(BOB, ALICE, 1).nonce(77)),
            Case::new(Fork::Prague).fund(CAROL).tx(Tx::call(CAROL, COUNTER)),
            mixed().contract(account(0x99), stays),
        ];
        let alone = |case: &Case| {
            let fresh = self::engine(case, 1);
            run(&fresh, &case.block(), case.state(), Strategy::Sequential).ok()
        };
        for round in 0..20 {
            let case = &blocks[(round * 5) % blocks.len()];
            let found = run(&engine, &case.block(), case.state(), Strategy::Parallel(2)).ok();
            match (alone(case), found) {
                (Some(expected), Some(found)) => expected.compare(&found).expect("equal"),
                (None, None) => {}
                _ => panic!("round {round} differs in validity"),
            }
        }
    });
}

#[test]
fn an_automatic_choice_is_as_good_as_any() {
    within(LIMIT, || {
        for threads in [0, 1, 2, 8] {
            let case = mixed();
            let engine = engine(&case, threads);
            let expected = run(&engine, &case.block(), case.state(), Strategy::Sequential).unwrap();
            let found = engine.execute(&case.block(), case.state()).unwrap();
            expected.compare(&found).unwrap();
            for width in [0, 1, 3, 100] {
                let found = run(&engine, &case.block(), case.state(), Strategy::Parallel(width));
                expected.compare(&found.unwrap()).unwrap();
            }
        }
    });
}
