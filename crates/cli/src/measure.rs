//! Timing, the same for `replay` and `bench`.
//!
//! Timed is from recovered transactions and decoded state, with an idle pool, to a complete owned
//! output, everything the execution allocated besides it freed again. Nothing is learned from a
//! block, so nothing has to be forgotten between runs; analysed code is kept on all sides alike.

use std::time::{Duration, Instant};

use alloy_eip7928::BlockAccessList;
use cpu_time::ProcessTime;
use warpline_engine::{
    AccessListError, AccessListMode, Engine, Ethereum, ExecuteOptions, ExecutionError,
    InvalidBlock, Strategy,
};
use warpline_primitives::{AccessHints, BlockOutput, RecoveredBlock, StateSource};
use warpline_testkit::LatentSource;

use crate::{
    args::{ConditionArgs, Mode},
    compare::ways,
};

/// Runs a side gets at least, beyond what was asked for, if they are short.
pub(crate) const SIDE: Duration = Duration::from_millis(300);
/// Runs a side gets at most.
pub(crate) const MAX_RUNS: u32 = 200;

/// One execution.
pub(crate) struct Timed {
    pub(crate) output: BlockOutput,
    pub(crate) took: Duration,
    /// The most reads of the parent state that were outstanding at once, where they are slow.
    pub(crate) read_depth: Option<usize>,
}

/// Medians over repeated executions; `None` for a side that was not measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Medians {
    pub(crate) sequential: Option<Duration>,
    pub(crate) parallel: Option<Duration>,
    /// The sequential path once more, as the other side of a comparison with itself.
    pub(crate) again: Option<Duration>,
    /// The parallel path on one worker.
    pub(crate) parallel_1: Option<Duration>,
    /// The plain revm loop.
    pub(crate) revm: Option<Duration>,
    /// Processor time of the parallel execution.
    pub(crate) cpu: Option<Duration>,
    /// The most reads that any parallel execution had outstanding at once, where they are slow.
    pub(crate) read_depth: Option<usize>,
}

impl Medians {
    /// How much faster the parallel side is than the faster way to execute one after the other.
    pub(crate) fn speedup(&self) -> Option<f64> {
        let fastest = self.sequential.map(|ours| self.revm.map_or(ours, |revm| ours.min(revm)));
        quotient(fastest, self.parallel)
    }

    /// How much faster the sequential side is than itself. What this is away from 1, a speed-up
    /// can be away from the truth.
    pub(crate) fn noise(&self) -> Option<f64> {
        quotient(self.sequential, self.again)
    }
}

/// A block, the state it starts from and the engine to execute it with.
pub(crate) struct Subject<'a, S> {
    pub(crate) engine: &'a Engine<Ethereum>,
    pub(crate) block: &'a RecoveredBlock,
    pub(crate) state: &'a S,
    /// How long the first read of a key takes in each execution, where not as long as it takes.
    latency: Option<Duration>,
    /// What the parallel side executes from.
    list: Option<BlockAccessList>,
    /// What the parallel side is told beforehand.
    hints: Option<&'a AccessHints>,
}

impl<'a, S: StateSource> Subject<'a, S> {
    /// A block under the conditions that were asked for, without a list so far.
    pub(crate) fn new(
        engine: &'a Engine<Ethereum>,
        block: &'a RecoveredBlock,
        state: &'a S,
        conditions: ConditionArgs,
    ) -> Self {
        let latency = conditions.read_latency();
        Self { latency, ..Self::plain(engine, block, state) }
    }

    /// Lets the parallel side execute from `list`, with which the block came, or from one that is
    /// made here.
    pub(crate) fn use_list(
        &mut self,
        list: Option<&BlockAccessList>,
    ) -> Result<(), ExecutionError<S::Error>> {
        if list.is_some() {
            self.list = list.cloned();
            return Ok(());
        }
        let options = ExecuteOptions::from(Strategy::Sequential);
        let options = options.access_list(AccessListMode::Build);
        self.list = self.engine.execute_with(self.block, self.state, options)?.access_list;
        match self.once(Strategy::Auto) {
            // Gas was cheap once. No block that comes with a list is like that.
            Err(ExecutionError::InvalidBlock(InvalidBlock::AccessList(
                AccessListError::TooLarge(_),
            ))) => self.list = None,
            accepted => drop(accepted?),
        }
        Ok(())
    }

    /// A block as it is.
    pub(crate) const fn plain(
        engine: &'a Engine<Ethereum>,
        block: &'a RecoveredBlock,
        state: &'a S,
    ) -> Self {
        Self { engine, block, state, latency: None, list: None, hints: None }
    }

    /// Lets the parallel side know `hints`.
    pub(crate) const fn hinted_by(mut self, hints: &'a AccessHints) -> Self {
        self.hints = Some(hints);
        self
    }

    /// Executes once.
    pub(crate) fn once(&self, strategy: Strategy) -> Result<Timed, ExecutionError<S::Error>> {
        let list = self.list.as_ref().filter(|_| strategy != Strategy::Sequential);
        let mode = list.map_or(AccessListMode::ByFork, |list| AccessListMode::Verify(list));
        let mut options = ExecuteOptions::from(strategy).access_list(mode);
        options.hints = self.hints;
        let Some(latency) = self.latency else {
            let start = Instant::now();
            let output = self.engine.execute_with(self.block, self.state, options)?;
            let took = start.elapsed();
            return Ok(Timed { output: with(list, output), took, read_depth: None });
        };
        let source = LatentSource::new(self.state, latency);
        let start = Instant::now();
        let output = self.engine.execute_with(self.block, &source, options)?;
        let took = start.elapsed();
        let read_depth = Some(source.greatest_depth());
        Ok(Timed { output: with(list, output), took, read_depth })
    }

