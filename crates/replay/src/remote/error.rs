//! Why a block does not come from a node.

use std::fmt;

use alloy_primitives::B256;

use super::{RpcFault, TransportError};
use crate::{BlockDecodeError, InputProblem};

/// Why a block does not come from a node. Each message is whole: but for the transport's, none has a source to be
/// printed after it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The node was not reached, or what came is no JSON-RPC.
    #[error(transparent)]
    Transport(TransportError),
    /// The node refuses to answer.
    #[error("{method}: {fault}")]
    Refused {
        /// What it was asked.
        method: &'static str,
        /// Its reason.
        fault: RpcFault,
    },
    /// The answer is not what the method returns.
    #[error("{method}: the answer cannot be read: {reason}")]
    Answer {
        /// What it was asked.
        method: &'static str,
        /// What is wrong.
        reason: serde_json::Error,
    },
    /// There are not as many answers as questions.
    #[error("{found} answers to {expected} questions")]
    Answers {
        /// The number of questions.
        expected: usize,
        /// The number of answers.
        found: usize,
    },
    /// The node does not have the block.
    #[error("the node has no block {number}")]
    NoBlock {
        /// Its number.
        number: u64,
    },
    /// Nothing comes before the first block, and nothing is executed in it.
    #[error("block 0 has no parent, and nothing to execute: begin with block 1")]
    Genesis,
    /// Another block came than was announced.
    #[error("block {number}: the node announced {expected} and gave {found}")]
    OtherBlock {
        /// Its number.
        number: u64,
        /// The hash that was announced.
        expected: B256,
        /// The hash of what came.
        found: B256,
    },
    /// A block with another number came.
    #[error("the node gave block {found} for block {expected}")]
    OtherNumber {
        /// The number that was asked for.
        expected: u64,
        /// The number of what came.
        found: u64,
    },
    /// The block does not decode.
    #[error("block {number}: {reason}")]
    Block {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        reason: BlockDecodeError,
    },
    /// The block in JSON is not sound.
    #[error("block {number}: {problem}")]
    BlockJson {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        problem: Box<InputProblem>,
    },
    /// A part of the body is not what the header commits to.
    #[error("block {number}: the header commits to {part} {expected:?}, the body has {found:?}")]
    Body {
        /// Its number.
        number: u64,
        /// Which part.
        part: BodyPart,
        /// The header's root.
        expected: Option<B256>,
        /// That of what came.
        found: Option<B256>,
    },
    /// The witness does not belong to the block.
    #[error("block {number}: witness: {problem}")]
    Witness {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        problem: Box<InputProblem>,
    },
    /// The node gives the state before the block in no way.
    #[error(
        "block {number}: the node does not give the state before it. debug_executionWitness: {}; prestateTracer: \
         {traces}. Switch on its debug interface (geth and reth: --http.api eth,debug); for old blocks it must be an \
         archive node", witness.as_ref().map_or_else(|| "not asked".to_owned(), ToString::to_string)
    )]
    NoState {
        /// The block's number.
        number: u64,
        /// Why it gives no witness, if it was asked.
        witness: Option<RpcFault>,
        /// Why it gives no traces.
        traces: RpcFault,
    },
    /// The traces are not those of the block's transactions.
    #[error("block {number}: the traces are not those of its {transactions} transactions")]
    OtherTraces {
        /// The block's number.
        number: u64,
        /// How many transactions it has.
        transactions: usize,
    },
    /// A transaction could not be traced.
    #[error("block {number}: tracing transaction {index} failed: {reason}")]
    Trace {
        /// The block's number.
        number: u64,
        /// Which.
        index: usize,
        /// The node's reason.
        reason: String,
    },
    /// The DAO fork moves balances that no tracer shows.
    #[error(
        "block {number} moves the balances of the DAO, which no tracer shows: it takes debug_executionWitness"
    )]
    DaoBlock {
        /// The block's number.
        number: u64,
    },
}

/// A part of a body that a header commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPart {
    /// The transactions.
    Transactions,
    /// The ommers.
    Ommers,
    /// The withdrawals.
    Withdrawals,
}

impl fmt::Display for BodyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transactions => "transactions",
            Self::Ommers => "ommers",
            Self::Withdrawals => "withdrawals",
        })
    }
}
