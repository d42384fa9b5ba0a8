//! An account without its storage.

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{B256, U256};

/// What an account holds besides its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Balance in wei.
    pub balance: U256,
    /// Number of transactions sent, or of contracts created.
    pub nonce: u64,
    /// Keccak-256 of the code; [`KECCAK_EMPTY`] where there is none.
    pub code_hash: B256,
}

impl Account {
    /// Whether the account is empty as EIP-161 defines it: no balance, no nonce, no code.
    pub fn is_empty(&self) -> bool {
        self.balance.is_zero() && self.nonce == 0 && self.code_hash == KECCAK_EMPTY
    }

    /// Whether the account has code (a delegation designator of EIP-7702 is code).
    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK_EMPTY
    }
}

impl Default for Account {
    fn default() -> Self {
        Self { balance: U256::ZERO, nonce: 0, code_hash: KECCAK_EMPTY }
    }
}
