//! What a body must be, given its header, as far as no state is needed.

use alloy_consensus::{
    Transaction as _, TxType,
    proofs::{calculate_ommers_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks};
use alloy_primitives::B256;
use warpline_primitives::RecoveredBlock;

use crate::ChainSpec;

/// The most bytes an RLP-encoded block may have from Osaka on (EIP-7934): ten MiB less two MiB for
/// the beacon block around it.
pub const MAX_BLOCK_RLP_LEN: usize = (10 << 20) - (2 << 20);

/// Why a body does not belong to its header, or may not exist at this fork.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The transactions are not those of the header.
    #[error("transactions root: expected {expected}, found {found}")]
    TransactionsRoot {
        /// The header's.
        expected: B256,
        /// The body's.
        found: B256,
    },
    /// The ommers are not those of the header.
    #[error("ommers hash: expected {expected}, found {found}")]
    OmmersHash {
        /// The header's.
        expected: B256,
        /// The body's.
        found: B256,
    },
    /// The withdrawals are not those of the header (EIP-4895).
    #[error("withdrawals root: expected {expected:?}, found {found:?}")]
    WithdrawalsRoot {
        /// The header's, `None` where it has none.
        expected: Option<B256>,
        /// The body's, `None` where it has no withdrawals.
        found: Option<B256>,
    },
    /// Withdrawals before Shanghai, or none from there on (EIP-4895).
    #[error("withdrawals in the body: expected {expected}, found {found}")]
    Withdrawals {
        /// Whether the fork has withdrawals.
        expected: bool,
        /// Whether the body has.
        found: bool,
    },
    /// The fork does not know this type of transaction yet.
    #[error("transaction {index} has type {found}, which begins with {fork:?}")]
    TransactionType {
        /// Which transaction.
        index: usize,
        /// The fork that brings the type.
        fork: EthereumHardfork,
        /// The type.
        found: TxType,
    },
    /// A transaction is signed for a chain (EIP-155) before Spurious Dragon.
    #[error("transaction {index} is replay-protected before Spurious Dragon")]
    ReplayProtected {
        /// Which transaction.
        index: usize,
    },
    /// A transaction is signed for another chain (EIP-155).
    #[error("transaction {index}: expected chain id {expected}, found {found}")]
    ChainId {
        /// Which transaction.
        index: usize,
        /// This chain's.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The blob gas of the transactions is not what the header says (EIP-4844).
    #[error("blob gas used: expected {expected}, found {found}")]
    BlobGasUsed {
        /// The header's.
        expected: u64,
        /// The sum over the transactions.
        found: u64,
    },
    /// There are more blobs than a block may have (EIP-4844).
    #[error("blob gas used {found} exceeds {max}")]
    BlobGasLimit {
        /// The most a block may use.
        max: u64,
        /// The sum over the transactions.
        found: u64,
    },
    /// The encoded block is too long (EIP-7934).
    #[error("block of {found} bytes, at most {max} are allowed")]
    BlockSize {
        /// The most bytes there may be.
        max: usize,
        /// The bytes there are.
        found: usize,
    },
}

impl ChainSpec {
    /// Checks a body: first [its transactions](Self::validate_transactions), then
    /// [its roots](Self::validate_roots) and the size of the block. `encoded_len` is the length of
    /// the RLP-encoded block in bytes; `None` leaves its limit (EIP-7934) unchecked.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate_body(
        &self,
        block: &RecoveredBlock,
        encoded_len: Option<usize>,
    ) -> Result<(), BodyError> {
        self.validate_transactions(block)?;
        self.validate_roots(block)?;
        let limited = self.is_osaka_active_at_timestamp(block.header.timestamp);
        match encoded_len.filter(|found| limited && *found > MAX_BLOCK_RLP_LEN) {
            Some(found) => Err(BodyError::BlockSize { max: MAX_BLOCK_RLP_LEN, found }),
            None => Ok(()),
        }
    }

    /// Checks what can be said of the transactions without a state: that the fork knows their
    /// types, that they are meant for this chain, and their blob gas. Apart from the roots, so
    /// that a test whose block breaks both proves the rule it is about.
    ///
    /// # Errors
    /// The first rule that is broken, in block order.
    pub fn validate_transactions(&self, block: &RecoveredBlock) -> Result<(), BodyError> {
        let (number, timestamp) = (block.header.number, block.header.timestamp);
        let active = |fork| {
            let condition = self.ethereum_fork_activation(fork);
            condition.active_at_timestamp_or_number(timestamp, number)
        };
        let protected = active(EthereumHardfork::SpuriousDragon);
        let mut blobs = 0_u64;
        for (index, transaction) in block.transactions.iter().enumerate() {
            let found = transaction.tx_type();
            let fork = introduced_by(found);
            if !active(fork) {
                return Err(BodyError::TransactionType { index, fork, found });
            }
            if let Some(found) = transaction.chain_id() {
                if !protected {
                    return Err(BodyError::ReplayProtected { index });
                }
                if found != self.chain_id() {
                    let expected = self.chain_id();
                    return Err(BodyError::ChainId { index, expected, found });
                }
            }
            blobs = blobs.saturating_add(transaction.blob_count().unwrap_or_default());
        }
        let Some(params) = self.blob_params_at(timestamp) else { return Ok(()) };
        let found = blobs.saturating_mul(DATA_GAS_PER_BLOB);
        let max = params.max_blob_count.saturating_mul(DATA_GAS_PER_BLOB);
        if found > max {
            return Err(BodyError::BlobGasLimit { max, found });
        }
        let expected = block.header.blob_gas_used.unwrap_or_default();
        if found != expected {
            return Err(BodyError::BlobGasUsed { expected, found });
        }
        Ok(())
    }

    /// Checks that transactions, ommers and withdrawals are those the header commits to, and that
    /// there are withdrawals exactly if the fork has them.
    ///
    /// # Errors
    /// The first that differs.
    pub fn validate_roots(&self, block: &RecoveredBlock) -> Result<(), BodyError> {
        let header = &block.header;
        let transactions: Vec<_> =
            block.transactions.iter().map(|transaction| transaction.inner()).collect();
        let (expected, found) =
            (header.transactions_root, calculate_transaction_root(&transactions));
        if expected != found {
            return Err(BodyError::TransactionsRoot { expected, found });
        }
        let (expected, found) = (header.ommers_hash, calculate_ommers_root(&block.ommers));
        if expected != found {
            return Err(BodyError::OmmersHash { expected, found });
        }
        let expected = self.is_shanghai_active_at_timestamp(header.timestamp);
        let found = block.withdrawals.is_some();
        if expected != found {
            return Err(BodyError::Withdrawals { expected, found });
        }
        let found =
            block.withdrawals.as_ref().map(|withdrawals| calculate_withdrawals_root(withdrawals));
        let expected = header.withdrawals_root;
        if expected != found {
            return Err(BodyError::WithdrawalsRoot { expected, found });
        }
        Ok(())
    }
}

/// The fork that brought a type of transaction.
const fn introduced_by(tx_type: TxType) -> EthereumHardfork {
    match tx_type {
        TxType::Legacy => EthereumHardfork::Frontier,
        TxType::Eip2930 => EthereumHardfork::Berlin,
        TxType::Eip1559 => EthereumHardfork::London,
        TxType::Eip4844 => EthereumHardfork::Cancun,
        TxType::Eip7702 => EthereumHardfork::Prague,
    }
}
