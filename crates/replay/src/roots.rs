//! State roots between transactions, which receipts carry before Byzantium (EIP-658 ended that).

use alloy_primitives::B256;
use warpline_primitives::{CommitObserver, CommitStep, StateDiff};
use warpline_trie::{StateTrie, TrieError};

/// Follows the commits of one block and takes the state root after each transaction.
#[derive(Clone, Debug)]
pub struct TransactionRoots {
    trie: StateTrie,
    roots: Vec<B256>,
    failure: Option<TrieError>,
}

impl TransactionRoots {
    /// An observer for a block that starts from the state in `trie`.
    pub const fn new(trie: StateTrie) -> Self {
        Self { trie, roots: Vec::new(), failure: None }
    }

    /// The root after each transaction, in block order.
    ///
    /// # Errors
    /// The first error of the trie, most likely a node that a witness lacks.
    pub fn roots(&self) -> Result<&[B256], &TrieError> {
        self.failure.as_ref().map_or(Ok(&self.roots), Err)
    }
}

impl CommitObserver for TransactionRoots {
    fn on_commit(&mut self, step: CommitStep, changes: &StateDiff) {
        if self.failure.is_some() {
            return;
        }
        match self.trie.apply(changes) {
            Err(error) => self.failure = Some(error),
            Ok(()) if matches!(step, CommitStep::Transaction(_)) => {
                self.roots.push(self.trie.root());
            }
            Ok(()) => {}
        }
    }
}
