//! Blocks built from candidates, and executions that are ended early.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_chain::ChainSpec;
use warpline_engine::{
    AccessListMode, Budget, BuildEnd, BuiltBlock, Cancellation, ExecuteOptions, ExecutionError,
    SkipReason, Strategy,
};
use warpline_primitives::{
    Account, CommitStep, MemoryState, MissingState, Receipt, StateDiff, StateSource,
};
use warpline_testkit::{
    Asm, BuildCheck, Case, Engines, Fork, Tx, account, assert_same_build, built_block, op, within,
};

const LIMIT: Duration = Duration::from_secs(60);

const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const CAROL: Address = account(0xca);
const POOR: Address = account(0x99);
const COUNTER: Address = account(0xcc);

/// The ways to execute, with the number of workers.
const WAYS: [Strategy; 4] =
    [Strategy::Sequential, Strategy::Parallel(1), Strategy::Parallel(2), Strategy::Parallel(8)];

fn case() -> Case {
    Case::new(Fork::Osaka)
        .fund_all([ALICE, BOB, CAROL])
        .contract(COUNTER, Asm::new().push(1).add_to_slot(0).op(op::STOP))
}

/// Builds in every way, and returns what they agree on.
fn build(case: &Case, budget: Budget) -> BuiltBlock<Receipt> {
    let (draft, state, chain) = (case.block(), case.state().clone(), case.chain().clone());
    within(LIMIT, move || {
        let engines = Engines::take(&chain);
        let check = BuildCheck { draft: &draft, state: &state, budget };
        let built = check.run([(engines.one(), 1), (engines.two(), 2), (engines.eight(), 8)]);
        engines.put_back();
        built.expect("a block can be built")
    })
}

fn budget(set: impl FnOnce(&mut Budget)) -> Budget {
    let mut budget = Budget::default();
    set(&mut budget);
    budget
}

#[test]
fn invalid_candidates_are_skipped_and_the_others_move_up() {
    let case = case()
        .tx(Tx::pay(ALICE, BOB, 1))
        .tx(Tx::pay(ALICE, BOB, 1).nonce(7))
        .tx(Tx::pay(POOR, BOB, 1))
        .tx(Tx::call(BOB, COUNTER))
        .tx(Tx::call(BOB, COUNTER).nonce(0))
        .tx(Tx::pay(CAROL, ALICE, 1).gas(20_000))
        .tx(Tx::call(CAROL, COUNTER).nonce(0));
    let built = build(&case, Budget::default());
    assert_eq!(built.included, [0, 3, 6]);
    assert_eq!(built.end, BuildEnd::NoMoreCandidates);
    assert_eq!(built.considered(), 7);
    let skipped: Vec<_> = built.skipped.iter().map(|it| it.index).collect();
    assert_eq!(skipped, [1, 2, 4, 5]);
    assert!(built.skipped.iter().all(|it| matches!(it.reason, SkipReason::Invalid(_))));
}

#[test]
fn a_candidate_that_pays_for_a_later_one_comes_first() {
    let case = case()
        .tx(Tx::pay(POOR, BOB, 1))
        .tx(Tx::pay(ALICE, POOR, 1_000_000_000))
        .tx(Tx::pay(POOR, BOB, 1).nonce(0));
    assert_eq!(build(&case, Budget::default()).included, [1, 2], "in the order given");
}

#[test]
fn a_candidate_that_asks_for_too_much_gas_leaves_room_for_others() {
    let greedy = Tx::pay(BOB, CAROL, 1).gas(90_000);
    let case = case().txs([Tx::pay(ALICE, BOB, 1), greedy, Tx::pay(CAROL, BOB, 1)]);
    let built = build(&case, budget(|it| it.gas = 100_000));
    assert_eq!(built.included, [0, 2]);
    let reason = &built.skipped[0].reason;
    assert!(matches!(reason, SkipReason::Gas { gas_limit: 90_000, available: 79_000 }), "{reason}");
}

#[test]
fn a_block_without_gas_for_a_payment_is_full() {
    let case = case().txs((0..9).map(|_| Tx::pay(ALICE, BOB, 1)));
    let built = build(&case, budget(|it| it.gas = 3 * 21_000 + 20_999));
    assert_eq!(built.included, [0, 1, 2]);
    assert_eq!((built.end, built.skipped.len()), (BuildEnd::Full, 0));
    let built = build(&case, budget(|it| it.gas = 9 * 21_000));
    assert_eq!((built.end, built.included.len()), (BuildEnd::NoMoreCandidates, 9));
}

