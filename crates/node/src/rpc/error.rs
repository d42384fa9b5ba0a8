//! Why a call is answered with an error, and with which code.

use std::time::Duration;

use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes};
use jsonrpsee::types::{ErrorCode, ErrorObjectOwned};
use warpline_engine::{CallError, ExecutionError, SimulateError, TraceError, revert_reason};
use warpline_storage::StorageError;
use warpline_trie::TrieError;

use super::{args::ArgumentError, pool::Deadline};

/// The call is wrong in a way that has no code of its own.
pub(super) const SERVER_ERROR: i32 = -32000;
/// What the call asks for exceeds a limit (EIP-1474).
pub(super) const LIMIT_EXCEEDED: i32 = -32005;
/// What the call names does not exist (EIP-1474).
const NOT_FOUND: i32 = -32001;
/// The call took too long, as Geth has it.
const TIMED_OUT: i32 = -32002;
/// The server does too much already.
const BUSY: i32 = -32009;
/// History is no longer kept (EIP-4444).
const PRUNED: i32 = 4444;
/// The execution reverted; the data is what it returned.
const REVERTED: i32 = 3;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// An argument is not what the method takes.
    #[error("invalid argument {index}: {problem}")]
    Argument {
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        problem: ArgumentError,
    },
    /// The arguments are no list.
    #[error("arguments must be a list")]
    NoList,
    /// More arguments than the method takes.
    #[error("too many arguments, want at most {most}")]
    TooManyArguments {
        /// How many it takes.
        most: usize,
    },
    /// The range ends before it begins.
    #[error("invalid block range: {from} to {to}")]
    ReversedRange {
        /// Its first block.
        from: u64,
        /// Its last block.
        to: u64,
    },
    /// The range ends after the head.
    #[error("block range extends beyond current head block {head}")]
    RangeBeyondHead {
        /// The newest block.
        head: u64,
    },
    /// The range is longer than what is looked through in one call.
    #[error("query exceeds max block range {most}")]
    RangeTooLong {
        /// How long it may be.
        most: u64,
    },
    /// More logs than fit one response. `last` is how far one can ask.
    #[error("query exceeds max results {most}, retry with the range {from}-{last}")]
    TooManyLogs {
        /// How many may be returned.
        most: usize,
        /// The first block that was asked for.
        from: u64,
        /// The last block with which the logs would not be too many.
        last: u64,
    },
    /// A filter that names a block never has anything new.
    #[error("a filter of one block never changes, use eth_getLogs")]
    FilterOfOneBlock,
    /// Percentiles must lie between 0 and 100 and must not fall.
    #[error("invalid reward percentile: {0} (they lie between 0 and 100, and do not fall)")]
    Percentile(f64),
    /// There is no such block.
    #[error("block {} not found", display(.0))]
    UnknownBlock(BlockId),
    /// There is no such transaction.
    #[error("transaction {0} not found")]
    UnknownTransaction(B256),
    /// The block has no access list (EIP-7928).
    #[error("block {0} has no access list")]
    NoAccessList(u64),
    /// The block's state is no longer kept.
    #[error("the state of block {number} is pruned, the earliest kept is that of block {earliest}")]
    Pruned {
        /// The block asked for.
        number: u64,
        /// The first block whose state can be read.
        earliest: u64,
    },
    /// There is no filter with this id, or not any more; or what a subscription would tell is lost.
    #[error("filter not found")]
    UnknownFilter,
    /// There are as many filters as there may be.
    #[error("too many filters, at most {most} are kept")]
    TooManyFilters {
        /// How many may be kept.
        most: usize,
    },
    /// The filters that are kept have as many addresses and topics as they may have.
    #[error("all filters together have too many addresses and topics, at most {most} are kept")]
    FiltersTooLarge {
        /// How many may be kept.
        most: u32,
    },
    /// There is no such method, or its namespace is not offered here.
    #[error("the method {0} does not exist or is not offered here")]
    UnknownMethod(String),
    /// A subscription answers by itself, and not within a batch.
    #[error("a subscription cannot be part of a batch")]
    SubscriptionInBatch,
    /// Somebody else is told already what is new.
    #[error("the filter is being asked for its changes already")]
    FilterBusy,
    /// The filter does not look for logs.
    #[error("the filter is not one of logs")]
    NotALogFilter,
    /// There is no such subscription.
    #[error("there is no subscription of this kind")]
    UnknownSubscription,
    /// The node executes what it is given and sends nothing.
    #[error("this node has no transaction pool")]
    NoPool,
    /// The execution reverted.
    #[error("execution reverted{}{}", if .reason.is_some() { ": " } else { "" }, .reason.as_deref().unwrap_or_default())]
    Reverted {
        /// What the output says in words, where it says anything.
        reason: Option<String>,
        /// What it returned.
        output: Bytes,
    },
    /// The virtual machine stopped the execution.
    #[error("{0}")]
    Halted(&'static str),
    /// What is to be executed cannot be.
    #[error(transparent)]
    Call(Box<CallError<StorageError>>),
    /// The blocks that are to be simulated cannot be.
    #[error(transparent)]
    Simulation(Box<SimulateError<StorageError>>),
    /// What is to be traced, or how, does not make sense.
    #[error(transparent)]
    Trace(Box<TraceError<StorageError>>),
    /// The genesis block was made, and not executed.
    #[error("genesis is not traceable")]
    NoParent,
    /// The call took too long.
    #[error("request timed out after {0:?}")]
    TimedOut(Duration),
    /// A search in a state of long ago took longer than the call had time.
    #[error("request timed out: the search took too long")]
    Late,
    /// Too many calls wait already.
    #[error("server is busy, try again later")]
    Busy,
    /// The response is longer than one may be.
    #[error("response is too big, at most {most} bytes are sent")]
    ResponseTooBig {
        /// How long it may be, in bytes.
        most: usize,
    },
    /// The database failed.
    #[error("{0}")]
    Storage(#[source] StorageError),
    /// Something that stands in the chain is not what it must be.
    #[error("block {number}: {problem}")]
    Inconsistent {
        /// In which block.
        number: u64,
        /// What is wrong.
        problem: Inconsistency,
    },
    /// The answer could not be written as JSON.
    #[error("the answer cannot be written: {0}")]
    Serialize(#[source] serde_json::Error),
    /// A bug of ours.
    #[error("internal error")]
    Panicked,
}

/// What can be wrong within the database without its having noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// It is not there, although it is not beyond the head.
    #[error("is missing")]
    MissingBlock,
    /// It has not one receipt for each transaction.
    #[error("{transactions} transactions and {receipts} receipts")]
    Receipts {
        /// How many transactions it has.
        transactions: usize,
        /// How many receipts.
        receipts: usize,
    },
    /// An index names a transaction that the block does not have.
    #[error("has no transaction {0}")]
    MissingTransaction(usize),
    /// Executed again, it leaves another state behind.
    #[error("has the state root {expected}, and comes to {found}")]
    StateRoot {
        /// That of its header.
        expected: B256,
        /// That of the state after it.
        found: B256,
    },
    /// Its access list cannot be decoded.
    #[error("malformed access list: {0}")]
    AccessList(alloy_rlp::Error),
}

fn display(id: &BlockId) -> String {
    match id {
        BlockId::Hash(hash) => hash.block_hash.to_string(),
        BlockId::Number(number) => number.to_string(),
    }
}

impl RpcError {
    /// There is no block with this hash.
    pub(super) fn unknown_hash(hash: B256) -> Self {
        Self::UnknownBlock(hash.into())
    }

    /// An execution that reverted, with what it returned.
    pub(super) fn reverted(output: Bytes) -> Self {
        Self::Reverted { reason: revert_reason(&output), output }
    }

    /// The code of the response.
    pub fn code(&self) -> i32 {
        match self {
            Self::Argument { .. }
            | Self::NoList
            | Self::TooManyArguments { .. }
            | Self::ReversedRange { .. }
            | Self::RangeBeyondHead { .. }
            | Self::RangeTooLong { .. }
            | Self::TooManyLogs { .. }
            | Self::FilterOfOneBlock
            | Self::Percentile(_)
            | Self::UnknownSubscription => ErrorCode::InvalidParams.code(),
            Self::UnknownBlock(_)
            | Self::UnknownTransaction(_)
            | Self::UnknownFilter
            | Self::NotALogFilter
            | Self::NoPool
            | Self::Halted(_)
            | Self::NoParent => SERVER_ERROR,
            // Somebody else's block may be invalid, and so may be what overrides make of one.
            Self::Call(error) if is_of_block(error) => SERVER_ERROR,
            Self::Call(error) => error.code(),
            Self::Trace(error) => match **error {
                TraceError::TooLarge => LIMIT_EXCEEDED,
                _ => ErrorCode::InvalidParams.code(),
            },
            Self::Simulation(error) => match &**error {
                SimulateError::Call(error) if is_of_block(error) => SERVER_ERROR,
                error => error.code(),
            },
            Self::UnknownMethod(_) => ErrorCode::MethodNotFound.code(),
            Self::SubscriptionInBatch => ErrorCode::InvalidRequest.code(),
            Self::NoAccessList(_) => NOT_FOUND,
            Self::Pruned { .. } => PRUNED,
            Self::TooManyFilters { .. } | Self::FiltersTooLarge { .. } => LIMIT_EXCEEDED,
            Self::Reverted { .. } => REVERTED,
            Self::TimedOut(_) | Self::Late => TIMED_OUT,
            Self::Busy | Self::FilterBusy => BUSY,
            Self::ResponseTooBig { .. } => jsonrpsee::types::error::OVERSIZED_RESPONSE_CODE,
            Self::Storage(_) | Self::Inconsistent { .. } | Self::Serialize(_) | Self::Panicked => {
                ErrorCode::InternalError.code()
            }
        }
    }

    /// Whether this is our fault and not the caller's.
    pub fn is_internal(&self) -> bool {
        match self {
            // Some of the rules that calls break there have the code of internal errors.
            Self::Simulation(error) => match &**error {
                SimulateError::Refused(_) => false,
                SimulateError::Call(error) => is_failure(error),
                SimulateError::Root(_) => true,
            },
            error => error.code() == ErrorCode::InternalError.code(),
        }
    }
}

/// Whether the block is to blame in which something was to be executed.
const fn is_of_block(error: &CallError<StorageError>) -> bool {
    matches!(error, CallError::Execution(ExecutionError::InvalidBlock(_)))
}

/// Whether neither the call nor the block is to blame.
const fn is_failure(error: &CallError<StorageError>) -> bool {
    matches!(error, CallError::Execution(_)) && !is_of_block(error)
}

impl From<StorageError> for RpcError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Ahead { number, .. } => Self::UnknownBlock(number.into()),
            StorageError::Pruned { number, earliest } => Self::Pruned { number, earliest },
            error if error.is_late() => Self::Late,
            error => Self::Storage(error),
        }
    }
}

