//! What can be wrong with a block access list.

use std::fmt;

use alloy_eip7928::{BlockAccessListGasError, BlockAccessListValidationError};
use alloy_primitives::{Address, U256};

/// Why a block access list is not the block's (EIP-7928).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessListError {
    /// It breaks a rule of order or uniqueness, or names a step that the block does not have.
    #[error(transparent)]
    Malformed(#[from] BlockAccessListValidationError),
    /// It has more entries than the block's gas could pay for.
    #[error(transparent)]
    TooLarge(#[from] BlockAccessListGasError),
    /// It claims code that no account can have: a broken delegation (EIP-7702).
    #[error("step {step} cannot give {address} the code that the list says")]
    ImpossibleCode {
        /// Whose code.
        address: Address,
        /// The step that is said to put it there.
        step: u64,
    },
    /// A step accesses what the list lacks.
    #[error("step {step} accesses {address}{}, which the list lacks", Slot(slot))]
    Undeclared {
        /// 0 before the transactions, `i + 1` for transaction `i`, one more after the last.
        step: u64,
        /// The account.
        address: Address,
        /// The slot, where the account itself is listed.
        slot: Option<U256>,
    },
    /// A step does not make of an account what the list says.
    #[error(
        "step {step}, {field} of {address}: the list says {}, it is {}",
        Change(listed),
        Change(found)
    )]
    Change {
        /// 0 before the transactions, `i + 1` for transaction `i`, one more after the last.
        step: u64,
        /// The account.
        address: Address,
        /// What of it.
        field: ListedField,
        /// What the list says it becomes; `None` for no change.
        listed: Option<U256>,
        /// What it becomes; `None` for no change.
        found: Option<U256>,
    },
    /// No step accesses something that is listed.
    #[error("the list has {address}{}, which nothing accesses", Slot(slot))]
    Unused {
        /// The account.
        address: Address,
        /// The slot, where the account itself is accessed.
        slot: Option<U256>,
    },
}

/// What of an account an access list follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedField {
    /// In wei.
    Balance,
    /// The nonce.
    Nonce,
    /// The code, by its hash.
    Code,
    /// A storage slot.
    Slot(U256),
}

impl fmt::Display for ListedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance => f.write_str("balance"),
            Self::Nonce => f.write_str("nonce"),
            Self::Code => f.write_str("code"),
            Self::Slot(slot) => write!(f, "slot {slot:#x}"),
        }
    }
}

/// A slot behind an address, where there is one.
struct Slot<'s>(&'s Option<U256>);

impl fmt::Display for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |slot| write!(f, " slot {slot:#x}"))
    }
}

/// What a step makes of something.
struct Change<'c>(&'c Option<U256>);

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:#x}"),
            None => f.write_str("unchanged"),
        }
    }
}
