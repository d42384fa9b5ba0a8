//! Why there is no simulation.

use std::error::Error;

use crate::{CallError, CallRefusal, ExecutionError, SourceError};

/// Why blocks were not simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError<E> {
    /// What was asked for makes no blocks.
    #[error(transparent)]
    Refused(#[from] SimulateRefusal),
    /// A call cannot be executed.
    #[error(transparent)]
    Call(#[from] CallError<E>),
    /// The state root is not known.
    #[error("computing the state root failed: {0}")]
    Root(#[source] Box<dyn Error + Send + Sync>),
}

/// What is wrong with blocks that are to be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulateRefusal {
    /// There are none.
    #[error("empty input")]
    Empty,
    /// A block that does not come after the one before it.
    #[error("block numbers must be in order: {number} <= {previous}")]
    Number {
        /// Its number.
        number: u64,
        /// That of the one before.
        previous: u64,
    },
    /// Something is withdrawn before that was possible.
    #[error("withdrawals set before Shanghai activation")]
    Withdrawals,
    /// A block that is not later than the one before it.
    #[error("block timestamps must be in order: {timestamp} <= {previous}")]
    Timestamp {
        /// Its timestamp.
        timestamp: u64,
        /// That of the one before.
        previous: u64,
    },
    /// There are more than 256, those between included.
    #[error("too many blocks")]
    TooManyBlocks,
    /// A call with more gas than its block has left.
    #[error("block gas limit reached: {used} >= {limit}")]
    BlockGas {
        /// The gas used by the block with the call's.
        used: u64,
        /// The gas that the block has.
        limit: u64,
    },
    /// The calls have used all the gas that they may.
    #[error("RPC gas cap exhausted")]
    GasCap,
}

impl SimulateRefusal {
    /// The code of the error that answers this.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Empty => -32602,
            Self::Withdrawals => CallRefusal::SERVER_ERROR,
            Self::Number { .. } => -38020,
            Self::Timestamp { .. } => -38021,
            Self::TooManyBlocks => -38026,
            Self::BlockGas { .. } | Self::GasCap => -38015,
        }
    }
}

impl<E> SimulateError<E> {
    /// The code of the error that answers this. Failures that are nobody's fault have the code of
    /// internal errors.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Call(CallError::Refused(CallRefusal::Rule { rule, .. })) => rule.simulate_code(),
            Self::Call(error) => error.code(),
            Self::Root(_) => CallRefusal::INTERNAL_ERROR,
        }
    }
}

impl<E: Error + Send + Sync + 'static> SimulateError<E> {
    /// The error of a source whose type was forgotten, that type remembered.
    pub(super) fn typed(error: SimulateError<SourceError>) -> Self {
        match error {
            SimulateError::Refused(refusal) => Self::Refused(refusal),
            SimulateError::Call(error) => Self::Call(CallError::typed(error)),
            SimulateError::Root(error) => Self::Root(error),
        }
    }
}

impl<E> From<ExecutionError<E>> for SimulateError<E> {
    fn from(error: ExecutionError<E>) -> Self {
        Self::Call(error.into())
    }
}

impl<E> From<CallRefusal> for SimulateError<E> {
    fn from(refusal: CallRefusal) -> Self {
        Self::Call(refusal.into())
    }
}
