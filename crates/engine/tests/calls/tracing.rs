//! Blocks traced in parallel, against revm's own loop with the same tracers.

use std::{fs, sync::Arc, time::Duration};

use alloy_evm::{Evm, EvmFactory, block::SystemCaller, eth::EthEvmFactory};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use revm::{DatabaseCommit, database::State};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use serde_json::{Value, json};
use warpline_engine::{
    BlockVm, CallOptions, Engine, EngineConfig, Ethereum, InspectOptions, SourceDb, TraceError,
    TraceMemory, TracedTransaction, testing::Perturbation,
};
use warpline_fuzz::{Block, Generated, block_seed};
use warpline_primitives::{RecoveredBlock, StateSource};
use warpline_replay::{Input, Inputs};
use warpline_testkit::{Asm, Case, Fork, Tx, account, op, shared, within};
use warpline_workloads::{Size, Workload, default_chain, generate};

use crate::{chain::chain, differences, plain as expected};

const LIMIT: Duration = Duration::from_secs(300);

fn options(json: Value) -> GethDebugTracingOptions {
    serde_json::from_value(json).unwrap()
}

/// Every tracer, with every option that changes what it says.
fn tracers() -> Vec<GethDebugTracingOptions> {
    let call = |config| json!({ "tracer": "callTracer", "tracerConfig": config });
    let prestate = |config| json!({ "tracer": "prestateTracer", "tracerConfig": config });
    let all = [
        call(json!({})),
        call(json!({ "withLog": true })),
        call(json!({ "onlyTopCall": true })),
        prestate(json!({})),
        prestate(json!({ "diffMode": true })),
        prestate(json!({ "disableCode": true, "disableStorage": true })),
        json!({ "tracer": "4byteTracer" }),
        json!({ "tracer": "noopTracer" }),
        json!({ "tracer": "flatCallTracer" }),
        json!({ "tracer": "muxTracer", "tracerConfig": {
            "callTracer": { "withLog": true }, "4byteTracer": null, "prestateTracer": {},
        }}),
        json!({ "disableStack": true, "disableStorage": true, "limit": 100 }),
    ];
    all.into_iter().map(options).collect()
}

/// The struct logger with all it has: much, for long blocks.
fn everything() -> GethDebugTracingOptions {
    options(json!({ "enableMemory": true, "enableReturnData": true }))
}

/// A plain loop that commits one transaction after the other, with revm-inspectors' own tracers.
fn one_after_the_other<S: StateSource>(
    vm: &Ethereum,
    block: &RecoveredBlock,
    source: &S,
    tracing: &GethDebugTracingOptions,
) -> Vec<Value> {
    let is_flat = is_flat(tracing);
    // A list of frames is another form of the frames.
    let tracing = if is_flat { &options(json!({ "tracer": "callTracer" })) } else { tracing };
    let db = State::builder().with_database_ref(SourceDb(source)).build();
    let inspector = DebugInspector::new(tracing.clone()).unwrap();
    let env = vm.env(block);
    let mut evm = EthEvmFactory::default().create_evm_with_inspector(db, env.clone(), inspector);
    SystemCaller::new(vm.spec()).apply_pre_execution_changes(&block.header, &mut evm).unwrap();
    let trace = |(index, tx)| {
        let tx: &alloy_consensus::transaction::Recovered<warpline_primitives::Transaction> = tx;
        let tx_env = vm.tx_env(tx);
        evm.components_mut().1.fuse().unwrap();
        let result = evm.transact_raw(tx_env.clone()).unwrap();
        let tx_hash = Some(*tx.inner().tx_hash());
        let context =
            TransactionContext { block_hash: Some(block.hash), tx_index: Some(index), tx_hash };
        let (db, inspector, _) = evm.components_mut();
        let said =
            inspector.get_result(Some(context), &tx_env, &env.block_env, &result, db).unwrap();
        db.commit(result.state);
        let mut said = expected::without_nothing(serde_json::to_value(said).unwrap());
        if is_flat {
            said = expected::flat(&said, (block, index));
        }
        json!({ "result": said, "txHash": tx_hash })
    };
    block.transactions.iter().enumerate().map(trace).collect()
}

