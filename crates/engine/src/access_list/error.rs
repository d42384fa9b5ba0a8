//! What can be wrong with a block access list.

use std::fmt;

use alloy_eip7928::{BlockAccessListGasError, BlockAccessListValidationError};
use alloy_primitives::{Address, U256};

/// Why a block access list is not the block's (EIP-7928).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessListError {
    /// It breaks a rule of order or uniqueness, or names a step that the block does not have.
    #[error(transparent)]
    Malformed(Box<BlockAccessListValidationError>),
    /// It has more entries than the block's gas could pay for.
    #[error(transparent)]
    TooLarge(#[from] BlockAccessListGasError),
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
    #[error(transparent)]
    Change(Box<ListedChange>),
    /// No step accesses something that is listed.
    #[error("the list has {address}{}, which nothing accesses", Slot(slot))]
    Unused {
        /// The account.
        address: Address,
        /// The slot, where the account itself is accessed.
        slot: Option<U256>,
    },
}

/// A change that is not as listed, listed and not made, or made and not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "step {step}, {field} of {address}: the list says {}, it is {}",
    Change(listed),
    Change(found)
)]
pub struct ListedChange {
    /// 0 before the transactions, `i + 1` for transaction `i`, one more after the last.
    pub step: u64,
    /// The account.
    pub address: Address,
    /// What of it.
    pub field: ListedField,
    /// What the list says it becomes; `None` for no change.
    pub listed: Option<U256>,
    /// What it becomes; `None` for no change.
    pub found: Option<U256>,
}

impl From<BlockAccessListValidationError> for AccessListError {
    fn from(error: BlockAccessListValidationError) -> Self {
        Self::Malformed(error.into())
    }
}

impl From<ListedChange> for AccessListError {
    fn from(change: ListedChange) -> Self {
        Self::Change(change.into())
    }
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
