//! The report: what it says, and that it can be read whatever it is about.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use alloy_consensus::{Transaction as _, transaction::Recovered};
use alloy_primitives::Address;
use warpline_engine::{ActivityLog, Engine, EngineConfig, Ethereum, ExecuteOptions, Strategy};
use warpline_primitives::Transaction;
use warpline_savings::{
    BlockAnalysis, BlockRecord, Call, CorePrice, Market, Measured, Sample, Variant,
    report::{Names, Report, Settings},
};
use warpline_workloads::{Size, Workload, generate};

const THREADS: usize = 2;

fn record(workload: Workload, transactions: usize) -> BlockRecord {
    let generated = generate(workload, Size::Transactions(transactions), 42);
    let vm = Ethereum::new(generated.chain);
    let engine = Engine::new(vm, EngineConfig::with_threads(THREADS)).unwrap();
    let (output, mut traces) = engine.trace(&generated.block, &generated.state).unwrap();
    // So that nothing depends on how long it took.
    for trace in &mut traces {
        trace.took = Duration::from_nanos(trace.gas_used);
    }
    let log = ActivityLog::default();
    let options = ExecuteOptions::from(Strategy::Parallel(THREADS)).logged_to(&log);
    engine.execute_with(&generated.block, &generated.state, options).unwrap();
    let call = |tx: &Recovered<Transaction>| Call {
        sender: tx.signer(),
        to: tx.to(),
        selector: tx.input().get(..4).map_or([0; 4], |it| it.try_into().unwrap()),
        has_input: !tx.input().is_empty(),
    };
    let took = Duration::from_nanos(output.gas_used);
    BlockRecord {
        number: 1,
        source: workload.to_string(),
        variant: None,
        fork: "Osaka".to_owned(),
        gas_used: output.gas_used,
        gas_limit: generated.block.header.gas_limit,
        base_fee: generated.block.header.base_fee_per_gas,
        beneficiary: generated.block.header.beneficiary,
        calls: generated.block.transactions.iter().map(call).collect(),
        traces,
        sequential: Sample { took, core_time: took },
        parallel: vec![Measured {
            threads: THREADS,
            sample: Sample { took: took * 2 / 3, core_time: took * 5 / 4 },
            width: THREADS,
            activities: log.into_activities(),
        }],
    }
}

fn settings() -> Settings {
    Settings {
        version: "0.0.0".to_owned(),
        machine: "a machine".to_owned(),
        price: CorePrice::new(0.036, "EUR").unwrap(),
        execution_share: 0.5,
        market: Market::default(),
        names: Names::default(),
    }
}

fn report(records: &[BlockRecord], settings: &Settings) -> Report {
    let analyses: Vec<_> = records.iter().map(BlockAnalysis::new).collect();
    Report::new(&analyses, settings)
}

/// Fails if the page needs anything from elsewhere, or a figure is not explained.
fn check_page(page: &str) {
    for foreign in ["http:", "https:", "<script", "<link", "<iframe", "@import", "url(", "onload"] {
        // The name of a namespace is no address that anybody goes to.
        let left = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!left.contains(foreign), "the page holds {foreign}");
    }
    let count = |text: &str| page.matches(text).count();
    for tag in ["section", "figure", "table", "tr", "td", "svg", "div", "p"] {
        let (open, close) =
            (count(&format!("<{tag}>")) + count(&format!("<{tag} ")), count(&format!("</{tag}>")));
        assert_eq!(open, close, "{tag}");
    }
    assert_eq!(count("<figure>"), count("<figcaption>"));
    assert!(count("<figure>") > 0 && count("prefers-color-scheme: dark") == 1);
    assert!(!page.contains("NaN") && !page.contains("inf"), "not a number");
}

