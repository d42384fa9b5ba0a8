//! What an execution shows of its transactions while it goes on.

use warpline_primitives::{
    AccessHint, AccessHints, Chance, CommitObserver, CommitStep, Location, StateDiff,
    TransactionHints,
};

/// Collects what each transaction of a block writes, to [learn](super::Predictor::learn) from without
/// executing the block once more.
///
/// Nothing is said of what transactions only read, nor how long they take, and fees count as writes of
/// the beneficiary.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    happened: AccessHints,
}

impl Observed {
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
            accesses.push(AccessHint::write(Location::Account(*address)));
            let slots = account.storage.iter().map(|(slot, _)| *slot);
            accesses.extend(slots.map(|slot| AccessHint::write(Location::Slot(*address, slot))));
        }
        let transactions = &mut self.happened.transactions;
        transactions.resize_with(transactions.len().max(index + 1), TransactionHints::default);
        transactions[index].accesses = accesses;
    }
}
