//! Executes a block in every way there is and compares everything.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy_evm::block::{BlockExecutionError, BlockValidationError};
use warpline_chain::ChainSpec;
use warpline_engine::{
    AccessListMode, Budget, BuildEnd, BuiltBlock, Engine, EngineConfig, Ethereum, ExecuteOptions,
    ExecutionError, InvalidBlock, SkipReason, Strategy,
};
use warpline_primitives::{
    AccessHints, BlockOutput, CommitStep, MemoryState, MissingState, Receipt, RecoveredBlock,
    StateDiff, StateSource,
};

use crate::{
    BuildCheck, Outcome, SlowSource, full_state,
    hints::{random_hints, true_hints},
    integration::IntegrationCheck,
    lists::ListCheck,
    source::pause,
    watchdog::within,
};

/// How long all executions of one block may take together.
const LIMIT: Duration = Duration::from_secs(60);

/// How often to execute a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In parallel, for each number of threads, on a source that answers at once.
    pub prompt: u64,
    /// In parallel, for each number of threads, on a source and with an observer that do not.
    pub slow: u64,
    /// In parallel, for each number of threads, on a schedule that is disturbed on purpose. Only with
    /// the feature `testing`.
    pub perturbed: u64,
    /// Whether plain revm knows the block's rules and is asked.
    pub oracle: bool,
}

impl Default for Plan {
    /// Eight times as often where `WARPLINE_SOAK` is set.
    fn default() -> Self {
        let factor = if std::env::var_os("WARPLINE_SOAK").is_some() { 8 } else { 1 };
        Self { prompt: factor, slow: factor, perturbed: 2 * factor, oracle: true }
    }
}

impl Plan {
    /// As little as makes sense: for large blocks, and for many.
    pub const fn quick() -> Self {
        Self { prompt: 1, slow: 1, perturbed: 1, oracle: true }
    }
}

/// What an observer saw, in order.
pub type Observed = Vec<(CommitStep, StateDiff)>;

pub(crate) type Executed<E> = Result<BlockOutput, ExecutionError<E>>;

/// Engines with one, two and eight threads, and two with two threads and several reads outstanding.
/// They are handed from block to block, so that every
/// test is also one of blocks that follow one another on an engine.
#[derive(Clone, Debug)]
pub struct Engines([Engine; 5]);

/// Those that nobody uses at the moment.
static IDLE: Mutex<Vec<Engines>> = Mutex::new(Vec::new());

impl Engines {
    /// Engines for `chain`, used before or new.
    ///
    /// # Panics
    /// When threads cannot be started.
    pub fn take(chain: &ChainSpec) -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let vm = Ethereum::new(chain.clone());
        let new = |(threads, reads)| {
            let config = EngineConfig::with_threads(threads).read_depth(reads);
            Engine::new(vm.clone(), config).expect("threads can be started")
        };
        match idle {
            Some(Self(engines)) => Self(engines.map(|engine| engine.with_vm(vm.clone()))),
            None => Self([(1, 0), (2, 0), (8, 0), (2, 4), (2, 32)].map(new)),
        }
    }

    /// Hands them on. Engines of a test that failed are not: it does not get here.
    pub fn put_back(self) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    /// The engine with one thread.
    pub const fn one(&self) -> &Engine {
        &self.0[0]
    }

    /// The engine with two threads.
    pub const fn two(&self) -> &Engine {
        &self.0[1]
    }

    /// The engine with eight threads.
    pub const fn eight(&self) -> &Engine {
        &self.0[2]
    }
}

/// Executes `block` in every way and compares everything.
///
/// # Panics
/// When two ways disagree, in whatever respect, or one hangs.
pub fn check_block(
    chain: &ChainSpec,
    block: &RecoveredBlock,
    state: &MemoryState,
    plan: &Plan,
) -> Outcome {
    let shared = Arc::new((chain.clone(), block.clone(), state.clone(), *plan));
    within(LIMIT, move || {
        let (chain, block, state, plan) = &*shared;
        let engines = Engines::take(chain);
        let outcome = Check { block, state, engines: &engines }.run(plan);
        engines.put_back();
        outcome
    })
}

struct Check<'c> {
    block: &'c RecoveredBlock,
    state: &'c MemoryState,
    engines: &'c Engines,
}

