//! Dependencies of generated blocks, of which it is known what they are.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use alloy_consensus::Transaction as _;
use warpline_engine::{Engine, EngineConfig, Ethereum};
use warpline_savings::{
    Cause, Dependencies, Granularity, Notion, Place, Timeline, conflicts, without,
};
use warpline_workloads::{Size, Workload, artifact::COLLECTIBLE, generate};

/// By how much any number of cores is quicker than one if all transactions take equally long.
fn limit(workload: Workload, notion: Notion) -> f64 {
    let generated = generate(workload, Size::Transactions(40), 42);
    let vm = Ethereum::new(generated.chain);
    let engine = Engine::new(vm, EngineConfig::with_threads(1)).unwrap();
    let (output, traces) = engine.trace(&generated.block, &generated.state).unwrap();
    let plain = engine.execute_reference(&generated.block, &generated.state).unwrap();
    plain.compare(&output).unwrap();
    assert_eq!(traces.len(), 40);
    assert_eq!(traces.iter().map(|trace| trace.gas_used).sum::<u64>(), output.gas_used);
    let beneficiary = generated.block.header.beneficiary;
    let dependencies = Dependencies::new(&traces, beneficiary, notion);
    let times = vec![Duration::from_micros(1); traces.len()];
    let timeline = Timeline::new(&times, &dependencies);
    timeline.speedup(timeline.critical_path(Granularity::Transactions).length)
}

#[test]
fn independent_transactions_need_nobody() {
    for workload in
        [Workload::TransfersIndependent, Workload::Erc20Independent, Workload::SwapsIndependent]
    {
        for notion in [Notion::AccountReads, Notion::CreditsCommute] {
            let limit = limit(workload, notion);
            assert!((limit - 40.0).abs() < 1e-9, "{workload:?}, {notion:?}: {limit}");
        }
    }
}

#[test]
fn in_a_line_each_needs_the_one_before() {
    for workload in [Workload::Erc20Hot, Workload::SwapsHot, Workload::NftMint] {
        for notion in [Notion::AccountReads, Notion::CreditsCommute] {
            let limit = limit(workload, notion);
            assert!((limit - 1.0).abs() < 1e-9, "{workload:?}, {notion:?}: {limit}");
        }
    }
}

#[test]
fn payments_to_one_account_need_each_other_or_not() {
    let hot = |notion| limit(Workload::TransfersHot, notion);
    assert!((hot(Notion::AccountReads) - 1.0).abs() < 1e-9);
    assert!((hot(Notion::CreditsCommute) - 40.0).abs() < 1e-9);
    // In a chain each pays the next, who has enough without it.
    let chain = |notion| limit(Workload::TransfersChain, notion);
    assert!((chain(Notion::AccountReads) - 1.0).abs() < 1e-9);
    assert!((chain(Notion::CreditsCommute) - 40.0).abs() < 1e-9);
}

#[test]
fn the_counter_of_a_collection_is_what_stands_in_the_way() {
    let generated = generate(Workload::NftMint, Size::Transactions(40), 42);
    let vm = Ethereum::new(generated.chain);
    let engine = Engine::new(vm, EngineConfig::with_threads(1)).unwrap();
    let (output, traces) = engine.trace(&generated.block, &generated.state).unwrap();
    let beneficiary = generated.block.header.beneficiary;
    let dependencies = Dependencies::new(&traces, beneficiary, Notion::CreditsCommute);
    let times = vec![Duration::from_micros(10); traces.len()];
    let timeline = Timeline::new(&times, &dependencies);
    let found = conflicts(&traces, &timeline, 8);

    let collection = generated.block.transactions[0].to().unwrap();
    let counter = Cause::Place(Place::Slot(collection, COLLECTIBLE.slot("nextId")));
    let worst = found.first().unwrap();
    assert_eq!(worst.cause, counter);
    assert_eq!(worst.transactions, 39);
    assert_eq!(worst.gas, output.gas_used - traces[0].gas_used);
    assert!(worst.gas_behind > 0 && worst.gas_behind < worst.gas);
    assert_eq!(worst.time, Duration::from_micros(390));
    assert_eq!(worst.critical_path, Duration::from_micros(10), "nothing else is shared");
    assert_eq!(worst.makespan, Duration::from_micros(50));
    let [function, contract] = [1, 2].map(|at| &found[at]);
    assert!(matches!(function.cause, Cause::Function(mint) if mint.contract == collection));
    assert_eq!(contract.cause, Cause::Contract(collection));
    assert!(without(&dependencies, &[counter]).iter().next().is_none());
}
