//! What somebody expects of a block's transactions before they run.
//!
//! Hints are plain values: whoever makes them, from earlier blocks, from code or from thin air, hands
//! them to the engine with the block. They need not be right, complete or even sensible: the engine
//! takes them as advice about what to read early and in which order to begin, and what comes of a block
//! does not depend on them.

use alloy_primitives::{
    Address, U256,
    map::{Entry, HashMap},
};

/// What is expected of each transaction of a block, in block order. One that is missing is one of which
/// nothing is expected; those beyond the block are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessHints {
    /// The transactions.
    pub transactions: Vec<TransactionHints>,
}

/// What is expected of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionHints {
    /// What it reads and writes, in the order in which it first needs it.
    pub accesses: Vec<AccessHint>,
    /// How long it takes to execute, in nanoseconds, where that is known.
    pub time_ns: Option<u64>,
    /// How likely it is that it reads what an earlier transaction of the block writes.
    pub conflict: Chance,
    /// The last earlier transaction that had better be executed before this one begins, by its index.
    /// See [`AccessHints::link`].
    pub after: Option<usize>,
    /// Whether it comes so late to what it needs of that one, and of others, that it may as well begin
    /// and wait there.
    pub is_late: bool,
}

/// Something that a transaction is expected to read, and perhaps to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessHint {
    /// What.
    pub location: Location,
    /// How likely it is to read it.
    pub read: Chance,
    /// How likely it is to leave another value there.
    pub write: Chance,
    /// Whether it makes no difference to its outcome in which order it and others like it come: it adds
    /// to a balance without looking at it, or reads what certainly does not matter.
    pub commutes: bool,
    /// How long after its beginning it first needs it, in nanoseconds, where that is known.
    pub at_ns: Option<u64>,
}

/// Something that is read and written: an account or one of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// Balance, nonce and code.
    Account(Address),
    /// A word of storage.
    Slot(Address, U256),
}

impl Location {
    /// The account, or whose slot it is.
    pub const fn address(&self) -> &Address {
        match self {
            Self::Account(address) | Self::Slot(address, _) => address,
        }
    }
}

/// How likely something is, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chance(u8);

impl Chance {
    /// It does not happen.
    pub const NEVER: Self = Self(0);
    /// It happens as often as not.
    pub const EVEN: Self = Self(50);
    /// It happens.
    pub const CERTAIN: Self = Self(100);

    /// So many percent, at most 100.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// From 0 to 100.
    pub const fn as_percent(self) -> u8 {
        self.0
    }
}

impl AccessHint {
    /// It reads `location`, and does no more.
    pub const fn read(location: Location) -> Self {
        let (read, write) = (Chance::CERTAIN, Chance::NEVER);
        Self { location, read, write, commutes: false, at_ns: None }
    }

    /// It reads `location` and leaves another value there.
    pub const fn write(location: Location) -> Self {
        Self { write: Chance::CERTAIN, ..Self::read(location) }
    }
}

/// What is worth doing at the same time as the same part of other transactions, in nanoseconds.
const WORTH_BEGINNING_NS: u64 = 100_000;

/// Which transactions write a location, as far as one has looked.
#[derive(Clone, Copy, Debug, Default)]
struct Writers {
    /// The last, and the last that does not only add.
    any: Option<usize>,
    ordered: Option<usize>,
}

impl AccessHints {
    /// What is expected of the transaction at `index`, if anything is.
    pub fn of(&self, index: usize) -> Option<&TransactionHints> {
        self.transactions.get(index)
    }