impl Check<'_> {
    fn run(&self, plan: &Plan) -> Outcome {
        let reference = if plan.oracle {
            self.engines.one().execute_reference(self.block, self.state)
        } else {
            self.sequentially()
        };
        let (sequential, steps) = observe(self.engines.one(), self, self.state, None);
        let outcome = self.agreed(&reference, &sequential);
        let list = sequential.as_ref().ok().and_then(|output| output.access_list.as_deref());
        self.assert_same(&sequential, &self.sequentially(), "sequential, not observed");
        if let Ok(output) = &sequential {
            self.assert_observed(&steps, output);
        }
        let chosen = self.engines.two().execute(self.block, self.state);
        self.assert_same(&sequential, &chosen, "as the engine chooses");
        let [one, two, eight, four_reads, many_reads] = &self.engines.0;
        let truth = self.engines.one().trace(self.block, self.state).ok();
        let truth = truth.map(|(_, traces)| true_hints(&traces));
        let engines =
            [(one, 1, 0), (two, 2, 0), (eight, 8, 0), (four_reads, 2, 4), (many_reads, 2, 32)];
        for (engine, width, reads) in engines {
            let on = format!("parallel on {width}, {reads} reads outstanding");
            for round in 0..plan.prompt {
                let way = format!("{on}, round {round}");
                let options = building(Strategy::Parallel(width));
                let found = engine.execute_with(self.block, self.state, options);
                self.assert_same(&sequential, &found, &way);
                self.assert_work(&found, &way);
            }
            for round in 0..plan.slow {
                let way = format!("{on}, slow round {round}");
                let source = SlowSource::new(self.state, round);
                let (found, found_steps) = observe(engine, self, &source, Some((width, round)));
                self.assert_same(&sequential, &found, &way);
                self.assert_work(&found, &way);
                if sequential.is_ok() {
                    assert_steps(&steps, &found_steps, &way);
                }
            }
            if let Some(list) = list {
                let check = ListCheck { engine, width, block: self.block, state: self.state };
                check.run(&sequential, &steps, list);
                // Once is enough: there are many.
                if width == 8 {
                    check.reject_others(list);
                }
            }
            for round in 0..plan.perturbed {
                let seed = self.seed(width + reads, round);
                let way = format!("{on}, perturbed with seed {seed:#x}");
                let engine = hooks::perturbed(engine, seed);
                // Being observed makes commits longer and executions keep more: both ways count.
                let found = if round % 2 == 0 {
                    engine.execute_with(self.block, self.state, Strategy::Parallel(width))
                } else {
                    let (found, found_steps) =
                        observe(&engine, self, self.state, Some((width, seed)));
                    if sequential.is_ok() {
                        assert_steps(&steps, &found_steps, &way);
                    }
                    found
                };
                self.assert_same(&sequential, &found, &way);
                self.assert_work(&found, &way);
            }
            for (round, hints) in [truth.clone(), None].into_iter().enumerate() {
                let seed = self.seed(width + reads, 14 + round as u64);
                let engine = hooks::perturbed(engine, seed);
                self.assert_same_with(hints, seed, &sequential, (&engine, width));
            }
        }
        if let Err(ExecutionError::InvalidBlock(reason)) = &sequential {
            self.assert_rejected_with_list(reason);
        }
        self.assert_builds(&sequential);
        let output = sequential.map_err(|error| error.to_string());
        let check = IntegrationCheck {
            engine: self.engines.two(),
            width: 2,
            block: self.block,
            state: self.state,
        };
        check.run(output.as_ref().map_err(String::as_str), plan.oracle);
        outcome
    }

    /// `hints`, or if there are none random ones, change nothing.
    fn assert_same_with(
        &self,
        hints: Option<AccessHints>,
        seed: u64,
        expected: &Executed<MissingState>,
        (engine, width): (&Engine, usize),
    ) {
        let kind = if hints.is_some() { "true" } else { "random" };
        let way = format!("parallel on {width} with {kind} hints, perturbed with seed {seed:#x}");
        let hints = hints.unwrap_or_else(|| random_hints(self.block, seed));
        let options = ExecuteOptions::from(Strategy::Parallel(width)).hinted_by(&hints);
        let found = engine.execute_with(self.block, self.state, options);
        self.assert_same(expected, &found, &way);
        self.assert_work(&found, &way);
    }

    /// The list of what comes before the invalid transaction does not change why the block is
    /// rejected from one way of executing it to another.
    fn assert_rejected_with_list(&self, reason: &InvalidBlock) {
        let Some(index) = invalid_index(reason) else { return };
        let mut valid = self.block.clone();
        valid.transactions.truncate(index);
        let engine = self.engines.eight();
        let output = engine.execute_with(&valid, self.state, building(Strategy::Sequential));
        let Some(list) = output.ok().and_then(|output| output.access_list) else { return };
        ListCheck { engine, width: 8, block: self.block, state: self.state }.reject_block(&list);
    }

    /// Building the block from its transactions gives the block itself, or what is valid of it.
    fn assert_builds(&self, expected: &Executed<MissingState>) {
        let budget = Budget::default();
        let check = BuildCheck { draft: self.block, state: self.state, budget };
        let Engines([one, two, eight, _, reads]) = self.engines;
        let [two, eight, reads] = [(two, 2), (eight, 8), (reads, 34)]
            .map(|(engine, nth)| hooks::perturbed(engine, self.seed(nth, 0)));
        let built = check.run([(one, 1), (&two, 2), (&eight, 8), (&reads, 2)]);
        // Its header breaks a rule that execution does not look at.
        let has_too_many_blobs = |built: &BuiltBlock<Receipt>| {
            built.skipped.iter().any(|it| matches!(it.reason, SkipReason::BlobGas { .. }))
        };
        match (built, expected) {
            (Ok(built), Ok(_)) if has_too_many_blobs(&built) => {}
            (Ok(built), Ok(expected)) if built.end == BuildEnd::NoMoreCandidates => {
                assert!(built.skipped.is_empty(), "a valid transaction is skipped: {built:?}");
                if let Err(mismatch) = expected.compare(&built.output) {
                    panic!("building a valid block differs from executing it: {mismatch}");
                }
            }
            (Ok(built), Ok(_)) => assert_eq!(built.end, BuildEnd::Full, "{built:?}"),
            (Ok(built), Err(_)) => assert!(!built.skipped.is_empty(), "{built:?}"),
            (Err(error), expected) => {
                assert!(error.contains("system step"), "{error}");
                assert!(expected.is_err(), "a valid block cannot be built: {error}");
            }
        }
    }

    /// A seed for each block, width and round: what a test runs into does not depend on others.
    fn seed(&self, width: usize, round: u64) -> u64 {
        let first = |seed: u64, tx: &[u8]| {
            tx.iter()
                .take(8)
                .fold(seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(*byte)))
        };
        let hashes = self.block.transactions.iter().map(|tx| tx.tx_hash());
        hashes.fold(round << 4 | width as u64, |seed, hash| first(seed, hash.as_slice()))
    }

    fn sequentially(&self) -> Executed<MissingState> {
        self.engines.two().execute_with(self.block, self.state, Strategy::Sequential)
    }

    /// What reference and sequential path agree on.
    fn agreed(
        &self,
        reference: &Executed<MissingState>,
        sequential: &Executed<MissingState>,
    ) -> Outcome {
        match (reference, sequential) {
            (Ok(expected), Ok(found)) => {
                if let Err(mismatch) = expected.compare(found) {
                    panic!("sequential differs from plain revm: {mismatch}");
                }
                Outcome::valid(found.clone(), self.state)
            }
            (
                Err(ExecutionError::InvalidBlock(expected)),
                Err(ExecutionError::InvalidBlock(found)),
            ) => {
                let index = invalid_index(found);
                if let Some(expected) = reference_invalid_index(expected, self.block) {
                    assert_eq!(Some(expected), index, "plain revm names another transaction");
                }
                Outcome::invalid(index)
            }
            (expected, found) => panic!(
                "sequential differs from plain revm: expected {}, found {}",
                summary(expected),
                summary(found)
            ),
        }
    }

    fn assert_same<E, F>(&self, expected: &Executed<E>, found: &Executed<F>, way: &str)
    where
        E: std::error::Error,
        F: std::error::Error,
    {
        match (expected, found) {
            (Ok(expected), Ok(found)) => {
                if let Err(mismatch) = expected.compare(found) {
                    panic!("{way} differs from sequential: {mismatch}");
                }
            }
            (
                Err(ExecutionError::InvalidBlock(expected)),
                Err(ExecutionError::InvalidBlock(found)),
            ) => {
                let (before, after) = (expected.to_string(), found.to_string());
                assert_eq!(before, after, "{way} finds another reason to reject the block");
            }
            _ => panic!(
                "{way} differs from sequential: expected {}, found {}",
                summary(expected),
                summary(found)
            ),
        }
    }

    fn assert_work<E>(&self, found: &Executed<E>, way: &str) {
        let Ok(output) = found else { return };
        let (work, transactions) = (output.work, self.block.transactions.len() as u64);
        assert!(work.executions >= transactions, "{way}: {work:?} for {transactions} transactions");
        assert_eq!(work.reexecutions, work.executions - transactions, "{way}: {work:?}");
        let bounds = transactions.min(1)..=hooks::MAX_EXECUTIONS;
        assert!(bounds.contains(&work.most_executions), "{way}: {work:?}");
        assert!(work.width >= 1, "{way}: {work:?}");
    }

    /// The steps one after the other are the block, and name nothing that did not change.
    fn assert_observed(&self, steps: &Observed, output: &BlockOutput) {
        let order: Vec<_> = steps.iter().map(|(step, _)| *step).collect();
        assert!(order.is_sorted(), "steps were observed out of order: {order:?}");
        let transactions = order.iter().filter(|step| matches!(step, CommitStep::Transaction(_)));
        let expected = (0..self.block.transactions.len()).map(CommitStep::Transaction);
        assert!(transactions.copied().eq(expected), "each transaction once: {order:?}");

        let mut by_steps = self.state.clone();
        for (step, changes) in steps {
            assert_all_differ(&by_steps, changes, &format!("{step:?}"));
            by_steps.apply(changes);
        }
        let mut at_once = self.state.clone();
        assert_all_differ(&at_once, &output.state, "the block");
        at_once.apply(&output.state);
        assert_eq!(full_state(&by_steps), full_state(&at_once), "steps do not add up to the block");
    }
}

