//! What an account's id says.
//!
//! revm carries an id along with each account that a database gave it, and never looks at it. Ours
//! hold what our memory calls the account, and above that *marks*: what the database knows of the
//! account and revm cannot ask for, and what was found out about it while a transaction ran.

use revm::state::{AccountId, AccountInfo};

/// Something that is known of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Mark {
    /// It has storage, as the database knows.
    HasStorage = 1 << 31,
    /// Its balance made a difference.
    BalanceSeen = 1 << 30,
    /// What the transaction adds to its balance is published when it commits.
    HeldBack = 1 << 29,
}

/// The bits below all marks.
const NAME: u32 = (1 << 29) - 1;

/// The id of the account that our memory calls `name`, marked if it has storage.
pub(crate) fn account_id(name: u32, has_storage: bool) -> Option<AccountId> {
    let mark = if has_storage { Mark::HasStorage as u32 } else { 0 };
    AccountId::new((name & NAME | mark) as usize)
}

/// What our memory calls the account with this id.
pub(crate) fn name_of(id: AccountId) -> u32 {
    bits(id) & NAME
}

/// Whether the account with this id has the mark.
pub(super) fn has(id: AccountId, mark: Mark) -> bool {
    bits(id) & mark as u32 != 0
}

/// Marks the account. One without an id stays so.
pub(super) fn mark(info: &mut AccountInfo, mark: Mark) {
    info.account_id = info.account_id.and_then(|id| AccountId::new(id.get() | mark as usize));
}

fn bits(id: AccountId) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "made from a u32 in `account_id`")]
    let bits = id.get() as u32;
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_do_not_touch_the_name() {
        let id = account_id(5, true).unwrap();
        let mut info = AccountInfo { account_id: Some(id), ..AccountInfo::default() };
        mark(&mut info, Mark::BalanceSeen);
        let id = info.account_id.unwrap();
        assert_eq!(name_of(id), 5);
        assert!(has(id, Mark::HasStorage) && has(id, Mark::BalanceSeen));
        let mut nameless = AccountInfo::default();
        mark(&mut nameless, Mark::BalanceSeen);
        assert_eq!(nameless.account_id, None);
    }
}
