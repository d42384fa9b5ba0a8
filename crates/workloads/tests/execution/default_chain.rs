//! The default blocks executed and sealed.

use std::collections::BTreeSet;

use alloy_consensus::TxReceipt as _;
use alloy_evm::block::BlockExecutionError;
use warpline_primitives::StateSource as _;
use warpline_workloads::{DefaultChain, SealedCase, artifact, default_chain};

use crate::reference::{execute, state_root, truly_signed};

fn sealed() -> (DefaultChain, Vec<SealedCase>) {
    let chain = default_chain();
    let cases = chain.seal_with(|block, state| {
        let (output, _) = execute(&chain.chain, block, state)?;
        let mut after = state.clone();
        after.apply(&output.state);
        Ok::<_, BlockExecutionError>((output, state_root(&after)))
    });
    let cases = cases.expect("valid blocks");
    (chain, cases)
}

#[test]
fn every_block_is_a_valid_child_of_the_one_before() {
    let (chain, cases) = sealed();
    let mut parent = chain.genesis.clone();
    assert_eq!(parent.state_root, state_root(&chain.state));
    for case in &cases {
        assert_eq!(case.parent, parent);
        chain.chain.validate_header(&case.block.header, &parent).unwrap();
        chain.chain.validate_body(&case.block, None).unwrap();
        assert_eq!(case.block.hash, case.block.header.hash_slow());
        assert_eq!(state_root(&case.state), parent.state_root);
        // Executing the sealed block again gives what it was sealed with.
        let (again, _) = execute(&chain.chain, &case.block, &case.state).unwrap();
        case.output.compare(&again).unwrap();
        parent = case.block.header.clone();
    }
}

#[test]
fn a_bit_of_everything_happens() {
    let (_, cases) = sealed();
    let transactions: usize = cases.iter().map(|case| case.block.transactions.len()).sum();
    assert_eq!(cases.len(), 6);
    assert!((300..=400).contains(&transactions), "{transactions}");
    for case in &cases {
        let header = &case.block.header;
        println!(
            "block {}: {} transactions, {} gas, base fee {:?}",
            header.number,
            case.block.transactions.len(),
            header.gas_used,
            header.base_fee_per_gas
        );
    }

    let types: BTreeSet<_> = cases
        .iter()
        .flat_map(|case| &case.block.transactions)
        .map(|transaction| u8::from(transaction.tx_type()))
        .collect();
    assert_eq!(types, (0..=4).collect(), "every type of transaction");
    let failed =
        |case: &SealedCase| case.output.receipts.iter().filter(|receipt| !receipt.status()).count();
    let failures: Vec<_> = cases.iter().map(failed).collect();
    assert_eq!(failures, [0, 0, 0, 0, 4, 0]);
    let deployed: usize = cases.iter().map(deployed_tokens).sum();
    assert_eq!(deployed, 3, "new tokens");
    assert!(cases.iter().any(|case| !case.output.requests.is_empty()), "a request");
    assert!(cases.iter().any(|case| case.output.blob_gas_used > 0), "blobs");
    assert!(cases.iter().any(|case| case.block.withdrawals.iter().flatten().next().is_some()));
    let fees: Vec<_> = cases.iter().filter_map(|case| case.block.header.base_fee_per_gas).collect();
    assert!(fees.windows(2).any(|pair| pair[0] > pair[1]), "the base fee falls: {fees:?}");
    assert!(fees.windows(2).any(|pair| pair[0] < pair[1]), "the base fee rises: {fees:?}");
}

/// How many tokens there are after the block that were not there before.
fn deployed_tokens(case: &SealedCase) -> usize {
    let new = case.output.state.accounts().filter(|(address, diff)| {
        let token = diff.account.is_some_and(|it| it.code_hash == artifact::TOKEN.code_hash);
        token && case.state.account(**address) == Ok(None)
    });
    new.count()
}

#[test]
fn all_transactions_are_truly_signed() {
    let chain = default_chain();
    assert!(chain.blocks.iter().flat_map(|block| &block.transactions).all(truly_signed));
}

#[test]
fn the_chain_is_the_same_every_time() {
    let (first, second) = (default_chain(), default_chain());
    assert_eq!(first.genesis, second.genesis);
    for (first, second) in first.blocks.iter().zip(&second.blocks) {
        assert_eq!(first.hash, second.hash);
        assert_eq!(first.transactions, second.transactions);
    }
}
