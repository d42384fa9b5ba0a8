//! Builds a block from the transactions of a block, and executes what comes out.

use alloy_eip7928::AccountChanges;
use warpline_engine::{AccessListMode, Budget, BuiltBlock, Engine, ExecuteOptions, Strategy};
use warpline_primitives::{CommitStep, MemoryState, Receipt, RecoveredBlock, StateDiff};

use crate::check::{Observed, assert_steps};

/// A block with candidates for transactions, and what to build on.
#[derive(Clone, Copy, Debug)]
pub struct BuildCheck<'c> {
    /// The draft.
    pub draft: &'c RecoveredBlock,
    /// The state before it.
    pub state: &'c MemoryState,
    /// What it may hold.
    pub budget: Budget,
}

/// A block that was built, or why there can be none.
type Built = Result<BuiltBlock<Receipt>, String>;

impl BuildCheck<'_> {
    /// Builds sequentially and on each of `engines` with so many workers, and compares. Executes
    /// what was built, and compares that too.
    ///
    /// # Panics
    /// When any two of them differ.
    pub fn run<'e>(&self, engines: impl IntoIterator<Item = (&'e Engine, usize)>) -> Built {
        let mut engines = engines.into_iter().peekable();
        let (first, _) = *engines.peek().expect("there is an engine");
        let (built, steps) = self.build(first, Strategy::Sequential);
        if let Ok(built) = &built {
            self.assert_executes(first, built, &steps);
        }
        for (engine, width) in engines {
            let (found, found_steps) = self.build(engine, Strategy::Parallel(width));
            let way = format!("building on {width}");
            match (&built, &found) {
                (Ok(built), Ok(found)) => {
                    assert_same(built, found, &way);
                    assert_steps(&steps, &found_steps, &way);
                }
                (Err(built), Err(found)) => assert_eq!(built, found, "{way}"),
                (built, found) => panic!("{way}: expected {built:?}, found {found:?}"),
            }
        }
        built
    }

    fn build(&self, engine: &Engine, strategy: Strategy) -> (Built, Observed) {
        let mut steps = Observed::new();
        let mut observer =
            |step: CommitStep, changes: &StateDiff| steps.push((step, changes.clone()));
        let options = ExecuteOptions::from(strategy)
            .access_list(AccessListMode::Build)
            .observed_by(&mut observer);
        let built = engine.build(self.draft, self.state, self.budget, options);
        (built.map_err(|error| error.to_string()), steps)
    }

    /// The block that was built is valid, and its execution yields what building it did.
    fn assert_executes(&self, engine: &Engine, built: &BuiltBlock<Receipt>, steps: &Observed) {
        let block = built_block(self.draft, built);
        let list: &[AccountChanges] = built.output.access_list.as_deref().unwrap_or_default();
        for mode in [AccessListMode::Build, AccessListMode::Verify(list)] {
            let mut found_steps = Observed::new();
            let mut observer =
                |step: CommitStep, changes: &StateDiff| found_steps.push((step, changes.clone()));
            let options = ExecuteOptions::from(Strategy::Sequential)
                .access_list(mode)
                .observed_by(&mut observer);
            let found = engine.execute_with(&block, self.state, options);
            let found = found.unwrap_or_else(|error| panic!("built an invalid block: {error}"));
            if let Err(mismatch) = built.output.compare(&found) {
                panic!("the execution of a built block differs from its building: {mismatch}");
            }
            assert_steps(steps, &found_steps, "the execution of a built block");
        }
    }
}

/// The draft with the transactions that were included.
pub fn built_block(draft: &RecoveredBlock, built: &BuiltBlock<Receipt>) -> RecoveredBlock {
    let included = built.included.iter().map(|index| draft.transactions[*index].clone());
    RecoveredBlock { transactions: included.collect(), ..draft.clone() }
}

/// Two ways to build a block yield the same.
///
/// # Panics
/// When they do not.
pub fn assert_same(expected: &BuiltBlock<Receipt>, found: &BuiltBlock<Receipt>, way: &str) {
    let skipped = |built: &BuiltBlock<Receipt>| {
        let skipped = built.skipped.iter();
        skipped.map(|it| (it.index, it.reason.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(expected.included, found.included, "{way}: other transactions are included");
    assert_eq!(skipped(expected), skipped(found), "{way}: others are skipped");
    assert_eq!(expected.end, found.end, "{way}: another end");
    if let Err(mismatch) = expected.output.compare(&found.output) {
        panic!("{way} differs from sequential building: {mismatch}");
    }
}
