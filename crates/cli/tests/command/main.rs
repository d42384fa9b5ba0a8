//! The `warpline` binary as people run it: exit statuses, tables, JSON and what it says when
//! something is wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where to fail is to panic")]

mod analyze;
mod bench;
mod bounds;
mod chain;
mod conformance;
mod convert;
mod fixtures;
mod fuzz;
mod import;
mod inputs;
#[cfg(feature = "rpc")]
mod mock;
mod node;
mod output;
mod predict;
#[cfg(feature = "rpc")]
mod remote;
mod replay;
mod report;
mod sample;
#[cfg(feature = "rpc")]
mod served;
mod surface;
#[cfg(feature = "tls")]
mod tls;
mod tools;
mod watched;

use std::path::Path;

use assert_cmd::{Command, assert::Assert};
use serde_json::Value;

/// The command, with nothing in its environment that changes how output looks.
fn warpline() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("warpline"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
        command.env_remove(variable);
    }
    command
}

/// Replays `inputs` with `options` and returns what became of it, JSON on standard output.
fn replay_json<P: AsRef<Path>>(options: &[&str], inputs: &[P]) -> (Assert, Value) {
    run_json("replay", options, inputs)
}

/// As [`replay_json`], for `conformance`.
fn conformance_json<P: AsRef<Path>>(options: &[&str], inputs: &[P]) -> (Assert, Value) {
    run_json("conformance", options, inputs)
}

fn run_json<P: AsRef<Path>>(name: &str, options: &[&str], inputs: &[P]) -> (Assert, Value) {
    let mut command = warpline();
    command.arg(name).args(["--json", "-"]).args(options);
    let assert = command.args(inputs.iter().map(AsRef::as_ref)).assert();
    let report = json(&assert);
    (assert, report)
}

/// Standard output as JSON.
fn json(assert: &Assert) -> Value {
    let text = stdout(assert);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("output is UTF-8")
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("output is UTF-8")
}

/// The names of an object's members, sorted.
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object.as_object().expect("an object").keys().map(|k| &**k).collect();
    keys.sort_unstable();
    keys
}