fn is_flat(tracing: &GethDebugTracingOptions) -> bool {
    tracing.tracer.as_ref().is_some_and(|tracer| tracer.as_str() == "flatCallTracer")
}

fn assert_same(name: &str, expected: &[Value], found: &[TracedTransaction]) {
    assert_eq!(expected.len(), found.len(), "{name}");
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        let found = expected::without_details(serde_json::to_value(found).unwrap());
        let mut different = Vec::new();
        differences("", &found, &expected::without_details(expected.clone()), &mut different);
        different.truncate(10);
        assert!(different.is_empty(), "{name}, transaction {index}: {different:#?}");
    }
}

fn check<S: StateSource>(
    name: &str,
    engines: &[Engine],
    (block, source): (&RecoveredBlock, &S),
    tracing: &GethDebugTracingOptions,
) {
    let expected = one_after_the_other(engines[0].vm(), block, source, tracing);
    let name = format!("{name} with {tracing:?}");
    for engine in engines {
        let found = engine.trace_block(block, source, tracing, InspectOptions::default()).unwrap();
        assert_same(&name, &expected, &found);
    }
}

/// Engines of one, two and eight workers, and some that are disturbed.
fn engines(vm: &Ethereum, perturbed: u64) -> Vec<Engine> {
    let engine = |threads| Engine::new(vm.clone(), EngineConfig::with_threads(threads)).unwrap();
    let eight = engine(8);
    let perturbed = (0..perturbed).map(|seed| eight.perturbed(Perturbation::seeded(seed)));
    let perturbed: Vec<_> = perturbed.collect();
    [engine(1), engine(2), eight].into_iter().chain(perturbed).collect()
}

#[test]
fn workloads_are_traced_as_in_sequence() {
    within(LIMIT, || {
        for workload in Workload::ALL {
            let generated = generate(workload, Size::Transactions(16), 42);
            let engines = engines(&Ethereum::new(generated.chain.clone()), 1);
            for tracing in tracers().iter().chain([&everything()]) {
                let block = (&generated.block, &generated.state);
                check(&workload.to_string(), &engines, block, tracing);
            }
        }
    });
}

/// Senders who share slots, look at the beneficiary, create and destroy, and fail.
fn hostile(fork: Fork) -> Case {
    let (counter, looker, dying) = (account(0xcc), account(0xdd), account(0xde));
    let senders: Vec<_> = (0..16).map(|n| account(0xa0 + n)).collect();
    let beneficiary = warpline_testkit::BENEFICIARY;
    let look = Asm::new().balance(beneficiary).push(0).op(op::SSTORE).push(1).add_to_slot(1);
    let die = Asm::new().push(1).add_to_slot(3).push_address(counter).op(op::SELFDESTRUCT);
    let txs = senders.iter().enumerate().map(|(n, sender)| match n % 5 {
        0 => Tx::call(*sender, counter).value(alloy_primitives::U256::from(1)),
        1 => Tx::call(*sender, looker),
        2 => Tx::pay(*sender, beneficiary, 5),
        3 => Tx::call(*sender, dying),
        _ => Tx::call(*sender, counter).gas(30_000),
    });
    let txs: Vec<_> = txs.collect();
    Case::new(fork)
        .fund_all(senders)
        .contract(counter, Asm::new().push(1).add_to_slot(0))
        .contract(looker, look)
        .contract(dying, die)
        .txs(txs)
}

#[test]
fn contended_blocks_are_traced_as_in_sequence() {
    within(LIMIT, || {
        for fork in [Fork::Byzantium, Fork::London, Fork::Prague] {
            let case = hostile(fork);
            let engines = engines(&Ethereum::new(case.chain().clone()), 40);
            let tracings = [
                options(json!({ "tracer": "prestateTracer" })),
                options(
                    json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
                ),
                everything(),
            ];
            for tracing in tracings {
                let name = format!("{fork:?}");
                check(&name, &engines, (&case.block(), case.state()), &tracing);
            }
        }
    });
}