impl RpcError {
    /// There is no method `name`, of which not more is repeated than a name may have.
    pub(super) fn unknown_method(name: &str) -> Self {
        const LONGEST: usize = 64;
        Self::UnknownMethod(name.chars().take(LONGEST).collect())
    }

    /// Why a call that was due at `deadline` was not executed.
    pub(super) fn of_call(error: CallError<StorageError>, deadline: Deadline) -> Self {
        match error {
            CallError::TimedOut | CallError::Execution(ExecutionError::Cancelled) => {
                deadline.passed()
            }
            CallError::Execution(ExecutionError::StateRead(error)) => error.into(),
            error => Self::Call(Box::new(error)),
        }
    }

    /// Why there is no trace that was due at `deadline`.
    pub(super) fn of_trace(error: TraceError<StorageError>, deadline: Deadline) -> Self {
        match error {
            TraceError::Call(error) => Self::of_call(error, deadline),
            error => Self::Trace(Box::new(error)),
        }
    }

    /// Why blocks that were due at `deadline` were not simulated.
    pub(super) fn of_simulation(error: SimulateError<StorageError>, deadline: Deadline) -> Self {
        match error {
            SimulateError::Call(error) => match Self::of_call(error, deadline) {
                // The same rules have codes of their own here.
                Self::Call(error) => Self::Simulation(Box::new(SimulateError::Call(*error))),
                error => error,
            },
            SimulateError::Root(error) => match error.downcast::<Self>() {
                Ok(error) => *error,
                Err(error) => match error.downcast::<TrieError>() {
                    Ok(error) => StorageError::Trie(*error).into(),
                    Err(error) => Self::Simulation(Box::new(SimulateError::Root(error))),
                },
            },
            error => Self::Simulation(Box::new(error)),
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        let data = match &error {
            RpcError::Reverted { output, .. } => Some(output),
            _ => None,
        };
        Self::owned(error.code(), error.to_string(), data)
    }
}

#[cfg(test)]
mod tests {
    use warpline_trie::{NodeSourceError, TrieId};

    use super::*;

    #[test]
    fn a_revert_has_its_output_as_data() {
        let output = Bytes::from_static(&[1, 2]);
        let reverted = RpcError::Reverted { reason: Some("why".to_owned()), output };
        let error = ErrorObjectOwned::from(reverted);
        assert_eq!((error.code(), error.message()), (3, "execution reverted: why"));
        assert_eq!(error.data().map(|data| data.get()), Some("\"0x0102\""));
    }

    #[test]
    fn what_the_database_lacks_is_no_failure() {
        let ahead = RpcError::from(StorageError::Ahead { number: 9, head: 1 });
        assert_eq!((ahead.code(), ahead.is_internal()), (-32000, false));
        let pruned = RpcError::from(StorageError::Pruned { number: 1, earliest: 9 });
        assert_eq!(pruned.code(), 4444);
        let within = TrieError::Source {
            trie: TrieId::Accounts,
            path: Default::default(),
            error: NodeSourceError::new(StorageError::Late),
        };
        for late in [StorageError::Late, StorageError::Trie(within)] {
            assert_eq!(RpcError::from(late).code(), TIMED_OUT);
        }
    }
}
