//! One block executed the ways that are asked for, and compared: what `replay` and `conformance`
//! share.

use std::{error::Error, time::Duration};

use alloy_eip7928::BlockAccessList;
use warpline_engine::{
    AccessListError, AccessListMode, Engine, Ethereum, ExecuteOptions, ExecutionError,
    InvalidBlock, Strategy,
};
use warpline_primitives::{BlockOutput, CommitObserver, WorkCounts};
use warpline_replay::{BlockInput, ExecutionError as CaseError, ParentState, ParentStateError};

use crate::{
    args::Mode,
    measure::{Subject, Timed},
};

/// Both ways of executing a block gave something else.
#[derive(Debug, thiserror::Error)]
enum Disagreement {
    #[error("parallel differs from sequential: {0}")]
    Output(#[from] warpline_primitives::OutputMismatch),
    #[error("observed differs from unobserved: {0}")]
    Observed(#[source] warpline_primitives::OutputMismatch),
    #[error("from the access list: {0}")]
    ByList(#[source] Box<dyn Error + Send + Sync>),
    #[error("from the access list differs from without: {0}")]
    FromList(#[source] warpline_primitives::OutputMismatch),
    #[error("an access list that is not the block's is accepted")]
    ForeignListAccepted,
    #[error("the block's access list is rejected: {0}")]
    OwnListRejected(#[source] Box<dyn Error + Send + Sync>),
    #[error("sequential succeeds, parallel fails: {0}")]
    ParallelFails(#[source] ExecutionError<ParentStateError>),
    #[error("sequential fails, parallel succeeds: {0}")]
    SequentialFails(#[source] ExecutionError<ParentStateError>),
    #[error("sequential fails with {sequential}, parallel with {parallel}")]
    OtherError {
        sequential: ExecutionError<ParentStateError>,
        parallel: ExecutionError<ParentStateError>,
    },
}

/// What became of a block.
pub(crate) struct Comparison {
    /// The outcome that all ways taken came to, or how they disagree.
    pub(crate) result: Result<BlockOutput, CaseError>,
    /// Whether both ways came to the same outcome; `None` where only one was taken.
    pub(crate) identical: Option<bool>,
    /// Time of the sequential execution, if it gave an output.
    pub(crate) sequential: Option<Duration>,
    /// Time of the parallel execution, if it gave an output.
    pub(crate) parallel: Option<Duration>,
    /// Work of the parallel execution.
    pub(crate) work: WorkCounts,
    /// The most reads that the parallel execution had outstanding at once, where they are slow.
    pub(crate) read_depth: Option<usize>,
}

/// Whether the mode runs the block sequentially and in parallel.
pub(crate) const fn ways(mode: Mode) -> (bool, bool) {
    match mode {
        Mode::Compare => (true, true),
        Mode::Parallel => (false, true),
        Mode::Sequential => (true, false),
    }
}

/// Executes the block as the mode asks and compares. `strategy` is that of the parallel side.
pub(crate) fn both_ways(
    subject: &Subject<'_, ParentState>,
    mode: Mode,
    strategy: Strategy,
) -> Comparison {
    let (sequentially, in_parallel) = ways(mode);
    let sequential = sequentially.then(|| subject.once(Strategy::Sequential));
    let parallel = in_parallel.then(|| subject.once(strategy));

    let took = |attempt: &Option<Attempt>| {
        attempt.as_ref().and_then(|attempt| attempt.as_ref().ok()).map(|timed| timed.took)
    };
    let times = (took(&sequential), took(&parallel));
    let (work, read_depth) = match &parallel {
        Some(Ok(timed)) => (timed.output.work, timed.read_depth),
        _ => (WorkCounts::default(), None),
    };
    let (result, identical) = match (sequential, parallel) {
        (Some(sequential), Some(parallel)) => {
            let agreed = agree(sequential, parallel);
            let identical = !matches!(agreed, Err(CaseError::Failed(_)));
            (agreed, Some(identical))
        }
        (Some(only), None) | (None, Some(only)) => {
            (only.map(|timed| timed.output).map_err(into_case_error), None)
        }
        (None, None) => unreachable!("every mode runs the block at least once"),
    };
    let (sequential, parallel) = times;
    Comparison { result, identical, sequential, parallel, work, read_depth }
}

/// As [`both_ways`], for the block of a blockchain test. In parallel it runs on all workers,
/// however small it is: such tests are there to find mistakes. Where there is an observer, it
/// watches an execution of its own.
pub(crate) fn test_block(
    engine: &Engine<Ethereum>,
    input: &BlockInput,
    mode: Mode,
    observer: Option<&mut dyn CommitObserver>,
) -> Comparison {
    let strategy = Strategy::Parallel(engine.threads());
    let subject = Subject::plain(engine, &input.block, &input.parent);
    let mut comparison = both_ways(&subject, mode, strategy);
    if let (Ok(output), Some(list)) = (&comparison.result, &input.access_list)
        && let Err(disagreement) = from_list(engine, input, list, output)
    {
        comparison.result = Err(CaseError::Failed(disagreement));
        comparison.identical = comparison.identical.map(|_| false);
    }
    let (Some(observer), Ok(output)) = (observer, &comparison.result) else { return comparison };
    let strategy = if ways(mode).1 { strategy } else { Strategy::Sequential };
    let options = ExecuteOptions::from(strategy).observed_by(observer);
    let observed = engine.execute_with(&input.block, &input.parent, options);
    let differs = observed.as_ref().ok().and_then(|observed| output.compare(observed).err());
    comparison.result = match differs {
        Some(mismatch) => Err(CaseError::Failed(Disagreement::Observed(mismatch).into())),
        None => observed.map_err(into_case_error),
    };
    if comparison.result.is_err() {
        comparison.identical = comparison.identical.map(|_| false);
    }
    comparison
}

/// Executes the block from the list that came with it, both ways: accepted with the same output if
/// it is the block's own, and rejected for the same reason if not.
fn from_list(
    engine: &Engine<Ethereum>,
    input: &BlockInput,
    list: &BlockAccessList,
    output: &BlockOutput,
) -> Result<(), Box<Disagreement>> {
    let strategies = [Strategy::Sequential, Strategy::Parallel(engine.threads())];
    let [sequential, parallel] = strategies.map(|strategy| {
        let options = ExecuteOptions::from(strategy).access_list(AccessListMode::Verify(list));
        let output = engine.execute_with(&input.block, &input.parent, options)?;
        Ok(Timed { output, took: Duration::ZERO, read_depth: None })
    });
    let own = output.access_list.as_ref() == Some(list);
    let disagreement = match agree(sequential, parallel) {
        Ok(found) if own => match output.compare(&found) {
            Ok(()) => return Ok(()),
            Err(mismatch) => Disagreement::FromList(mismatch),
        },
        Ok(_) => Disagreement::ForeignListAccepted,
        Err(CaseError::InvalidBlock(error)) if own && !is_too_large(&*error) => {
            Disagreement::OwnListRejected(error)
        }
        Err(CaseError::InvalidBlock(_)) => return Ok(()),
        Err(CaseError::Failed(error)) => Disagreement::ByList(error),
    };
    Err(Box::new(disagreement))
}

/// Whether a list is rejected for its length alone. It may be the block's own.
fn is_too_large(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(InvalidBlock::AccessList(AccessListError::TooLarge(_))))
}

type Attempt = Result<Timed, ExecutionError<ParentStateError>>;

/// The outcome that both ways came to, or how they disagree.
fn agree(sequential: Attempt, parallel: Attempt) -> Result<BlockOutput, CaseError> {
    let disagreement: Disagreement = match (sequential, parallel) {
        (Ok(sequential), Ok(parallel)) => match sequential.output.compare(&parallel.output) {
            Ok(()) => return Ok(parallel.output),
            Err(mismatch) => mismatch.into(),
        },
        (Ok(_), Err(error)) => Disagreement::ParallelFails(error),
        (Err(error), Ok(_)) => Disagreement::SequentialFails(error),
        (Err(sequential), Err(parallel)) if sequential.to_string() == parallel.to_string() => {
            return Err(into_case_error(parallel));
        }
        (Err(sequential), Err(parallel)) => Disagreement::OtherError { sequential, parallel },
    };
    Err(CaseError::Failed(disagreement.into()))
}

fn into_case_error(error: ExecutionError<ParentStateError>) -> CaseError {
    match error {
        ExecutionError::InvalidBlock(error) => CaseError::InvalidBlock(error.into()),
        error => CaseError::Failed(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use warpline_engine::{EngineBug, InvalidBlock};

    use super::*;

    fn output(gas_used: u64) -> Attempt {
        let output = BlockOutput {
            receipts: Vec::new(),
            state: Default::default(),
            requests: Default::default(),
            gas_used,
            blob_gas_used: 0,
            access_list: None,
            work: WorkCounts::default(),
        };
        Ok(Timed { output, took: Duration::ZERO, read_depth: None })
    }

    fn invalid(index: usize) -> Attempt {
        Err(InvalidBlock::GasLimit { index, gas_limit: 2, available: 1 }.into())
    }

    fn bug() -> Attempt {
        Err(EngineBug::Panic("oh".into()).into())
    }

    #[test]
    fn only_the_same_outcome_both_ways_is_agreement() {
        assert_eq!(agree(output(1), output(1)).map(|output| output.gas_used).ok(), Some(1));
        let rejected = agree(invalid(3), invalid(3));
        assert!(matches!(rejected, Err(CaseError::InvalidBlock(_))), "{rejected:?}");

        let table = [
            (output(1), output(2), "parallel differs from sequential: gas used: expected 1"),
            (output(1), invalid(3), "sequential succeeds, parallel fails: invalid block: trans"),
            (invalid(3), output(1), "sequential fails, parallel succeeds: invalid block: trans"),
            (invalid(3), invalid(4), "sequential fails with invalid block: transaction 3: gas"),
            (bug(), bug(), "engine bug: a panic during execution: oh"),
        ];
        for (sequential, parallel, expected) in table {
            match agree(sequential, parallel) {
                Err(CaseError::Failed(error)) => {
                    assert!(error.to_string().starts_with(expected), "{error}");
                }
                other => panic!("expected {expected}, found {other:?}"),
            }
        }
    }
}
