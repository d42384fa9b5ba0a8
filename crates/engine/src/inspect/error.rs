//! Why there is no trace.

use revm_inspectors::tracing::{DebugInspectorError, MuxError};

use crate::{CallError, ExecutionError};

/// Why something was not traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError<E> {
    /// There is no such tracer.
    #[error("this tracer is not supported")]
    UnknownTracer,
    /// The tracer is a program.
    #[error("tracers in JavaScript are not supported, and no other tracer has this name")]
    JavaScript,
    /// What the tracer is to do does not make sense.
    #[error("invalid tracer configuration")]
    InvalidConfig,
    /// The tracers that are to trace together cannot.
    #[error("invalid tracer configuration: {0}")]
    Mux(#[from] MuxError),
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

impl<E> From<ExecutionError<E>> for TraceError<E> {
    fn from(error: ExecutionError<E>) -> Self {
        Self::Call(error.into())
    }
}

impl<E> From<DebugInspectorError> for TraceError<E> {
    fn from(error: DebugInspectorError) -> Self {
        match error {
            DebugInspectorError::InvalidTracerConfig => Self::InvalidConfig,
            DebugInspectorError::UnsupportedTracer => Self::UnknownTracer,
            DebugInspectorError::JsTracerNotEnabled => Self::JavaScript,
            DebugInspectorError::MuxInspector(error) => Self::Mux(error),
            DebugInspectorError::Database(never) => match never {},
        }
    }
}
