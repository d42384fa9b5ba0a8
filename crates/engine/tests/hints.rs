//! Hints, true or not, change nothing but time.

use std::time::Duration;

use alloy_primitives::U256;
use warpline_engine::{
    Budget, Engine, EngineConfig, Ethereum, ExecuteOptions, Strategy, Technique, Techniques,
    testing::Perturbation,
};
use warpline_primitives::{AccessHints, BlockOutput, MemoryState, RecoveredBlock};
use warpline_testkit::{
    Asm, Case, Fork, LatentSource, Malice, Tx, account, op, random_hints, true_hints, within,
};
use warpline_workloads::{GeneratedBlock, Size, Workload, generate};

const LIMIT: Duration = Duration::from_secs(240);

/// Engines with two threads, with eight, and with two and several reads outstanding.
fn engines(vm: &Ethereum) -> [(Engine, usize); 3] {
    [(2, 0), (8, 0), (2, 16)].map(|(threads, reads)| {
        let config = EngineConfig::with_threads(threads).read_depth(reads);
        (Engine::new(vm.clone(), config).expect("threads can be started"), threads)
    })
}

/// The block's true hints, and what it comes to.
fn truth(
    engine: &Engine,
    block: &RecoveredBlock,
    state: &MemoryState,
) -> (AccessHints, BlockOutput) {
    let (output, traces) = engine.trace(block, state).expect("the block is valid");
    (true_hints(&traces), output)
}

/// What `engine` makes of the block with `hints` is what is expected.
fn assert_same(
    (engine, width): (&Engine, usize),
    (block, state): (&RecoveredBlock, &MemoryState),
    expected: &BlockOutput,
    (name, hints): (&str, &AccessHints),
) -> BlockOutput {
    let options = ExecuteOptions::from(Strategy::Parallel(width)).hinted_by(hints);
    let found = engine.execute_with(block, state, options).expect("the block is valid");
    if let Err(mismatch) = expected.compare(&found) {
        panic!("with {name} hints on {width}: {mismatch}");
    }
    found
}

fn assert_all_same(block: &RecoveredBlock, state: &MemoryState, vm: &Ethereum) {
    for (engine, width) in engines(vm) {
        let (truth, expected) = truth(&engine, block, state);
        let check = |name: &str, hints: &AccessHints| {
            assert_same((&engine, width), (block, state), &expected, (name, hints));
            for strategy in [Strategy::Auto, Strategy::Sequential] {
                let options = ExecuteOptions::from(strategy).hinted_by(hints);
                let found = engine.execute_with(block, state, options).expect("it is valid");
                expected.compare(&found).unwrap_or_else(|it| panic!("{name}, {strategy:?}: {it}"));
            }
            let perturbed = engine.perturbed(Perturbation::seeded(7));
            assert_same((&perturbed, width), (block, state), &expected, (name, hints));
        };
        check("no", &AccessHints::default());
        check("true", &truth);
        let mut short = truth.clone();
        short.transactions.truncate(block.transactions.len() / 2);
        check("short", &short);
        (0..4).for_each(|seed| check("random", &random_hints(block, seed)));
        for malice in Malice::ALL {
            check(&format!("{malice:?}"), &malice.hints(block));
        }
    }
}

#[test]
fn no_hints_decide_about_results() {
    within(LIMIT, || {
        for workload in Workload::ALL {
            let GeneratedBlock { chain, block, state, .. } =
                generate(workload, Size::Transactions(60), 42);
            assert_all_same(&block, &state, &Ethereum::new(chain));
        }
    });
}

#[test]
fn no_hints_decide_about_the_results_of_long_blocks() {
    within(LIMIT, || {
        let generated = generate(Workload::Mixed, Size::Transactions(700), 42);
        let GeneratedBlock { chain, block, state, .. } = generated;
        assert_all_same(&block, &state, &Ethereum::new(chain));
    });
}

/// Transactions that fail, destroy, create and pay each other, among others that count.
fn eventful() -> Case {
    let senders: Vec<_> = (0..16).map(|n| account(0xa0 + n)).collect();
    let (counter, mortal, failing) = (account(1), account(2), account(3));
    let txs = senders.iter().enumerate().map(|(n, sender)| match n % 5 {
        0 => Tx::call(*sender, counter).value(U256::from(1)),
        1 => Tx::call(*sender, mortal),
        2 => Tx::call(*sender, failing),
        3 => Tx::pay(*sender, mortal, 1),
        _ => Tx::pay(*sender, senders[(n + 5) % 16], 1),
    });
    let txs: Vec<_> = txs.collect();
    Case::new(Fork::Shanghai)
        .fund_all(senders)
        .contract(counter, Asm::new().push(1).add_to_slot(0))
        .contract(mortal, Asm::new().push(1).add_to_slot(0).op(op::CALLER).op(op::SELFDESTRUCT))
        .contract(failing, Asm::new().push(1).add_to_slot(0).push(0).push(0).op(op::REVERT))
        .txs(txs)
}

