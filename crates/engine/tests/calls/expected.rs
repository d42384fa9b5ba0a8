//! What Geth answers on a small chain with all forks.

use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;
use serde_json::{Value, json};
use warpline_engine::{CallEnd, CallOptions, CallRefusal, GasEstimate, revert_message};

use crate::chain::chain;

fn reverted(output: &Bytes) -> Value {
    json!({ "error": {
        "code": CallRefusal::REVERTED, "message": revert_message(output), "data": output,
    } })
}

fn compare(name: &str, found: Value, mut expected: Value) {
    let fields = expected.as_object_mut().unwrap();
    fields.remove("jsonrpc");
    fields.remove("id");
    assert_eq!(found, expected, "{name}");
}

#[test]
fn calls() {
    let Some(chain) = chain() else { return };
    for exchange in chain.exchanges("eth_call") {
        let request: TransactionRequest =
            serde_json::from_value(exchange.params[0].clone()).unwrap();
        let at = chain.number(&exchange.params[1]);
        let options = CallOptions::default();
        let called = chain.engine.call(&chain.headers[at], &chain.states[at], &request, options);
        let found = match called.unwrap().end {
            CallEnd::Success { output, .. } => json!({ "result": output }),
            CallEnd::Revert { output } => reverted(&output),
            CallEnd::Halt { reason } => panic!("{}: {reason}", exchange.name),
        };
        compare(&exchange.name, found, exchange.response);
    }
}

#[test]
fn estimates() {
    let Some(chain) = chain() else { return };
    for exchange in chain.exchanges("eth_estimateGas") {
        let request: TransactionRequest =
            serde_json::from_value(exchange.params[0].clone()).unwrap();
        let at = chain.number(&exchange.params[1]);
        let (header, state) = (&chain.headers[at], &chain.states[at]);
        let estimate = chain.engine.estimate_gas(header, state, &request, CallOptions::default());
        let found = match estimate.unwrap() {
            GasEstimate::Enough(gas) => json!({ "result": format!("{gas:#x}") }),
            GasEstimate::Fails(CallEnd::Revert { output }) => reverted(&output),
            GasEstimate::Fails(end) => panic!("{}: {end:?}", exchange.name),
        };
        compare(&exchange.name, found, exchange.response);
    }
}

#[test]
fn access_lists() {
    let Some(chain) = chain() else { return };
    for exchange in chain.exchanges("eth_createAccessList") {
        let request: TransactionRequest =
            serde_json::from_value(exchange.params[0].clone()).unwrap();
        let at = chain.number(&exchange.params[1]);
        let (header, state) = (&chain.headers[at], &chain.states[at]);
        let options = CallOptions::default();
        let listed = chain.engine.create_access_list(header, state, &request, options).unwrap();
        assert!(listed.called.is_success());
        let gas_used = format!("{:#x}", listed.called.gas_used);
        let found = json!({ "accessList": listed.access_list, "gasUsed": gas_used });
        compare(&exchange.name, json!({ "result": found }), exchange.response);
    }
}
