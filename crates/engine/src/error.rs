//! Everything an execution can end in besides a result.

use alloy_evm::{InvalidTxError, block::BlockExecutionError};

use crate::AccessListError;

/// Why a block was not executed. The cases are never confused: a failed read never makes a
/// valid block look invalid, and a bug of ours is never blamed on either.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError<E> {
    /// The block breaks a rule; every correct engine rejects it.
    #[error("invalid block: {0}")]
    InvalidBlock(#[from] InvalidBlock),
    /// The parent state could not be read. Nothing is known about the block; try again when the
    /// source works.
    #[error("reading the parent state failed: {0}")]
    StateRead(#[source] E),
    /// The engine broke one of its own invariants. Sequential execution may still succeed.
    #[error("engine bug: {0}")]
    EngineBug(#[from] EngineBug),
    /// The caller called the execution off. Nothing is known about the block.
    #[error("the execution was cancelled")]
    Cancelled,
}

/// The rule a block breaks.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBlock {
    /// A transaction may not stand where it stands.
    #[error("transaction {index}: {error}")]
    Transaction {
        /// Its index; all transactions before it are fine.
        index: usize,
        /// The rule, as the virtual machine names it.
        error: Box<dyn InvalidTxError>,
    },
    /// A transaction asks for more gas than the block has left.
    #[error(
        "transaction {index}: gas limit {gas_limit} exceeds the {available} the block has left"
    )]
    GasLimit {
        /// Its index.
        index: usize,
        /// What it asks for.
        gas_limit: u64,
        /// What is left.
        available: u64,
    },
    /// The access list that was given is not the block's (EIP-7928).
    #[error("block access list: {0}")]
    AccessList(#[from] AccessListError),
    /// A step before or after the transactions failed.
    #[error("system step: {0}")]
    System(#[source] BlockExecutionError),
}

/// Which of the engine's own promises was broken.
#[derive(Debug, thiserror::Error)]
pub enum EngineBug {
    /// Something panicked: the engine, or a state source or observer that it called. The message is
    /// the panic's.
    #[error("a panic during execution: {0}")]
    Panic(String),
    /// The virtual machine failed in a way that is neither the transaction's fault nor the state's.
    #[error("the virtual machine failed on transaction {index}: {error}")]
    Vm {
        /// The transaction's index.
        index: usize,
        /// What it said.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A read of committed state was interrupted as only a speculative one may be.
    #[error("transaction {index} could not be executed on committed state")]
    FinalReadInterrupted {
        /// The transaction's index.
        index: usize,
    },
    /// A transaction that was to be committed has no result.
    #[error("transaction {index} has no result to commit")]
    ResultMissing {
        /// The transaction's index.
        index: usize,
    },
    /// All workers left although transactions were uncommitted.
    #[error("the workers stopped after {committed} of {transactions} transactions")]
    Stalled {
        /// How many transactions were committed.
        committed: usize,
        /// How many there are.
        transactions: usize,
    },
}
