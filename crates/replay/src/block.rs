//! Blocks from their RLP encoding, with senders recovered from signatures.

use alloy_consensus::{
    Block, BlockBody, Header, crypto::RecoveryError, transaction::Recovered,
    transaction::SignerRecoverable,
};
use alloy_primitives::B256;
use warpline_chain::{ChainSpec, EthereumHardforks};
use warpline_primitives::{RecoveredBlock, Transaction};

/// Why the bytes of a block are no block, or one of its transactions has no sender.
///
/// In a blockchain test this makes the block invalid; in any other input it is an error.
#[derive(Debug, thiserror::Error)]
pub enum BlockDecodeError {
    /// The bytes are not the RLP of a block.
    #[error("malformed RLP: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// Bytes are left after the block.
    #[error("malformed RLP: {count} bytes after the end")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// No sender can be recovered from a signature, or its `s` is in the upper half of the range
    /// from Homestead on (EIP-2).
    #[error("transaction {index}: {source}")]
    Sender {
        /// Which transaction.
        index: usize,
        /// What is wrong with the signature.
        source: RecoveryError,
    },
}

/// Decodes the RLP of a block and recovers its senders under the rules of `chain`.
///
/// # Errors
/// When the bytes are not exactly one block, or a signature is invalid.
pub fn decode_block(rlp: &[u8], chain: &ChainSpec) -> Result<RecoveredBlock, BlockDecodeError> {
    let (block, hash) = decode_exact(rlp)?;
    recover_senders(block.header, hash, block.body, chain)
}

/// Decodes the RLP of a block and hashes its header.
pub(crate) fn decode_exact(rlp: &[u8]) -> Result<(Block<Transaction>, B256), BlockDecodeError> {
    let mut rest = rlp;
    let block = Block::<Transaction>::decode_sealed(&mut rest)?;
    if !rest.is_empty() {
        return Err(BlockDecodeError::TrailingBytes { count: rest.len() });
    }
    Ok(block.into_parts())
}

/// Recovers the sender of every transaction in `body`.
pub(crate) fn recover_senders(
    header: Header,
    hash: B256,
    body: BlockBody<Transaction>,
    chain: &ChainSpec,
) -> Result<RecoveredBlock, BlockDecodeError> {
    let low_s = chain.is_homestead_active_at_block(header.number);
    let recover = |(index, transaction): (usize, Transaction)| {
        let sender = if low_s {
            transaction.recover_signer()
        } else {
            transaction.recover_signer_unchecked()
        };
        let sender = sender.map_err(|source| BlockDecodeError::Sender { index, source })?;
        Ok(Recovered::new_unchecked(transaction, sender))
    };
    let transactions = body.transactions.into_iter().enumerate().map(recover);
    Ok(RecoveredBlock {
        transactions: transactions.collect::<Result<_, BlockDecodeError>>()?,
        header,
        hash,
        ommers: body.ommers,
        withdrawals: body.withdrawals,
    })
}
