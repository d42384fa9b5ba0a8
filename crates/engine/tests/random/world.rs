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
        at => {
            let at = at - 36;
            create2_address(contract(at / 6), at as u64 % SALTS, &init(at % INITS))
        }
    }
}

/// Code that makes a contract, or does not.
pub(crate) fn init(kind: usize) -> Bytes {
    let heir = account(0x91);
    let counter = Asm::new().push(1).add_to_slot(0);
    match kind % INITS {
        // Counts its calls.
        0 => deployer(counter),
        // Dies when called.
        1 => deployer(Asm::new().self_destruct(heir)),
        // Dies at birth.
        2 => Asm::new().sstore(1, 2).self_destruct(heir).build(),
        // Is born with storage and counts, or dies when sent something.
        3 => {
            let mortal = Asm::new().op(op::CALLVALUE).if_top(|asm| asm.self_destruct(heir));
            let init = deployer(mortal.then(&counter));
            // The prefix moves the runtime code in the init code: see `deployer`.
            let prefix = Asm::new().sstore(0, 5).build();
            shifted(&prefix, &init)
        }
        // Fails.
        4 => Asm::new().sstore(0, 1).op(op::INVALID).build(),
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