/// Options that also build the access list.
fn building<'a>(strategy: Strategy) -> ExecuteOptions<'a> {
    ExecuteOptions::from(strategy).access_list(AccessListMode::Build)
}

/// Executes with an observer, sequentially or with so many workers.
fn observe<S: StateSource>(
    engine: &Engine,
    check: &Check<'_>,
    source: &S,
    parallel: Option<(usize, u64)>,
) -> (Executed<S::Error>, Observed) {
    let mut steps = Observed::new();
    let mut observer = |step: CommitStep, changes: &StateDiff| {
        if let Some((_, seed)) = parallel {
            pause(!seed, steps.len() as u64);
        }
        steps.push((step, changes.clone()));
    };
    let strategy = parallel.map_or(Strategy::Sequential, |(width, _)| Strategy::Parallel(width));
    let options = building(strategy).observed_by(&mut observer);
    let result = engine.execute_with(check.block, source, options);
    (result, steps)
}

/// What is listed as changed must have.
fn assert_all_differ(before: &MemoryState, changes: &StateDiff, whose: &str) {
    for (address, change) in changes.sorted_accounts() {
        let account = before.account(*address).expect("memory answers every question");
        let mut slots = change.storage.iter().map(|(slot, after)| {
            let before = before.storage(*address, *slot).expect("memory answers every question");
            before != *after
        });
        let wiped = change.storage_wiped && account.is_some();
        let differs = account != change.account || wiped || !change.storage.is_empty();
        assert!(differs, "{whose} lists {address}, which did not change");
        assert!(
            change.storage_wiped || slots.all(|it| it),
            "{whose} lists a same slot of {address}"
        );
        assert!(
            !change.storage_wiped || account.is_some(),
            "{whose} lists storage of {address} as wiped, which did not exist before"
        );
    }
}

