//! Every generated workload and the default chain: all ways to execute them are equal.

use warpline_engine::{Engine, EngineConfig, Ethereum, Strategy, Technique, Techniques};
use warpline_primitives::{MemoryState, StateSource};
use warpline_testkit::{Plan, check_block};
use warpline_workloads::{Size, Workload, default_chain, generate};

fn check(workload: Workload, transactions: usize) {
    let generated = generate(workload, Size::Transactions(transactions), 42);
    let outcome =
        check_block(&generated.chain, &generated.block, &generated.state, &Plan::default());
    assert!(outcome.successes().into_iter().all(|success| success), "all transactions succeed");
}

#[test]
fn independent_transfers() {
    check(Workload::TransfersIndependent, 300);
}

#[test]
fn a_chain_of_transfers() {
    check(Workload::TransfersChain, 300);
}

#[test]
fn transfers_to_one_recipient() {
    check(Workload::TransfersHot, 300);
}

#[test]
fn independent_token_transfers() {
    check(Workload::Erc20Independent, 150);
}

#[test]
fn token_transfers_to_one_recipient() {
    check(Workload::Erc20Hot, 150);
}

#[test]
fn swaps_in_a_pool_each() {
    check(Workload::SwapsIndependent, 50);
}

#[test]
fn swaps_in_one_pool() {
    check(Workload::SwapsHot, 50);
}

#[test]
fn mints_of_one_collection() {
    check(Workload::NftMint, 100);
}

#[test]
fn everything_mixed() {
    check(Workload::Mixed, 200);
}

#[test]
fn fields_in_either_form() {
    for workload in Workload::FIELDS {
        check(workload, 40);
    }
}

#[test]
fn blocks_of_one_transaction() {
    for workload in Workload::ALL {
        check(workload, 1);
    }
}

#[test]
fn no_technique_decides_about_results() {
    let engine = Engine::new(Ethereum::mainnet(), EngineConfig::with_threads(4)).unwrap();
    let all = Techniques::default();
    let without = Technique::ALL.iter().map(|technique| all.without(*technique));
    let variants: Vec<_> = without.chain([Techniques::NONE]).collect();
    // Longer blocks are planned otherwise.
    let long = [(Workload::TransfersHot, 600), (Workload::Mixed, 600)];
    for (workload, transactions) in
        Workload::ALL.map(|workload| (workload, 120)).into_iter().chain(long)
    {
        let generated = generate(workload, Size::Transactions(transactions), 42);
        let engine = engine.with_vm(Ethereum::new(generated.chain));
        let (block, state) = (&generated.block, &generated.state);
        let expected = engine.execute_reference(block, state).unwrap();
        for techniques in variants.iter().copied() {
            let engine = engine.with_techniques(techniques);
            for strategy in [Strategy::Auto, Strategy::Parallel(4)] {
                let output = engine.execute_with(block, state, strategy).unwrap();
                let same = expected.compare(&output);
                assert!(same.is_ok(), "{workload:?}, {techniques:?}, {strategy:?}: {same:?}");
            }
        }
    }
}

#[test]
fn what_techniques_are_for_is_missing_without_them() {
    let work = |workload, techniques: Techniques| {
        let generated = generate(workload, Size::Transactions(400), 42);
        let vm = Ethereum::new(generated.chain);
        let engine = Engine::new(vm, EngineConfig::with_threads(2)).unwrap();
        let engine = engine.with_techniques(techniques);
        let output = engine.execute_with(&generated.block, &generated.state, Strategy::Auto);
        output.unwrap().work
    };
    let all = Techniques::default();
    let chain = Workload::TransfersChain;
    assert_eq!(work(chain, all).width, 1, "a line of payments is not worth waking anybody");
    assert_eq!(work(chain, all.without(Technique::Width)).width, 2);
}

#[test]
fn the_default_chain() {
    let chain = default_chain();
    let vm = Ethereum::new(chain.chain.clone());
    let engine = Engine::new(vm, EngineConfig::with_threads(1)).unwrap();
    let cases = chain.seal_with(|block, state| {
        let output = engine.execute_reference(block, state)?;
        // No root is needed to execute the next block, only its hash, which any root gives.
        Ok::<_, warpline_engine::ExecutionError<<MemoryState as StateSource>::Error>>((
            output,
            block.header.parent_hash,
        ))
    });
    for case in cases.unwrap() {
        let plan = Plan::default();
        let outcome = check_block(&chain.chain, &case.block, &case.state, &plan);
        case.output.compare(outcome.output()).unwrap();
    }
}
