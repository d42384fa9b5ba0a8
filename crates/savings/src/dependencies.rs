//! Who needs whom, and because of what.

use alloy_primitives::{
    Address, U256,
    map::{AddressMap, HashMap},
};
use warpline_engine::{BalanceUse, Progress, TransactionTrace};

/// What counts as a dependency on an account's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notion {
    /// To meet an account is to depend on whoever changed it, its balance included, but for fees: they
    /// are a sum that is paid once.
    AccountReads,
    /// Only to find something out about a balance is; beyond that it suffices, or it does not until
    /// somebody has paid: payments to one account can be made in any order.
    CreditsCommute,
}

/// A place in the state that transactions can conflict over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The balance of an account.
    Balance(Address),
    /// Everything else of an account: its nonce and code, whether it exists, and that its storage was
    /// cleared.
    Account(Address),
    /// A storage slot.
    Slot(Address, U256),
}

/// A change that a transaction saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The transaction that made it; its place in the block.
    pub on: usize,
    /// What it changed.
    pub place: Place,
    /// How far the transaction that saw it was when it first looked.
    pub at: Progress,
}

/// For each transaction of a block the changes that it saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// By transaction, and then by the one that is needed.
    needs: Vec<Vec<Need>>,
}

/// Who changed something of an account last.
#[derive(Clone, Debug, Default)]
struct Account {
    /// Nonce, code or existence.
    more: Option<usize>,
    wiped: Option<usize>,
    balances: Balances,
}

/// The balances that an account has had.
#[derive(Clone, Debug, Default)]
struct Balances {
    /// Who changed the balance, in order, and the balance before.
    changes: Vec<(usize, U256)>,
    /// The places in that list before which it was less than before any later one.
    lows: Vec<usize>,
}

impl Balances {
    /// `tx` changes the balance, which is `before`.
    fn change(&mut self, tx: usize, before: U256) {
        while self.lows.last().is_some_and(|at| self.changes[*at].1 >= before) {
            self.lows.pop();
        }
        self.lows.push(self.changes.len());
        self.changes.push((tx, before));
    }

    /// Who changed it last.
    fn last(&self) -> Option<usize> {
        self.changes.last().map(|(tx, _)| *tx)
    }

    /// Who has to have made changes for there to be `required` from then on, the last first: those from
    /// when there was not enough until there was for good. Nobody if there was all the time.
    fn providers(&self, required: U256) -> impl Iterator<Item = usize> {
        let too_low = self.lows.partition_point(|at| self.changes[*at].1 < required);
        let end = too_low.checked_sub(1).map_or(0, |last| self.lows[last] + 1);
        let changes = self.changes[..end].iter().rev();
        changes.take_while(move |(_, before)| *before < required).map(|(tx, _)| *tx)
    }
}

impl Place {
    /// Whose it is.
    pub const fn account(&self) -> Address {
        match self {
            Self::Balance(address) | Self::Account(address) | Self::Slot(address, _) => *address,
        }
    }
}

impl Dependencies {
    /// The dependencies between transactions that did what `traces` say, in the order of their block,
    /// whose fees go to `beneficiary`.
    ///
    /// Transactions are counted as they stand in `traces`.
    pub fn new(traces: &[TransactionTrace], beneficiary: Address, notion: Notion) -> Self {
        let mut state = Changes::default();
        let needs = traces.iter().enumerate().map(|(tx, trace)| {
            let mut needs = state.seen_by(trace, beneficiary, notion);
            needs.sort_unstable_by_key(|need| (need.on, need.place));
            needs.dedup_by_key(|need| (need.on, need.place));
            state.take_in(tx, trace);
            needs
        });
        Self { needs: needs.collect() }
    }

    /// Those given, for each transaction the changes that it saw.
    ///
    /// # Panics
    /// Where a transaction needs one that does not come before it.
    pub fn from_needs(mut needs: Vec<Vec<Need>>) -> Self {
        for (tx, needs) in needs.iter_mut().enumerate() {
            needs.sort_unstable_by_key(|need| (need.on, need.place));
            needs.dedup_by_key(|need| (need.on, need.place));
            assert!(needs.iter().all(|need| need.on < tx), "{tx} needs a later one: {needs:?}");
        }
        Self { needs }
    }

    /// How many transactions there are.
    pub const fn len(&self) -> usize {
        self.needs.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.needs.is_empty()
    }

    /// The changes that the transaction at `tx` saw, by who made them; nothing where there is no such
    /// transaction.
    pub fn needs(&self, tx: usize) -> &[Need] {
        self.needs.get(tx).map_or(&[], Vec::as_slice)
    }

