//! The shapes of `warpline bench` as cases for `cargo bench`, and the work that they took.
//!
//! A case is a workload and a strategy. It is made ready outside the time that is measured, and
//! there its output is compared with that of plain revm: what is fast because it is wrong is not
//! measured at all. A harness knows times only, so work is added up beside it.

use std::{collections::BTreeMap, fmt};

use warpline_engine::{Engine, EngineConfig, Ethereum, ExecutionError, PoolError, Strategy};
use warpline_primitives::{BlockOutput, MissingState, OutputMismatch, WorkCounts};
use warpline_workloads::{GeneratedBlock, Size, Workload, generate};

/// Workers of the widest case.
pub const THREADS: usize = 2;

/// Fixed, so that every run measures the same blocks.
const SEED: u64 = 1;

/// A workload, and how to execute it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What the transactions share.
    pub workload: Workload,
    /// How the block is executed.
    pub strategy: Strategy,
}

impl Case {
    /// Every shape sequentially, and in parallel on one and on two workers.
    pub fn all() -> Vec<Self> {
        let strategies = [Strategy::Sequential, Strategy::Parallel(1), Strategy::Parallel(THREADS)];
        let of = |workload| strategies.map(|strategy| Self { workload, strategy });
        Workload::SHAPES.into_iter().flat_map(of).collect()
    }

    /// Makes the block, and executes it once to see that the output is the right one.
    ///
    /// # Errors
    ///
    /// [`CaseError`]: the engine cannot be had, or is wrong.
    pub fn prepare(self, size: Size) -> Result<Prepared, CaseError> {
        let generated = generate(self.workload, size, SEED);
        let vm = Ethereum::new(generated.chain.clone());
        let engine = Engine::new(vm, EngineConfig::with_threads(THREADS))?;
        let prepared = Prepared { engine, generated, strategy: self.strategy };
        let GeneratedBlock { block, state, .. } = &prepared.generated;
        prepared.engine.execute_reference(block, state)?.compare(&prepared.execute()?)?;
        Ok(prepared)
    }
}

/// `swaps-hot/parallel-2`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.strategy {
            Strategy::Auto => write!(f, "{}/auto", self.workload),
            Strategy::Sequential => write!(f, "{}/sequential", self.workload),
            Strategy::Parallel(workers) => write!(f, "{}/parallel-{workers}", self.workload),
        }
    }
}

/// Why a case cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The engine's threads could not be started.
    #[error("no engine: {0}")]
    Engine(#[from] PoolError),
    /// A generated block was not executed to its end: a defect of the engine or of the generator.
    #[error("a generated block failed: {0}")]
    Execution(#[from] ExecutionError<MissingState>),
    /// The strategy has another output than plain revm: a defect of the engine.
    #[error("the output differs from that of plain revm: {0}")]
    Output(#[from] OutputMismatch),
}

/// A case with everything that executing it takes.
#[derive(Debug)]
pub struct Prepared {
    engine: Engine<Ethereum>,
    generated: GeneratedBlock,
    strategy: Strategy,
}

impl Prepared {
    /// Executes the block.
    ///
    /// # Errors
    ///
    /// As [`Engine::execute_with`].
    pub fn execute(&self) -> Result<BlockOutput, ExecutionError<MissingState>> {
        self.engine.execute_with(&self.generated.block, &self.generated.state, self.strategy)
    }
}

/// The work of many executions, by case. Displayed as a table of means.
#[derive(Clone, Debug, Default)]
pub struct Work {
    cases: BTreeMap<String, Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    blocks: u64,
    executions: u64,
    reexecutions: u64,
    validations: u64,
}

impl Work {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { cases: BTreeMap::new() }
    }

    /// Adds the work of one more execution of the case.
    pub fn add(&mut self, case: Case, work: &WorkCounts) {
        let sums = self.cases.entry(case.to_string()).or_default();
        sums.blocks += 1;
        sums.executions += work.executions;
        sums.reexecutions += work.reexecutions;
        sums.validations += work.validations;
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [case, blocks] = ["work per block", "blocks"];
        let [executions, reexecutions, validations] =
            ["executions", "re-executions", "validations"];
        write!(f, "{case:<34} {blocks:>7} {executions:>12} {reexecutions:>13} {validations:>12}")?;
        for (case, sums) in &self.cases {
            #[expect(clippy::cast_precision_loss, reason = "for display")]
            let [executions, reexecutions, validations] =
                [sums.executions, sums.reexecutions, sums.validations]
                    .map(|sum| sum as f64 / sums.blocks as f64);
            write!(
                f,
                "\n{case:<34} {:>7} {executions:>12.1} {reexecutions:>13.1} {validations:>12.1}",
                sums.blocks
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_a_case_of_each_strategy() {
        let names: Vec<_> = Case::all().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 3 * Workload::SHAPES.len());
        for name in ["transfers-hot/sequential", "mixed/parallel-1", "mixed/parallel-2"] {
            assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
        }
    }

    #[test]
    fn work_is_shown_as_the_mean_of_a_block() {
        let case = Case { workload: Workload::SwapsHot, strategy: Strategy::Parallel(2) };
        let counts = |executions, reexecutions, validations| WorkCounts {
            executions,
            reexecutions,
            validations,
            ..WorkCounts::default()
        };
        let mut work = Work::new();
        work.add(case, &counts(10, 0, 12));
        work.add(case, &counts(13, 3, 16));
        let text = work.to_string();
        let cells: Vec<_> = text.lines().last().unwrap_or_default().split_whitespace().collect();
        assert_eq!(cells, ["swaps-hot/parallel-2", "2", "11.5", "1.5", "14.0"], "{text}");
    }
}
