//! One block with everything needed to execute it and to check the result.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eip7928::BlockAccessList;
use alloy_primitives::B256;
use warpline_chain::{BodyError, ChainSpec, EthereumHardforks, HeaderError};
use warpline_primitives::{BlockOutput, RecoveredBlock};

use crate::{Origin, ParentState, Proof, TransactionRoots, VerifyError, verify};

/// A block that can be executed, wherever it came from.
#[derive(Clone, Debug)]
pub struct BlockInput {
    /// The file, archive member and case it was read from.
    pub origin: Origin,
    /// The rules it is executed under.
    pub chain: Arc<ChainSpec>,
    /// The block.
    pub block: RecoveredBlock,
    /// The length of the encoded block in bytes, where it came encoded.
    pub encoded_len: Option<usize>,
    /// The access list that came with it (EIP-7928). It is not part of the block: its hash may or
    /// may not be the header's.
    pub access_list: Option<BlockAccessList>,
    /// What is known of its ommers.
    pub ommers: Ommers,
    /// The header of its parent, where it is known.
    pub parent_header: Option<Header>,
    /// The state it starts from.
    pub parent: ParentState,
}

/// What is known of a block's ommers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ommers {
    /// The block lists them all.
    Known,
    /// Only their hashes are known, so the block lists none. The ommers hash cannot be checked,
    /// and their rewards are missing from the block's post-state.
    HashesOnly(Vec<B256>),
}

/// Why a block may not be executed at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreconditionError {
    /// Its header does not follow from its parent's.
    #[error("header: {0}")]
    Header(#[from] HeaderError),
    /// Its body does not belong to its header.
    #[error("body: {0}")]
    Body(#[from] BodyError),
}

impl BlockInput {
    /// The block number.
    pub const fn number(&self) -> u64 {
        self.block.header.number
    }

    /// The block hash.
    pub const fn hash(&self) -> B256 {
        self.block.hash
    }

    /// The fork whose rules apply, by its usual name.
    pub fn fork_name(&self) -> &'static str {
        self.chain.fork_name_at(self.block.header.number, self.block.header.timestamp)
    }

    /// The number of transactions.
    pub const fn transaction_count(&self) -> usize {
        self.block.transactions.len()
    }

    /// The gas the header says was used.
    pub const fn gas_used(&self) -> u64 {
        self.block.header.gas_used
    }

    /// Checks all that can be checked before execution: the header against its parent's, where
    /// that is known, and the body against the header.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), PreconditionError> {
        if let Some(parent) = &self.parent_header {
            self.chain.validate_header(&self.block.header, parent)?;
        }
        let body = self.chain.validate_body(&self.block, self.encoded_len);
        match body {
            Err(BodyError::OmmersHash { .. }) if self.excuses_ommers() => Ok(()),
            body => Ok(body?),
        }
    }

    /// Whether a wrong ommers hash says nothing. The withdrawals, which are checked after it, do
    /// not exist where there are still ommers.
    fn excuses_ommers(&self) -> bool {
        matches!(self.ommers, Ommers::HashesOnly(_))
            && self.block.withdrawals.is_none()
            && self.block.header.withdrawals_root.is_none()
    }

    /// An observer for the execution of this block that collects what its receipts need beyond
    /// the output: before Byzantium they carry the state root after each transaction. `None` from
    /// Byzantium on, and where the parent state has no trie.
    pub fn transaction_roots(&self) -> Option<TransactionRoots> {
        if self.chain.is_byzantium_active_at_block(self.number()) {
            return None;
        }
        self.parent.trie().map(|trie| TransactionRoots::new(trie.clone()))
    }

    /// Proves what the input can prove of `output`: see [`verify`]. `roots` is what
    /// [`transaction_roots`](Self::transaction_roots) gave, after it has observed the execution.
    ///
    /// # Errors
    /// The first thing in which `output` is not what the header says.
    pub fn verify(
        &self,
        output: &BlockOutput,
        roots: Option<&TransactionRoots>,
    ) -> Result<Proof, VerifyError> {
        verify(&self.block, &self.parent, &self.chain, output, roots)
    }
}
