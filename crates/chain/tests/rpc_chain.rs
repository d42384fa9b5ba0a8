//! A chain with every fork from Homestead to BPO2 and a merge by total difficulty: each block is accepted on its
//! parent, and not if it were on the other side of the merge.

mod common;

use std::borrow::Cow;

use alloy_consensus::{Block, Header};
use alloy_primitives::{B64, B256, U256};
use warpline_chain::{ChainSpec, EthereumHardfork, Genesis, HeaderError, HeaderField};
use warpline_primitives::Transaction;

/// The headers from genesis on, each with the total difficulty up to and including it.
fn headers(genesis: &Genesis, blocks: &[Block<Transaction>]) -> Vec<(Header, U256)> {
    let first = genesis.header(common::state_root(genesis));
    let headers = std::iter::once(first).chain(blocks.iter().map(|block| block.header.clone()));
    let add = |total: &mut U256, header: Header| {
        *total += header.difficulty;
        Some((header, *total))
    };
    headers.scan(U256::ZERO, add).collect()
}

fn rules<'a>(genesis: &'a Genesis, parent: &(Header, U256)) -> Cow<'a, ChainSpec> {
    genesis.chain().for_child_of(parent.0.number, parent.1)
}

#[test]
fn every_block_is_valid_on_its_parent() {
    let Some((genesis, blocks)) = common::rpc_chain() else { return };
    let headers = headers(&genesis, &blocks);
    let mut included: Vec<B256> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let (parent, header) = (&headers[index], &headers[index + 1].0);
        let chain = rules(&genesis, parent);
        assert_eq!(chain.validate_header(header, &parent.0), Ok(()), "block {}", header.number);
        let ancestors: Vec<_> =
            headers[..=index].iter().rev().map(|(header, _)| header.clone()).collect();
        let ommers = &block.body.ommers;
        assert_eq!(chain.validate_ommers(header, ommers, &ancestors, &included), Ok(()));
        included.extend(ommers.iter().map(Header::hash_slow));
        assert_eq!(chain.is_merged(header.number), header.number >= 36);
    }
}

#[test]
fn nothing_crosses_the_merge() {
    let Some((genesis, blocks)) = common::rpc_chain() else { return };
    let headers = headers(&genesis, &blocks);
    let terminal = genesis.chain().unresolved_terminal_difficulty();
    let [before, last] = [&headers[34], &headers[35]];
    assert!(terminal.is_some_and(|terminal| before.1 < terminal && last.1 >= terminal));

    // A second block of proof of work after the terminal one.
    let work = |parent: &Header| Header {
        difficulty: genesis.chain().next_difficulty(parent, parent.timestamp + 10),
        nonce: B64::with_last_byte(1),
        ..headers[36].0.clone()
    };
    let found = work(&last.0).difficulty;
    let error = HeaderError::Difficulty { expected: U256::ZERO, found };
    assert!(!found.is_zero());
    assert_eq!(rules(&genesis, last).validate_header(&work(&last.0), &last.0), Err(error));
    // A block without work before it.
    let early = Header { difficulty: U256::ZERO, ..last.0.clone() };
    let error = HeaderError::Difficulty { expected: last.0.difficulty, found: U256::ZERO };
    assert_eq!(rules(&genesis, before).validate_header(&early, &before.0), Err(error));
    // Proof of work goes on past the time of Shanghai.
    let late = Header { timestamp: 390, withdrawals_root: Some(B256::ZERO), ..last.0.clone() };
    let (fork, paris) = (EthereumHardfork::Shanghai, EthereumHardfork::Paris);
    let error = HeaderError::ForkTooEarly { fork, before: paris };
    assert_eq!(rules(&genesis, before).validate_header(&late, &before.0), Err(error));
}

#[test]
fn each_fork_begins_with_its_fields() {
    let Some((genesis, blocks)) = common::rpc_chain() else { return };
    let headers = headers(&genesis, &blocks);
    let check = |number: usize, header: &Header| {
        let parent = &headers[number - 1];
        rules(&genesis, parent).validate_header(header, &parent.0)
    };
    let first = |field: fn(&Header) -> bool| headers.iter().position(|(header, _)| field(header));
    assert_eq!(first(|header| header.base_fee_per_gas.is_some()), Some(27));
    assert_eq!(first(|header| header.withdrawals_root.is_some()), Some(39));
    assert_eq!(first(|header| header.blob_gas_used.is_some()), Some(42));
    assert_eq!(first(|header| header.requests_hash.is_some()), Some(45));
    let london = Header { base_fee_per_gas: None, ..headers[27].0.clone() };
    assert_eq!(check(27, &london), Err(HeaderError::FieldMissing(HeaderField::BaseFee)));
    let base_fee_per_gas = headers[27].0.base_fee_per_gas;
    let before = Header { base_fee_per_gas, ..headers[26].0.clone() };
    assert_eq!(check(26, &before), Err(HeaderError::FieldForbidden(HeaderField::BaseFee)));
}
