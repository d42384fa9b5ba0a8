//! Who and what there is.

use std::sync::LazyLock;

use alloy_primitives::{Address, Bytes};
use warpline_testkit::{Asm, BENEFICIARY, Key, account, create2_address, deployer, op};

use crate::tools::{TOOLS, tool};

/// How many accounts have a key. Any may send, and any may authorize.
pub(crate) const PEOPLE: usize = 12;
/// How many of them are rich. Of the others, two are nearly broke and the last has nothing.
pub(crate) const RICH: usize = 9;
/// How many contracts there are before the block.
pub(crate) const CONTRACTS: usize = 5;
/// How many kinds of init code there are.
pub(crate) const INITS: usize = 6;
/// How many salts.
pub(crate) const SALTS: u64 = 2;
/// Who inherits from what is made in a block.
const HEIR: Address = account(0x91);
/// The first of the contracts: the others' addresses are one byte more each, see
/// [`nth_contract`].
const FIRST_CONTRACT: u8 = 0xc0;
/// How many addresses [`anybody`] chooses from.
pub(crate) const ADDRESSES: usize = 52 + TOOLS;

static KEYS: LazyLock<Vec<Key>> =
    LazyLock::new(|| (1..=PEOPLE).map(|number| Key::new(byte(number))).collect());

static ANYBODY: LazyLock<Vec<Address>> = LazyLock::new(|| (0..ADDRESSES).map(somebody).collect());

fn byte(number: usize) -> u8 {
    u8::try_from(number).expect("few")
}

/// Somebody with a key.
pub(crate) fn person(index: usize) -> Key {
    KEYS[index % PEOPLE]
}

/// The key to an address, if anybody has it.
pub(crate) fn key_of(address: Address) -> Option<Key> {
    KEYS.iter().find(|key| key.address == address).copied()
}

pub(crate) fn contract(index: usize) -> Address {
    account(FIRST_CONTRACT + byte(index % CONTRACTS))
}

/// Makes of the number on top of the stack the address of a contract.
pub(crate) fn nth_contract(asm: Asm) -> Asm {
    asm.push(CONTRACTS as u64)
        .ops(&[op::SWAP1, op::MOD])
        .push(u64::from(FIRST_CONTRACT))
        .op(op::ADD)
        .push_bytes(&[1; 20])
        .op(op::MUL)
}

/// Any address that may be of interest: people, contracts, precompiles, the beneficiary, absent
/// accounts, and places where contracts come into being.
pub(crate) fn anybody(index: usize) -> Address {
    ANYBODY[index % ADDRESSES]
}

fn somebody(index: usize) -> Address {
    match index {
        at @ 0..8 => contract(at),
        at @ 8..20 => person(at - 8).address,
        at @ 20..23 => Address::with_last_byte([2, 3, 4][at - 20]),
        at @ 23..26 => account([0x91, 0x92, 0x93][at - 23]),
        26..28 => BENEFICIARY,
        at @ 28..34 => person(at).address.create(u64::from(at > 31)),
        at @ 34..39 => contract(at).create(1),
        at @ 39..51 => place(at - 39),
        51 => alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS,
        at => tool(at - 52),
    }
}

/// How many places there are where the first contracts make others, and may have before the block.
pub(crate) const PLACES: usize = 2 * INITS;

/// Where one of the first contracts makes a contract of some kind.
pub(crate) fn place(index: usize) -> Address {
    let kind = index % INITS;
    create2_address(contract(index / INITS % 2), usual_salt(kind), &init(kind))
}

/// The salt that goes with a kind of init code at the [places](place) that others know of.
pub(crate) const fn usual_salt(kind: usize) -> u64 {
    kind as u64 % SALTS
}

/// What the contract of a [`place`] runs, if that kind leaves code behind.
pub(crate) fn runtime(kind: usize) -> Option<Asm> {
    let counter = Asm::new().push(1).add_to_slot(0);
    let mortal = |asm: Asm| asm.op(op::CALLVALUE).if_top(|asm| asm.self_destruct(HEIR));
    match kind % INITS {
        // Counts its calls.
        0 => Some(counter),
        // Dies when called.
        1 => Some(Asm::new().self_destruct(HEIR)),
        // Counts, or dies when sent something.
        3 => Some(mortal(Asm::new()).then(&counter)),
        _ => None,
    }
}

/// Code that makes a contract, or does not.
pub(crate) fn init(kind: usize) -> Bytes {
    let kind = kind % INITS;
    match (kind, runtime(kind)) {
        // Is born with storage, but not in the slot that it counts in.
        (3, Some(runtime)) => shifted(&Asm::new().sstore(1, 5).build(), &deployer(runtime)),
        (_, Some(runtime)) => deployer(runtime),
        // Dies at birth.
        (2, _) => Asm::new().sstore(1, 2).self_destruct(HEIR).build(),
        // Fails.
        (4, _) => Asm::new().sstore(0, 1).op(op::INVALID).build(),
        // Has no code, but storage.
        _ => Asm::new().sload(0).push(7).op(op::ADD).store_top(0).build(),
    }
}

/// `prefix` before the init code that [`deployer`] made.
fn shifted(prefix: &Bytes, init: &Bytes) -> Bytes {
    // PUSH2 length, DUP1, PUSH1 from: the byte that says where the runtime code begins.
    const FROM: usize = 5;
    let mut init = init.to_vec();
    init[FROM] += u8::try_from(prefix.len()).expect("short");
    [&prefix[..], &init].concat().into()
}
