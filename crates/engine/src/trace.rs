//! What each transaction of a block did: how long it took, what it read and what it changed.

use std::time::Duration;

use alloy_primitives::{Address, U256};
use revm::state::EvmState;

use crate::{
    BalanceUse, BalanceUses,
    vm::{account_of, changed_slots, classify},
};

/// What a transaction did, executed after all those before it in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionTrace {
    /// Its index in the block.
    pub index: usize,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// How long it took to execute and commit.
    pub took: Duration,
    /// The accounts that it met, by address. Its fee is not among what they changed.
    pub accounts: Vec<AccountTrace>,
    /// The slots that it read, by address and slot; what is written is read before.
    pub slots: Vec<SlotTrace>,
    /// Whether a fee was credited to the block's beneficiary.
    pub pays_fee: bool,
}

/// What a transaction had to do with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountTrace {
    /// Which.
    pub address: Address,
    /// On which balances of it the outcome rests. Nonce, code and whether it exists count as read.
    pub balance: BalanceUse,
    /// Whether it has another balance afterwards.
    pub changes_balance: bool,
    /// Whether it has another nonce or code afterwards, or came into being, or is gone.
    pub changes_more: bool,
    /// Whether all its storage was cleared.
    pub wipes: bool,
}

/// What a transaction had to do with a storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotTrace {
    /// Whose.
    pub address: Address,
    /// Which.
    pub slot: U256,
    /// Whether it has another value afterwards.
    pub changes: bool,
}

impl TransactionTrace {
    /// What the transaction at `index` did, which left `state` and made use of balances like that.
    /// Gas and time are still to be filled in.
    #[expect(clippy::iter_over_hash_type, reason = "sorted afterwards")]
    pub(crate) fn of(index: usize, state: &EvmState, balances: &BalanceUses) -> Self {
        let (mut accounts, mut slots) = (Vec::with_capacity(state.len()), Vec::new());
        for (address, account) in state {
            let address = *address;
            let existed = !account.is_loaded_as_not_existing();
            let before = existed.then(|| account_of(&account.original_info()));
            let change = classify(account).filter(|change| change.changed);
            let after = change.map_or(before, |change| change.account);
            let rest = |account: warpline_primitives::Account| (account.nonce, account.code_hash);
            accounts.push(AccountTrace {
                address,
                balance: balances.of(&address, account),
                changes_balance: before.map(|it| it.balance) != after.map(|it| it.balance),
                changes_more: before.map(rest) != after.map(rest),
                wipes: classify(account).is_some_and(|change| change.wiped),
            });
            let changed: Vec<_> = changed_slots(account).map(|(slot, _)| slot).collect();
            let is_kept = after.is_some();
            slots.extend(account.storage.keys().map(|slot| SlotTrace {
                address,
                slot: *slot,
                changes: is_kept && changed.contains(slot),
            }));
        }
        accounts.sort_unstable_by_key(|account| account.address);
        slots.sort_unstable_by_key(|slot| (slot.address, slot.slot));
        Self { index, gas_used: 0, took: Duration::ZERO, accounts, slots, pays_fee: false }
    }
}
