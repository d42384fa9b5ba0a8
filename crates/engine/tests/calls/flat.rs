//! `flatCallTracer`, what tracers say of failures, and of accounts that were empty: as Geth has it.

use alloy_consensus::{Signed, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex, keccak256};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use revm::bytecode::opcode as op;
use serde_json::{Value, json};
use warpline_engine::{
    BadTracer, CallOptions, Engine, EngineConfig, Ethereum, InspectOptions, Strategy, TraceError,
};
use warpline_testkit::{Asm, Case, Fork, Tx, account, deployer};

const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const CODE: Address = account(0xcc);
const INNER: Address = account(0xdd);
const SHA256: Address = Address::with_last_byte(2);

fn options(json: Value) -> GethDebugTracingOptions {
    serde_json::from_value(json).unwrap()
}

fn flat(config: Value) -> GethDebugTracingOptions {
    options(json!({ "tracer": "flatCallTracer", "tracerConfig": config }))
}

fn engine(case: &Case) -> Engine {
    Engine::new(Ethereum::new(case.chain().clone()), EngineConfig::with_threads(1)).unwrap()
}

/// What is said of the first transaction.
fn trace(case: &Case, tracing: &GethDebugTracingOptions) -> Value {
    let (block, options) = (case.block(), InspectOptions::default());
    let said = engine(case).trace_transaction(&block, case.state(), 0, tracing, options);
    serde_json::to_value(&*said.unwrap()).unwrap()
}

/// A call of `CODE`, which is `code`, and runs `INNER`, which is `inner`.
fn case(fork: Fork, code: Asm, inner: impl Into<Bytes>) -> Case {
    Case::new(fork)
        .fund(ALICE)
        .contract(CODE, code)
        .balance(CODE, U256::from(100))
        .contract(INNER, inner.into())
        .tx(Tx::call(ALICE, CODE).gas(500_000))
}

#[test]
fn frames_are_listed_as_geth_lists_them() {
    let inner = Asm::new().push(7).ops(&[op::PUSH0, op::MSTORE]).push(32);
    let inner = inner.ops(&[op::PUSH0, op::REVERT]);
    let created = deployer(Asm::new().op(op::STOP));
    let code = Asm::new().call(INNER, 3).call(SHA256, 0).create(&created, 5).self_destruct(BOB);
    let case = case(Fork::Shanghai, code, inner);
    let block = case.block();
    let output = engine(&case).execute_with(&block, case.state(), Strategy::Sequential).unwrap();
    let list = trace(&case, &flat(json!({})));
    let nested = trace(&case, &options(json!({ "tracer": "callTracer" })));
    let gas = |path: &[usize], name: &str| {
        let frame = path.iter().fold(&nested, |frame, at| &frame["calls"][at]);
        frame[name].clone()
    };
    let frame = |mut frame: Value, path: &[usize], subtraces: usize| {
        frame["blockHash"] = json!(block.hash);
        frame["blockNumber"] = json!(block.number());
        frame["subtraces"] = json!(subtraces);
        frame["traceAddress"] = json!(path);
        frame["transactionHash"] = json!(block.transactions[0].inner().tx_hash());
        frame["transactionPosition"] = json!(0);
        frame
    };
    let root = json!({
        "type": "call",
        "action": {
            "callType": "call", "from": ALICE, "gas": "0x7a120", "input": "0x", "to": CODE,
            "value": "0x0",
        },
        // All that it cost, as in its receipt.
        "result": { "gasUsed": format!("{:#x}", output.gas_used), "output": "0x" },
    });
    let reverted = json!({
        "type": "call",
        "action": {
            "callType": "call", "from": CODE, "gas": gas(&[0], "gas"), "input": "0x", "to": INNER,
            "value": "0x3",
        },
        "error": "execution reverted",
        "result": { "gasUsed": gas(&[0], "gasUsed"), "output": format!("0x{:064x}", 7) },
    });
    let new = json!({
        "type": "create",
        "action": { "from": CODE, "gas": gas(&[2], "gas"), "init": created, "value": "0x5" },
        "result": {
            "address": CODE.create(1), "code": "0x00", "gasUsed": gas(&[2], "gasUsed"),
        },
    });
    let destroyed = json!({
        "type": "suicide",
        "action": { "address": CODE, "balance": "0x5f", "refundAddress": BOB },
    });
    let expected = [
        frame(root, &[], 3),
        frame(reverted, &[0], 0),
        frame(new, &[1], 0),
        frame(destroyed, &[2], 0),
    ];
    assert_eq!(list, json!(expected));

    let all = trace(&case, &flat(json!({ "includePrecompiles": true })));
    assert_eq!(all.as_array().unwrap().len(), 5);
    assert_eq!((&all[0]["subtraces"], &all[2]["action"]["to"]), (&json!(4), &json!(SHA256)));
    let parity = trace(&case, &flat(json!({ "convertParityErrors": true })));
    assert_eq!(
        (&parity[1]["error"], &parity[1]["result"]),
        (&json!("Reverted"), &list[1]["result"])
    );
}

