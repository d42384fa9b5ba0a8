//! A block whose senders are known.

use alloy_consensus::{EthereumTxEnvelope, Header, TxEip4844, transaction::Recovered};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::B256;

/// A signed Ethereum transaction as it stands in a block: blob transactions without their sidecar.
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// A decoded block with the sender of every transaction recovered from its signature.
///
/// Nothing has been checked yet beyond what decoding and recovery imply: header rules, roots of
/// the body and the execution itself are other crates' work.
#[derive(Clone, Debug)]
pub struct RecoveredBlock<T = Transaction> {
    /// The header.
    pub header: Header,
    /// Keccak-256 of the RLP-encoded header.
    pub hash: B256,
    /// The transactions in block order, each with its sender.
    pub transactions: Vec<Recovered<T>>,
    /// The ommer (uncle) headers.
    pub ommers: Vec<Header>,
    /// The validator withdrawals (EIP-4895), from Shanghai on.
    pub withdrawals: Option<Withdrawals>,
}

impl<T> RecoveredBlock<T> {
    /// The block number.
    pub const fn number(&self) -> u64 {
        self.header.number
    }
}
