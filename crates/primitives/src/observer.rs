//! Who wants to see every change as it becomes final.

use crate::StateDiff;

/// Which part of a block a change belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommitStep {
    /// Before the first transaction: the DAO change and the system calls of EIP-4788 and EIP-2935.
    PreBlock,
    /// The transaction at this index.
    Transaction(usize),
    /// After the last transaction: requests, withdrawals and block rewards.
    PostBlock,
}

/// Receives each step's changes once, in block order, at the moment they are final.
///
/// State roots, access lists, tracing and savings hang here. It is called on the thread that
/// holds the commit role, so slow work belongs elsewhere.
pub trait CommitObserver: Send {
    /// `changes` holds every account and slot whose value after the step differs from the one
    /// before it. Fees of the beneficiary are included in the step that paid them.
    fn on_commit(&mut self, step: CommitStep, changes: &StateDiff);
}

impl<F: FnMut(CommitStep, &StateDiff) + Send> CommitObserver for F {
    fn on_commit(&mut self, step: CommitStep, changes: &StateDiff) {
        self(step, changes);
    }
}
