//! What a speculative execution saw.

use alloy_primitives::U256;
use warpline_primitives::Account;

use super::{AccountRef, SlotRef};

/// One observation, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// An account, or its absence.
    Account {
        /// Which.
        at: AccountRef,
        /// What was there.
        seen: Option<Account>,
        /// Whether it had storage that stops a creation (EIP-7610).
        has_storage: bool,
    },
    /// A storage slot.
    Slot {
        /// Which.
        at: SlotRef,
        /// Whose: a wipe of the account's storage changes the slot's value.
        account: AccountRef,
        /// What was there.
        seen: U256,
    },
}

/// All observations of one execution. The journal asks once per key, so nothing stands twice.
pub(crate) type ReadSet = Vec<Read>;
