//! What the fuzz targets share.
//!
//! Bytes that a format carries as hexadecimal digits are taken raw from the fuzzer and written out
//! here: it would take it long to find out that digits come in pairs.

use std::{fmt::Write as _, sync::Arc};

use alloy_primitives::{Address, U256};
use warpline_chain::ChainSpec;
use warpline_primitives::{Account, AccountDiff, StateDiff};
use warpline_replay::{ExecutionError, Input, Origin, decode_document, run_chain_test};

/// Decodes a document, checks what can be checked of its blocks, and runs its cases with an
/// executor that takes no block.
pub fn exercise(document: &[u8]) {
    let chain = Arc::new(ChainSpec::mainnet());
    for input in decode_document(document, &Origin::file("fuzz"), &chain) {
        match input {
            Ok(Input::ChainTest(test)) => {
                let refuse = || ExecutionError::InvalidBlock("not executed here".into());
                drop(run_chain_test(&test, |_, _| Err(refuse())));
            }
            Ok(Input::Block(input)) => drop(input.check()),
            Ok(Input::Skipped(_)) => {}
            Err(error) => drop(error.to_string()),
        }
    }
}

/// Cuts `bytes` in `N`: two bytes of length before each part but the last.
pub fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut rest = bytes;
    std::array::from_fn(|part| match rest {
        [high, low, tail @ ..] if part + 1 < N => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let (this, after) = tail.split_at(length.min(tail.len()));
            rest = after;
            this
        }
        _ => std::mem::take(&mut rest),
    })
}

/// A JSON string of hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    format!("\"{}\"", alloy_primitives::hex::encode_prefixed(bytes))
}

/// A JSON array of such strings: two bytes of length before each.
pub fn hex_list(bytes: &[u8]) -> String {
    let mut list = String::from("[");
    let mut rest = bytes;
    while !rest.is_empty() {
        let [this, tail] = parts(rest);
        let comma = if list.len() > 1 { "," } else { "" };
        let _ = write!(list, "{comma}{}", hex(this));
        rest = tail;
    }
    list + "]"
}

/// JSON from the fuzzer as it is, or `null` where it gave none.
pub fn json(bytes: &[u8]) -> String {
    if bytes.is_empty() { "null".to_owned() } else { String::from_utf8_lossy(bytes).into_owned() }
}

/// Sets accounts and slots.
pub fn some_changes() -> StateDiff {
    changes(Some(Account { nonce: 1, ..Account::default() }), U256::from(7))
}

/// Removes what [`some_changes`] sets.
pub fn the_opposite() -> StateDiff {
    changes(None, U256::ZERO)
}

fn changes(account: Option<Account>, value: U256) -> StateDiff {
    let mut diff = StateDiff::default();
    for byte in 0..4 {
        let storage = [(U256::from(byte), value)].into_iter().filter(|_| account.is_some());
        let storage_wiped = account.is_none();
        let change = AccountDiff { account, storage_wiped, storage: storage.collect() };
        diff.insert_account(Address::repeat_byte(byte), change);
    }
    diff
}
