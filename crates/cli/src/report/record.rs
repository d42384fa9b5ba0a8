//! Everything a report needs to know of a block, measured.

use std::time::{Duration, Instant};

use alloy_consensus::Transaction as _;
use cpu_time::ProcessTime;
use warpline_engine::{
    Activity, ActivityLog, Engine, Ethereum, ExecuteOptions, ExecutionError, Strategy,
};
use warpline_primitives::{BlockOutput, RecoveredBlock, StateSource};
use warpline_savings::{BlockRecord, Call, Measured, Sample, Variant, median_traces};

use crate::measure::{MAX_RUNS, SIDE, median};

/// Executions that are watched for who did what; the one in the middle is told of.
const WATCHED: usize = 3;

/// Traces of a block at most: all are kept until the end.
const MAX_TRACES: u32 = 31;

/// A block, and where it comes from.
pub(crate) struct Subject<'a, S> {
    pub(crate) source: String,
    pub(crate) variant: Option<Variant>,
    pub(crate) fork: &'static str,
    pub(crate) block: &'a RecoveredBlock,
    pub(crate) state: &'a S,
}

/// Why a block is not part of a report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Execution(#[from] ExecutionError<E>),
    #[error("parallel differs from sequential on {threads} threads: {mismatch}")]
    Differs { threads: usize, mismatch: warpline_primitives::OutputMismatch },
}

/// Measures a block on each of `engines`, each at least `repeat` times, in turn. `expected` is what it
/// must come to.
pub(crate) fn record<S: StateSource>(
    engines: &[Engine<Ethereum>],
    subject: &Subject<'_, S>,
    expected: &BlockOutput,
    repeat: u32,
) -> Result<BlockRecord, RecordError<S::Error>>
where
    S::Error: std::error::Error + 'static,
{
    let Subject { block, state, .. } = subject;
    let mut parallel = Vec::with_capacity(engines.len());
    for engine in engines {
        let threads = engine.threads();
        let output = engine.execute(block, *state)?;
        expected.compare(&output).map_err(|mismatch| RecordError::Differs { threads, mismatch })?;
        parallel.push(Measured { threads, width: output.work.width, ..Measured::default() });
    }
    let sequential = measure(engines, subject, repeat, &mut parallel)?;
    for (engine, measured) in engines.iter().zip(&mut parallel) {
        measured.activities = activities(engine, block, *state)?;
    }
    let header = &block.header;
    Ok(BlockRecord {
        number: header.number,
        source: subject.source.clone(),
        variant: subject.variant.clone(),
        fork: subject.fork.to_owned(),
        gas_used: expected.gas_used,
        gas_limit: header.gas_limit,
        base_fee: header.base_fee_per_gas,
        beneficiary: header.beneficiary,
        calls: block.transactions.iter().map(|tx| call_of(tx.inner(), tx.signer())).collect(),
        traces: traces(engines, subject, repeat)?,
        sequential,
        parallel,
    })
}

/// Times the ways in turn, each directly after an execution of its own that is not timed. Whoever is
/// quicker stands for one transaction after the other: our sequential path, or plain revm.
fn measure<S: StateSource>(
    engines: &[Engine<Ethereum>],
    Subject { block, state, .. }: &Subject<'_, S>,
    repeat: u32,
    parallel: &mut [Measured],
) -> Result<Sample, ExecutionError<S::Error>> {
    let Some(first) = engines.first() else { return Ok(Sample::default()) };
    let sequentially = || first.execute_with(block, *state, Strategy::Sequential);
    let plainly = || first.execute_reference(block, *state);
    let mut one_by_one = [Samples::default(), Samples::default()];
    let mut in_parallel: Vec<Samples> = engines.iter().map(|_| Samples::default()).collect();
    let (mut spent, mut runs) = (Duration::ZERO, 0);
    while runs < repeat || (spent < SIDE && runs < MAX_RUNS) {
        one_by_one[0].add(sequentially)?;
        spent += one_by_one[1].add(plainly)?;
        for (engine, samples) in engines.iter().zip(&mut in_parallel) {
            spent += samples.add(|| engine.execute(block, *state))?;
        }
        runs += 1;
    }
    for (measured, samples) in parallel.iter_mut().zip(in_parallel) {
        measured.sample = samples.median();
    }
    let [ours, plain] = one_by_one.map(Samples::median);
    Ok(if plain.took < ours.took { plain } else { ours })
}

#[derive(Debug, Default)]
struct Samples {
    took: Vec<Duration>,
    core_time: Vec<Duration>,
}

impl Samples {
    /// Executes twice and times the second. Returns how long that took.
    fn add<E>(
        &mut self,
        execute: impl Fn() -> Result<BlockOutput, ExecutionError<E>>,
    ) -> Result<Duration, ExecutionError<E>> {
        execute()?;
        let (cores, start) = (ProcessTime::now(), Instant::now());
        let output = execute()?;
        let (took, core_time) = (start.elapsed(), cores.elapsed());
        drop(output);
        self.core_time.push(core_time);
        self.took.push(took);
        Ok(took)
    }

    fn median(self) -> Sample {
        let [took, core_time] =
            [self.took, self.core_time].map(|samples| median(samples).unwrap_or_default());
        Sample { took, core_time }
    }
}

/// What the workers did, in an execution that took neither longest nor shortest.
fn activities<S: StateSource>(
    engine: &Engine<Ethereum>,
    block: &RecoveredBlock,
    state: &S,
) -> Result<Vec<Activity>, ExecutionError<S::Error>> {
    let mut watched = Vec::with_capacity(WATCHED);
    for _ in 0..WATCHED {
        let log = ActivityLog::default();
        let options = ExecuteOptions::default().logged_to(&log);
        engine.execute_with(block, state, options)?;
        let activities = log.into_activities();
        let end = activities.iter().map(|activity| activity.end).max();
        watched.push((end, activities));
    }
    watched.sort_by_key(|(end, _)| *end);
    Ok(watched.swap_remove(WATCHED / 2).1)
}

/// What the transactions did, and how long each takes usually.
fn traces<S: StateSource>(
    engines: &[Engine<Ethereum>],
    Subject { block, state, .. }: &Subject<'_, S>,
    repeat: u32,
) -> Result<Vec<warpline_engine::TransactionTrace>, ExecutionError<S::Error>> {
    let Some(engine) = engines.first() else { return Ok(Vec::new()) };
    let mut traces = Vec::new();
    let start = Instant::now();
    // An odd number, for there to be one in the middle.
    let least = repeat.clamp(3, MAX_TRACES) as usize;
    while traces.len() < least
        || traces.len().is_multiple_of(2)
        || (start.elapsed() < SIDE / 3 && traces.len() < MAX_TRACES as usize)
    {
        traces.push(engine.trace(block, *state)?.1);
    }
    Ok(median_traces(traces))
}

fn call_of(tx: &warpline_primitives::Transaction, sender: alloy_primitives::Address) -> Call {
    let mut selector = [0; 4];
    let input = tx.input();
    let given = input.len().min(4);
    selector[..given].copy_from_slice(&input[..given]);
    Call { sender, to: tx.kind().to().copied(), selector, has_input: !input.is_empty() }
}