#[test]
fn random_blocks_are_traced_as_in_sequence() {
    within(LIMIT, || {
        let mut traced = 0;
        for seed in 0..16 {
            let rules = [
                "Frontier", "EIP158", "Istanbul", "Berlin", "Shanghai", "Cancun", "Prague", "Osaka",
            ][seed % 8];
            let block = Block::random(block_seed(5, seed as u64), Some(rules.parse().unwrap()));
            let Generated { chain, block, state, .. } = block.generate();
            let engines = engines(&Ethereum::new(chain), 1);
            if engines[0].execute(&block, &state).is_err() {
                continue;
            }
            traced += 1;
            for tracing in [&tracers()[1], &tracers()[4], &everything()] {
                check(&format!("seed {seed}"), &engines[1..], (&block, &state), tracing);
            }
        }
        assert!(traced >= 8, "only {traced} blocks are valid");
    });
}

#[test]
fn the_embedded_chain_is_traced_as_in_sequence() {
    within(LIMIT, || {
        let chain = default_chain();
        let engines = engines(&Ethereum::new(chain.chain.clone()), 1);
        let mut state = chain.state;
        for block in &chain.blocks {
            for tracing in [&tracers()[1], &tracers()[4]] {
                check("embedded", &engines, (block, &state), tracing);
            }
            let output = engines[0].execute(block, &state).unwrap();
            state.apply(&output.state);
            state.insert_block_hash(block.number(), block.hash);
        }
    });
}

#[test]
fn mainnet_blocks_are_traced_as_in_sequence() {
    let Some(folder) = shared("blocks/mainnet/prestate") else { return };
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.metadata().unwrap().len(), file.path()))
        .collect();
    files.sort();
    // The shorter ones: this is not about speed.
    let files = files.into_iter().step_by(4).take(5).map(|(_, path)| path);
    within(LIMIT, || {
        for input in Inputs::open(files) {
            let Input::Block(input) = input.unwrap() else { continue };
            let engines = &engines(&Ethereum::new(Arc::clone(&input.chain)), 1)[1..];
            for tracing in [&tracers()[1], &tracers()[4], &tracers()[8], &tracers()[10]] {
                let name = input.number().to_string();
                check(&name, engines, (&input.block, &input.parent), tracing);
            }
        }
    });
}

#[test]
fn a_single_transaction_is_traced_as_in_its_block() {
    let generated = generate(Workload::Mixed, Size::Transactions(12), 7);
    let engine = &engines(&Ethereum::new(generated.chain.clone()), 0)[1];
    let (block, state) = (&generated.block, &generated.state);
    for tracing in [everything(), options(json!({ "tracer": "prestateTracer" }))] {
        let all = engine.trace_block(block, state, &tracing, InspectOptions::default()).unwrap();
        for (index, all) in all.iter().enumerate() {
            let limits = InspectOptions::default();
            let one = engine.trace_transaction(block, state, index, &tracing, limits).unwrap();
            assert_eq!(Some(&*one), all.success(), "transaction {index}");
        }
    }
    let beyond =
        engine.trace_transaction(block, state, 12, &everything(), InspectOptions::default());
    assert!(matches!(
        beyond.unwrap_err(),
        TraceError::NoSuchTransaction { index: 12, transactions: 12 }
    ));
}

