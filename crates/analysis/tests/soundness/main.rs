//! What functions really touch is what was said of them: in every frame of generated and of real blocks.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod watch;

use std::{env, sync::Arc};

use alloy_evm::{
    Evm, EvmFactory,
    block::BlockExecutor,
    eth::{EthBlockExecutor, EthEvmFactory},
};
use revm::database::State;
use warpline_chain::ChainSpec;
use warpline_engine::{BlockVm, Engine, EngineConfig, Ethereum, ExecutorSpec, Receipts, SourceDb};
use warpline_primitives::{RecoveredBlock, StateSource};
use warpline_replay::{Input, Inputs};
use warpline_testkit::{execution_ctx, shared};
use warpline_workloads::{Size, Workload, generate};

use watch::Watch;

/// One real block of so many is executed, where `WARPLINE_SOAK` does not ask for all.
const SAMPLED: usize = 12;

/// Executes `block` under `watch`.
fn execute<S: StateSource>(
    chain: Arc<ChainSpec>,
    block: &RecoveredBlock,
    state: &S,
    watch: &mut Watch,
) {
    let engine = Engine::new(Ethereum::new(chain), EngineConfig::with_threads(1)).unwrap();
    let mut db = State::builder().with_database_ref(SourceDb(state)).with_bundle_update().build();
    let factory = EthEvmFactory::default();
    let mut evm = factory.create_evm_with_inspector(&mut db, engine.vm().env(block), watch);
    evm.enable_inspector();
    let spec = ExecutorSpec(Arc::clone(engine.vm().spec()));
    let mut executor = EthBlockExecutor::new(evm, execution_ctx(block), spec, Receipts);
    executor.apply_pre_execution_changes().unwrap();
    for tx in &block.transactions {
        executor.execute_transaction(tx).unwrap();
    }
}

/// What is said of the contracts of these blocks against what they touch.
fn watched(workloads: &[Workload]) -> Watch {
    let mut watch = Watch::default();
    for workload in workloads {
        let generated = generate(*workload, Size::Transactions(60), 7);
        let chain = Arc::new(generated.chain.clone());
        execute(chain, &generated.block, &generated.state, &mut watch);
    }
    assert!(watch.faults.is_empty(), "{:#?}", watch.faults);
    watch
}

#[test]
fn generated_blocks_touch_what_is_said() {
    let counts = watched(&Workload::SHAPES).counts;
    assert_eq!(counts.frames, counts.known, "everything of our contracts is known: {counts:?}");
    assert_eq!(counts.accesses, counts.predicted, "{counts:?}");
    // Who keeps a log in an array, or strings, has places that depend on its length.
    let counts = watched(&Workload::FIELDS).counts;
    assert!(counts.known * 5 > counts.frames * 4, "{counts:?}");
    assert!(counts.predicted * 100 > counts.accesses * 95, "{counts:?}");
}

#[test]
fn real_blocks_touch_what_is_said() {
    let Some(path) = shared("blocks/mainnet/prestate") else { return };
    let mut watch = Watch::default();
    let every = if env::var_os("WARPLINE_SOAK").is_some() { 1 } else { SAMPLED };
    for input in Inputs::open([path]).step_by(every) {
        let Input::Block(input) = input.unwrap() else { panic!("not a block") };
        let before = watch.counts.frames;
        execute(Arc::clone(&input.chain), &input.block, &input.parent, &mut watch);
        println!("{}: {} frames", input.number(), watch.counts.frames - before);
    }
    println!("{:?}", watch.counts);
    assert!(watch.counts.known > 0);
    assert!(watch.faults.is_empty(), "{:#?}", watch.faults);
}
