//! Perturbation disturbs, changes no output, and would show a broken validation.

use std::time::Duration;

use alloy_primitives::{Address, U256};
use warpline_engine::{
    Engine, EngineConfig, Ethereum, Strategy,
    testing::{Perturbation, Sabotage},
};
use warpline_primitives::BlockOutput;
use warpline_testkit::{Asm, Case, Fork, Tx, account, op, within};

const LIMIT: Duration = Duration::from_secs(120);

const COUNTER: Address = account(0xcc);
const COPIER: Address = account(0xdd);

/// Twelve senders who share a counter, read what others left, and pay each other.
fn contended() -> Case {
    let senders: Vec<_> = (0..12).map(|n| account(0xa0 + n)).collect();
    let copier = Asm::new().sload(0).push(1).op(op::ADD).store_top(0).balance(COUNTER).store_top(1);
    let txs = senders.iter().enumerate().map(|(n, sender)| match n % 3 {
        0 => Tx::call(*sender, COUNTER).value(U256::from(1)),
        1 => Tx::call(*sender, COPIER),
        _ => Tx::pay(*sender, senders[(n + 5) % 12], 1),
    });
    let txs: Vec<_> = txs.collect();
    Case::new(Fork::Prague)
        .fund_all(senders)
        .contract(COUNTER, Asm::new().push(1).add_to_slot(0))
        .contract(COPIER, copier)
        .txs(txs)
}

fn engine(case: &Case, threads: usize) -> Engine {
    let vm = Ethereum::new(case.chain().clone());
    Engine::new(vm, EngineConfig::with_threads(threads)).expect("threads can be started")
}

fn expected(case: &Case) -> BlockOutput {
    let output = engine(case, 1).execute_with(&case.block(), case.state(), Strategy::Sequential);
    output.expect("the block is valid")
}

#[test]
fn the_output_is_the_same_for_every_seed() {
    within(LIMIT, || {
        let case = contended();
        let expected = expected(&case);
        for (width, seeds) in [(1, 50), (2, 200), (8, 100)] {
            let engine = engine(&case, width);
            for seed in 0..seeds {
                let perturbed = engine.perturbed(Perturbation::seeded(seed));
                let strategy = Strategy::Parallel(width);
                let found = perturbed.execute_with(&case.block(), case.state(), strategy);
                if let Err(mismatch) = expected.compare(&found.expect("the block is valid")) {
                    panic!("seed {seed} on {width}: {mismatch}");
                }
            }
        }
    });
}

#[test]
fn perturbation_makes_conflicts_even_on_one_thread() {
    within(LIMIT, || {
        let case = contended();
        let engine = engine(&case, 1);
        let work = |seed| {
            let perturbed = engine.perturbed(Perturbation::seeded(seed));
            let output = perturbed.execute_with(&case.block(), case.state(), Strategy::Parallel(1));
            output.expect("the block is valid").work
        };
        assert!((0..50).any(|seed| work(seed).reexecutions > 0));
        // Alone, a worker does what the seed says.
        assert!((0..20).all(|seed| work(seed) == work(seed)));
    });
}

#[test]
fn a_broken_validation_is_found() {
    within(LIMIT, || {
        let case = contended();
        let expected = expected(&case);
        for sabotage in [Sabotage::SkipValidation, Sabotage::TrustEvery(1), Sabotage::TrustEvery(4)]
        {
            for width in [1, 2, 8] {
                let engine = engine(&case, width);
                let differs = |seed: &u64| {
                    let perturbation = Perturbation::seeded(*seed).sabotaged(sabotage);
                    let broken = engine.perturbed(perturbation);
                    let strategy = Strategy::Parallel(width);
                    let found = broken.execute_with(&case.block(), case.state(), strategy);
                    !found.is_ok_and(|found| expected.compare(&found).is_ok())
                };
                let found = (0..200).filter(differs).take(3).count();
                assert_eq!(found, 3, "{sabotage:?} on {width}");
            }
        }
    });
}

#[test]
fn what_was_perturbed_leaves_nothing_behind() {
    within(LIMIT, || {
        let case = contended();
        let expected = expected(&case);
        let engine = engine(&case, 2);
        for seed in 0..20 {
            let bug = Perturbation::seeded(seed).sabotaged(Sabotage::SkipValidation);
            let broken = engine.perturbed(bug);
            let _ = broken.execute_with(&case.block(), case.state(), Strategy::Parallel(2));
            let found = engine.execute_with(&case.block(), case.state(), Strategy::Parallel(2));
            expected.compare(&found.expect("the block is valid")).expect("equal");
        }
    });
}

/// What is executed in its turn counts for what is learned as well: or a line that began would
/// dissolve as soon as it works.
#[test]
fn calls_that_conflict_are_executed_in_line() {
    within(LIMIT, || {
        let senders: Vec<_> = (0..200).map(|n| account(n + 1)).collect();
        let case = Case::new(Fork::Prague)
            .fund_all(senders.iter().copied())
            .contract(COUNTER, Asm::new().push(1).add_to_slot(0))
            .txs(senders.iter().map(|sender| Tx::call(*sender, COUNTER)));
        let engine = engine(&case, 1);
        let executions = |seed| {
            let perturbed = engine.perturbed(Perturbation::seeded(seed));
            let output = perturbed.execute_with(&case.block(), case.state(), Strategy::Parallel(1));
            output.expect("the block is valid").work.executions
        };
        let executions: Vec<_> = (0..60).map(executions).collect();
        assert!(executions.iter().all(|executions| *executions <= 205), "{executions:?}");
    });
}
