//! The real blocks decode, hash to what they claim, and their signatures give their senders.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use warpline_primitives::{Account, StateSource};
use warpline_replay::{BlockInput, Input, Inputs, Ommers, ParentState};

fn blocks(folder: &str) -> Vec<BlockInput> {
    let Some(path) = common::shared(folder) else { return Vec::new() };
    Inputs::open([path])
        .map(|input| match input.unwrap() {
            Input::Block(input) => *input,
            other => panic!("not a block: {other:?}"),
        })
        .collect()
}

#[test]
fn snapshots_decode_and_keep_the_rules_of_their_forks() {
    let inputs = blocks("blocks/mainnet/prestate");
    let forks: BTreeSet<_> = inputs.iter().map(BlockInput::fork_name).collect();
    for input in &inputs {
        input.check().unwrap_or_else(|error| panic!("{}: {error}", input.origin));
        assert!(input.parent_header.is_none() && matches!(input.parent, ParentState::Snapshot(_)));
        // Senders come from the signatures; the file's own are only looked at here.
        let file = common::read_json(&input.origin.path);
        let listed = file["block"]["transactions"].as_array().unwrap();
        let listed = listed.iter().map(|t| t["from"].as_str().unwrap().parse::<Address>().unwrap());
        let recovered = input.block.transactions.iter().map(|transaction| transaction.signer());
        assert!(recovered.eq(listed), "{}", input.origin);
    }
    if !inputs.is_empty() {
        assert_eq!(inputs.len(), 54);
        for fork in ["Frontier", "Homestead", "Byzantium", "London", "Paris", "Cancun"] {
            assert!(forks.contains(fork), "{fork} is not among {forks:?}");
        }
        let with_ommers = inputs.iter().filter(|input| input.ommers != Ommers::Known);
        assert!(with_ommers.count() > 0);
    }
}

#[test]
fn witnesses_decode_and_prove_their_senders() {
    let inputs = blocks("blocks/mainnet/witness");
    for input in &inputs {
        input.check().unwrap_or_else(|error| panic!("{}: {error}", input.origin));
        let parent = input.parent_header.as_ref().unwrap();
        assert_eq!(input.parent.block_hash(parent.number).unwrap(), input.block.header.parent_hash);
        for transaction in &input.block.transactions {
            // A sender that does not exist yet is funded by an earlier transaction of the block,
            // and the witness proves its absence.
            let sender = input.parent.account(transaction.signer()).unwrap();
            if let Some(sender) = sender.filter(Account::has_code) {
                assert!(!input.parent.code(sender.code_hash).unwrap().is_empty());
            }
        }
        assert!(input.parent.code(B256::ZERO).is_err());
    }
    assert!(inputs.is_empty() || inputs.len() == 20);
}
