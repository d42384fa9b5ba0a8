//! Block patterns that break parallel engines, each executed in every way there is.
//!
//! A test's name says what happens in its block. All ways of execution must agree on the whole
//! output; the assertions say what they must agree on.

mod balances;
mod beneficiary;
mod creating;
mod delegation;
mod destroying;
mod emptiness;
mod lists;
mod nonces;
mod shapes;
mod storage;
mod system;

use alloy_primitives::{Address, U256};
use warpline_testkit::{Asm, Case, Fork, account, op};

const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const CAROL: Address = account(0xca);
const DAVE: Address = account(0xda);
/// Nobody's, and not in any pre-state.
const NOBODY: Address = account(0x99);
/// A contract.
const CONTRACT: Address = account(0xcc);
/// Another.
const OTHER: Address = account(0xdd);

/// A block in which Alice, Bob, Carol and Dave have ether.
fn case(fork: Fork) -> Case {
    Case::new(fork).fund_all([ALICE, BOB, CAROL, DAVE])
}

/// The `index`-th of many senders.
fn sender(index: usize) -> Address {
    Address::left_padding_from(&[&[0x5e][..], &index.to_be_bytes()].concat())
}

/// A small number as an index.
fn index(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

/// Forks that delete what self-destructs, with CREATE2 and EXTCODEHASH.
const BEFORE_CANCUN: [Fork; 4] = [Fork::Petersburg, Fork::Istanbul, Fork::London, Fork::Shanghai];

/// Counts its calls in slot 0.
fn increment() -> Asm {
    Asm::new().push(1).add_to_slot(0)
}

/// Asks `question` of the address in the first argument and stores the answer in the slot of the
/// second.
fn ask(question: u8) -> Asm {
    Asm::new().arg(0).op(question).arg(1).op(op::SSTORE)
}

/// An address as call data.
fn word(address: Address) -> [u8; 32] {
    address.into_word().into()
}

/// Call data: an address, then numbers.
fn about(address: Address, numbers: &[u64]) -> Vec<u8> {
    let words = numbers.iter().map(|number| U256::from(*number).to_be_bytes::<32>());
    std::iter::once(word(address)).chain(words).flatten().collect()
}
