//! Who and what there is.

use alloy_primitives::{Address, Bytes};
use warpline_testkit::{Asm, BENEFICIARY, Key, account, create2_address, deployer, op};

/// How many senders there are; the last two are nearly broke.
pub(crate) const SENDERS: usize = 10;
/// How many contracts there are before the block.
pub(crate) const CONTRACTS: usize = 5;
/// How many accounts have a key to authorize with.
pub(crate) const KEYS: usize = 3;
/// How many kinds of init code there are.
pub(crate) const INITS: usize = 6;
/// How many salts.
pub(crate) const SALTS: u64 = 2;
/// Who inherits from what is made in a block.
const HEIR: Address = account(0x91);
/// How many addresses [`anybody`] chooses from.
pub(crate) const ADDRESSES: usize = 48;

pub(crate) fn sender(index: usize) -> Address {
    account(0xa0 + u8::try_from(index % SENDERS).expect("few"))
}

pub(crate) fn contract(index: usize) -> Address {
    account(0xc0 + u8::try_from(index % CONTRACTS).expect("few"))
}

pub(crate) fn key(index: usize) -> Key {
    Key::new(1 + u8::try_from(index % KEYS).expect("few"))
}

/// Any address that may be of interest: senders, contracts, authorities, precompiles, the
/// beneficiary, absent accounts, and places where contracts come into being.
pub(crate) fn anybody(index: usize) -> Address {
    match index % ADDRESSES {
        at @ 0..8 => contract(at),
        at @ 8..14 => sender(at),
        at @ 14..17 => key(at).address,
        at @ 17..20 => Address::with_last_byte([2, 3, 4][at - 17]),
        at @ 20..23 => account([0x91, 0x92, 0x93][at - 20]),
        23..25 => BENEFICIARY,
        at @ 25..31 => sender(at).create(u64::from(at > 28)),
        at @ 31..36 => contract(at).create(1),
        at => place(at - 36),
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
