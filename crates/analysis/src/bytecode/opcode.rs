//! What each opcode takes from the stack, leaves there, and costs at least.
//!
//! Gas is the static part after Cancun, with everything warm and no memory to pay for: a lower bound
//! under every fork that has the opcode and prices it so, meant for comparing stretches of code, not
//! for predicting gas.

pub(crate) const STOP: u8 = 0x00;
pub(crate) const ADD: u8 = 0x01;
pub(crate) const MUL: u8 = 0x02;
pub(crate) const SUB: u8 = 0x03;
pub(crate) const DIV: u8 = 0x04;
pub(crate) const SDIV: u8 = 0x05;
pub(crate) const MOD: u8 = 0x06;
pub(crate) const SMOD: u8 = 0x07;
pub(crate) const EXP: u8 = 0x0a;
pub(crate) const SIGNEXTEND: u8 = 0x0b;
pub(crate) const LT: u8 = 0x10;
pub(crate) const GT: u8 = 0x11;
pub(crate) const SLT: u8 = 0x12;
pub(crate) const SGT: u8 = 0x13;
pub(crate) const EQ: u8 = 0x14;
pub(crate) const ISZERO: u8 = 0x15;
pub(crate) const AND: u8 = 0x16;
pub(crate) const OR: u8 = 0x17;
pub(crate) const XOR: u8 = 0x18;
pub(crate) const NOT: u8 = 0x19;
pub(crate) const BYTE: u8 = 0x1a;
pub(crate) const SHL: u8 = 0x1b;
pub(crate) const SHR: u8 = 0x1c;
pub(crate) const SAR: u8 = 0x1d;
pub(crate) const KECCAK256: u8 = 0x20;
pub(crate) const ADDRESS: u8 = 0x30;
pub(crate) const ORIGIN: u8 = 0x32;
pub(crate) const CALLER: u8 = 0x33;
pub(crate) const CALLVALUE: u8 = 0x34;
pub(crate) const CALLDATALOAD: u8 = 0x35;
pub(crate) const CALLDATASIZE: u8 = 0x36;
pub(crate) const CALLDATACOPY: u8 = 0x37;
pub(crate) const CODESIZE: u8 = 0x38;
pub(crate) const CODECOPY: u8 = 0x39;
pub(crate) const EXTCODECOPY: u8 = 0x3c;
pub(crate) const RETURNDATASIZE: u8 = 0x3d;
pub(crate) const RETURNDATACOPY: u8 = 0x3e;
pub(crate) const COINBASE: u8 = 0x41;
pub(crate) const TIMESTAMP: u8 = 0x42;
pub(crate) const NUMBER: u8 = 0x43;
pub(crate) const PREVRANDAO: u8 = 0x44;
pub(crate) const GASLIMIT: u8 = 0x45;
pub(crate) const CHAINID: u8 = 0x46;
pub(crate) const BASEFEE: u8 = 0x48;
pub(crate) const POP: u8 = 0x50;
pub(crate) const MLOAD: u8 = 0x51;
pub(crate) const MSTORE: u8 = 0x52;
pub(crate) const MSTORE8: u8 = 0x53;
pub(crate) const SLOAD: u8 = 0x54;
pub(crate) const SSTORE: u8 = 0x55;
pub(crate) const JUMP: u8 = 0x56;
pub(crate) const JUMPI: u8 = 0x57;
pub(crate) const PC: u8 = 0x58;
pub(crate) const JUMPDEST: u8 = 0x5b;
pub(crate) const MCOPY: u8 = 0x5e;
pub(crate) const PUSH0: u8 = 0x5f;
pub(crate) const PUSH1: u8 = 0x60;
pub(crate) const PUSH32: u8 = 0x7f;
pub(crate) const DUP1: u8 = 0x80;
pub(crate) const DUP16: u8 = 0x8f;
pub(crate) const SWAP1: u8 = 0x90;
pub(crate) const SWAP16: u8 = 0x9f;
pub(crate) const CREATE: u8 = 0xf0;
pub(crate) const CALL: u8 = 0xf1;
pub(crate) const CALLCODE: u8 = 0xf2;
pub(crate) const RETURN: u8 = 0xf3;
pub(crate) const DELEGATECALL: u8 = 0xf4;
pub(crate) const CREATE2: u8 = 0xf5;
pub(crate) const STATICCALL: u8 = 0xfa;
pub(crate) const REVERT: u8 = 0xfd;
pub(crate) const SELFDESTRUCT: u8 = 0xff;