#[test]
fn frames_below_frames_are_named_by_the_way_to_them() {
    let leaf = account(0xee);
    let inner = Asm::new().call(leaf, 0).call(leaf, 0);
    let case = case(Fork::Prague, Asm::new().call(INNER, 0).delegate_call(INNER), inner);
    let list = trace(&case, &flat(json!({})));
    let ways: Vec<_> =
        list.as_array().unwrap().iter().map(|it| it["traceAddress"].clone()).collect();
    let expected = [json!([]), json!([0]), json!([0, 0]), json!([0, 1]), json!([1])];
    assert_eq!(ways[..5], expected);
    assert_eq!(ways[5..], [json!([1, 0]), json!([1, 1])]);
    assert_eq!(list[4]["action"]["callType"], "delegatecall");
}

#[test]
fn failures_are_told_in_the_words_of_geth() {
    let full = |code: Asm, times: usize| (0..times).fold(code, |code, _| code.op(op::PUSH0));
    let store = Asm::new().push(0x600).ops(&[op::PUSH0, op::RETURN]);
    let far = Asm::new().push(U256::MAX).push(U256::MAX).op(op::MSTORE);
    let wide = Asm::new().push(1).push(1u64 << 32).op(op::MSTORE);
    for (fork, code, geth, parity) in [
        (Fork::Prague, Asm::new().op(op::INVALID), "invalid opcode: INVALID", "Bad instruction"),
        (
            Fork::Prague,
            Asm::new().op(0x0c),
            "invalid opcode: opcode 0xc not defined",
            "Bad instruction",
        ),
        (Fork::London, Asm::new().op(op::PUSH0), "invalid opcode: PUSH0", "Bad instruction"),
        (
            Fork::Prague,
            Asm::new().ops(&[op::PUSH0, op::ADD]),
            "stack underflow (1 <=> 2)",
            "Stack underflow",
        ),
        (Fork::Prague, full(Asm::new(), 1025), "stack limit reached 1024 (1023)", "Out of stack"),
        (
            Fork::Prague,
            Asm::new().push(1).op(op::JUMP),
            "invalid jump destination",
            "Bad jump destination",
        ),
        (
            Fork::Prague,
            Asm::new().ops(&[op::PUSH0, op::PUSH0]).push(1).ops(&[op::SWAP2, op::RETURNDATACOPY]),
            "return data out of bounds",
            "Out of bounds",
        ),
        (
            Fork::Prague,
            Asm::new().op(op::JUMPDEST).push(0).op(op::JUMP),
            "out of gas",
            "Out of gas",
        ),
        (Fork::Prague, wide, "out of gas", "Out of gas"),
        (Fork::Prague, far, "gas uint64 overflow", "Out of gas"),
        (
            Fork::Prague,
            Asm::new().ops(&[op::PUSH0, op::PUSH0, op::REVERT]),
            "execution reverted",
            "Reverted",
        ),
    ] {
        let case = case(fork, Asm::new().call_with(INNER, 0, 0, 60_000), code);
        let nested = trace(&case, &options(json!({ "tracer": "callTracer" })));
        assert_eq!(nested["calls"][0]["error"], geth);
        let list = trace(&case, &flat(json!({})));
        assert_eq!(list[1]["error"], geth);
        let has_result = list[1].as_object().unwrap().contains_key("result");
        assert_eq!(has_result, geth == "execution reverted", "{geth}");
        let list = trace(&case, &flat(json!({ "convertParityErrors": true })));
        assert_eq!(list[1]["error"], parity);
    }
    let code = Asm::new().create(&store.build(), 0);
    let mut case = case(Fork::Prague, code, Bytes::new());
    case = case.tx(Tx::call(ALICE, CODE).gas(120_000).nonce(1));
    let block = case.block();
    let tracing = flat(json!({}));
    let options = InspectOptions::default();
    let said = engine(&case).trace_transaction(&block, case.state(), 1, &tracing, options).unwrap();
    let said = serde_json::to_value(&*said).unwrap();
    assert_eq!(said[1]["error"], "contract creation code storage out of gas");
    assert_eq!(said[1].get("result"), None);
}

