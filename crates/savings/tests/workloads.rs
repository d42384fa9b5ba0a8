//! Dependencies of generated blocks, of which it is known what they are.

use std::time::Duration;

use warpline_engine::{Engine, EngineConfig, Ethereum};
use warpline_savings::{Dependencies, Notion, Timeline};
use warpline_workloads::{Size, Workload, generate};

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
    timeline.speedup(timeline.critical_path().1)
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
    for workload in
        [Workload::TransfersChain, Workload::Erc20Hot, Workload::SwapsHot, Workload::NftMint]
    {
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
}