    /// Executes once with the plain revm loop.
    pub(crate) fn reference(&self) -> Result<Timed, ExecutionError<S::Error>> {
        let Some(latency) = self.latency else {
            let start = Instant::now();
            let output = self.engine.execute_reference(self.block, self.state)?;
            return Ok(Timed { output, took: start.elapsed(), read_depth: None });
        };
        let source = LatentSource::new(self.state, latency);
        let start = Instant::now();
        let output = self.engine.execute_reference(self.block, &source)?;
        Ok(Timed { output, took: start.elapsed(), read_depth: Some(source.greatest_depth()) })
    }

    /// Executes at least `repeat` times each way that the mode asks for, interleaved. To compare is
    /// to take all ways there are.
    pub(crate) fn repeatedly(
        &self,
        repeat: u32,
        mode: Mode,
    ) -> Result<Medians, ExecutionError<S::Error>> {
        let (sequentially, in_parallel) = ways(mode);
        let mut samples = Samples::default();
        let (mut spent, mut runs) = (Duration::ZERO, 0);
        while runs < repeat || (spent < SIDE && runs < MAX_RUNS) {
            let mut shortest = Duration::MAX;
            // In a comparison each way is timed directly after an execution of its own that is not:
            // after another, its caches are cold, and cores that it needs may be asleep.
            if mode == Mode::Compare {
                self.once(Strategy::Sequential)?;
            }
            if sequentially {
                let took = self.once(Strategy::Sequential)?.took;
                samples.sequential.push(took);
                shortest = shortest.min(took);
            }
            if mode == Mode::Compare {
                samples.again.push(self.once(Strategy::Sequential)?.took);
                self.once(Strategy::Auto)?;
            }
            if in_parallel {
                let cpu = ProcessTime::now();
                let Timed { output, took, read_depth } = self.once(Strategy::Auto)?;
                drop(output);
                samples.cpu.push(cpu.elapsed());
                samples.parallel.push(took);
                samples.read_depth = samples.read_depth.max(read_depth);
                shortest = shortest.min(took);
            }
            if mode == Mode::Compare {
                self.once(Strategy::Parallel(1))?;
                samples.parallel_1.push(self.once(Strategy::Parallel(1))?.took);
                self.reference()?;
                samples.revm.push(self.reference()?.took);
            }
            spent += shortest;
            runs += 1;
        }
        Ok(samples.medians())
    }
}

/// `output` with the list that it was made from, if it was.
fn with(list: Option<&BlockAccessList>, output: BlockOutput) -> BlockOutput {
    let access_list = list.cloned().or(output.access_list);
    BlockOutput { access_list, ..output }
}

#[derive(Debug, Default)]
struct Samples {
    sequential: Vec<Duration>,
    parallel: Vec<Duration>,
    again: Vec<Duration>,
    parallel_1: Vec<Duration>,
    revm: Vec<Duration>,
    cpu: Vec<Duration>,
    read_depth: Option<usize>,
}

impl Samples {
    fn medians(self) -> Medians {
        Medians {
            sequential: median(self.sequential),
            parallel: median(self.parallel),
            again: median(self.again),
            parallel_1: median(self.parallel_1),
            revm: median(self.revm),
            cpu: median(self.cpu),
            read_depth: self.read_depth,
        }
    }
}

/// The middle sample, or the mean of the two in the middle; `None` where there is none.
pub(crate) fn median(mut samples: Vec<Duration>) -> Option<Duration> {
    samples.sort_unstable();
    let middle = samples.len() / 2;
    let upper = *samples.get(middle)?;
    Some(if samples.len() % 2 == 1 { upper } else { (samples[middle - 1] + upper) / 2 })
}

fn quotient(one: Option<Duration>, other: Option<Duration>) -> Option<f64> {
    one.zip(other).map(|(one, other)| one.as_secs_f64() / other.as_secs_f64())
}

/// In milliseconds.
pub(crate) const fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_or_the_mean_of_the_middle() {
        let of =
            |millis: &[u64]| median(millis.iter().copied().map(Duration::from_millis).collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(Duration::from_millis(7)));
        assert_eq!(of(&[9, 1, 5]), Some(Duration::from_millis(5)));
        assert_eq!(of(&[8, 2, 4, 100]), Some(Duration::from_millis(6)));
    }

    #[test]
    fn noise_is_the_speed_up_of_the_sequential_side_over_itself() {
        let [sequential, parallel, again] =
            [6, 2, 4].map(|seconds| Some(Duration::from_secs(seconds)));
        let medians = Medians { sequential, parallel, again, ..Medians::default() };
        assert_eq!(medians.speedup(), Some(3.0));
        assert_eq!(medians.noise(), Some(1.5));
        let revm = Some(Duration::from_secs(5));
        assert_eq!(Medians { revm, ..medians }.speedup(), Some(2.5), "that is faster");
        let revm = Some(Duration::from_secs(7));
        assert_eq!(Medians { revm, ..medians }.speedup(), Some(3.0), "that is not");
        let alone = Medians { sequential, ..Medians::default() };
        assert_eq!((alone.speedup(), alone.noise()), (None, None));
    }
}
