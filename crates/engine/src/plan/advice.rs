//! Somebody's hints at a block, as far as the engine makes use of them.
//!
//! Anybody may have made them, so nothing is taken as it comes: a transaction waits for earlier ones
//! only, times are brought between bounds, and so much and no more is read of what a transaction is said
//! to read.

use warpline_primitives::{AccessHints, Chance, Location, TransactionHints};

use crate::{
    read_ahead::Key,
    scheduler::{NO_DEPENDENCY, WINDOW},
};

/// No transaction takes less than finding it does, or longer than any block's gas lasts.
const TIMES_NS: std::ops::RangeInclusive<u64> = 1_000..=60_000_000_000;

/// How many locations of a transaction are read ahead at most. What reads more has time enough to find
/// out by itself what else there is.
const MAX_KEYS: usize = 1024;

/// From which chance on it is worth reading ahead.
const WORTH_READING: Chance = Chance::percent(20);

/// Hints at a block, if there are any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Advice<'b> {
    hints: Option<&'b AccessHints>,
    /// Whether who comes late to what it needs waits before it begins.
    holds_late: bool,
}

impl<'b> From<Option<&'b AccessHints>> for Advice<'b> {
    fn from(hints: Option<&'b AccessHints>) -> Self {
        Self { hints, ..Self::NONE }
    }
}

impl<'b> Advice<'b> {
    /// No hints.
    pub(crate) const NONE: Self = Self { hints: None, holds_late: false };

    /// These where nobody can wait in the middle of a transaction.
    pub(super) const fn without_pauses(self) -> Self {
        Self { holds_late: true, ..self }
    }

    /// Whether there are any.
    pub(super) const fn is_given(&self) -> bool {
        self.hints.is_some()
    }

    fn of(&self, tx: usize) -> Option<&'b TransactionHints> {
        self.hints?.of(tx)
    }

    /// How long the transaction at `tx` is said to take, in nanoseconds.
    pub(super) fn time_ns(&self, tx: usize) -> Option<u64> {
        self.of(tx)?.time_ns.map(|ns| ns.clamp(*TIMES_NS.start(), *TIMES_NS.end()))
    }

    /// After which earlier transaction from `first` on, counted from there, the one at `tx` is said to
    /// be worth beginning; [`NO_DEPENDENCY`] for none.
    pub(super) fn dependency_within(&self, first: usize, tx: usize) -> u32 {
        let hints = self.of(tx).filter(|hints| self.holds_late || !hints.is_late);
        let after = hints.and_then(|hints| hints.after).filter(|after| *after < tx);
        let after = after.and_then(|after| u32::try_from(after.checked_sub(first)?).ok());
        after.unwrap_or(NO_DEPENDENCY)
    }

    /// Whether `tx` is said to read what others change.
    pub(super) fn is_likely_to_conflict(&self, tx: usize) -> bool {
        self.of(tx).is_some_and(|hints| hints.conflict > Chance::EVEN)
    }

    /// What transactions that are speculated on from the start are said to read, in their order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + use<'b> {
        let transactions = self.hints.map(|hints| &*hints.transactions).unwrap_or_default();
        transactions.iter().take(WINDOW as usize).flat_map(|hints| {
            let likely = hints.accesses.iter().take(MAX_KEYS);
            let likely = likely.filter(|access| access.read >= WORTH_READING);
            likely.map(|access| match access.location {
                Location::Account(address) => Key::Account { address, runs: true },
                Location::Slot(address, slot) => Key::Slot(address, slot),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};
    use warpline_primitives::AccessHint;

    use super::*;

    fn hints(transactions: impl IntoIterator<Item = TransactionHints>) -> AccessHints {
        AccessHints { transactions: transactions.into_iter().collect() }
    }

    #[test]
    fn a_transaction_waits_for_earlier_ones_only() {
        let after = |after| TransactionHints { after, ..TransactionHints::default() };
        let given = [Some(0), Some(0), Some(2), Some(7), Some(usize::MAX), None, Some(5)];
        let hints = hints(given.map(after));
        let advice = Advice::from(Some(&hints));
        let found: Vec<_> = (0..8).map(|tx| advice.dependency_within(0, tx)).collect();
        let none = NO_DEPENDENCY;
        assert_eq!(found, [none, 0, none, none, none, none, 5, none]);
        assert_eq!(advice.dependency_within(4, 6), 1);
        assert_eq!(advice.dependency_within(6, 6), none);
        assert_eq!(Advice::NONE.dependency_within(0, 1), none);
    }

    #[test]
    fn who_comes_late_waits_only_where_it_cannot_pause() {
        let late =
            TransactionHints { after: Some(0), is_late: true, ..TransactionHints::default() };
        let hints = hints([TransactionHints::default(), late]);
        let advice = Advice::from(Some(&hints));
        assert_eq!(advice.dependency_within(0, 1), NO_DEPENDENCY);
        assert_eq!(advice.without_pauses().dependency_within(0, 1), 0);
    }

    #[test]
    fn times_are_brought_between_bounds() {
        let time = |time_ns| TransactionHints { time_ns, ..TransactionHints::default() };
        let hints = hints([Some(0), Some(u64::MAX), Some(5_000), None].map(time));
        let advice = Advice::from(Some(&hints));
        let found = [0, 1, 2, 3, 4].map(|tx| advice.time_ns(tx));
        let [least, most] = [*TIMES_NS.start(), *TIMES_NS.end()];
        assert_eq!(found, [Some(least), Some(most), Some(5_000), None, None]);
    }

    #[test]
    fn so_much_of_what_is_likely_is_read_and_no_more() {
        let slot = |number| Location::Slot(Address::ZERO, U256::from(number));
        let unlikely = AccessHint { read: Chance::percent(19), ..AccessHint::read(slot(0)) };
        let many = (1..100_000).map(|number| AccessHint::read(slot(number)));
        let of = |accesses| TransactionHints { accesses, ..TransactionHints::default() };
        let account = AccessHint::read(Location::Account(Address::ZERO));
        let hints = hints([of(vec![unlikely, account]), of(many.collect())]);
        let keys: Vec<_> = Advice::from(Some(&hints)).keys().collect();
        assert_eq!(keys[0], Key::Account { address: Address::ZERO, runs: true });
        assert_eq!(keys[1], Key::Slot(Address::ZERO, U256::ONE));
        assert_eq!(keys.len(), 1 + MAX_KEYS);
        assert_eq!(Advice::NONE.keys().count(), 0);
    }
}
