//! Why there is no trace.

use crate::{CallError, ExecutionError};

/// Why something was not traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError<E> {
    /// There is no such tracer.
    #[error("unknown tracer; {TRACERS}")]
    UnknownTracer,
    /// The tracer is a program.
    #[error("tracers in JavaScript are not supported; {TRACERS}")]
    JavaScript,
    /// What the tracer is to do does not make sense.
    #[error(transparent)]
    Tracer(BadTracer),
    /// What the tracer writes down does not fit the memory for traces.
    #[error("the trace needs more memory than there is for traces")]
    TooLarge,
    /// The block has fewer transactions.
    #[error("transaction index {index} out of range, the block has {transactions}")]
    NoSuchTransaction {
        /// The index that was asked for.
        index: usize,
        /// How many there are.
        transactions: usize,
    },
    /// It could not be executed.
    #[error(transparent)]
    Call(#[from] CallError<E>),
}

/// Which tracers there are, as errors say it.
const TRACERS: &str =
    "there are callTracer, prestateTracer, 4byteTracer, flatCallTracer, muxTracer and noopTracer";

/// What is wrong with a tracer, or with its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTracer {
    /// There is none of this name.
    #[error("unknown tracer {0:?}; {TRACERS}")]
    Unknown(String),
    /// There is none of this name among those that are to trace together.
    #[error("unknown tracer {0:?} in muxTracer; {TRACERS}")]
    UnknownInMux(String),
    /// It is a program.
    #[error("tracers in JavaScript are not supported; {TRACERS}")]
    JavaScript,
    /// Its configuration is not what it takes.
    #[error("invalid tracerConfig of {tracer}, which takes {takes}")]
    Config {
        /// The tracer.
        tracer: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// A tracer of several is among the several.
    #[error("muxTracer cannot be one of the tracers of muxTracer")]
    MuxInMux,
    /// Accounts without anything to compare.
    #[error("cannot use diffMode with includeEmpty")]
    EmptyDiff,
}

impl BadTracer {
    /// What is called `name` is no tracer.
    pub(super) fn unknown(name: &str) -> Self {
        let is_name = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_name { Self::Unknown(name.to_owned()) } else { Self::JavaScript }
    }
}

impl<E> From<BadTracer> for TraceError<E> {
    fn from(bad: BadTracer) -> Self {
        match bad {
            BadTracer::Unknown(_) => Self::UnknownTracer,
            BadTracer::JavaScript => Self::JavaScript,
            bad => Self::Tracer(bad),
        }
    }
}

impl<E> From<ExecutionError<E>> for TraceError<E> {
    fn from(error: ExecutionError<E>) -> Self {
        Self::Call(error.into())
    }
}