#[test]
fn figures_are_those_of_the_blocks() {
    let records = [record(Workload::NftMint, 30), record(Workload::SwapsIndependent, 20)];
    let report = report(&records, &settings());
    let totals = &report.totals;
    assert_eq!((totals.blocks, totals.transactions), (2, 50));
    assert_eq!(totals.gas, records.iter().map(|record| record.gas_used).sum::<u64>());
    assert!((totals.sequential_core_s_per_ggas - 1.0).abs() < 1e-6, "a nanosecond a gas");
    assert!((totals.sequential_cost_per_ggas - 0.000_01).abs() < 1e-9);
    let measured = &totals.measured[0];
    assert!((measured.speedup - 1.5).abs() < 1e-6 && measured.slower == 0);
    assert!((measured.core_s_per_ggas - 1.25).abs() < 1e-6, "more than sequentially");
    assert_eq!(measured.wasted.executions, 50 + measured.wasted.in_vain);

    let [mint, swaps] = [0, 1].map(|at| &report.blocks[at]);
    assert!((mint.bound - 1.0).abs() < 1e-9 && (mint.critical_gas_share - 1.0).abs() < 1e-9);
    assert!((swaps.bound - 20.0).abs() < 1.0, "{}", swaps.bound);
    for block in &report.blocks {
        for cores in &block.cores {
            assert!(cores.in_order <= block.bound + 1e-9);
            assert!(cores.simulated <= block.bound_of_segments + 1e-9);
        }
    }
    let worst = report.conflicts.iter().filter(|row| row.kind == "slot");
    let worst = worst.max_by(|one, other| one.gained_ms.total_cmp(&other.gained_ms)).unwrap();
    assert_eq!((worst.transactions, worst.blocks), (29, 1));
    assert!(worst.gas_behind < worst.gas && worst.speedup_without > 7.0 && worst.speedup < 1.01);
    assert_eq!(report.focus[0].critical_path.len(), 30, "each needs the one before");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let report = report(&[record(Workload::Mixed, 120)], &settings());
    let page = report.to_html().unwrap();
    check_page(&page);
    assert!(page.contains("EUR"));
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.starts_with(r#"{"schema":"warpline.report.v1""#));
    assert!(!json.contains("null"), "what is not a number becomes null");
    let blocks = String::from_utf8(report.blocks_csv().unwrap()).unwrap();
    assert_eq!(blocks.lines().count(), 2);
    assert_eq!(blocks.lines().next().unwrap().split(',').count(), 16);
    let conflicts = String::from_utf8(report.conflicts_csv().unwrap()).unwrap();
    assert_eq!(conflicts.lines().count(), 1 + report.conflicts.len());
}

#[test]
fn names_are_text_and_nothing_else() {
    let record = record(Workload::NftMint, 5);
    let collection = record.calls[0].to.unwrap();
    let mut settings = settings();
    settings.names.name_contract(collection, "<script>alert('x')</script>\"&");
    settings.machine = "</section><script>".to_owned();
    let variant = Variant { job: "<b>".to_owned(), form: "<i>".to_owned() };
    let record = BlockRecord { variant: Some(variant), source: "a\"><b>".to_owned(), ..record };
    check_page(&report(&[record], &settings).to_html().unwrap());
}

#[test]
fn whatever_was_measured_can_be_told() {
    let whole = record(Workload::TransfersChain, 3);
    let empty = BlockRecord {
        traces: Vec::new(),
        calls: Vec::new(),
        gas_used: 0,
        parallel: Vec::new(),
        sequential: Sample::default(),
        ..whole.clone()
    };
    let mut timeless = whole.clone();
    for trace in &mut timeless.traces {
        trace.took = Duration::ZERO;
    }
    timeless.parallel[0].sample = Sample::default();
    timeless.parallel[0].activities.clear();
    timeless.beneficiary = Address::ZERO;
    let free = Settings { price: CorePrice::new(0.0, "EUR").unwrap(), ..settings() };
    let all = [empty, timeless, whole];
    for records in [&all[..0], &all[..1], &all[1..2], &all] {
        let report = report(records, &free);
        let page = report.to_html().unwrap();
        check_page(&page);
        assert!(!serde_json::to_string(&report).unwrap().contains("null"));
    }
}
