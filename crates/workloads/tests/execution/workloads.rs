//! Every workload executed: what it costs, that it succeeds, and what its transactions share.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::Transaction as _;
use alloy_eips::Encodable2718 as _;
use warpline_chain::MAX_BLOCK_RLP_LEN;
use warpline_workloads::{Size, Workload, generate};

use crate::reference::{Place, Step, execute, truly_signed};

const SEED: u64 = 7;

pub(crate) fn run(workload: Workload, count: usize) -> Vec<Step> {
    let generated = generate(workload, Size::Transactions(count), SEED);
    assert_eq!(generated.block.transactions.len(), count);
    let (output, steps) =
        execute(&generated.chain, &generated.block, &generated.state).expect("a valid block");
    assert_eq!(output.gas_used, steps.iter().map(|step| step.gas_used).sum::<u64>());
    assert!(steps.iter().all(|step| step.succeeded), "{workload}");
    steps
}

/// How many transactions write each place.
fn writers(steps: &[Step]) -> BTreeMap<Place, usize> {
    let mut writers = BTreeMap::new();
    for place in steps.iter().flat_map(|step| &step.written) {
        *writers.entry(*place).or_default() += 1;
    }
    writers
}

pub(crate) fn most_written(workload: Workload, count: usize) -> Vec<usize> {
    let mut counts: Vec<_> = writers(&run(workload, count)).into_values().collect();
    counts.sort_unstable_by(|left, right| right.cmp(left));
    counts
}

#[test]
fn gas_is_what_it_is_sized_by() {
    let table = [
        (Workload::TransfersIndependent, 21_000..=21_000),
        (Workload::TransfersChain, 21_000..=21_000),
        (Workload::TransfersHot, 21_000..=21_000),
        (Workload::Erc20Independent, 34_000..=35_000),
        (Workload::Erc20Hot, 34_000..=35_000),
        (Workload::SwapsIndependent, 140_000..=160_000),
        (Workload::SwapsHot, 140_000..=160_000),
        (Workload::NftMint, 70_000..=76_000),
    ];
    for (workload, range) in table {
        let gas: Vec<_> = run(workload, 40).iter().map(|step| step.gas_used).collect();
        println!("{workload}: {} to {}", gas.iter().min().unwrap(), gas.iter().max().unwrap());
        // The first to use something shared may pay for more.
        for gas in &gas[2..] {
            assert!(range.contains(gas), "{workload}: {gas}");
        }
    }
}

#[test]
fn a_block_uses_about_the_gas_that_was_asked_for() {
    const GAS: u64 = 60_000_000;
    for workload in Workload::ALL {
        let count = Size::Gas(GAS).transactions(workload);
        let used: u64 = run(workload, count).iter().map(|step| step.gas_used).sum();
        println!("{workload}: {} a transaction over {count}", used / count as u64);
        assert!((GAS * 95 / 100..=GAS * 105 / 100).contains(&used), "{workload}: {used}");
    }
}

#[test]
fn independent_transactions_write_nothing_in_common() {
    for workload in
        [Workload::TransfersIndependent, Workload::Erc20Independent, Workload::SwapsIndependent]
    {
        assert_eq!(most_written(workload, 30)[0], 1, "{workload}");
    }
}

#[test]
fn hot_transactions_all_write_the_same() {
    // The recipient's balance.
    assert_eq!(most_written(Workload::TransfersHot, 30)[..2], [30, 1]);
    // The recipient's slot.
    assert_eq!(most_written(Workload::Erc20Hot, 30)[..2], [30, 1]);
    // The counter.
    assert_eq!(most_written(Workload::NftMint, 30)[..2], [30, 1]);
    // The pool's reserves, fees, volumes, count and last price, and its balance of either token.
    assert_eq!(most_written(Workload::SwapsHot, 30)[..8], [30, 30, 30, 30, 30, 30, 30, 1]);
}

#[test]
fn each_transfer_of_a_chain_shares_an_account_with_the_next() {
    let steps = run(Workload::TransfersChain, 30);
    for pair in steps.windows(2) {
        assert_eq!(pair[0].written.intersection(&pair[1].written).count(), 1);
    }
    for pair in steps.windows(3) {
        assert!(pair[0].written.is_disjoint(&pair[2].written));
    }
}

#[test]
fn a_mixed_block_has_both_popular_and_rare_places() {
    let counts = most_written(Workload::Mixed, 400);
    assert!(counts[0] >= 20, "{counts:?}");
    let once = counts.iter().filter(|count| **count == 1).count();
    assert!(once > counts.len() / 2, "{once} of {}", counts.len());
}

#[test]
fn the_seed_decides_everything() {
    for workload in Workload::ALL {
        let hash = |seed| {
            let block = generate(workload, Size::Transactions(20), seed).block;
            block.transactions.iter().map(|tx| *tx.tx_hash()).collect::<Vec<_>>()
        };
        assert_eq!(hash(1), hash(1), "{workload}");
        assert_ne!(hash(1), hash(2), "{workload}");
    }
}

#[test]
fn a_gigagas_block_is_well_formed() {
    let block = generate(Workload::TransfersHot, Size::GIGAGAS, SEED).block;
    let hashes: BTreeSet<_> = block.transactions.iter().map(|tx| *tx.tx_hash()).collect();
    assert_eq!(hashes.len(), block.transactions.len(), "hashes are distinct");
    let gas: u64 = block.transactions.iter().map(|tx| tx.gas_limit()).sum();
    assert!(gas <= block.header.gas_limit);
    let bytes: usize = block.transactions.iter().map(|tx| tx.inner().encode_2718_len()).sum();
    assert!(bytes + 100_000 < MAX_BLOCK_RLP_LEN, "{bytes}");
    assert!(!truly_signed(&block.transactions[0]));
}
