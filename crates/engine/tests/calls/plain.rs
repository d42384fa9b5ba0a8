//! What revm-inspectors says, as Geth says it, and without what only Geth says.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};
use warpline_primitives::RecoveredBlock;

/// The log of opcodes, without what Geth leaves out where there is none of it.
pub(crate) fn without_nothing(mut said: Value) -> Value {
    for step in said.get_mut("structLogs").and_then(Value::as_array_mut).into_iter().flatten() {
        let step = step.as_object_mut().unwrap();
        let is_nothing = |value: &Value| *value == json!([]) || *value == "0x" || *value == 0;
        for name in ["memory", "returnData", "refund"] {
            if step.get(name).is_some_and(is_nothing) {
                step.remove(name);
            }
        }
    }
    said
}

/// The frames of `callTracer` as a list, for the transaction at the index.
pub(crate) fn flat(root: &Value, place: (&RecoveredBlock, usize)) -> Value {
    let mut list = Vec::new();
    flatten(root, &[], place, &mut list);
    json!(list)
}

fn flatten(frame: &Value, path: &[usize], place: (&RecoveredBlock, usize), list: &mut Vec<Value>) {
    let (block, index) = place;
    let calls: Vec<&Value> = frame["calls"].as_array().into_iter().flatten().collect();
    let is_left_out = |call: &Value| {
        let is_call = matches!(call["type"].as_str(), Some("CALL" | "STATICCALL"));
        is_call && is_precompile(&call["to"])
    };
    let calls: Vec<_> = calls.into_iter().filter(|call| !is_left_out(call)).collect();
    let value = match &frame["value"] {
        Value::Null => json!("0x0"),
        value => value.clone(),
    };
    let output = match &frame["output"] {
        Value::Null => json!("0x"),
        output => output.clone(),
    };
    let kind = frame["type"].as_str().unwrap();
    let (kind, action, result) = match kind {
        "CREATE" | "CREATE2" => (
            "create",
            json!({ "from": frame["from"], "gas": frame["gas"], "init": frame["input"], "value": value }),
            json!({ "address": frame["to"], "code": output, "gasUsed": frame["gasUsed"] }),
        ),
        "SELFDESTRUCT" => (
            "suicide",
            json!({ "address": frame["from"], "balance": value, "refundAddress": frame["to"] }),
            Value::Null,
        ),
        kind => (
            "call",
            json!({
                "callType": kind.to_lowercase(), "from": frame["from"], "gas": frame["gas"],
                "input": frame["input"], "to": frame["to"], "value": value,
            }),
            json!({ "gasUsed": frame["gasUsed"], "output": output }),
        ),
    };
    let has_result = matches!(frame["error"].as_str(), None | Some("execution reverted"));
    list.push(json!({
        "action": action, "blockHash": block.hash, "blockNumber": block.number(),
        "error": frame["error"], "result": if has_result { result } else { Value::Null },
        "subtraces": calls.len(), "traceAddress": path,
        "transactionHash": block.transactions[index].inner().tx_hash(),
        "transactionPosition": index, "type": kind,
    }));
    for (at, call) in calls.into_iter().enumerate() {
        let path: Vec<_> = path.iter().copied().chain([at]).collect();
        flatten(call, &path, place, list);
    }
}

fn is_precompile(address: &Value) -> bool {
    let address: Address = serde_json::from_value(address.clone()).unwrap();
    (B256::with_last_byte(1)..=B256::with_last_byte(0x11)).contains(&address.into_word())
}

/// Without the details of errors, and without accounts that were empty before.
pub(crate) fn without_details(mut said: Value) -> Value {
    match &mut said {
        Value::Object(object) => {
            if let Some(error) = object.get_mut("error").filter(|error| error.is_string()) {
                *error = json!(kind_of(error.as_str().unwrap()));
            }
            if let Some(pre) = object.get_mut("pre") {
                let is_empty = |account: &Value| *account == json!({ "balance": "0x0" });
                pre.as_object_mut().unwrap().retain(|_, account| !is_empty(account));
            }
            for value in object.values_mut() {
                *value = without_details(value.take());
            }
        }
        Value::Array(array) => {
            for value in array {
                *value = without_details(value.take());
            }
        }
        _ => {}
    }
    said
}

fn kind_of(error: &str) -> &str {
    match error {
        "contract creation code storage out of gas" | "gas uint64 overflow" => "out of gas",
        "Out of stack" => "stack limit reached",
        error => ["out of gas", "invalid opcode", "stack underflow", "stack limit reached"]
            .into_iter()
            .find(|kind| error.starts_with(kind))
            .unwrap_or(error),
    }
}
