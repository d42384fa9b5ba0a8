//! What a speculative execution saw.

use alloy_primitives::{Address, U256};
use warpline_primitives::Account;

use super::{AccountRef, SlotRef};
use crate::balance_use::BalanceUse;

/// All observations of one execution, by value. The journal asks once per key, so nothing stands
/// twice.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    pub(crate) accounts: Vec<AccountRead>,
    pub(crate) slots: Vec<SlotRead>,
}

impl ReadSet {
    /// Forgets everything but the allocations.
    pub(crate) fn clear(&mut self) {
        self.accounts.clear();
        self.slots.clear();
    }
}

/// What an execution would see now that it did not: the first there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Account,
    Slot(SlotRef),
}

/// What was seen of a storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotRead {
    /// Which.
    pub(crate) at: SlotRef,
    /// Whose: a wipe of the account's storage changes the slot's value.
    pub(crate) account: AccountRef,
    /// What was there.
    pub(crate) seen: U256,
}

/// What was seen of an account, or of its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountRead {
    /// Which.
    pub(crate) at: AccountRef,
    /// The same, as everybody calls it.
    pub(crate) address: Address,
    /// What was there.
    pub(crate) seen: Option<Account>,
    /// Whether it had storage that stops a creation (EIP-7610).
    pub(crate) has_storage: bool,
    /// On which balances the outcome rests.
    pub(crate) balance: BalanceUse,
    /// Whether many transactions write it.
    pub(crate) is_hot: bool,
    /// What the transaction adds to the balance, modulo 2²⁵⁶, where it changes nothing else and that
    /// is not published before it commits.
    pub(crate) held_back: Option<U256>,
}

/// By how much the balances before a transaction differ from those it saw, modulo 2²⁵⁶. Nothing
/// that it did depends on it, so that those after it differ by as much.
pub(crate) type Shift = U256;

impl AccountRead {
    /// How much more there is where the account is `now`; `None` where the outcome could be another.
    pub(super) fn shift(&self, now: Option<Account>) -> Option<Shift> {
        if now == self.seen {
            return Some(Shift::ZERO);
        }
        if differ_beyond_balance(self.seen, now) {
            return None;
        }
        let (seen, now) = (self.seen?.balance, now?.balance);
        self.balance.holds(seen, now).then(|| now.wrapping_sub(seen))
    }
}

/// Whether two states of an account differ in more than the balance.
pub(super) fn differ_beyond_balance(one: Option<Account>, other: Option<Account>) -> bool {
    let rest = |account: Account| (account.nonce, account.code_hash);
    one.map(rest) != other.map(rest)
}