#[test]
fn a_call_is_in_no_block_and_yet_has_a_hash() {
    let case = case(Fork::Prague, Asm::new().op(op::STOP), Bytes::new());
    let header = case.block().header;
    let trace = |request: &TransactionRequest| {
        let (tracing, options) = (flat(json!({})), CallOptions::default());
        let said = engine(&case).trace_call(&header, case.state(), request, &tracing, options);
        serde_json::to_value(&*said.unwrap()).unwrap()[0].take()
    };
    let request = TransactionRequest::default().from(ALICE).to(CODE).nonce(7).gas_limit(0xffff);
    let said = trace(&request);
    let tx = TxEip1559 {
        chain_id: case.chain().chain_id(),
        nonce: 7,
        gas_limit: 0xffff,
        to: TxKind::Call(CODE),
        ..TxEip1559::default()
    };
    let hash = *Signed::new_unhashed(tx, Signature::new(U256::ZERO, U256::ZERO, false)).hash();
    assert_eq!(said["transactionHash"], json!(hash));
    assert_eq!(said["blockHash"], Value::Null);
    assert!(said.as_object().unwrap().contains_key("blockHash"));
    assert_eq!(said["blockNumber"], json!(header.number));
    assert_eq!(said["transactionPosition"], 0);
    let said = trace(&TransactionRequest { gas_price: Some(1 << 40), nonce: None, ..request });
    let rlp = [&hex!("e5 80 86010000000000 82ffff 94")[..], CODE.as_slice(), &[0x80; 5]].concat();
    assert_eq!(said["transactionHash"], json!(keccak256(rlp)));
}

#[test]
fn several_tracers_say_what_each_says() {
    let code = Asm::new().call(SHA256, 0).call(INNER, 1);
    let case = case(Fork::Prague, code, Asm::new().op(op::INVALID));
    let one = |tracer: &str, config: &Value| {
        trace(&case, &options(json!({ "tracer": tracer, "tracerConfig": config })))
    };
    let configs = json!({
        "callTracer": { "withLog": true }, "flatCallTracer": { "convertParityErrors": true },
        "prestateTracer": null, "4byteTracer": {}, "noopTracer": null,
    });
    let all = one("muxTracer", &configs);
    assert_eq!(all.as_object().unwrap().len(), 5);
    for (tracer, config) in configs.as_object().unwrap() {
        assert_eq!(all[tracer], one(tracer, config), "{tracer}");
    }
}

#[test]
fn accounts_that_were_empty_are_listed_on_demand() {
    let code = Asm::new().call(BOB, 5).balance(INNER);
    let case = Case::new(Fork::Prague)
        .fund(ALICE)
        .contract(CODE, code)
        .balance(CODE, U256::from(100))
        .tx(Tx::call(ALICE, CODE));
    let prestate = |config: Value| {
        trace(&case, &options(json!({ "tracer": "prestateTracer", "tracerConfig": config })))
    };
    let of = |said: &Value, address: Address| said.get(json!(address).as_str().unwrap()).cloned();
    let plain = prestate(json!({}));
    assert_eq!((of(&plain, BOB), of(&plain, INNER)), (None, None));
    assert!(of(&plain, CODE).is_some() && of(&plain, ALICE).is_some());
    let all = prestate(json!({ "includeEmpty": true }));
    let empty = Some(json!({ "balance": "0x0" }));
    assert_eq!((of(&all, BOB), of(&all, INNER)), (empty.clone(), empty));
    let diff = prestate(json!({ "diffMode": true }));
    assert_eq!(of(&diff["pre"], BOB), None);
    assert_eq!(of(&diff["post"], BOB), Some(json!({ "balance": "0x5" })));
}

#[test]
fn what_is_no_tracer_is_refused_in_words() {
    let case = case(Fork::Prague, Asm::new(), Bytes::new());
    let refused = |tracing: Value| {
        let (block, limits) = (case.block(), InspectOptions::default());
        let tracing = options(tracing);
        engine(&case).trace_block(&block, case.state(), &tracing, limits).unwrap_err()
    };
    let there_are = "there are callTracer, prestateTracer, 4byteTracer, flatCallTracer, muxTracer and noopTracer";
    assert!(matches!(refused(json!({ "tracer": "foo" })), TraceError::UnknownTracer));
    let of = |tracer: &str, config: Value| {
        refused(json!({ "tracer": tracer, "tracerConfig": config })).to_string()
    };
    assert_eq!(
        of("muxTracer", json!({ "foo": {} })),
        format!("unknown tracer \"foo\" in muxTracer; {there_are}")
    );
    assert_eq!(of("muxTracer", json!({ "muxTracer": {} })), BadTracer::MuxInMux.to_string());
    // Its memory is counted only where it is alone.
    let mux = of("muxTracer", json!({ "erc7562Tracer": {} }));
    assert!(mux.starts_with("unknown tracer \"erc7562Tracer\" in muxTracer"), "{mux}");
    assert_eq!(
        of("callTracer", json!(5)),
        "invalid tracerConfig of callTracer, which takes onlyTopCall and withLog"
    );
    assert_eq!(
        of("flatCallTracer", json!({ "includePrecompiles": 1 })),
        "invalid tracerConfig of flatCallTracer, which takes convertParityErrors and includePrecompiles"
    );
    assert_eq!(
        of("prestateTracer", json!({ "diffMode": true, "includeEmpty": true })),
        "cannot use diffMode with includeEmpty"
    );
}
