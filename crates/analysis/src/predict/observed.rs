//! What an execution shows of its transactions while it goes on.

use alloy_primitives::Address;
use warpline_primitives::{
    AccessHint, AccessHints, Chance, CommitObserver, CommitStep, Location, StateDiff,
    TransactionHints,
};

/// Collects what each transaction of a block writes, to [learn](super::Predictor::learn) from without
/// executing the block once more.
///
/// Nothing is said of what transactions only read, nor how long they take, and nothing of the
/// beneficiary: fees change its account, and nobody needs them.
#[derive(Clone, Debug)]
pub struct Observed {
    beneficiary: Address,
    happened: AccessHints,
}

impl Observed {
    /// For a block whose fees go to `beneficiary`.
    pub fn new(beneficiary: Address) -> Self {
        Self { beneficiary, happened: AccessHints::default() }
    }

    /// What was observed, with the dependencies that follow from it.
    pub fn happened(mut self) -> AccessHints {
        self.happened.link(Chance::EVEN);
        self.happened
    }
}

impl CommitObserver for Observed {
    fn on_commit(&mut self, step: CommitStep, changes: &StateDiff) {
        let CommitStep::Transaction(index) = step else { return };
        let mut accesses = Vec::new();
        for (address, account) in changes.sorted_accounts() {
            let at = Location::Account(*address);
            if *address == self.beneficiary {
                // A fee, for all that can be seen.
            } else if account.storage.iter().len() > 0 {
                // What changes is the storage. If it was paid as well, that commutes.
                accesses.push(AccessHint::read(at));
            } else {
                accesses.push(AccessHint::write(at));
            }
            let slots = account.storage.iter().map(|(slot, _)| *slot);
            accesses.extend(slots.map(|slot| AccessHint::write(Location::Slot(*address, slot))));
        }
        let transactions = &mut self.happened.transactions;
        transactions.resize_with(transactions.len().max(index + 1), TransactionHints::default);
        transactions[index].accesses = accesses;
    }
}