/// The steps one after the other are the same.
pub(crate) fn assert_steps(expected: &Observed, found: &Observed, way: &str) {
    let order = |steps: &Observed| steps.iter().map(|(step, _)| *step).collect::<Vec<_>>();
    assert_eq!(order(expected), order(found), "{way}: other steps were observed");
    for ((step, expected), (_, found)) in expected.iter().zip(found) {
        if let Err(mismatch) = expected.compare(found) {
            panic!("{way}: what was observed of {step:?} differs from sequential: {mismatch}");
        }
    }
}

fn invalid_index(invalid: &InvalidBlock) -> Option<usize> {
    match invalid {
        InvalidBlock::Transaction { index, .. } | InvalidBlock::GasLimit { index, .. } => {
            Some(*index)
        }
        InvalidBlock::System(_) | InvalidBlock::AccessList(_) => None,
    }
}

/// Which transaction plain revm objects to, where it says: it names a hash.
pub fn reference_invalid_index(invalid: &InvalidBlock, block: &RecoveredBlock) -> Option<usize> {
    let InvalidBlock::System(BlockExecutionError::Validation(BlockValidationError::InvalidTx {
        hash,
        ..
    })) = invalid
    else {
        return None;
    };
    let named = |index: &usize| block.transactions[*index].tx_hash() == hash;
    let mut named = (0..block.transactions.len()).filter(named);
    named.next().filter(|_| named.next().is_none())
}

fn summary<E: std::error::Error>(executed: &Executed<E>) -> String {
    match executed {
        Ok(output) => format!("success with {} gas", output.gas_used),
        Err(error) => format!("{error}"),
    }
}

/// What takes an engine that can be tampered with.
#[cfg(feature = "testing")]
mod hooks {
    use warpline_engine::{Engine, testing::Perturbation};

    pub(super) use warpline_engine::testing::MAX_EXECUTIONS;

    pub(super) fn perturbed(engine: &Engine, seed: u64) -> Engine {
        engine.perturbed(Perturbation::seeded(seed))
    }
}

/// The same with an engine as it is delivered.
#[cfg(not(feature = "testing"))]
mod hooks {
    use warpline_engine::Engine;

    pub(super) const MAX_EXECUTIONS: u64 = u64::MAX;

    pub(super) fn perturbed(engine: &Engine, _seed: u64) -> Engine {
        engine.clone()
    }
}
