//! All ways to execute a block, compared.
//!
//! The same comparison as the test-suite's, but for a program: what differs is a value rather than
//! a panic, a hang or a panic of the engine is a finding like any other, and each call may look at
//! other schedules, by its seed.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use warpline_engine::{
    AccessListMode, Engine, ExecuteOptions, ExecutionError, InvalidBlock, Strategy,
};
use warpline_primitives::{
    BlockOutput, CommitStep, MemoryState, RecoveredBlock, StateDiff, StateSource,
};
use warpline_testkit::{
    Ended, Engines, Observed, SlowSource, random_hints, reference_invalid_index, watched,
};

use crate::{
    block::Generated,
    dice::block_seed,
    source::{ReadError, Unreadable},
};

/// How often to execute a block, for each number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// In parallel, on a source that answers at once.
    pub prompt: u64,
    /// In parallel, on a source that does not, and observed.
    pub slow: u64,
    /// In parallel, on a schedule that is disturbed on purpose. Only with the feature `testing`.
    pub perturbed: u64,
    /// Breaks the validation of the parallel path, to see that this is noticed: 0 skips all of it, any
    /// other number that of every so many transactions. Only with the feature `testing`.
    pub sabotage: Option<u32>,
    /// How long all executions of a block may take together before that counts as a hang.
    pub limit: Duration,
}

impl Default for Effort {
    fn default() -> Self {
        let limit = Duration::from_secs(60);
        Self { prompt: 1, slow: 1, perturbed: 2, sabotage: None, limit }
    }
}

/// What it took to find nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whether the block is valid.
    pub valid: bool,
    /// How often the whole block was executed.
    pub executions: u64,
    /// Executions of transactions beyond the first of each, in all of them.
    pub reexecutions: u64,
}

/// In what two ways to execute a block disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{way}: {what}")]
pub struct Difference {
    /// What kind of disagreement it is.
    pub kind: Kind,
    /// Which way of execution is at odds, with what it should agree with.
    pub way: String,
    /// In what.
    pub what: String,
}

/// Kinds of [`Difference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Another output.
    Output,
    /// An error, no error, or another error.
    Error,
    /// Other changes were shown to an observer.
    Observed,
    /// A failed read was taken for something else, or something else for it.
    Read,
    /// Something panicked.
    Panic,
    /// It does not end.
    Hang,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Output => "output",
            Self::Error => "error",
            Self::Observed => "observed",
            Self::Read => "read",
            Self::Panic => "panic",
            Self::Hang => "hang",
        })
    }
}

/// Executes a block in every way and compares everything. Schedules follow from `seed` as far as
/// anything but the machine decides on them.
///
/// # Errors
/// The first difference.
pub fn check(block: &Arc<Generated>, effort: &Effort, seed: u64) -> Result<Tally, Difference> {
    let (shared, effort) = (Arc::clone(block), *effort);
    let ended = watched(effort.limit, move || {
        let engines = Engines::take(&shared.chain);
        let check = Check { block: &shared.block, state: &shared.state, effort, seed };
        let result = check.run(&shared, &engines);
        engines.put_back();
        result
    });
    let difference =
        |kind, what| Err(Difference { kind, way: "executing the block".to_owned(), what });
    match ended {
        Ok(result) => result,
        Err(Ended::Hang) => {
            difference(Kind::Hang, format!("still running after {:?}", effort.limit))
        }
        Err(Ended::Panic(message)) => difference(Kind::Panic, message),
    }
}

pub(crate) type Executed<E> = Result<BlockOutput, ExecutionError<E>>;

pub(crate) struct Check<'c> {
    block: &'c RecoveredBlock,
    pub(crate) state: &'c MemoryState,
    pub(crate) effort: Effort,
    pub(crate) seed: u64,
}

