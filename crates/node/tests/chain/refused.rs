//! A block that breaks a rule is refused with that rule, and nothing changes.

use alloy_primitives::{B256, Bytes, U256};
use warpline_chain::{BodyError, HeaderError};
use warpline_node::{ChainOptions, ImportError};
use warpline_replay::{Rejection, VerifyError};

use crate::builder::{Builder, Built};

/// Everything in the database.
pub(crate) fn contents(chain: &warpline_node::Chain) -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let all: [&str; 0] = [];
    let view = chain.database().view().unwrap();
    view.visit_entries(&all, &mut |table, key, value| {
        entries.push((table, key.to_vec(), value.to_vec()));
    })
    .unwrap();
    entries
}

type Break = fn(&mut Built);
type Rule = fn(&Rejection) -> bool;

#[test]
fn each_rule_by_its_name() {
    let cases: [(&str, Break, Rule); 9] = [
        (
            "parent",
            |built| built.block.header.parent_hash = B256::repeat_byte(1),
            |rejection| matches!(rejection, Rejection::UnknownParent { .. }),
        ),
        (
            "timestamp",
            |built| built.block.header.timestamp = 0,
            |rejection| matches!(rejection, Rejection::Header(HeaderError::Timestamp { .. })),
        ),
        (
            "base fee",
            |built| built.block.header.base_fee_per_gas = Some(1),
            |rejection| matches!(rejection, Rejection::Header(HeaderError::BaseFee { .. })),
        ),
        (
            "transactions root",
            |built| built.block.header.transactions_root = B256::ZERO,
            |rejection| matches!(rejection, Rejection::Body(BodyError::TransactionsRoot { .. })),
        ),
        (
            "nonce",
            |built| built.block.transactions.swap(0, 1),
            |rejection| matches!(rejection, Rejection::Execution(_)),
        ),
        (
            "gas used",
            |built| built.block.header.gas_used += 1,
            |rejection| matches!(rejection, Rejection::Verification(VerifyError::GasUsed { .. })),
        ),
        (
            "receipts root",
            |built| built.block.header.receipts_root = B256::ZERO,
            |rejection| {
                matches!(rejection, Rejection::Verification(VerifyError::ReceiptsRoot { .. }))
            },
        ),
        (
            "state root",
            |built| built.block.header.state_root = B256::ZERO,
            |rejection| matches!(rejection, Rejection::Verification(VerifyError::StateRoot { .. })),
        ),
        (
            "extra data",
            |built| built.block.header.extra_data = Bytes::from(vec![0; 33]),
            |rejection| matches!(rejection, Rejection::Header(HeaderError::ExtraDataLength { .. })),
        ),
    ];
    let builder = Builder::new(true);
    let mut chain = builder.chain(ChainOptions::default());
    let first = builder.child(&builder.genesis(), 1, &[1, 2]);
    chain.import(first.incoming()).unwrap();
    let before = contents(&chain);
    let good = builder.child(&first, 1, &[3, 3, 4]);
    for (name, spoil, rule) in cases {
        let mut bad = good.clone();
        spoil(&mut bad);
        bad.block.hash = bad.block.header.hash_slow();
        match chain.import(bad.incoming()) {
            Err(ImportError::Rejected(rejection)) => {
                assert!(rule(&rejection), "{name}: {rejection}")
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(contents(&chain), before, "{name}");
        assert_eq!(chain.head().hash, first.block.hash, "{name}");
    }
    chain.import(good.incoming()).unwrap();
    assert_eq!(chain.head().total_difficulty, U256::ZERO);
}
