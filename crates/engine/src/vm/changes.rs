//! What a transaction leaves behind, read off revm's journal.

use alloy_primitives::{Address, U256};
use revm::{
    bytecode::Bytecode,
    state::{Account as RevmAccount, AccountId, AccountInfo, EvmState},
};
use warpline_primitives::{Account, StateDiff};

/// What became of one touched account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountChange {
    /// The account after the transaction, `None` where it is gone.
    pub(crate) account: Option<Account>,
    /// Whether `account` differs from what the transaction found.
    pub(crate) changed: bool,
    /// Whether the account existed and all its storage was cleared.
    pub(crate) wiped: bool,
}

/// What a step around the transactions commits.
#[derive(Clone, Debug)]
pub(crate) enum Commit {
    /// What the virtual machine did.
    Journal(EvmState),
    /// An account written past every rule.
    Overwrite(Address, Account),
}

impl Commit {
    /// What it changes.
    pub(crate) fn diff(&self) -> StateDiff {
        match self {
            Self::Journal(state) => diff_of(state),
            Self::Overwrite(address, account) => {
                let mut diff = StateDiff::default();
                diff.account_mut(*address).account = Some(*account);
                diff
            }
        }
    }

    /// The journal, if it is one. Overwriting is older than access lists.
    pub(crate) fn into_journal(self) -> Option<EvmState> {
        match self {
            Self::Journal(state) => Some(state),
            Self::Overwrite(..) => None,
        }
    }
}

/// The account part of revm's `AccountInfo`.
pub(crate) const fn account_of(info: &AccountInfo) -> Account {
    Account { balance: info.balance, nonce: info.nonce, code_hash: info.code_hash }
}

/// `account` as revm wants it. Code is asked for separately.
pub(crate) const fn info_of(account: Account, account_id: Option<AccountId>) -> AccountInfo {
    AccountInfo {
        balance: account.balance,
        nonce: account.nonce,
        code_hash: account.code_hash,
        account_id,
        code: None,
    }
}

/// What `account`, as finalised by the journal, changed; `None` where it was only looked at.
///
/// The rules are those of revm's own commit. The journal has already made touched empty accounts
/// of the time before EIP-161 look created or untouched, so "touched and empty" always means
/// "deleted" here.
pub(crate) fn classify(account: &RevmAccount) -> Option<AccountChange> {
    if !account.is_touched() {
        return None;
    }
    let existed = !account.is_loaded_as_not_existing();
    let deleted = account.is_selfdestructed() || (!account.is_created() && account.is_empty());
    if deleted {
        return existed.then_some(AccountChange { account: None, changed: true, wiped: true });
    }
    let changed = !existed || account.is_changed();
    Some(AccountChange { account: Some(account_of(&account.info)), changed, wiped: false })
}

/// The slots `account` leaves with another value than it found. Meaningless for deleted accounts.
pub(crate) fn changed_slots(account: &RevmAccount) -> impl Iterator<Item = (U256, U256)> {
    account.changed_storage_slots().map(|(slot, value)| (*slot, value.present_value))
}

/// The code of `account` if the transaction put it there.
pub(crate) fn new_code(account: &RevmAccount) -> Option<&Bytecode> {
    let code = account.info.code.as_ref().filter(|code| !code.is_empty())?;
    (account.original_info().code_hash != account.info.code_hash).then_some(code)
}

/// Everything in `state` that differs from before, in canonical form.
#[expect(clippy::iter_over_hash_type, reason = "each account is recorded on its own")]
pub(crate) fn diff_of(state: &EvmState) -> StateDiff {
    let mut diff = StateDiff::default();
    for (address, account) in state {
        record(&mut diff, *address, account);
    }
    diff
}

fn record(diff: &mut StateDiff, address: Address, account: &RevmAccount) {
    let Some(change) = classify(account) else { return };
    let mut slots = changed_slots(account).peekable();
    let has_slots = change.account.is_some() && slots.peek().is_some();
    if !change.changed && !has_slots {
        return;
    }
    let entry = diff.account_mut(address);
    entry.account = change.account;
    entry.storage_wiped = change.wiped;
    if has_slots {
        entry.storage = slots.collect();
    }
    if let Some(code) = new_code(account) {
        diff.insert_code(account.info.code_hash, code.original_bytes());
    }
}
