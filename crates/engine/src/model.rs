//! The shipped engine in schedules chosen at random, and small pieces of it in all schedules.
//!
//! Run as `cargo test -p warpline-engine --features model --lib model::`; see [`crate::sync`]. What
//! runs is [`Engine::execute_with`] from end to end, revm included, with nothing simplified but
//! constants: a window of three transactions, three speculations each, one look before sleeping.
//! `WARPLINE_MODEL` multiplies the number of schedules.
//!
//! What is found:
//! - *A lost wake-up*: nobody can go on, which shuttle reports as a deadlock.
//! - *A lost invalidation*, a transaction committed twice or out of order: another output.
//! - *No progress*: more steps than any schedule of such a block has taken.
//!
//! That these tests can fail was tried by breaking what they guard, one thing at a time. They noticed
//! each of these: a queue, the end, a halt or the window that moves on wakes nobody, one sleeper only,
//! or without the lock; no last look under the lock; the announcement after that look; the commit role
//! kept for good, or taken for free by who looks for work; no validation, or none of slots or of
//! accounts; what an earlier execution wrote left in place; a claim of a pending or a suspected
//! transaction that is not atomic; suspicion lost when an execution ends; a list that is not closed
//! by execution or commit, frees nobody, forgets to let its members go or does so before it read
//! where it goes on; a permit given up without a call, a call that is not answered, no last look before
//! a worker rests.
//!
//! They do not notice what costs time only: values under revision that are used (the commit
//! compares), a list that is not opened again, readers that are not named, a reader that calls nobody
//! who rests, two holders of the commit role (they take turns at the lock of what is committed). Nor
//! do they notice a missing fence, see [`crate::sync`].

use alloy_primitives::Address;
use shuttle::{
    Config, FailurePersistence, MaxSteps, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler as Chooser},
};
use warpline_primitives::{CommitStep, StateDiff};
use warpline_testkit::{Asm, Case, Fork, Tx, account, op};

use crate::{Engine, EngineConfig, Ethereum, ExecuteOptions, Strategy};

const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const CAROL: Address = account(0xca);
const COUNTER: Address = account(0xcc);
const COPIER: Address = account(0xdd);

/// How many schedules to try where `quick` are enough for every day.
pub(crate) fn schedules(quick: usize) -> usize {
    let factor = std::env::var("WARPLINE_MODEL").ok().and_then(|factor| factor.parse().ok());
    quick * factor.unwrap_or(1)
}

pub(crate) fn config() -> Config {
    let mut config = Config::new();
    // revm's frames are large where they are not optimised.
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config
}

fn engine(case: &Case, config: EngineConfig) -> Engine {
    let vm = Ethereum::new(case.chain().clone());
    Engine::new(vm, config).expect("it starts no threads")
}

/// Executes `case` with all that `config` allows in schedules of `chooser` and compares the output, and what
/// an observer sees, with sequential execution.
fn explore(case: &Case, config: EngineConfig, chooser: impl Chooser + 'static) {
    let run = |engine: &Engine, case: &Case, strategy| {
        let mut steps = Vec::new();
        let mut observer = |step: CommitStep, _: &StateDiff| steps.push(step);
        let options = ExecuteOptions::from(strategy).observed_by(&mut observer);
        let output = engine.execute_with(&case.block(), case.state(), options);
        (output.expect("the block is valid"), steps)
    };
    let (expected, in_order) = run(&engine(case, config), case, Strategy::Sequential);
    let case = case.clone();
    let strategy = Strategy::Parallel(config.threads);
    Runner::new(chooser, self::config()).run(move || {
        let (found, steps) = run(&engine(&case, config), &case, strategy);
        if let Err(mismatch) = expected.compare(&found) {
            panic!("{mismatch}");
        }
        assert_eq!(steps, in_order);
    });
}

/// In schedules that change workers anywhere, and in those that do so rarely, where it hurts.
fn explore_randomly(case: &Case, quick: usize) {
    let threads = EngineConfig::with_threads;
    // The last two with more workers than may run.
    for config in [threads(2), threads(3), threads(1).read_depth(3), threads(2).read_depth(3)] {
        explore(case, config, RandomScheduler::new(schedules(quick)));
        for depth in [2, 4] {
            explore(case, config, PctScheduler::new(depth, schedules(quick / 2)));
        }
    }
}

/// A counter, a reader of it, and transactions that have nothing to do with either.
fn contended() -> Case {
    let copier = Asm::new().sload(0).push(1).op(op::ADD).store_top(0).balance(COUNTER).store_top(1);
    Case::new(Fork::London)
        .fund_all([ALICE, BOB, CAROL])
        .contract(COUNTER, Asm::new().push(1).add_to_slot(0))
        .contract(COPIER, copier)
        .slot(COUNTER, 0, 7)
}

#[test]
fn a_hot_slot() {
    let case = contended().txs([ALICE, BOB, CAROL].map(|sender| Tx::call(sender, COUNTER)));
    explore_randomly(&case, 1_000);
}

/// What is written where depends on what was read: executions that are repeated take back what the
/// one before wrote.
#[test]
fn places_that_depend_on_values() {
    let places = Asm::new().op(op::CALLER).sload(0).op(op::SSTORE).push(1).add_to_slot(0);
    let case = contended().contract(COPIER, places).txs([
        Tx::call(ALICE, COPIER),
        Tx::call(BOB, COPIER),
        Tx::call(CAROL, COPIER),
    ]);
    explore_randomly(&case, 1_000);
}

#[test]
fn senders_with_several_transactions_and_a_small_window() {
    let case = contended().txs([
        Tx::call(ALICE, COUNTER),
        Tx::pay(BOB, ALICE, 1),
        Tx::call(ALICE, COPIER),
        Tx::call(CAROL, COPIER),
        Tx::pay(CAROL, BOB, 1),
    ]);
    explore_randomly(&case, 1_000);
}