    /// Sets [`after`](TransactionHints::after) of each transaction: to the last earlier one that is
    /// expected to write what this one is expected to read, each with a chance of `at_least`.
    ///
    /// One that first comes to such a location after a long time, and most of its own, is
    /// [late](TransactionHints::is_late): by then the other may be done, and whoever executes it can wait
    /// there if not.
    ///
    /// Takes time in proportion to the accesses, which is better spent before the block has to be
    /// executed than while it is.
    pub fn link(&mut self, at_least: Chance) {
        let mut written: HashMap<Location, Writers> = HashMap::default();
        for (index, tx) in self.transactions.iter_mut().enumerate() {
            let (mut after, mut first_ns) = (None, u64::MAX);
            for access in tx.accesses.iter().filter(|access| access.read >= at_least) {
                let writers = written.get(&access.location).copied().unwrap_or_default();
                let writer = if access.commutes { writers.ordered } else { writers.any };
                if writer.is_some() {
                    after = after.max(writer);
                    first_ns = first_ns.min(access.at_ns.unwrap_or_default());
                }
            }
            tx.is_late = after.is_some()
                && first_ns >= WORTH_BEGINNING_NS
                && tx.time_ns.is_some_and(|ns| first_ns.saturating_mul(2) >= ns);
            tx.after = after;
            for access in tx.accesses.iter().filter(|access| access.write >= at_least) {
                let writers = match written.entry(access.location) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(Writers::default()),
                };
                writers.any = Some(index);
                if !access.commutes {
                    writers.ordered = Some(index);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(number: u8) -> Location {
        Location::Slot(Address::repeat_byte(1), U256::from(number))
    }

    fn hints(transactions: &[&[AccessHint]]) -> AccessHints {
        let of = |accesses: &&[AccessHint]| TransactionHints {
            accesses: accesses.to_vec(),
            ..TransactionHints::default()
        };
        AccessHints { transactions: transactions.iter().map(of).collect() }
    }

    fn after(transactions: &[&[AccessHint]]) -> Vec<Option<usize>> {
        let mut hints = hints(transactions);
        hints.link(Chance::EVEN);
        hints.transactions.iter().map(|tx| tx.after).collect()
    }

    #[test]
    fn a_transaction_comes_after_the_last_that_writes_what_it_reads() {
        let (read, write) = (AccessHint::read, AccessHint::write);
        let [a, b] = [1, 2].map(location);
        let found =
            after(&[&[write(a)], &[write(b)], &[read(a)], &[read(b), write(a)], &[read(a)]]);
        assert_eq!(found, [None, None, Some(0), Some(1), Some(3)]);
        assert_eq!(after(&[&[read(a)], &[read(a)]]), [None, None]);
        assert_eq!(after(&[&[write(a), write(a)]]), [None], "not after itself");
    }

    #[test]
    fn what_commutes_comes_after_what_does_not_only() {
        let add = AccessHint { commutes: true, ..AccessHint::write(location(1)) };
        let (read, write) = (AccessHint::read(location(1)), AccessHint::write(location(1)));
        let found = after(&[&[add], &[add], &[read], &[write], &[add], &[read]]);
        assert_eq!(found, [None, None, Some(1), Some(1), Some(3), Some(4)]);
    }

    #[test]
    fn what_is_unlikely_makes_nobody_wait() {
        let unlikely = Chance::percent(49);
        let write = AccessHint::write(location(1));
        let read = AccessHint::read(location(1));
        let hardly = AccessHint { write: unlikely, ..write };
        assert_eq!(after(&[&[hardly], &[read]]), [None, None]);
        assert_eq!(after(&[&[write], &[AccessHint { read: unlikely, ..read }]]), [None, None]);
        assert_eq!(after(&[&[write], &[hardly], &[read]]), [None, Some(0), Some(0)]);
    }

    #[test]
    fn who_comes_late_to_what_others_write_need_not_wait_to_begin() {
        let write = AccessHint::write(location(1));
        let is_late = |at_ns, time_ns| {
            let mut hints = hints(&[&[write], &[AccessHint { at_ns, ..write }]]);
            hints.transactions[1].time_ns = time_ns;
            hints.link(Chance::EVEN);
            assert_eq!(hints.transactions[1].after, Some(0));
            hints.transactions[1].is_late
        };
        assert!(is_late(Some(100_000), Some(200_000)));
        assert!(!is_late(Some(100_000), Some(200_001)), "there is much to do behind");
        assert!(!is_late(Some(99_999), Some(100_000)), "too little to begin with");
        assert!(!is_late(None, Some(200_000)));
        assert!(!is_late(Some(u64::MAX), None));
        assert!(is_late(Some(u64::MAX), Some(u64::MAX)));
    }

    #[test]
    fn a_chance_is_at_most_certain() {
        assert_eq!(Chance::percent(255), Chance::CERTAIN);
        assert_eq!(Chance::percent(37).as_percent(), 37);
    }
}