/// What an opcode does to the stack, and its least price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) pops: usize,
    pub(crate) pushes: usize,
    pub(crate) gas: u64,
}

/// The effect of `opcode`; `None` where there is no such opcode, which halts exceptionally.
pub(crate) const fn effect(opcode: u8) -> Option<Effect> {
    let (pops, pushes, gas) = match opcode {
        STOP => (0, 0, 0),
        ADD | SUB | LT | GT | SLT | SGT | EQ | AND | OR | XOR | BYTE | SHL | SHR | SAR => (2, 1, 3),
        ISZERO | NOT | CALLDATALOAD | MLOAD => (1, 1, 3),
        MUL | DIV | SDIV | MOD | SMOD | SIGNEXTEND => (2, 1, 5),
        // ADDMOD and MULMOD.
        0x08 | 0x09 => (3, 1, 8),
        EXP => (2, 1, 10),
        // And CLZ.
        0x1e => (1, 1, 5),
        KECCAK256 => (2, 1, 30),
        // With RETURNDATASIZE, GASPRICE and what is known of the block.
        ADDRESS
        | ORIGIN
        | CALLER
        | CALLVALUE
        | CALLDATASIZE
        | CODESIZE
        | 0x3a
        | RETURNDATASIZE
        | COINBASE..=CHAINID
        | BASEFEE
        | 0x4a
        | PC
        | 0x59
        | 0x5a
        | PUSH0 => (0, 1, 2),
        // SELFBALANCE.
        0x47 => (0, 1, 5),
        // BALANCE, EXTCODESIZE and EXTCODEHASH, SLOAD and TLOAD.
        0x31 | 0x3b | 0x3f | SLOAD | 0x5c => (1, 1, 100),
        CALLDATACOPY | CODECOPY | RETURNDATACOPY | MCOPY => (3, 0, 3),
        EXTCODECOPY => (4, 0, 100),
        // BLOCKHASH.
        0x40 => (1, 1, 20),
        // BLOBHASH.
        0x49 => (1, 1, 3),
        POP => (1, 0, 2),
        MSTORE | MSTORE8 => (2, 0, 3),
        // And TSTORE.
        SSTORE | 0x5d => (2, 0, 100),
        JUMP => (1, 0, 8),
        JUMPI => (2, 0, 10),
        JUMPDEST => (0, 0, 1),
        PUSH1..=PUSH32 => (0, 1, 3),
        DUP1..=DUP16 => (opcode as usize - 0x7f, opcode as usize - 0x7e, 3),
        SWAP1..=SWAP16 => (opcode as usize - 0x8e, opcode as usize - 0x8e, 3),
        // LOG0 to LOG4.
        0xa0..=0xa4 => (opcode as usize - 0x9e, 0, 375 * (opcode as u64 - 0x9f)),
        CREATE => (3, 1, 32_000),
        CREATE2 => (4, 1, 32_000),
        CALL | CALLCODE => (7, 1, 100),
        DELEGATECALL | STATICCALL => (6, 1, 100),
        RETURN | REVERT => (2, 0, 0),
        SELFDESTRUCT => (1, 0, 5000),
        _ => return None,
    };
    Some(Effect { pops, pushes, gas })
}

/// How many bytes after `opcode` belong to it.
pub(crate) const fn immediate(opcode: u8) -> usize {
    match opcode {
        PUSH1..=PUSH32 => (opcode - PUSH0) as usize,
        _ => 0,
    }
}

/// Whether nothing after `opcode` runs: it halts, jumps, or does not exist.
pub(crate) const fn ends_block(opcode: u8) -> bool {
    matches!(opcode, STOP | JUMP | JUMPI | RETURN | REVERT | SELFDESTRUCT)
        || effect(opcode).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_effects_are_those_of_the_machine() {
        let table = [
            (ADD, 2, 1),
            (PUSH0, 0, 1),
            (PUSH32, 0, 1),
            (DUP1, 1, 2),
            (DUP16, 16, 17),
            (SWAP1, 2, 2),
            (SWAP16, 17, 17),
            (0xa0, 2, 0),
            (0xa4, 6, 0),
            (CALL, 7, 1),
        ];
        for (opcode, pops, pushes) in table {
            let found = effect(opcode).map(|it| (it.pops, it.pushes));
            assert_eq!(found, Some((pops, pushes)), "{opcode:#x}");
        }
        assert_eq!(effect(0xfe), None);
        assert!(ends_block(0xfe) && ends_block(STOP) && !ends_block(ADD));
    }
}