#[test]
fn a_block_is_full_when_the_cheapest_payment_of_its_fork_does_not_fit() {
    let amsterdam = ChainSpec::at_fork(Fork::Amsterdam, 1).with_all_of_amsterdam();
    let cheap = |who| Tx::pay(who, who, 0).gas(12_000);
    let case =
        Case::on(amsterdam).fund_all([ALICE, BOB, CAROL]).txs([ALICE, BOB, CAROL].map(cheap));
    let built = build(&case, budget(|it| it.gas = 30_000));
    assert_eq!((built.included.as_slice(), built.end), ([0, 1].as_slice(), BuildEnd::Full));
}

#[test]
fn more_blobs_than_the_fork_allows_are_left_out_without_being_told() {
    let blobs = |who| Tx::call(who, POOR).blobs(6);
    let case = Case::new(Fork::Cancun).fund_all([ALICE, BOB, CAROL]).txs([ALICE, BOB].map(blobs));
    assert_eq!(build(&case, Budget::default()).included, [0]);
}

#[test]
fn blobs_fill_the_blob_budget_only() {
    let case = case()
        .txs([
            Tx::call(ALICE, BOB).blobs(1),
            Tx::call(BOB, CAROL).blobs(2),
            Tx::call(CAROL, BOB).blobs(1),
        ])
        .tx(Tx::pay(ALICE, CAROL, 1));
    let blob = 1 << 17;
    let built = build(&case, budget(|it| it.blob_gas = 2 * blob));
    assert_eq!(built.included, [0, 2, 3]);
    assert_eq!(built.output.blob_gas_used, 2 * blob);
    let reason = &built.skipped[0].reason;
    assert!(matches!(reason, SkipReason::BlobGas { .. }), "{reason}");
}

#[test]
fn long_candidates_fill_the_budget_of_bytes() {
    let long = Tx::call(BOB, COUNTER).data(vec![1; 1000]).gas(100_000);
    let case = case().txs([Tx::pay(ALICE, BOB, 1), long, Tx::pay(ALICE, BOB, 1)]);
    let built = build(&case, budget(|it| it.bytes = 500));
    assert_eq!(built.included, [0, 2]);
    let reason = &built.skipped[0].reason;
    assert!(matches!(reason, SkipReason::Bytes { .. }), "{reason}");
}

#[test]
fn a_deadline_that_has_passed_leaves_an_empty_valid_block() {
    let case = case().withdrawal(ALICE, 5).txs((0..9).map(|_| Tx::pay(ALICE, BOB, 1)));
    let built = build(&case, budget(|it| it.deadline = Some(Instant::now())));
    assert_eq!((built.end, built.considered()), (BuildEnd::Deadline, 0));
    assert!(built.output.state.account(&ALICE).is_some(), "the withdrawal is paid");
}

#[test]
fn nothing_to_choose_from() {
    let built = build(&case(), Budget::default());
    assert_eq!((built.end, built.considered()), (BuildEnd::NoMoreCandidates, 0));
}

/// Candidates that conflict and candidates that are invalid, with a fee that somebody looks at.
fn candidates() -> Case {
    let looker = Asm::new().ops(&[op::COINBASE, op::BALANCE]).store_top(0);
    let one_of = |index: u64| match index % 6 {
        0 => Tx::call(ALICE, COUNTER),
        1 => Tx::call(BOB, COUNTER),
        2 => Tx::pay(CAROL, POOR, 3),
        3 => Tx::pay(ALICE, BOB, 1).nonce(1000),
        4 => Tx::call(CAROL, account(0xdd)),
        _ => Tx::pay(POOR, account(0x77), 1).nonce(index),
    };
    case().contract(account(0xdd), looker).withdrawal(BOB, 1).txs((0..24).map(one_of))
}

/// Ends the work of `engine` once `at` steps were committed.
fn ending_at(
    at: usize,
    run: impl FnOnce(ExecuteOptions<'_>) -> Result<BuiltBlock<Receipt>, ExecutionError<MissingState>>,
    strategy: Strategy,
) -> Result<BuiltBlock<Receipt>, ExecutionError<MissingState>> {
    let cancellation = Cancellation::default();
    let mut left = at;
    let mut observer = |_: CommitStep, _: &StateDiff| {
        left = left.saturating_sub(1);
        if left == 0 {
            cancellation.cancel();
        }
    };
    if at == 0 {
        cancellation.cancel();
    }
    let options = ExecuteOptions::from(strategy)
        .access_list(AccessListMode::Build)
        .observed_by(&mut observer)
        .cancelled_by(&cancellation);
    run(options)
}

#[test]
fn a_build_that_is_cancelled_at_any_commit_is_a_valid_prefix() {
    let case = candidates();
    within(LIMIT, move || {
        let (draft, state) = (case.block(), case.state());
        let engines = Engines::take(case.chain());
        for strategy in WAYS {
            let mut ends = Vec::new();
            for at in 0.. {
                let engine = engines.eight();
                let run = |options: ExecuteOptions<'_>| {
                    engine.build(&draft, state, Budget::default(), options)
                };
                let built = ending_at(at, run, strategy).expect("a prefix can always be built");
                let considered = built.considered();
                let mut short = draft.clone();
                short.transactions.truncate(considered);
                let options =
                    ExecuteOptions::from(Strategy::Sequential).access_list(AccessListMode::Build);
                let expected = engine.build(&short, state, Budget::default(), options);
                let mut expected = expected.expect("a prefix can be built");
                expected.end = built.end;
                let way = format!("{strategy:?}, cancelled after {at} steps");
                assert_same_build(&expected, &built, &way);
                let block = built_block(&draft, &built);
                let executed = engine.execute(&block, state).expect("what was built is valid");
                assert_eq!(executed.receipts, built.output.receipts, "{way}");
                ends.push(considered);
                if built.end == BuildEnd::NoMoreCandidates {
                    break;
                }
            }
            assert!(ends.is_sorted(), "{strategy:?}: {ends:?}");
            assert_eq!(ends.last(), Some(&draft.transactions.len()), "{strategy:?}");
        }
        engines.put_back();
    });
}

