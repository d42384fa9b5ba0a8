//! Builds a block's access list from what its steps accessed, in order.

use alloy_eip7928::{BlockAccessIndex, BlockAccessList};
use alloy_primitives::U256;
use revm::state::{
    Account as RevmAccount, AccountInfo, EvmState,
    bal::{AccountBal, Bal},
};

use super::FeePayment;

/// The list so far.
#[derive(Debug, Default)]
pub(crate) struct ListBuilder {
    list: Bal,
    next: u64,
}

impl ListBuilder {
    /// Adds the next step: its journal, and a fee that is not part of it.
    #[expect(clippy::iter_over_hash_type, reason = "each account is listed on its own")]
    pub(super) fn step(&mut self, state: &EvmState, fee: Option<FeePayment>) {
        let step = BlockAccessIndex::new(self.next);
        self.next += 1;
        for (address, account) in state {
            let entry = self.list.accounts.entry(*address).or_default();
            list_account(entry, step, account);
        }
        if let Some(fee) = fee {
            let (before, after) = fee.balances();
            let entry = self.list.accounts.entry(fee.beneficiary).or_default();
            if before != after {
                entry.balance.force_update(step, after);
            }
        }
    }

    /// The list in canonical order.
    pub(super) fn finish(self) -> BlockAccessList {
        self.list.into_alloy_bal()
    }
}

/// Lists what differs from what the step began with, and everything else as read.
///
/// revm's own update compares with the last listed change instead, which is not the same where
/// storage was cleared in between without being accessed.
#[expect(clippy::iter_over_hash_type, reason = "each slot is listed on its own")]
fn list_account(entry: &mut AccountBal, step: BlockAccessIndex, account: &RevmAccount) {
    let gone = account.is_selfdestructed_locally();
    let before = account.original_info();
    let nothing = AccountInfo::default();
    let after = if gone { &nothing } else { &account.info };
    if before.balance != after.balance {
        entry.balance.force_update(step, after.balance);
    }
    if before.nonce != after.nonce {
        entry.nonce.force_update(step, after.nonce);
    }
    if before.code_hash != after.code_hash {
        let code = after.code.clone().unwrap_or_default();
        entry.code.force_update(step, (after.code_hash, code));
    }
    for (slot, value) in &account.storage {
        let writes = entry.storage.storage.entry(*slot).or_default();
        let after = if gone { U256::ZERO } else { value.present_value };
        if after != value.original_value {
            writes.force_update(step, after);
        }
    }
}
