//! Calls, gas estimates, access lists, traces and simulations, as a node serves them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod blocks;
mod calls;
mod chain;
mod expected;
mod flat;
mod inspecting;
mod plain;
mod simulation;
mod tracing;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Where two answers differ: one that is long is of little use as a whole.
fn differences(path: &str, found: &Value, expected: &Value, into: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
            for key in keys {
                let path = format!("{path}/{key}");
                let of = |it: &Map<String, Value>| it.get(key).cloned().unwrap_or_default();
                differences(&path, &of(found), &of(expected), into);
            }
        }
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                differences(&format!("{path}/{at}"), found, expected, into);
            }
        }
        _ if found != expected => into.push(format!("{path}: {found} instead of {expected}")),
        _ => {}
    }
}
