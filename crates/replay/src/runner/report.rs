//! What became of a case and of each of its blocks.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256};
use warpline_chain::{BodyError, HeaderError, OmmerError, SealError};
use warpline_primitives::{Account, MemoryState, RecoveredBlock};

use crate::{BlockDecodeError, Origin, PostState, Proof, VerifyError};

/// What became of one case.
#[derive(Debug)]
pub struct CaseReport {
    /// The file and the case's name.
    pub origin: Origin,
    /// The rules it ran under.
    pub network: String,
    /// The blocks that arrived, up to the one that decided a failure.
    pub blocks: Vec<BlockReport>,
    /// Whether everything was as the case says.
    pub verdict: Verdict,
}

/// What became of one block of a case.
#[derive(Debug)]
pub struct BlockReport {
    /// Its place in the case, from 0.
    pub index: usize,
    /// Its number and hash, where it decodes.
    pub block: Option<(u64, B256)>,
    /// The number of its transactions.
    pub transactions: usize,
    /// The gas its header says was used.
    pub gas_used: u64,
    /// Whether it got as far as execution.
    pub executed: bool,
    /// How it ended.
    pub outcome: BlockOutcome,
}

/// How a block ended.
#[derive(Debug)]
pub enum BlockOutcome {
    /// It is part of the chain.
    Accepted(Proof),
    /// It broke a rule.
    Rejected(Arc<Rejection>),
    /// The case failed at it: see the verdict.
    Failed,
}

/// The outcome of a case.
#[derive(Debug)]
pub enum Verdict {
    /// All blocks ended as they should, and so did the chain.
    Passed,
    /// Something was not as it should be.
    Failed(Box<CaseFailure>),
}

/// Why a block was rejected.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It does not decode, or a sender cannot be recovered.
    #[error(transparent)]
    Decode(#[from] BlockDecodeError),
    /// Its parent has not been accepted.
    #[error("unknown parent {parent}")]
    UnknownParent {
        /// The parent's hash.
        parent: B256,
    },
    /// Its header does not follow from its parent's.
    #[error("header: {0}")]
    Header(#[from] HeaderError),
    /// It, or an ommer, does not prove the work that it says.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It includes ommers that it may not include.
    #[error("ommers: {0}")]
    Ommers(#[from] OmmerError),
    /// Its body breaks a rule, or is not the one its header commits to.
    #[error("body: {0}")]
    Body(#[from] BodyError),
    /// Executing it breaks a rule.
    #[error("execution: {0}")]
    Execution(#[source] Box<dyn Error + Send + Sync>),
    /// Its execution does not give what its header commits to.
    #[error("result: {0}")]
    Verification(#[from] VerifyError),
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
pub enum CaseFailure {
    /// The state given for the genesis block does not have its state root.
    #[error("genesis state root: expected {expected}, found {found}")]
    GenesisRoot {
        /// The genesis header's.
        expected: B256,
        /// That of the state given.
        found: B256,
    },
    /// An invalid block was accepted.
    #[error("block {block} was accepted, expected {}", reason.as_deref().unwrap_or("rejection"))]
    WronglyAccepted {
        /// Its place in the case.
        block: usize,
        /// The reason for which it should have been rejected, if the case gives one.
        reason: Option<Box<str>>,
    },
    /// A valid block was rejected.
    #[error("block {block} was rejected: {rejection}")]
    WronglyRejected {
        /// Its place in the case.
        block: usize,
        /// Why.
        rejection: Arc<Rejection>,
    },
    /// A valid block's header could not be proven completely, although the state is complete.
    #[error("block {block} is proven to {proof} only")]
    Unproven {
        /// Its place in the case.
        block: usize,
        /// What was proven.
        proof: Proof,
    },
    /// A block could not be executed.
    #[error("block {block} could not be executed: {source}")]
    NotExecuted {
        /// Its place in the case.
        block: usize,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The chain ends with another block.
    #[error("head: expected {expected}, found {found}")]
    Head {
        /// The case's.
        expected: B256,
        /// The one there is.
        found: B256,
    },
    /// The chain ends with another state.
    #[error("post-state root: expected {expected}, found {found}")]
    PostRoot {
        /// The case's.
        expected: B256,
        /// The one there is.
        found: B256,
    },
    /// An account ends differently.
    #[error("post-state of {address}: expected {expected:?}, found {found:?}")]
    PostAccount {
        /// Whose.
        address: Address,
        /// As the case has it; `None` where it does not exist.
        expected: Option<Box<Account>>,
        /// As it is.
        found: Option<Box<Account>>,
    },
    /// A storage slot ends differently.
    #[error("post-state of {address} slot {slot:#x}: expected {expected:#x}, found {found:#x}")]
    PostSlot {
        /// Whose.
        address: Address,
        /// Which slot.
        slot: U256,
        /// As the case has it.
        expected: U256,
        /// As it is.
        found: U256,
    },
}

impl CaseReport {
    /// Whether the case passed.
    pub const fn passed(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }

    /// How many blocks were executed.
    pub fn blocks_run(&self) -> usize {
        self.blocks.iter().filter(|block| block.executed).count()
    }
}

impl BlockReport {
    pub(super) fn new(index: usize, block: Option<&RecoveredBlock>) -> Self {
        Self {
            index,
            block: block.map(|block| (block.number(), block.hash)),
            transactions: block.map_or(0, |block| block.transactions.len()),
            gas_used: block.map_or(0, |block| block.header.gas_used),
            executed: false,
            outcome: BlockOutcome::Failed,
        }
    }
}

/// Compares the state of the head with what the case says of it.
pub(super) fn check_post_state(
    expected: &PostState,
    head: &Header,
    found: &MemoryState,
) -> Result<(), CaseFailure> {
    match expected {
        PostState::Unstated => Ok(()),
        // The head was accepted, so its header's root is the root of the state.
        PostState::Root(expected) if *expected == head.state_root => Ok(()),
        PostState::Root(expected) => {
            Err(CaseFailure::PostRoot { expected: *expected, found: head.state_root })
        }
        PostState::Accounts(expected) => compare(&by_address(expected), &by_address(found)),
    }
}

type Sorted = BTreeMap<Address, (Account, BTreeMap<U256, U256>)>;

fn by_address(state: &MemoryState) -> Sorted {
    let accounts = state.accounts().map(|(address, account, slots)| {
        let slots = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value));
        (*address, (*account, slots.collect()))
    });
    accounts.collect()
}

fn compare(expected: &Sorted, found: &Sorted) -> Result<(), CaseFailure> {
    if expected == found {
        return Ok(());
    }
    for address in expected.keys().chain(found.keys()).copied() {
        let (expected, found) = (expected.get(&address), found.get(&address));
        let account = |state: Option<&(Account, _)>| state.map(|(account, _)| *account);
        if account(expected) != account(found) {
            let expected = account(expected).map(Box::new);
            let found = account(found).map(Box::new);
            return Err(CaseFailure::PostAccount { address, expected, found });
        }
        let (Some((_, expected)), Some((_, found))) = (expected, found) else { continue };
        let value = |slots: &BTreeMap<U256, U256>, slot| slots.get(slot).copied();
        for slot in expected.keys().chain(found.keys()) {
            let expected = value(expected, slot).unwrap_or_default();
            let found = value(found, slot).unwrap_or_default();
            if expected != found {
                return Err(CaseFailure::PostSlot { address, slot: *slot, expected, found });
            }
        }
    }
    Ok(())
}
