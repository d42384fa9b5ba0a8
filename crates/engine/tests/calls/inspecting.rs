//! Inspectors of one's own, and what may go wrong with them.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use revm::{DatabaseRef, Inspector, context::ContextTr, interpreter::Interpreter};
use warpline_engine::{
    Cancellation, Engine, EngineBug, EngineConfig, Ethereum, ExecutionError, InspectOptions,
    Inspected, Strategy,
};
use warpline_primitives::StateSource;
use warpline_testkit::{FailingSource, PanickingSource, within};
use warpline_workloads::{GeneratedBlock, Size, Workload, generate};

const LIMIT: Duration = Duration::from_secs(60);

/// Counts instructions of the transaction that it was made for.
#[derive(Debug, Default)]
struct Steps(u64, usize);

impl<CTX: ContextTr> Inspector<CTX> for Steps {
    fn step(&mut self, _interpreter: &mut Interpreter, _context: &mut CTX) {
        self.0 += 1;
    }
}

fn block(threads: usize) -> (Engine, GeneratedBlock) {
    let generated = generate(Workload::SwapsHot, Size::Transactions(8), 42);
    let vm = Ethereum::new(generated.chain.clone());
    (Engine::new(vm, EngineConfig::with_threads(threads)).unwrap(), generated)
}

fn steps<S: StateSource>(
    engine: &Engine,
    block: &GeneratedBlock,
    source: &S,
    options: InspectOptions<'_>,
) -> Result<Vec<u64>, ExecutionError<S::Error>> {
    let make = |_| Steps::default();
    let done = |inspected: Inspected<'_, '_, Steps>| inspected.inspector.0;
    Ok(engine.inspect_block(&block.block, source, options, make, done)?.transactions)
}

#[test]
fn every_transaction_has_an_inspector_of_its_own() {
    within(LIMIT, || {
        let (engine, generated) = block(2);
        let made = AtomicUsize::new(0);
        let make = |index| {
            made.fetch_add(1, Relaxed);
            Steps(0, index)
        };
        let done = |inspected: Inspected<'_, '_, Steps>| {
            let Inspected { index, inspector: Steps(steps, made_for), tx, result, before, .. } =
                inspected;
            assert_eq!(index, made_for);
            // What it began with: a sender that had sent as many transactions as its nonce says.
            let sender = before.basic_ref(tx.caller).unwrap().unwrap();
            assert_eq!(sender.nonce, tx.nonce);
            (index, steps, result.result.tx_gas_used())
        };
        let (source, options) = (&generated.state, InspectOptions::default());
        let inspected =
            engine.inspect_block(&generated.block, source, options, make, done).unwrap();
        assert_eq!(made.into_inner(), 8);
        let plain = engine.execute_with(&generated.block, source, Strategy::Sequential).unwrap();
        plain.compare(&inspected.output).unwrap();
        let mut gas = 0;
        for (at, (index, steps, gas_used)) in inspected.transactions.into_iter().enumerate() {
            assert_eq!(at, index);
            assert!(steps > 100, "{steps} steps");
            gas += gas_used;
        }
        assert_eq!(gas, plain.gas_used);
    });
}

#[test]
fn a_read_that_fails_at_any_time_is_reported_as_such() {
    within(LIMIT, || {
        let (engine, generated) = block(2);
        let counted = FailingSource::once(&generated.state, u64::MAX);
        let expected = steps(&engine, &generated, &counted, InspectOptions::default()).unwrap();
        for at in (0..counted.reads()).step_by(7) {
            let failing = FailingSource::from(&generated.state, at);
            match steps(&engine, &generated, &failing, InspectOptions::default()) {
                Err(ExecutionError::StateRead(_)) => {}
                // Another time it took fewer reads.
                Ok(found) => assert_eq!(found, expected),
                Err(other) => panic!("read {at}: {other}"),
            }
        }
        let panicking = PanickingSource::new(&generated.state, 3);
        let error = steps(&engine, &generated, &panicking, InspectOptions::default()).unwrap_err();
        assert!(matches!(error, ExecutionError::EngineBug(EngineBug::Panic(_))), "{error}");
        let again = steps(&engine, &generated, &generated.state, InspectOptions::default());
        assert_eq!(again.unwrap(), expected);
    });
}

#[test]
fn an_inspector_that_panics_fails_the_inspection_and_nothing_else() {
    within(LIMIT, || {
        let (engine, generated) = block(2);
        let (block, source, options) =
            (&generated.block, &generated.state, InspectOptions::default());
        let done = |inspected: Inspected<'_, '_, Steps>| {
            assert!(inspected.index != 5, "this one is not liked");
            inspected.inspector.0
        };
        let inspected = engine.inspect_block(block, source, options, |_| Steps::default(), done);
        let error = inspected.unwrap_err();
        assert!(matches!(error, ExecutionError::EngineBug(EngineBug::Panic(_))), "{error}");
        assert_eq!(steps(&engine, &generated, source, options).unwrap().len(), 8);
    });
}

#[test]
fn inspecting_ends_when_it_has_to() {
    within(LIMIT, || {
        let (engine, generated) = block(2);
        let cancellation = Cancellation::default();
        cancellation.cancel();
        let cancelled =
            InspectOptions { cancellation: Some(&cancellation), ..InspectOptions::default() };
        let late = InspectOptions { deadline: Some(Instant::now()), ..InspectOptions::default() };
        for options in [cancelled, late] {
            let error = steps(&engine, &generated, &generated.state, options).unwrap_err();
            assert!(matches!(error, ExecutionError::Cancelled), "{error}");
        }
    });
}