impl Check<'_> {
    fn run(&self, generated: &Generated, engines: &Engines) -> Result<Tally, Difference> {
        let (sequential, steps) = self.observed(engines.one(), self.state, Strategy::Sequential);
        let mut tally = Tally { valid: sequential.is_ok(), executions: 1, reexecutions: 0 };
        if generated.rules.has_oracle() {
            let reference = engines.one().execute_reference(self.block, self.state);
            self.agree_with_reference(&reference, &sequential)?;
            tally.executions += 1;
        }
        let plain = self.execute(engines.two(), self.state, Strategy::Sequential);
        tally.add(same(&sequential, plain, "sequential, not observed")?.as_ref());
        let chosen = self.execute(engines.two(), self.state, Strategy::Auto);
        tally.add(same(&sequential, chosen, "as the engine chooses")?.as_ref());
        for (engine, width) in [(engines.one(), 1), (engines.two(), 2), (engines.eight(), 8)] {
            let strategy = Strategy::Parallel(width);
            let honest = engine;
            let engine = &self.tampered_with(honest);
            for _ in 0..self.effort.prompt {
                let found = self.execute(engine, self.state, building(strategy));
                let way = format!("parallel on {width}");
                tally.add(same(&sequential, found, &way)?.as_ref());
            }
            for round in 0..self.effort.slow {
                let way = format!("parallel on {width}, slow source");
                let source = SlowSource::new(self.state, block_seed(self.seed, round));
                let (found, found_steps) = self.observed(engine, &source, strategy);
                tally.add(same(&sequential, found, &way)?.as_ref());
                same_steps(&sequential, &steps, &found_steps, &way)?;
            }
            if let Some(list) = sequential.as_ref().ok().and_then(|it| it.access_list.as_deref()) {
                let way = format!("from its access list on {width}");
                let mode = AccessListMode::Verify(list);
                let options = ExecuteOptions::from(strategy).access_list(mode);
                let found = self.execute(engine, self.state, options);
                tally.add(same(&sequential, found, &way)?.as_ref());
            }
            let hints = random_hints(self.block, self.seed);
            let found = self.execute(engine, self.state, building(strategy).hinted_by(&hints));
            let way = format!("parallel on {width} with random hints");
            tally.add(same(&sequential, found, &way)?.as_ref());
            self.perturbed(honest, width, (&sequential, &steps), &mut tally)?;
        }
        self.unreadable(generated, engines, &mut tally)?;
        Ok(tally)
    }

    pub(crate) fn execute<'o, S: StateSource>(
        &self,
        engine: &Engine,
        source: &S,
        options: impl Into<ExecuteOptions<'o>>,
    ) -> Executed<S::Error> {
        engine.execute_with(self.block, source, options)
    }

    pub(crate) fn observed<S: StateSource>(
        &self,
        engine: &Engine,
        source: &S,
        strategy: Strategy,
    ) -> (Executed<S::Error>, Observed) {
        let mut steps = Observed::new();
        let mut observer =
            |step: CommitStep, changes: &StateDiff| steps.push((step, changes.clone()));
        let options = building(strategy).observed_by(&mut observer);
        let executed = engine.execute_with(self.block, source, options);
        (executed, steps)
    }

    fn agree_with_reference<E: Error>(
        &self,
        reference: &Executed<E>,
        sequential: &Executed<E>,
    ) -> Result<(), Difference> {
        let differs = |kind, what: String| {
            Err(Difference { kind, way: "sequential against plain revm".to_owned(), what })
        };
        match (reference, sequential) {
            (Ok(expected), Ok(found)) => match expected.compare(found) {
                Ok(()) => Ok(()),
                Err(mismatch) => differs(Kind::Output, mismatch.to_string()),
            },
            (
                Err(ExecutionError::InvalidBlock(expected)),
                Err(ExecutionError::InvalidBlock(found)),
            ) => match reference_invalid_index(expected, self.block) {
                Some(expected) if Some(expected) != invalid_index(found) => {
                    let what = format!("expected transaction {expected} to be invalid: {found}");
                    differs(Kind::Error, what)
                }
                _ => Ok(()),
            },
            (expected, found) => {
                differs(Kind::Error, expected_and_found(&summary(expected), &summary(found)))
            }
        }
    }

    /// One thing cannot be read. Where the sequential path runs into it so must the parallel one,
    /// and where it does not, speculation that did is nobody's concern.
    fn unreadable(
        &self,
        generated: &Generated,
        engines: &Engines,
        tally: &mut Tally,
    ) -> Result<(), Difference> {
        let Some(read) = generated.unreadable else { return Ok(()) };
        let source = Unreadable { source: self.state, read };
        let sequential = self.execute(engines.one(), &source, Strategy::Sequential);
        tally.executions += 1;
        for (engine, width) in [(engines.one(), 1), (engines.two(), 2), (engines.eight(), 8)] {
            let way = format!("parallel on {width}, {read:?} being unreadable");
            let found = self.execute(engine, &source, Strategy::Parallel(width));
            match (&sequential, &found) {
                (
                    Err(ExecutionError::StateRead(ReadError::OnPurpose(_))),
                    Err(ExecutionError::StateRead(ReadError::OnPurpose(_))),
                ) => tally.executions += 1,
                (Err(ExecutionError::StateRead(_)), _) | (_, Err(ExecutionError::StateRead(_))) => {
                    let what = expected_and_found(&summary(&sequential), &summary(&found));
                    return Err(Difference { kind: Kind::Read, way, what });
                }
                _ => tally.add(same(&sequential, found, &way)?.as_ref()),
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "testing"))]
    fn tampered_with(&self, engine: &Engine) -> Engine {
        engine.clone()
    }

    #[cfg(not(feature = "testing"))]
    fn perturbed<E: Error>(
        &self,
        _engine: &Engine,
        _width: usize,
        _expected: (&Executed<E>, &Observed),
        _tally: &mut Tally,
    ) -> Result<(), Difference> {
        Ok(())
    }
}