    /// The transactions that the one at `tx` needs, ascending.
    pub fn of(&self, tx: usize) -> impl Iterator<Item = usize> + Clone {
        let needs = self.needs(tx);
        let is_new = move |at: &usize| *at == 0 || needs[*at].on != needs[*at - 1].on;
        (0..needs.len()).filter(is_new).map(move |at| needs[at].on)
    }

    /// All changes that were seen, each with the transaction that saw it.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Need)> {
        let all = self.needs.iter().enumerate();
        all.flat_map(|(tx, needs)| needs.iter().map(move |need| (tx, need)))
    }

    /// These without the changes for which `is_gone` holds, given who saw them.
    #[must_use]
    pub fn without(&self, mut is_gone: impl FnMut(usize, &Need) -> bool) -> Self {
        let left =
            self.needs.iter().enumerate().map(|(tx, needs)| {
                needs.iter().filter(|need| !is_gone(tx, need)).copied().collect()
            });
        Self { needs: left.collect() }
    }
}

/// Who changed what last, so far.
#[derive(Debug, Default)]
struct Changes {
    accounts: AddressMap<Account>,
    slots: HashMap<(Address, U256), usize>,
    last_fee: Option<usize>,
}

impl Changes {
    /// The changes among these that the transaction saw.
    fn seen_by(&self, trace: &TransactionTrace, beneficiary: Address, notion: Notion) -> Vec<Need> {
        let mut needs = Vec::new();
        for met in &trace.accounts {
            let mut add = |on: Option<usize>, place| {
                needs.extend(on.map(|on| Need { on, place, at: met.first }));
            };
            let address = met.address;
            let is_exact = met.balance == BalanceUse::Exact;
            if let Some(account) = self.accounts.get(&address) {
                add(account.more, Place::Account(address));
                let place = Place::Balance(address);
                match (notion, met.balance) {
                    (Notion::CreditsCommute, BalanceUse::AtLeast(required)) => {
                        account.balances.providers(required).for_each(|on| add(Some(on), place));
                    }
                    _ => add(account.balances.last(), place),
                }
            }
            if is_exact && address == beneficiary {
                add(self.last_fee, Place::Balance(address));
            }
        }
        for read in &trace.slots {
            let (address, slot) = (read.address, read.slot);
            let mut add = |on: Option<usize>, place| {
                needs.extend(on.map(|on| Need { on, place, at: read.first }));
            };
            add(self.slots.get(&(address, slot)).copied(), Place::Slot(address, slot));
            let wiped = self.accounts.get(&address).and_then(|account| account.wiped);
            add(wiped, Place::Account(address));
        }
        needs
    }

    /// The transaction at `tx` did that.
    fn take_in(&mut self, tx: usize, trace: &TransactionTrace) {
        for met in &trace.accounts {
            if !(met.changes_balance() || met.changes_more || met.wipes) {
                continue;
            }
            let account = self.accounts.entry(met.address).or_default();
            if met.changes_balance() {
                account.balances.change(tx, met.balances[0]);
            }
            if met.changes_more {
                account.more = Some(tx);
            }
            if met.wipes {
                account.wiped = Some(tx);
            }
        }
        for slot in trace.slots.iter().filter(|slot| slot.changes) {
            self.slots.insert((slot.address, slot.slot), tx);
        }
        if trace.pays_fee {
            self.last_fee = Some(tx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_provided_by_who_ended_that_it_was_too_low() {
        let mut balances = Balances::default();
        let providers = |balances: &Balances, required: u64| -> Vec<usize> {
            balances.providers(U256::from(required)).collect()
        };
        assert_eq!(providers(&balances, 5), [0_usize; 0], "nobody changed it");
        // 10, then 4 after transaction 0, 6 after 2, 20 after 3, 8 after 5 and 30 after 7.
        for (tx, before) in [(0, 10_u64), (2, 4), (3, 6), (5, 20), (7, 8)] {
            balances.change(tx, U256::from(before));
        }
        assert_eq!(providers(&balances, 4), [0_usize; 0], "there was that much all the time");
        assert_eq!(providers(&balances, 5), [2]);
        assert_eq!(providers(&balances, 8), [3, 2], "one alone would not do");
        assert_eq!(providers(&balances, 9), [7]);
        assert_eq!(providers(&balances, 30), [7, 5, 3, 2, 0]);
        assert_eq!(balances.last(), Some(7));
    }
}
