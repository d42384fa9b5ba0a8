//! State roots between transactions, which receipts carry before Byzantium (EIP-658 ended that).

use alloy_consensus::{
    Eip658Value, Receipt as ReceiptBody, ReceiptEnvelope, ReceiptWithBloom, TxReceipt as _,
    proofs::calculate_receipt_root,
};
use alloy_primitives::B256;
use warpline_primitives::{CommitObserver, CommitStep, Receipt, StateDiff};
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
    ///
    /// It stays on the thread that commits: that may be a thread of the engine's pool, where
    /// waiting for others could mean taking up a worker's job while holding what the worker
    /// waits for.
    pub const fn new(mut trie: StateTrie) -> Self {
        trie.set_parallel(false);
        Self { trie, roots: Vec::new(), failure: None }
    }

    /// The root after each transaction, in block order.
    ///
    /// # Errors
    /// The first error of the trie, most likely a node that a witness lacks.
    pub fn roots(&self) -> Result<&[B256], &TrieError> {
        self.failure.as_ref().map_or(Ok(&self.roots), Err)
    }

    /// The root of `receipts` as they were before Byzantium.
    ///
    /// # Errors
    /// As [`roots`](Self::roots).
    pub fn receipts_root(&self, receipts: &[Receipt]) -> Result<B256, TrieError> {
        let roots = self.roots().map_err(Clone::clone)?;
        Ok(calculate_receipt_root(&receipts_with(receipts, roots)))
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

/// `receipts` as they were before Byzantium: each with the state root after its transaction.
pub fn receipts_with(receipts: &[Receipt], roots: &[B256]) -> Vec<Receipt> {
    let receipts = receipts.iter().zip(roots);
    receipts.map(|(receipt, root)| with_root(receipt, *root)).collect()
}

/// The receipt as it was before Byzantium: with the state root where the status is today.
fn with_root(receipt: &Receipt, root: B256) -> Receipt {
    ReceiptEnvelope::Legacy(ReceiptWithBloom {
        receipt: ReceiptBody {
            status: Eip658Value::PostState(root),
            cumulative_gas_used: receipt.cumulative_gas_used(),
            logs: receipt.logs().to_vec(),
        },
        logs_bloom: receipt.bloom(),
    })
}
