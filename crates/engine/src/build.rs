//! Building a block: as many candidates as the budget holds, in the order in which they are given.
//!
//! Building is executing, with three differences. A candidate that may not stand where it would
//! stand is skipped, with the reason, instead of making the block invalid. The budget bounds the
//! block beyond what the header does. And the end may come at any moment: what was committed until
//! then, with what comes after the transactions, is a valid block. Which candidates are looked at
//! depends on the clock only if a deadline or a cancellation is what ends it; what becomes of those
//! that were does not depend on anything but the candidates before them.

use std::time::Instant;

use alloy_consensus::Transaction;
use alloy_evm::InvalidTxError;
use warpline_primitives::BlockOutput;

use crate::{BlockRules, InvalidBlock, commit::BlockGas};

/// What a block may hold beyond what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// Gas, where it is less than the header's limit.
    pub gas: u64,
    /// Blob gas (EIP-4844), where it is less than the fork allows.
    pub blob_gas: u64,
    /// Bytes of the encoded transactions, as
    /// [`BlockVm::encoded_len`](crate::BlockVm::encoded_len) has them. EIP-7934 bounds the whole
    /// block: what is left after header, ommers and withdrawals is for the caller to say.
    pub bytes: usize,
    /// When to end, finished or not.
    pub deadline: Option<Instant>,
}

impl Default for Budget {
    /// No bounds but the gas limit of the header and the blob limit of the fork.
    fn default() -> Self {
        Self { gas: u64::MAX, blob_gas: u64::MAX, bytes: usize::MAX, deadline: None }
    }
}

/// A block that was built.
#[derive(Debug)]
pub struct BuiltBlock<R> {
    /// Which candidates it consists of: their indices, ascending.
    pub included: Vec<usize>,
    /// Which were skipped, ascending, and why.
    pub skipped: Vec<Skipped>,
    /// Why there are no more. The first [`considered`](Self::considered) candidates were looked at.
    pub end: BuildEnd,
    /// What executing the included transactions yields: what executing the block will.
    pub output: BlockOutput<R>,
}

impl<R> BuiltBlock<R> {
    /// How many candidates were included or skipped: all those before the end.
    pub const fn considered(&self) -> usize {
        self.included.len() + self.skipped.len()
    }
}

/// Why a block has no more transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuildEnd {
    /// There are no more candidates.
    NoMoreCandidates,
    /// The gas that is left is too little for any transaction.
    Full,
    /// The deadline has passed.
    Deadline,
    /// The caller called it off.
    Cancelled,
}

/// A candidate that is not part of the block.
#[derive(Debug)]
pub struct Skipped {
    /// Its index.
    pub index: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why a candidate is not part of the block.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// It is not valid after those before it.
    #[error("{0}")]
    Invalid(Box<dyn InvalidTxError>),
    /// It asks for more gas than is left.
    #[error("gas limit {gas_limit} exceeds the {available} left")]
    Gas {
        /// What it asks for.
        gas_limit: u64,
        /// What is left.
        available: u64,
    },
    /// It has more blobs than there is room for.
    #[error("blob gas {blob_gas} exceeds the {available} left")]
    BlobGas {
        /// What it takes.
        blob_gas: u64,
        /// What is left.
        available: u64,
    },
    /// It is longer than what is left.
    #[error("{bytes} bytes exceed the {available} left")]
    Bytes {
        /// Its length.
        bytes: usize,
        /// What is left.
        available: usize,
    },
}

/// Who is let into the block. Asked in block order by the commit.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) gas: BlockGas,
    pub(crate) building: Option<Building>,
    rules: BlockRules,
}

/// An execution that came to an end.
#[derive(Debug)]
pub(crate) struct Finished<R> {
    pub(crate) output: BlockOutput<R>,
    pub(crate) end: BuildEnd,
    pub(crate) building: Option<Building>,
}

impl<R> Finished<R> {
    /// The block that was built.
    pub(crate) fn into_built(self) -> BuiltBlock<R> {
        let Self { output, end, building } = self;
        let (included, skipped) =
            building.map(|building| (building.included, building.skipped)).unwrap_or_default();
        BuiltBlock { included, skipped, end, output }
    }
}

/// A block under construction.
#[derive(Debug)]
pub(crate) struct Building {
    budget: Budget,
    bytes: usize,
    included: Vec<usize>,
    skipped: Vec<Skipped>,
}

impl Admission {
    /// To a block that is given, or to one that is built within `budget`.
    pub(crate) fn new(rules: BlockRules, budget: Option<Budget>) -> Self {
        Self { gas: BlockGas::default(), building: budget.map(Building::new), rules }
    }

    /// Whether no transaction can be let in any more.
    pub(crate) fn is_full(&self) -> bool {
        self.building.is_some() && self.gas.available(&self.rules) < self.rules.least_gas
    }

    /// Whether the transaction at `index` has a place in the block. One that has not is skipped if
    /// the block is being built, and an error otherwise.
    pub(crate) fn admit(
        &mut self,
        index: usize,
        tx: &impl Transaction,
        bytes: usize,
    ) -> Result<bool, InvalidBlock> {
        if let Err(error) = self.gas.check(index, tx, &self.rules) {
            self.refuse(index, error)?;
            return Ok(false);
        }
        let Some(building) = &mut self.building else { return Ok(true) };
        if let Err(reason) = building.check(tx, bytes, &self.gas, &self.rules) {
            building.skipped.push(Skipped { index, reason });
            return Ok(false);
        }
        Ok(true)
    }

    /// The transaction at `index` breaks a rule: it is skipped if the block is being built.
    pub(crate) fn refuse(&mut self, index: usize, error: InvalidBlock) -> Result<(), InvalidBlock> {
        let Some(building) = &mut self.building else { return Err(error) };
        let reason = match error {
            InvalidBlock::Transaction { error, .. } => SkipReason::Invalid(error),
            InvalidBlock::GasLimit { gas_limit, available, .. } => {
                SkipReason::Gas { gas_limit, available }
            }
            error @ (InvalidBlock::AccessList(_) | InvalidBlock::System(_)) => return Err(error),
        };
        building.skipped.push(Skipped { index, reason });
        Ok(())
    }

    /// The transaction at `index` is part of the block.
    pub(crate) fn include(&mut self, index: usize, bytes: usize) {
        if let Some(building) = &mut self.building {
            building.included.push(index);
            building.bytes += bytes;
        }
    }
}

impl Building {
    /// An empty block with room for `budget`.
    const fn new(budget: Budget) -> Self {
        Self { budget, bytes: 0, included: Vec::new(), skipped: Vec::new() }
    }

    fn check(
        &self,
        tx: &impl Transaction,
        bytes: usize,
        gas: &BlockGas,
        rules: &BlockRules,
    ) -> Result<(), SkipReason> {
        let blob_gas = tx.blob_gas_used().unwrap_or_default();
        let available = self.budget.blob_gas.min(rules.blob_gas_limit).saturating_sub(gas.blob());
        if blob_gas > available {
            return Err(SkipReason::BlobGas { blob_gas, available });
        }
        let available = self.budget.bytes.saturating_sub(self.bytes);
        if bytes > available {
            return Err(SkipReason::Bytes { bytes, available });
        }
        Ok(())
    }
}
