//! A panic, wherever it happens, is contained and named, and the engine goes on.

use std::collections::BTreeSet;

use warpline_engine::{
    Engine, EngineBug, ExecuteOptions, ExecutionError, Strategy, testing::Perturbation,
};
use warpline_primitives::{BlockOutput, CommitStep, StateDiff};
use warpline_testkit::{Case, PanickingSource, within};

use super::{Attempt, LIMIT, assert_usable, at_each_read, depth, engine, mixed, run};

/// What came of panics at each read.
#[derive(Debug)]
pub(crate) struct Panics {
    pub(crate) reads: u64,
    /// How many of them were reported. An execution may take fewer reads, or others.
    pub(crate) contained: u64,
}

/// Executes blocks in which one read after the other panics.
pub(crate) fn panic_at_each_read(engine: impl Fn(&Case) -> Engine, strategy: Strategy) -> Panics {
    silence_panics();
    let mut contained = 0;
    let reads = at_each_read(engine, |Attempt { engine, block, state, expected, at }| {
        match run(engine, block, &PanickingSource::new(state, at), strategy) {
            Err(ExecutionError::EngineBug(EngineBug::Panic(message))) => {
                assert!(message.contains("was made to panic"), "{message}");
                contained += 1;
            }
            Ok(output) => expected.compare(&output).expect("a right success"),
            Err(other) => panic!("{strategy:?}, read {at}: {other}"),
        }
    });
    Panics { reads, contained }
}

#[test]
fn a_source_that_panics_at_any_read() {
    within(LIMIT, || {
        for width in [1, 2, 8] {
            let found = panic_at_each_read(|case| engine(case, 2), Strategy::Parallel(width));
            assert!(found.contained > found.reads / 2, "{found:?} on {width}");
        }
    });
}

#[test]
fn an_observer_that_panics() {
    silence_panics();
    within(LIMIT, || {
        let case = mixed();
        let (block, state) = (case.block(), case.state());
        let engine = engine(&case, 2);
        let transactions = (0..block.transactions.len()).map(CommitStep::Transaction);
        for at in transactions.chain([CommitStep::PreBlock, CommitStep::PostBlock]) {
            let mut observer =
                |step: CommitStep, _: &StateDiff| assert_ne!(step, at, "made to panic");
            let result = engine.execute_with(
                &block,
                state,
                ExecuteOptions::from(Strategy::Parallel(2)).observed_by(&mut observer),
            );
            let contained = matches!(
                result,
                Err(ExecutionError::EngineBug(EngineBug::Panic(message)))
                    if message.contains("made to panic")
            );
            assert!(contained, "{at:?}");
            assert_usable(&engine, &block, state);
        }
    });
}

/// Panics at every decision point of `case` in turn and returns which those were.
fn panic_everywhere(case: &Case, engine: &Engine, disturbed: Perturbation) -> BTreeSet<String> {
    let (block, state) = (case.block(), case.state());
    let threads = engine.threads();
    let strategy = Strategy::Parallel(threads);
    let expected = run(engine, &block, state, Strategy::Sequential).expect("nothing fails");
    let same = |output: &BlockOutput| expected.compare(output).expect("equal");
    let mut sites = BTreeSet::new();
    // How many points a block takes depends on the timing; some that take fewer are not the end.
    let mut unharmed = 0;
    for point in 0.. {
        let disturbed = engine.perturbed(disturbed.panicking_at(point));
        match run(&disturbed, &block, state, strategy) {
            Err(ExecutionError::EngineBug(EngineBug::Panic(message))) => {
                let site = message.strip_prefix("made to panic at decision point ");
                let site = site.and_then(|site| site.split_once(", "));
                sites.insert(site.expect("no other panic").1.to_owned());
                unharmed = 0;
            }
            Ok(output) => {
                same(&output);
                unharmed += 1;
            }
            Err(other) => panic!("point {point} on {threads}: {other}"),
        }
        same(&run(engine, &block, state, strategy).expect("the engine goes on"));
        if unharmed == 20 {
            break;
        }
    }
    sites
}

#[test]
fn a_worker_that_panics_at_any_decision_point() {
    silence_panics();
    within(LIMIT, || {
        let case = mixed();
        let mut sites = BTreeSet::new();
        for threads in [1, 2, 8] {
            let engine = engine(&case, threads);
            sites.extend(panic_everywhere(&case, &engine, Perturbation::default()));
        }
        // What a worker alone takes for sure.
        for site in ["Choose", "BeginCommit", "Execute", "Lookup", "Kept", "Publish", "Commit"] {
            assert!(sites.contains(site), "{site} is not among {sites:?}");
        }
    });
}

#[test]
fn a_worker_that_panics_while_the_schedule_is_disturbed() {
    silence_panics();
    within(LIMIT, || {
        let case = mixed();
        let mut sites = BTreeSet::new();
        for (threads, seeds) in [(1, 0..6), (2, 6..8), (8, 8..9)] {
            for seed in seeds {
                let engine = engine(&case, threads);
                sites.extend(panic_everywhere(&case, &engine, Perturbation::seeded(seed)));
            }
        }
        // What a worker alone takes for some of these seeds.
        for site in ["Claim", "ClaimSuspect", "Finish", "Record", "Compare", "Suspect", "Wait"] {
            assert!(sites.contains(site), "{site} is not among {sites:?}");
        }
    });
}

#[test]
fn a_worker_that_panics_at_any_decision_point_while_reads_are_outstanding() {
    silence_panics();
    within(LIMIT, || {
        let case = mixed();
        let mut sites = BTreeSet::new();
        for depth in [(1, 3), (2, 4)] {
            let engine = depth::engine(&case, depth);
            sites.extend(panic_everywhere(&case, &engine, Perturbation::default()));
            sites.extend(panic_everywhere(&case, &engine, Perturbation::seeded(3)));
        }
        for site in ["Leave", "Return", "ReadAhead", "Announced", "Sleep"] {
            assert!(sites.contains(site), "{site} is not among {sites:?}");
        }
    });
}

/// Panics on purpose need no backtrace.
fn silence_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let message = panic.payload_as_str().unwrap_or_default();
            if !message.contains("made to panic") {
                usual(panic);
            }
        }));
    });
}