/// Every block has an access list (EIP-7928), whether or not its fork knows of it.
fn building<'o>(strategy: Strategy) -> ExecuteOptions<'o> {
    ExecuteOptions::from(strategy).access_list(AccessListMode::Build)
}

impl Tally {
    pub(crate) fn add(&mut self, output: Option<&BlockOutput>) {
        self.executions += 1;
        self.reexecutions += output.map_or(0, |output| output.work.reexecutions);
    }
}

/// Compares, and returns the output there is.
pub(crate) fn same<E: Error, F: Error>(
    expected: &Executed<E>,
    found: Executed<F>,
    way: &str,
) -> Result<Option<BlockOutput>, Difference> {
    let differs = |kind, what| Err(Difference { kind, way: way.to_owned(), what });
    match (expected, found) {
        (Ok(expected), Ok(found)) => match expected.compare(&found) {
            Ok(()) => Ok(Some(found)),
            Err(mismatch) => differs(Kind::Output, mismatch.to_string()),
        },
        (Err(ExecutionError::InvalidBlock(expected)), Err(ExecutionError::InvalidBlock(found)))
            if expected.to_string() == found.to_string() =>
        {
            Ok(None)
        }
        (expected, found) => {
            let kind = match found {
                Err(ExecutionError::EngineBug(_)) => Kind::Panic,
                _ => Kind::Error,
            };
            differs(kind, expected_and_found(&summary(expected), &summary(&found)))
        }
    }
}

/// Compares what was observed of a valid block.
pub(crate) fn same_steps<E>(
    executed: &Executed<E>,
    expected: &Observed,
    found: &Observed,
    way: &str,
) -> Result<(), Difference> {
    let differs = |what| Err(Difference { kind: Kind::Observed, way: way.to_owned(), what });
    if executed.is_err() {
        return Ok(());
    }
    if expected.len() != found.len() {
        return differs(expected_and_found(&expected.len(), &found.len()));
    }
    for ((step, expected), (found_step, found)) in expected.iter().zip(found) {
        if step != found_step {
            return differs(expected_and_found(&format!("{step:?}"), &format!("{found_step:?}")));
        }
        if let Err(mismatch) = expected.compare(found) {
            return differs(format!("{step:?}: {mismatch}"));
        }
    }
    Ok(())
}

fn invalid_index(invalid: &InvalidBlock) -> Option<usize> {
    match invalid {
        InvalidBlock::Transaction { index, .. } | InvalidBlock::GasLimit { index, .. } => {
            Some(*index)
        }
        InvalidBlock::System(_) | InvalidBlock::AccessList(_) => None,
    }
}

fn summary<E: Error>(executed: &Executed<E>) -> String {
    match executed {
        Ok(output) => format!("success with {} gas", output.gas_used),
        Err(error) => error.to_string(),
    }
}

fn expected_and_found(expected: &impl fmt::Display, found: &impl fmt::Display) -> String {
    format!("expected {expected}, found {found}")
}
