//! `warpline convert`: what is converted is replayed with the same result.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use warpline_testkit::shared;

use crate::{inputs::folder, replay_json, sample::Sample, stderr, stdout, warpline};

fn convert(input: &Path, out: &Path) -> assert_cmd::assert::Assert {
    warpline().arg("convert").arg(input).arg("-o").arg(out).assert()
}

/// What must not depend on the form that a block is in.
fn facts(report: &Value) -> Vec<Value> {
    let names =
        ["number", "hash", "fork", "txs", "gas_used", "proof", "proof_limit", "verified", "error"];
    let mut facts: Vec<Value> = report["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| names.iter().map(|name| block[name].clone()).collect())
        .collect();
    facts.sort_by_key(Value::to_string);
    facts
}

#[test]
fn snapshots_and_witnesses_are_replayed_alike_from_captures() {
    let (snapshot, witness) = (Sample::of_mainnet().snapshot(), Sample::of_mainnet().witness());
    let spoiled = Sample::of_mainnet().with_header(|header| header.gas_used += 1).witness();
    let given = folder(&[("1.json", &snapshot), ("2.json", &witness), ("3.json", &spoiled)]);
    let (_, expected) = replay_json(&[], &[given.path()]);
    // A folder, one that is made, and a file.
    for name in ["", "made", "all.capture"] {
        let out = TempDir::new().unwrap();
        let target = out.path().join(name);
        let said = stdout(&convert(given.path(), &target).code(0));
        assert!(said.contains("3 blocks, "), "{said}");
        let (assert, found) = replay_json(&[], &[&target]);
        assert.code(1);
        assert_eq!(facts(&found), facts(&expected), "{name}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), if name.is_empty() { 3 } else { 1 });
    }
}

#[test]
fn converting_twice_gives_the_same_bytes() {
    let given = folder(&[("1.json", &Sample::of_mainnet().witness())]);
    let out = TempDir::new().unwrap();
    let (first, second) = (out.path().join("1.capture"), out.path().join("2.capture"));
    convert(&given.path().join("1.json"), &first).code(0);
    convert(&first, &second).code(0);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
}

#[test]
fn what_takes_inputs_takes_captures() {
    let given = folder(&[("1.json", &Sample::of_mainnet().witness())]);
    let out = TempDir::new().unwrap();
    let capture = out.path().join("1.capture");
    convert(given.path(), &capture).code(0);
    let page = out.path().join("page.html");
    let run = |args: &[&str]| warpline().args(args).arg(&capture).assert().code(0);
    run(&["analyze", "predict", "--repeat", "1"]);
    run(&["report", "--repeat", "1", "--threads", "1", "-o", page.to_str().unwrap()]);
    run(&["bench", "--ablate", "--repeat", "1", "--blocks"]);
    assert!(page.exists());
}

#[test]
fn what_cannot_be_converted_is_named_and_leaves_nothing_behind() {
    let test = Sample::of_paris().blockchain_test();
    let given = folder(&[("1.json", &test)]);
    let out = TempDir::new().unwrap();
    let target = out.path().join("it.capture");
    let said = stdout(&convert(given.path(), &target).code(2));
    assert!(said.contains("1.json: a blockchain test is about a chain"), "{said}");
    assert!(said.ends_with("\n1 unusable input\n"), "{said}");
    let message = stderr(&convert(out.path(), &target).code(2));
    assert!(message.contains("no blocks in"), "{message}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    let message = stderr(&convert(given.path(), Path::new("/dev/null/x/y.capture")).code(2));
    assert!(message.contains("cannot write to /dev/null/x/y.capture"), "{message}");
}

#[test]
fn damaged_and_newer_captures_are_unusable_inputs() {
    let given = folder(&[("1.json", &Sample::of_mainnet().witness())]);
    let out = TempDir::new().unwrap();
    let capture = out.path().join("1.capture");
    convert(given.path(), &capture).code(0);
    let sound = fs::read(&capture).unwrap();
    for (at, complaint) in [(9, "use a newer warpline"), (sound.len() - 1, "is damaged")] {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x7e;
        fs::write(&capture, bytes).unwrap();
        let (assert, report) = replay_json(&[], &[&capture]);
        assert.code(2);
        let error = report["unusable"][0]["error"].as_str().unwrap();
        assert!(error.contains(complaint), "{error}");
    }
}

#[test]
fn every_real_block_is_replayed_alike_from_a_capture() {
    let Some(given) = shared("blocks/mainnet") else { return };
    let out = TempDir::new().unwrap();
    convert(&given, out.path()).code(0);
    let options = ["--mode", "sequential"];
    let (assert, expected) = replay_json(&options, &[&given]);
    assert.code(0);
    let (assert, found) = replay_json(&options, &[out.path()]);
    assert.code(0);
    assert_eq!(facts(&found), facts(&expected));
    assert_eq!(facts(&found).len(), 74);
}
