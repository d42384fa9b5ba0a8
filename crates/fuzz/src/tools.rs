//! Contracts whose calls conflict in a way that is known beforehand.
//!
//! Random programs conflict at random. The shapes that wear a scheduler out, such as long chains and
//! one slot that everybody writes, come about with these.

use alloy_primitives::{Address, U256, keccak256};
use warpline_testkit::{Asm, account, op};

/// A contract that every block has. The first two words of call data are its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Stores the value of one slot, plus one, in another.
    Copier,
    /// Stores the sum of the first eight slots in the slot of the first argument.
    Adder,
    /// Puts the second argument in slot 0 if it holds the first, and counts in slot 1 if not.
    CompareAndSet,
    /// A token: moves the second argument from the caller to the address of the first. Balances
    /// are a mapping in slot 0.
    Token,
    /// Spins as often as slot 0 says, or sets slot 0 to the first argument if that is not zero.
    /// Before the block it says more often than any gas lasts.
    Loop,
    /// Reads memory as far out as slot 0 says, or sets it. Before the block that is too far out.
    Pointer,
    /// Passes on what it is sent to the address of the first argument and stores its balance.
    Payer,
}

/// How many there are.
pub(crate) const TOOLS: usize = 7;

const ALL: [Tool; TOOLS] = [
    Tool::Copier,
    Tool::Adder,
    Tool::CompareAndSet,
    Tool::Token,
    Tool::Loop,
    Tool::Pointer,
    Tool::Payer,
];

/// Where the tool with an index is.
pub(crate) fn tool(index: usize) -> Address {
    ALL[index % TOOLS].address()
}

impl Tool {
    pub(crate) const ALL: [Self; TOOLS] = ALL;

    pub(crate) const fn address(self) -> Address {
        account(0xd0 + self as u8)
    }

    /// Whether the first argument means an address.
    pub(crate) const fn takes_address(self) -> bool {
        matches!(self, Self::Token | Self::Payer)
    }

    /// What slot 0 holds before the block.
    pub(crate) const fn first_value(self) -> u64 {
        match self {
            Self::Loop => 1_000_000_000,
            Self::Pointer => 100_000,
            Self::CompareAndSet | Self::Copier => 1,
            Self::Adder | Self::Token | Self::Payer => 0,
        }
    }

    pub(crate) fn code(self) -> Asm {
        let asm = Asm::new();
        match self {
            Self::Copier => asm.arg(0).op(op::SLOAD).push(1).op(op::ADD).arg(1).op(op::SSTORE),
            Self::Adder => {
                let sum = (0..8).fold(asm.push(1), |asm, slot| asm.sload(slot).op(op::ADD));
                // Small enough never to run over.
                sum.push(0xffff_ffff_u64).op(op::AND).arg(0).op(op::SSTORE)
            }
            Self::CompareAndSet => asm
                .sload(0)
                .arg(0)
                .op(op::EQ)
                .if_top(|asm| asm.arg(1).store_top(0).op(op::STOP))
                .push(1)
                .add_to_slot(1),
            Self::Token => token(asm),
            Self::Loop => set_or(asm, |asm| asm.sload(0).spin_top().push(1).add_to_slot(1)),
            Self::Pointer => {
                set_or(asm, |asm| asm.sload(0).op(op::MLOAD).op(op::POP).push(1).add_to_slot(1))
            }
            Self::Payer => asm
                .push(0)
                .push(0)
                .push(0)
                .push(0)
                .op(op::CALLVALUE)
                .arg(0)
                .push(40_000)
                .ops(&[op::GAS, op::SUB, op::CALL])
                .store_top(1)
                .arg(0)
                .op(op::BALANCE)
                .store_top(0),
        }
    }
}

/// Sets slot 0 if there is an argument, or does `otherwise`.
fn set_or(asm: Asm, otherwise: impl FnOnce(Asm) -> Asm) -> Asm {
    otherwise(asm.arg(0).if_top(|asm| asm.arg(0).store_top(0).op(op::STOP)))
}

/// Turns the address on top of the stack into its slot in the mapping.
fn slot_of_top(asm: Asm) -> Asm {
    asm.push(0).op(op::MSTORE).push(0).push(32).op(op::MSTORE).push(64).push(0).op(op::KECCAK256)
}

fn token(asm: Asm) -> Asm {
    let asm = slot_of_top(asm.op(op::CALLER));
    // Balance, its slot; fails if the balance is less than the amount.
    let asm = asm.ops(&[op::DUP1, op::SLOAD]).arg(1).ops(&[op::DUP2, op::LT]);
    let asm = asm.if_top(|asm| asm.op(op::INVALID));
    let asm = asm.arg(1).ops(&[op::SWAP1, op::SUB, op::SWAP1, op::SSTORE]);
    let asm = slot_of_top(asm.arg(0));
    let asm = asm.ops(&[op::DUP1, op::SLOAD]).arg(1).ops(&[op::ADD, op::SWAP1, op::SSTORE]);
    asm.arg(0).push(64).push(0).op(op::LOG1)
}

/// The slot of an owner's tokens.
pub(crate) fn token_slot(owner: Address) -> U256 {
    keccak256([owner.into_word().0, [0; 32]].concat()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_have_different_addresses() {
        for (index, tool) in Tool::ALL.iter().enumerate() {
            assert_eq!(tool.address(), super::tool(index));
            assert_eq!(tool.address(), account(0xd0 + u8::try_from(index).unwrap()));
        }
    }
}