#[test]
fn an_execution_that_is_cancelled_at_any_commit_says_so() {
    let case = candidates();
    within(LIMIT, move || {
        let state = case.state();
        let engines = Engines::take(case.chain());
        let built = engines.one().build(&case.block(), state, Budget::default(), Strategy::Auto);
        let block = built_block(&case.block(), &built.expect("a block can be built"));
        for strategy in WAYS {
            let engine = engines.eight();
            let expected = engine.execute(&block, state).expect("a valid block");
            for at in 0..block.transactions.len() {
                let run = |options: ExecuteOptions<'_>| {
                    let result = engine.execute_with(&block, state, options);
                    Err(result.expect_err("it was cancelled before the last transaction"))
                };
                let error = ending_at(at, run, strategy).expect_err("see above");
                assert!(matches!(error, ExecutionError::Cancelled), "{strategy:?}, {at}: {error}");
                let again = engine.execute_with(&block, state, strategy).expect("it is usable");
                expected.compare(&again).expect("and right");
            }
        }
        engines.put_back();
    });
}

#[test]
fn a_list_is_not_executed_from_once_cancelled() {
    let case = case().txs((0..9).map(|_| Tx::pay(ALICE, BOB, 1)));
    within(LIMIT, move || {
        let (block, state) = (case.block(), case.state());
        let engines = Engines::take(case.chain());
        let options = ExecuteOptions::default().access_list(AccessListMode::Build);
        let list = engines.one().execute_with(&block, state, options).expect("a valid block");
        let list = list.access_list.expect("it was asked for");
        let cancellation = Cancellation::default();
        cancellation.cancel();
        for strategy in WAYS {
            let options = ExecuteOptions::from(strategy)
                .access_list(AccessListMode::Verify(&list))
                .cancelled_by(&cancellation);
            let error = engines.eight().execute_with(&block, state, options);
            assert!(matches!(error, Err(ExecutionError::Cancelled)), "{strategy:?}: {error:?}");
        }
        engines.put_back();
    });
}

#[test]
fn a_cancellation_ends_a_transaction_at_its_next_read() {
    let reads = (0..200).fold(Asm::new(), |asm, slot| asm.sload(slot).op(op::POP));
    let case = case().contract(account(0xee), reads).tx(Tx::call(ALICE, account(0xee)));
    within(LIMIT, move || {
        let block = case.block();
        let engines = Engines::take(case.chain());
        let source = CancellingSource {
            state: case.state(),
            cancels_at: 20,
            reads: AtomicU64::new(0),
            cancellation: Cancellation::default(),
        };
        let options =
            ExecuteOptions::from(Strategy::Parallel(2)).cancelled_by(&source.cancellation);
        let error = engines.two().execute_with(&block, &source, options);
        assert!(matches!(error, Err(ExecutionError::Cancelled)), "{error:?}");
        assert_eq!(source.reads.into_inner(), 21, "nothing is read after the cancellation");
        engines.put_back();
    });
}

/// Cancels the execution when it is read for the so-and-so-manieth time.
struct CancellingSource<'s> {
    state: &'s MemoryState,
    cancels_at: u64,
    reads: AtomicU64,
    cancellation: Cancellation,
}

impl CancellingSource<'_> {
    fn count(&self) {
        if self.reads.fetch_add(1, Relaxed) == self.cancels_at {
            self.cancellation.cancel();
        }
    }
}

impl StateSource for CancellingSource<'_> {
    type Error = MissingState;

    fn account(&self, address: Address) -> Result<Option<Account>, MissingState> {
        self.count();
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, MissingState> {
        self.count();
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, MissingState> {
        self.count();
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, MissingState> {
        self.count();
        self.state.block_hash(number)
    }
}
