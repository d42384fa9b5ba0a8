//! Comparing the output of an execution with the header, as far as the parent state allows.
//!
//! Gas, bloom, blob gas and requests follow from the output alone. The receipts root does too
//! from Byzantium on; before, receipts carry state roots. A state root needs a trie. Whatever can
//! be proven is proven, and what cannot is said with the reason.

use std::fmt;

use alloy_consensus::{TxReceipt as _, proofs::calculate_receipt_root};
use alloy_eip7928::{
    BlockAccessListGasError, ITEM_COST, compute_block_access_list_hash, total_bal_items,
};
use alloy_primitives::{B256, Bloom};
use warpline_chain::{ChainSpec, EthereumHardforks};
use warpline_primitives::{BlockOutput, RecoveredBlock};
use warpline_trie::{StateTrie, TrieError};

use crate::{ParentState, TransactionRoots, roots::receipts_with};

/// How far an output is proven to be what the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The strongest commitment of the header that was reproduced.
    pub level: ProofLevel,
    /// Why it is not a stronger one, or what is missing all the same.
    pub limit: Option<ProofLimit>,
}

/// The commitments of a header, weakest first. Each level includes the ones before it, except
/// where [`Proof::limit`] says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProofLevel {
    /// Gas used, logs bloom, and, where the fork has them, blob gas, requests and access list.
    GasAndBloom,
    /// All receipts.
    ReceiptsRoot,
    /// The whole state.
    StateRoot,
}

/// Why something could not be proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofLimit {
    /// The parent state is a snapshot.
    #[error("a snapshot has no state trie")]
    NoTrie,
    /// Receipts before Byzantium carry state roots that nobody has collected.
    #[error("the receipts carry state roots, which were not collected")]
    NoTransactionRoots,
    /// The witness lacks a node, or what it has is not a state trie.
    #[error("{0}")]
    Trie(TrieError),
}

/// What in an output is not as the header says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is not one receipt for each transaction.
    #[error("number of receipts: expected {expected}, found {found}")]
    ReceiptCount {
        /// The number of transactions.
        expected: usize,
        /// The number of receipts.
        found: usize,
    },
    /// The gas used differs.
    #[error("gas used: expected {expected}, found {found}")]
    GasUsed {
        /// The header's.
        expected: u64,
        /// The output's.
        found: u64,
    },
    /// The blob gas used differs (EIP-4844).
    #[error("blob gas used: expected {expected:?}, found {found:?}")]
    BlobGasUsed {
        /// The header's.
        expected: Option<u64>,
        /// The output's, `None` before Cancun.
        found: Option<u64>,
    },
    /// The logs bloom differs.
    #[error("logs bloom: expected {expected}, found {found}")]
    LogsBloom {
        /// The header's.
        expected: Box<Bloom>,
        /// The union of the receipts'.
        found: Box<Bloom>,
    },
    /// The execution requests differ (EIP-7685).
    #[error("requests hash: expected {expected:?}, found {found:?}")]
    RequestsHash {
        /// The header's.
        expected: Option<B256>,
        /// That of the output's requests, `None` before Prague.
        found: Option<B256>,
    },
    /// The access list differs (EIP-7928).
    #[error("block access list hash: expected {expected:?}, found {found:?}")]
    AccessListHash {
        /// The header's.
        expected: Option<B256>,
        /// That of the output's list, `None` before Amsterdam and where none was built.
        found: Option<B256>,
    },
    /// The access list has more entries than the gas limit allows (EIP-7928).
    #[error(transparent)]
    AccessListTooLarge(#[from] BlockAccessListGasError),
    /// The receipts differ.
    #[error("receipts root: expected {expected}, found {found}")]
    ReceiptsRoot {
        /// The header's.
        expected: B256,
        /// That of the output's receipts.
        found: B256,
    },
    /// The state differs.
    #[error("state root: expected {expected}, found {found}")]
    StateRoot {
        /// The header's.
        expected: B256,
        /// That of the parent state with the output's changes.
        found: B256,
    },
}

impl Proof {
    /// Whether nothing that the header commits to is left open.
    pub const fn is_complete(&self) -> bool {
        matches!(self.level, ProofLevel::StateRoot) && self.limit.is_none()
    }
}

impl fmt::Display for ProofLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::GasAndBloom => "gas-and-bloom",
            Self::ReceiptsRoot => "receipts-root",
            Self::StateRoot => "state-root",
        })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.level)?;
        self.limit.as_ref().map_or(Ok(()), |limit| write!(f, " ({limit})"))
    }
}

/// Compares `output` with the header of `block`, which started from `parent`. `roots` must have
/// observed the execution where the receipts are to be proven before Byzantium, and is not looked
/// at from there on.
///
/// # Errors
/// The first thing in which `output` is not what the header says.
pub fn verify(
    block: &RecoveredBlock,
    parent: &ParentState,
    chain: &ChainSpec,
    output: &BlockOutput,
    roots: Option<&TransactionRoots>,
) -> Result<Proof, VerifyError> {
    verify_and_advance(block, parent, chain, output, roots).map(|(proof, _)| proof)
}

/// As [`verify`], and returns the trie of the post-state where its root is proven.
pub(crate) fn verify_and_advance(
    block: &RecoveredBlock,
    parent: &ParentState,
    chain: &ChainSpec,
    output: &BlockOutput,
    roots: Option<&TransactionRoots>,
) -> Result<(Proof, Option<StateTrie>), VerifyError> {
    check_totals(block, chain, output)?;
    let receipts_limit = check_receipts(block, parent, chain, output, roots)?;
    let state = check_state(block, parent, output)?;
    Ok(match (state, receipts_limit) {
        (Ok(trie), limit) => (Proof { level: ProofLevel::StateRoot, limit }, Some(trie)),
        (Err(limit), None) => (Proof { level: ProofLevel::ReceiptsRoot, limit: Some(limit) }, None),
        (Err(_), Some(limit)) => {
            (Proof { level: ProofLevel::GasAndBloom, limit: Some(limit) }, None)
        }
    })
}

