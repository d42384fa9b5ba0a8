//! The block's result, read off the final versions.

use alloy_primitives::{Address, U256};
use warpline_primitives::{Account, AccountDiff, StateDiff};

use super::{AccountRef, Memory};

/// An account's end state, to be joined with its slots.
struct Final {
    address: Address,
    before: Option<Account>,
    after: Option<Account>,
    last_wipe: Option<u32>,
}

impl Memory {
    /// What the versions below the last change against the parent state.
    pub(crate) fn diff(&self) -> StateDiff {
        let finals = self.final_accounts();
        let mut diff = StateDiff::with_capacity(finals.iter().map(Vec::len).sum::<usize>() / 2);
        for account in finals.iter().flatten() {
            self.record_account(&mut diff, account);
        }
        for shard in self.slots.iter() {
            for entry in &shard.entries {
                let Some((version, value)) = entry.cell.last() else { continue };
                let account = &finals[shard_of(entry.account)][index_of(entry.account)];
                if account.after.is_none() {
                    continue;
                }
                let cleared = account.last_wipe.is_some_and(|wipe| version < wipe);
                let after = if cleared { U256::ZERO } else { value };
                let wiped = account.is_wiped();
                let before = if wiped { U256::ZERO } else { entry.cell.base() };
                if after != before {
                    let entry_diff = diff.account_mut(account.address);
                    entry_diff.account = account.after;
                    entry_diff.storage_wiped = wiped;
                    entry_diff.storage.insert(entry.slot, after);
                }
            }
        }
        diff
    }

    /// The accounts by shard and index, as [`AccountRef`]s name them.
    fn final_accounts(&self) -> Vec<Vec<Final>> {
        let finals = self.accounts.iter().map(|shard| {
            let finals = shard.entries.iter().map(|entry| {
                let before = entry.cell.base();
                let after = entry.cell.last().map_or(before, |(_, value)| value);
                let last_wipe = entry.wipes.last().copied();
                Final { address: entry.address, before, after, last_wipe }
            });
            finals.collect()
        });
        finals.collect()
    }

    fn record_account(&self, diff: &mut StateDiff, account: &Final) {
        if account.before == account.after && !account.is_wiped() {
            return;
        }
        if let Some(after) = account.after
            && after.has_code()
            && account.before.is_none_or(|before| before.code_hash != after.code_hash)
            && let Some(code) = self.code(&after.code_hash)
        {
            diff.insert_code(after.code_hash, code.original_bytes());
        }
        let entry = AccountDiff {
            account: account.after,
            storage_wiped: account.is_wiped(),
            ..AccountDiff::default()
        };
        diff.insert_account(account.address, entry);
    }
}

impl Final {
    /// Whether storage of the parent state was cleared: there was an account to clear it of.
    const fn is_wiped(&self) -> bool {
        self.last_wipe.is_some() && self.before.is_some()
    }
}

const fn shard_of(account: AccountRef) -> usize {
    super::table::split(account.0).0
}

const fn index_of(account: AccountRef) -> usize {
    super::table::split(account.0).1
}