#[test]
fn no_hints_decide_about_eventful_blocks_on_any_schedule() {
    within(LIMIT, || {
        let case = eventful();
        let vm = Ethereum::new(case.chain().clone());
        let (block, state) = (case.block(), case.state());
        assert_all_same(&block, state, &vm);
        for (engine, width) in engines(&vm) {
            let (truth, expected) = truth(&engine, &block, state);
            for seed in 0..40 {
                let perturbed = engine.perturbed(Perturbation::seeded(seed));
                let random = random_hints(&block, seed);
                for named in [("true", &truth), ("random", &random)] {
                    assert_same((&perturbed, width), (&block, state), &expected, named);
                }
            }
        }
    });
}

/// These without what depends on the clock.
fn timeless(mut hints: AccessHints) -> AccessHints {
    for tx in &mut hints.transactions {
        (tx.time_ns, tx.is_late) = (None, false);
        tx.accesses.iter_mut().for_each(|access| access.at_ns = None);
    }
    hints
}

/// How often transactions are executed again, over schedules on one thread that seeds fix.
fn reexecutions(engine: &Engine, block: &GeneratedBlock, hints: Option<&AccessHints>) -> u64 {
    let of_seed = |seed| {
        let perturbed = engine.perturbed(Perturbation::seeded(seed));
        let options = ExecuteOptions::from(Strategy::Parallel(1));
        let options = hints.into_iter().fold(options, ExecuteOptions::hinted_by);
        let output = perturbed.execute_with(&block.block, &block.state, options);
        output.expect("the block is valid").work.reexecutions
    };
    (0..40).map(of_seed).sum()
}

#[test]
fn true_hints_avoid_executing_again() {
    within(LIMIT, || {
        for (workload, percent) in [
            (Workload::SwapsHot, 50),
            (Workload::NftMint, 50),
            (Workload::Erc20Hot, 50),
            (Workload::TransfersChain, 100),
            (Workload::Mixed, 50),
        ] {
            let generated = generate(workload, Size::Transactions(80), 42);
            let vm = Ethereum::new(generated.chain.clone());
            let engine = Engine::new(vm, EngineConfig::with_threads(1)).unwrap();
            let truth = timeless(truth(&engine, &generated.block, &generated.state).0);
            let without = reexecutions(&engine, &generated, None);
            let with = reexecutions(&engine, &generated, Some(&truth));
            let limit = without * percent / 100;
            assert!(percent == 100 || without > 0, "{workload}: there is something to avoid");
            assert!(with <= limit, "{workload}: {with} instead of {without}");
        }
    });
}

#[test]
fn what_is_expected_is_read_ahead() {
    within(LIMIT, || {
        let generated = generate(Workload::SwapsIndependent, Size::Transactions(1), 42);
        let vm = Ethereum::new(generated.chain.clone());
        let engine = Engine::new(vm, EngineConfig::with_threads(1).read_depth(16)).unwrap();
        let (truth, _) = truth(&engine, &generated.block, &generated.state);
        let slots = |hints: &AccessHints| {
            let source = LatentSource::new(&generated.state, Duration::from_millis(2));
            let options = ExecuteOptions::default().hinted_by(hints);
            engine.execute_with(&generated.block, &source, options).unwrap();
            source.greatest_depth()
        };
        // One transaction needs one thing after the other, unless somebody says what will come. (Others
        // guess, but do not know where it leads.)
        let [nothing, all] = [&AccessHints::default(), &truth].map(slots);
        assert!(all > 8 && all > nothing, "{nothing} without, {all} with");
    });
}

#[test]
fn blocks_are_built_alike_with_hints() {
    within(LIMIT, || {
        let GeneratedBlock { chain, block, state, .. } =
            generate(Workload::Mixed, Size::Transactions(60), 42);
        for (engine, width) in engines(&Ethereum::new(chain)) {
            let mut budget = Budget::default();
            budget.gas = 2_000_000;
            let expected = engine.build(&block, &state, budget, Strategy::Sequential).unwrap();
            let hints = Malice::ALL.map(|malice| malice.hints(&block));
            for hints in hints.iter().chain([&truth(&engine, &block, &state).0]) {
                let options = ExecuteOptions::from(Strategy::Parallel(width)).hinted_by(hints);
                let built = engine.build(&block, &state, budget, options).unwrap();
                assert_eq!(built.included, expected.included);
                expected.output.compare(&built.output).unwrap();
            }
        }
    });
}

#[test]
fn hints_need_no_technique() {
    within(LIMIT, || {
        let GeneratedBlock { chain, block, state, .. } =
            generate(Workload::SwapsHot, Size::Transactions(60), 42);
        let engine = Engine::new(Ethereum::new(chain), EngineConfig::with_threads(4)).unwrap();
        let (truth, expected) = truth(&engine, &block, &state);
        let without = Technique::ALL.iter().map(|it| Techniques::default().without(*it));
        for techniques in without.chain([Techniques::NONE]) {
            let engine = engine.with_techniques(techniques);
            for (name, hints) in [("true", &truth), ("random", &random_hints(&block, 1))] {
                assert_same((&engine, 4), (&block, &state), &expected, (name, hints));
            }
        }
    });
}