/// Compares `output` with all that the header of `block` says of it but the state root: gas, bloom,
/// blob gas, requests, access list and receipts. `roots` are the state roots after each transaction,
/// which receipts carry before Byzantium; nobody looks at them from there on. For whoever keeps a
/// state of another kind than a [`ParentState`].
///
/// # Errors
/// The first thing in which `output` is not what the header says.
pub fn verify_output(
    block: &RecoveredBlock,
    chain: &ChainSpec,
    output: &BlockOutput,
    roots: &[B256],
) -> Result<(), VerifyError> {
    check_totals(block, chain, output)?;
    check_receipts_root(block, chain, output, roots)
}

/// What follows from the output alone.
fn check_totals(
    block: &RecoveredBlock,
    chain: &ChainSpec,
    output: &BlockOutput,
) -> Result<(), VerifyError> {
    let header = &block.header;
    let (expected, found) = (block.transactions.len(), output.receipts.len());
    if expected != found {
        return Err(VerifyError::ReceiptCount { expected, found });
    }
    let (expected, found) = (header.gas_used, output.gas_used);
    if expected != found {
        return Err(VerifyError::GasUsed { expected, found });
    }
    let cancun = chain.is_cancun_active_at_timestamp(header.timestamp);
    let (expected, found) = (header.blob_gas_used, cancun.then_some(output.blob_gas_used));
    if expected != found {
        return Err(VerifyError::BlobGasUsed { expected, found });
    }
    let found = output.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
    if header.logs_bloom != found {
        let (expected, found) = (Box::new(header.logs_bloom), Box::new(found));
        return Err(VerifyError::LogsBloom { expected, found });
    }
    let prague = chain.is_prague_active_at_timestamp(header.timestamp);
    let found = prague.then(|| output.requests.requests_hash());
    let expected = header.requests_hash;
    if expected != found {
        return Err(VerifyError::RequestsHash { expected, found });
    }
    check_access_list(block, chain, output)
}

/// Checks the access list that was built. Before Amsterdam a list is nobody's business.
fn check_access_list(
    block: &RecoveredBlock,
    chain: &ChainSpec,
    output: &BlockOutput,
) -> Result<(), VerifyError> {
    let header = &block.header;
    let list = output.access_list.as_deref();
    let list = list.filter(|_| chain.block_access_lists_at(header.timestamp));
    let (expected, found) =
        (header.block_access_list_hash, list.map(compute_block_access_list_hash));
    if expected != found {
        return Err(VerifyError::AccessListHash { expected, found });
    }
    let items = list.map_or(0, total_bal_items);
    if items > header.gas_limit / ITEM_COST as u64 {
        return Err(BlockAccessListGasError::new(items, header.gas_limit).into());
    }
    Ok(())
}

/// Checks the receipts root, or says why it cannot be computed.
fn check_receipts(
    block: &RecoveredBlock,
    parent: &ParentState,
    chain: &ChainSpec,
    output: &BlockOutput,
    roots: Option<&TransactionRoots>,
) -> Result<Option<ProofLimit>, VerifyError> {
    let roots = match roots.map(TransactionRoots::roots) {
        _ if chain.is_byzantium_active_at_block(block.header.number) => &[],
        Some(Ok(roots)) => roots,
        Some(Err(error)) => return Ok(Some(ProofLimit::Trie(error.clone()))),
        None if output.receipts.is_empty() => &[],
        None if parent.trie().is_none() => return Ok(Some(ProofLimit::NoTrie)),
        None => return Ok(Some(ProofLimit::NoTransactionRoots)),
    };
    check_receipts_root(block, chain, output, roots)?;
    Ok(None)
}

/// Checks the receipts root, given the state roots that the receipts carry before Byzantium.
fn check_receipts_root(
    block: &RecoveredBlock,
    chain: &ChainSpec,
    output: &BlockOutput,
    roots: &[B256],
) -> Result<(), VerifyError> {
    let found = if chain.is_byzantium_active_at_block(block.header.number) {
        calculate_receipt_root(&output.receipts)
    } else {
        let (expected, found) = (output.receipts.len(), roots.len());
        if expected != found {
            return Err(VerifyError::ReceiptCount { expected, found });
        }
        calculate_receipt_root(&receipts_with(&output.receipts, roots))
    };
    let expected = block.header.receipts_root;
    if expected == found { Ok(()) } else { Err(VerifyError::ReceiptsRoot { expected, found }) }
}

/// Checks the state root and returns the trie of the post-state, or says why there is none.
fn check_state(
    block: &RecoveredBlock,
    parent: &ParentState,
    output: &BlockOutput,
) -> Result<Result<StateTrie, ProofLimit>, VerifyError> {
    let Some(trie) = parent.trie() else { return Ok(Err(ProofLimit::NoTrie)) };
    let mut trie = trie.clone();
    if let Err(error) = trie.apply(&output.state) {
        return Ok(Err(ProofLimit::Trie(error)));
    }
    let (expected, found) = (block.header.state_root, trie.root());
    if expected != found {
        return Err(VerifyError::StateRoot { expected, found });
    }
    Ok(Ok(trie))
}
