//! The row of a block: executed the ways that the mode asks for, compared and proven.

use std::error::Error;

use warpline_engine::{Engine, Ethereum, ExecuteOptions, ExecutionError, Strategy};
use warpline_primitives::{BlockOutput, CommitObserver, StateSource};
use warpline_replay::{
    BlockInput, BlockOutcome, CaseReport, ExecutionError as CaseError, ParentStateError, Proof,
    ProofLimit,
};

use crate::{
    args::ReplayArgs,
    compare::{self, Comparison},
    json::BlockRow,
    measure::{Subject, ms},
};

/// The row of a block before anything is known of its execution.
fn row_of(input: &BlockInput) -> BlockRow {
    BlockRow {
        number: input.number(),
        hash: input.hash().to_string(),
        source: input.origin.to_string(),
        fork: input.fork_name(),
        txs: input.transaction_count(),
        gas_used: input.gas_used(),
        ..BlockRow::default()
    }
}

/// Executes and verifies a block that stands alone. A first, cold run in parallel meets the code of
/// the block's contracts for the first time, so that afterwards neither side has to.
pub(crate) fn verified_row(
    engine: &Engine<Ethereum>,
    input: &BlockInput,
    args: &ReplayArgs,
) -> BlockRow {
    let mut row = row_of(input);
    if let Err(error) = input.check() {
        row.error = Some(error.to_string());
        return row;
    }
    let mut subject = Subject::new(engine, &input.block, &input.parent, args.conditions);
    let cold = subject.once(Strategy::Auto).ok().map(|timed| ms(timed.took));
    if args.conditions.with_access_list
        && let Err(error) = subject.use_list(input.access_list.as_ref())
    {
        row.error = Some(error.to_string());
        return row;
    }
    let output = match row.take(compare::both_ways(&subject, args.mode, Strategy::Auto)) {
        Ok(output) => output,
        Err(error) => {
            row.error = Some(error.to_string());
            return row;
        }
    };
    match prove(engine, input, &output) {
        Ok(proof) => row.prove(&proof),
        Err(error) => row.error = Some(error.to_string()),
    }
    if args.repeat > 1 && row.error.is_none() {
        row.cold_ms = cold;
        repeat(&subject, args, &mut row);
    }
    row
}

/// The output of a block that stands alone, executed sequentially, and how far it is proven.
pub(crate) fn proven(
    engine: &Engine<Ethereum>,
    input: &BlockInput,
) -> Result<(BlockOutput, Proof), Box<dyn Error + Send + Sync>> {
    input.check()?;
    let output = engine.execute_with(&input.block, &input.parent, Strategy::Sequential)?;
    let proof = prove(engine, input, &output)?;
    Ok((output, proof))
}

/// Proves the output of a block that stands alone, as far as can be.
fn prove(
    engine: &Engine<Ethereum>,
    input: &BlockInput,
    output: &BlockOutput,
) -> Result<Proof, Box<dyn Error + Send + Sync>> {
    let roots = roots(engine, input)?;
    Ok(input.verify(output, roots.as_ref())?)
}

/// The state roots that receipts before Byzantium carry, from an execution of their own so that
/// no observer slows a timed one.
fn roots(
    engine: &Engine<Ethereum>,
    input: &BlockInput,
) -> Result<Option<warpline_replay::TransactionRoots>, ExecutionError<ParentStateError>> {
    let Some(mut roots) = input.transaction_roots() else { return Ok(None) };
    let observer: &mut dyn CommitObserver = &mut roots;
    let options = ExecuteOptions::default().observed_by(observer);
    engine.execute_with(&input.block, &input.parent, options)?;
    Ok(Some(roots))
}

/// Executes the block of a blockchain test.
pub(crate) fn test_row(
    engine: &Engine<Ethereum>,
    input: &BlockInput,
    args: &ReplayArgs,
    observer: Option<&mut dyn CommitObserver>,
) -> (BlockRow, Result<BlockOutput, CaseError>) {
    let mut row = row_of(input);
    let comparison = compare::test_block(engine, input, args.mode, observer);
    let result = row.take(comparison);
    (row, result)
}

/// Replaces the times of the first runs by medians.
fn repeat<S: StateSource>(subject: &Subject<'_, S>, args: &ReplayArgs, row: &mut BlockRow) {
    match subject.repeatedly(args.repeat, args.mode) {
        Ok(medians) => {
            row.sequential_ms = medians.sequential.map(ms);
            row.parallel_ms = medians.parallel.map(ms);
            row.again_ms = medians.again.map(ms);
            row.parallel_1_ms = medians.parallel_1.map(ms);
            row.revm_ms = medians.revm.map(ms);
            row.cpu_ms = medians.cpu.map(ms);
            row.read_depth = medians.read_depth;
            row.speedup = medians.speedup();
            row.noise = medians.noise();
        }
        Err(error) => row.error = Some(error.to_string()),
    }
}

/// Completes the rows of a case's blocks, of which there is one for each that was executed.
pub(crate) fn add_proofs(rows: &mut [BlockRow], report: &CaseReport) {
    let executed = report.blocks.iter().filter(|block| block.executed);
    for (row, block) in rows.iter_mut().zip(executed) {
        match &block.outcome {
            BlockOutcome::Accepted(proof) => row.prove(proof),
            // To be rejected is what such a block is there for.
            BlockOutcome::Rejected(reason) => {
                row.verified = report.passed();
                row.error = Some(reason.to_string());
            }
            BlockOutcome::Failed => row.error = Some("the case failed here".to_owned()),
        }
    }
}

impl BlockRow {
    fn prove(&mut self, proof: &Proof) {
        self.verified = true;
        self.proof = Some(proof.level.to_string());
        self.proof_limit = proof.limit.as_ref().map(ToString::to_string);
    }

    /// Whether the limit of the proof is worth a remark: a snapshot never has a trie.
    pub(crate) fn proof_limit_is_news(&self) -> bool {
        self.proof_limit.as_ref().is_some_and(|limit| *limit != ProofLimit::NoTrie.to_string())
    }

    /// Notes what the comparison shows, and returns its result.
    fn take(&mut self, comparison: Comparison) -> Result<BlockOutput, CaseError> {
        let Comparison { result, identical, sequential, parallel, work, read_depth } = comparison;
        self.identical = identical;
        self.sequential_ms = sequential.map(ms);
        self.parallel_ms = parallel.map(ms);
        self.speedup = self.sequential_ms.zip(self.parallel_ms).map(|(one, other)| one / other);
        self.width = work.width;
        self.read_depth = read_depth;
        self.executions = work.executions;
        self.reexecutions = work.reexecutions;
        self.validations = work.validations;
        result
    }
}
