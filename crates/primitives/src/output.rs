//! What executing a block yields.

use alloy_consensus::ReceiptEnvelope;
use alloy_eip7928::BlockAccessList;
use alloy_eips::eip7685::Requests;

use crate::{DiffMismatch, StateDiff};

/// A receipt as it stands in the receipts trie: type, status, cumulative gas, logs and bloom.
///
/// Before Byzantium the consensus receipt carries a state root instead of a status. The engine
/// knows no roots, so it always reports the status; whoever computes roots swaps it in.
pub type Receipt = ReceiptEnvelope;

/// How much work an execution took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkCounts {
    /// Runs of the virtual machine on transactions, those included that are aborted or only read ahead.
    pub executions: u64,
    /// Those beyond the first of each transaction.
    pub reexecutions: u64,
    /// Those of the transaction that took the most. The parallel path bounds it.
    pub most_executions: u64,
    /// Checks of a transaction's reads against the committed state.
    pub validations: u64,
    /// Workers that ran at once.
    pub width: usize,
}

/// The complete result of a block. Everything but [`work`](Self::work) is the same for every
/// correct execution of the block.
#[derive(Clone, Debug)]
pub struct BlockOutput<R = Receipt> {
    /// One receipt a transaction, in block order.
    pub receipts: Vec<R>,
    /// The state after the block against the state before it.
    pub state: StateDiff,
    /// The execution-layer requests (EIP-7685), from Prague on.
    pub requests: Requests,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Blob gas used by all transactions (EIP-4844).
    pub blob_gas_used: u64,
    /// What the block accessed and changed (EIP-7928), where that was built.
    pub access_list: Option<BlockAccessList>,
    /// How much work it took.
    pub work: WorkCounts,
}

/// The first place where two outputs of one block disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputMismatch {
    /// Gas used differs.
    #[error("gas used: expected {expected}, found {found}")]
    GasUsed {
        /// The left side.
        expected: u64,
        /// The right side.
        found: u64,
    },
    /// Blob gas used differs.
    #[error("blob gas used: expected {expected}, found {found}")]
    BlobGasUsed {
        /// The left side.
        expected: u64,
        /// The right side.
        found: u64,
    },
    /// Another number of receipts.
    #[error("receipts: expected {expected}, found {found}")]
    ReceiptCount {
        /// The left side.
        expected: usize,
        /// The right side.
        found: usize,
    },
    /// A receipt differs.
    #[error("the receipt of transaction {index} differs")]
    Receipt {
        /// Which transaction's.
        index: usize,
    },
    /// The requests differ.
    #[error("the execution requests differ")]
    Requests,
    /// The access lists differ.
    #[error("the block access lists differ")]
    AccessList,
    /// The state differs.
    #[error("post-state: {0}")]
    State(#[from] Box<DiffMismatch>),
}

impl<R: PartialEq> BlockOutput<R> {
    /// Compares everything but the work counts, and names the first difference. Access lists are
    /// compared where both sides have one.
    ///
    /// # Errors
    /// The first [`OutputMismatch`], `self` being the expected side.
    pub fn compare(&self, found: &Self) -> Result<(), OutputMismatch> {
        if self.receipts.len() != found.receipts.len() {
            let (expected, found) = (self.receipts.len(), found.receipts.len());
            return Err(OutputMismatch::ReceiptCount { expected, found });
        }
        let mut receipts = self.receipts.iter().zip(&found.receipts);
        if let Some(index) = receipts.position(|(expected, found)| expected != found) {
            return Err(OutputMismatch::Receipt { index });
        }
        if self.gas_used != found.gas_used {
            let (expected, found) = (self.gas_used, found.gas_used);
            return Err(OutputMismatch::GasUsed { expected, found });
        }
        if self.blob_gas_used != found.blob_gas_used {
            let (expected, found) = (self.blob_gas_used, found.blob_gas_used);
            return Err(OutputMismatch::BlobGasUsed { expected, found });
        }
        if self.requests != found.requests {
            return Err(OutputMismatch::Requests);
        }
        let lists = self.access_list.as_ref().zip(found.access_list.as_ref());
        if lists.is_some_and(|(expected, found)| expected != found) {
            return Err(OutputMismatch::AccessList);
        }
        Ok(self.state.compare(&found.state)?)
    }
}
