//! Who needs whom.

use alloy_primitives::{
    Address, U256,
    map::{AddressMap, HashMap},
};
use warpline_engine::{BalanceUse, TransactionTrace};

/// What counts as a dependency on an account's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notion {
    /// To meet an account is to depend on whoever changed it, its balance included.
    AccountReads,
    /// Only to find something out about a balance is, beyond that it suffices: payments to one
    /// account can be made in any order.
    CreditsCommute,
}

/// For each transaction of a block those whose changes it saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies(Vec<Vec<usize>>);

/// Who changed something last.
#[derive(Clone, Copy, Debug, Default)]
struct LastChange {
    balance: Option<usize>,
    more: Option<usize>,
    wiped: Option<usize>,
}

impl Dependencies {
    /// The dependencies between transactions that did what `traces` say, in the order of their block,
    /// whose fees go to `beneficiary`.
    ///
    /// Transactions are counted as they stand in `traces`.
    pub fn new(traces: &[TransactionTrace], beneficiary: Address, notion: Notion) -> Self {
        let mut accounts: AddressMap<LastChange> = AddressMap::default();
        let mut slots: HashMap<(Address, U256), usize> = HashMap::default();
        let mut last_fee = None;
        let mut dependencies = Vec::with_capacity(traces.len());
        for (tx, trace) in traces.iter().enumerate() {
            let mut on = Vec::new();
            for account in &trace.accounts {
                let last = accounts.get(&account.address).copied().unwrap_or_default();
                on.extend(last.more);
                let saw_balance = account.balance == BalanceUse::Exact;
                if saw_balance || notion == Notion::AccountReads {
                    on.extend(last.balance);
                }
                if saw_balance && account.address == beneficiary {
                    on.extend(last_fee);
                }
            }
            for slot in &trace.slots {
                on.extend(slots.get(&(slot.address, slot.slot)));
                on.extend(accounts.get(&slot.address).and_then(|last| last.wiped));
            }
            on.sort_unstable();
            on.dedup();
            dependencies.push(on);

            for account in &trace.accounts {
                if account.changes_balance || account.changes_more || account.wipes {
                    let last = accounts.entry(account.address).or_default();
                    let set = |at: &mut Option<usize>, changes: bool| {
                        if changes {
                            *at = Some(tx);
                        }
                    };
                    set(&mut last.balance, account.changes_balance);
                    set(&mut last.more, account.changes_more);
                    set(&mut last.wiped, account.wipes);
                }
            }
            for slot in trace.slots.iter().filter(|slot| slot.changes) {
                slots.insert((slot.address, slot.slot), tx);
            }
            if trace.pays_fee {
                last_fee = Some(tx);
            }
        }
        Self(dependencies)
    }

    /// Those given, for each transaction those it needs.
    ///
    /// # Panics
    /// Where a transaction needs one that does not come before it.
    pub fn from_lists(lists: Vec<Vec<usize>>) -> Self {
        for (tx, on) in lists.iter().enumerate() {
            assert!(on.iter().all(|earlier| *earlier < tx), "{tx} needs {on:?}");
        }
        Self(lists)
    }

    /// How many transactions there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that the transaction at `tx` needs, ascending; nothing where there is no such
    /// transaction.
    pub fn of(&self, tx: usize) -> &[usize] {
        self.0.get(tx).map_or(&[], Vec::as_slice)
    }

    /// These without those of `tx` on `on`.
    #[must_use]
    pub fn without(mut self, tx: usize, on: usize) -> Self {
        if let Some(list) = self.0.get_mut(tx) {
            list.retain(|earlier| *earlier != on);
        }
        self
    }
}