#[test]
fn what_tracers_write_down_is_bounded() {
    let case = hostile(Fork::Prague);
    let engine = &engines(&Ethereum::new(case.chain().clone()), 0)[1];
    let (block, state) = (case.block(), case.state());
    let little = TraceMemory::new(1000);
    let limits = InspectOptions { memory: Some(&little), ..InspectOptions::default() };
    for tracing in [everything(), options(json!({ "tracer": "callTracer" }))] {
        let refused = engine.trace_block(&block, state, &tracing, limits).unwrap_err();
        assert!(matches!(refused, TraceError::TooLarge), "{refused}");
        let refused = engine.trace_transaction(&block, state, 0, &tracing, limits).unwrap_err();
        assert!(matches!(refused, TraceError::TooLarge), "{refused}");
    }
    // A trace takes memory until it is dropped.
    let enough_for_one = TraceMemory::new(3 << 19);
    let limits = InspectOptions { memory: Some(&enough_for_one), ..InspectOptions::default() };
    let tracing = options(json!({ "tracer": "callTracer" }));
    let trace = || engine.trace_transaction(&block, state, 0, &tracing, limits);
    let held = trace().unwrap();
    assert!(matches!(trace(), Err(TraceError::TooLarge)));
    drop(held);
    trace().unwrap();
    // Where there is enough, counting changes nothing.
    let much = TraceMemory::new(1 << 30);
    let limits = InspectOptions { memory: Some(&much), ..InspectOptions::default() };
    for tracing in tracers().iter().chain([&everything()]) {
        let counted = engine.trace_block(&block, state, tracing, limits).unwrap();
        let free = engine.trace_block(&block, state, tracing, InspectOptions::default()).unwrap();
        assert_eq!(counted, free, "{tracing:?}");
    }
}

#[test]
fn tracers_that_are_programs_are_refused() {
    let case = hostile(Fork::Prague);
    let engine = &engines(&Ethereum::new(case.chain().clone()), 0)[0];
    let tracing = options(json!({ "tracer": "{data: [], result: function() {}}" }));
    let limits = InspectOptions::default();
    let refused = engine.trace_block(&case.block(), case.state(), &tracing, limits).unwrap_err();
    assert!(matches!(refused, TraceError::JavaScript), "{refused}");
}

#[test]
fn expected_traces() {
    let Some(chain) = chain() else { return };
    for method in ["debug_traceBlockByNumber", "debug_traceBlockByHash"] {
        for exchange in chain.exchanges(method) {
            // What names no block, or the first, is not for the engine.
            let Some(expected) = exchange.response.get("result") else { continue };
            let at = match exchange.params[0].as_str() {
                Some(hash) if hash.len() == 66 => {
                    chain.headers.iter().position(|it| it.hash_slow().to_string() == hash).unwrap()
                }
                _ => chain.number(&exchange.params[0]),
            };
            let tracing = exchange.params.get(1).cloned().unwrap_or_else(|| json!({}));
            let block = chain.blocks[at].as_ref().unwrap();
            let state = &chain.states[at - 1];
            let limits = InspectOptions::default();
            let traced = chain.engine.trace_block(block, state, &options(tracing), limits).unwrap();
            assert_eq!(&serde_json::to_value(traced).unwrap(), expected, "{}", exchange.name);
        }
    }
}

#[test]
fn a_call_is_traced_where_it_is_made() {
    let case = hostile(Fork::Prague);
    let engine = &engines(&Ethereum::new(case.chain().clone()), 0)[0];
    let (block, state) = (case.block(), case.state());
    let tracing = options(json!({ "tracer": "prestateTracer" }));
    let request = TransactionRequest::default().to(account(0xcc));
    let slot = |value: &Value| value[account(0xcc).to_string().to_lowercase()]["storage"].clone();
    let none = engine
        .trace_call(&block.header, state, &request, &tracing, CallOptions::default())
        .unwrap();
    assert_eq!(
        slot(&serde_json::to_value(&*none).unwrap()).as_object().map_or(0, |it| it.len()),
        1
    );
    for (index, expected) in [(0, 0), (1, 1), (5, 2), (6, 3)] {
        let within = (&block, index);
        let options = CallOptions::default();
        let said = engine.trace_call_within(within, state, &request, &tracing, options).unwrap();
        let said = slot(&serde_json::to_value(&*said).unwrap());
        let value = said.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        let found = u64::from_str_radix(value.trim_start_matches("0x"), 16).unwrap();
        assert_eq!(found, expected, "after {index} transactions");
    }
}
