//! Inputs in every format, sound and spoiled, and the exit status that follows.

use std::path::{Path, PathBuf};

use alloy_consensus::{Block, Header};
use alloy_primitives::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use warpline_primitives::Transaction;

use warpline_testkit::shared;

use crate::{replay_json, sample::Sample, stderr, stdout, warpline};

/// A folder with `files` in it.
pub(crate) fn folder(files: &[(&str, &Value)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    folder
}

/// Replays one file of this content.
fn replay_one(content: &Value) -> (i32, Value) {
    let folder = folder(&[("input.json", content)]);
    let (assert, report) = replay_json(&[], &[folder.path().join("input.json")]);
    (assert.get_output().status.code().unwrap(), report)
}

#[test]
fn every_format_is_recognised_and_proven_as_far_as_it_allows() {
    let (code, report) = replay_one(&Sample::of_mainnet().snapshot());
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["blocks"][0]["proof"], "receipts-root");
    assert_eq!(report["blocks"][0]["proof_limit"], "a snapshot has no state trie");
    assert_eq!(report["blocks"][0]["fork"], "Paris");

    let (code, report) = replay_one(&Sample::of_mainnet().witness());
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["blocks"][0]["proof"], "state-root");
    assert_eq!(report["blocks"][0]["number"], 15_600_001);
    assert_eq!(report["blocks"][0]["txs"], 3);

    let (code, report) = replay_one(&Sample::of_paris().blockchain_test());
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["tests"]["cases"], 1);
    assert_eq!(report["tests"]["passed"], 1);
    assert_eq!(report["blocks"][0]["proof"], "state-root");
}

#[test]
fn a_header_that_promises_something_else_is_a_failed_block() {
    type Change = fn(&mut Header);
    let table: [(&str, Change, &str); 4] = [
        ("gas used", |header| header.gas_used += 1, "gas used: expected 63001, found 63000"),
        ("receipts", |header| header.receipts_root.0[0] ^= 1, "receipts root: expected"),
        ("bloom", |header| header.logs_bloom.0[0] ^= 1, "logs bloom: expected"),
        ("transactions", |header| header.transactions_root.0[0] ^= 1, "body: "),
    ];
    for (name, change, complaint) in table {
        let sample = Sample::of_mainnet().with_header(change);
        for input in [sample.snapshot(), sample.witness()] {
            let (code, report) = replay_one(&input);
            let block = &report["blocks"][0];
            assert_eq!(code, 1, "{name}: {report}");
            assert_eq!(block["verified"], false, "{name}: {report}");
            assert_eq!(block["proof"], Value::Null, "{name}: {report}");
            let error = block["error"].as_str().unwrap();
            assert!(error.contains(complaint), "{name}: {error}");
            assert_eq!(report["summary"]["failed"], 1, "{name}: {report}");
        }
    }
}

#[test]
fn only_a_trie_notices_a_wrong_state_root() {
    let sample = Sample::of_mainnet().with_header(|header| header.state_root.0[0] ^= 1);
    assert_eq!(replay_one(&sample.snapshot()).0, 0);
    let (code, report) = replay_one(&sample.witness());
    assert_eq!(code, 1);
    let error = report["blocks"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("state root: expected"), "{error}");
}

#[test]
fn a_block_that_breaks_a_rule_before_execution_is_a_failed_block() {
    let sample = Sample::of_mainnet().with_header(|header| header.timestamp -= 12);
    let (code, report) = replay_one(&sample.witness());
    assert_eq!(code, 1, "{report}");
    let error = report["blocks"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("header: "), "{error}");
    assert_eq!(report["blocks"][0]["executions"], 0);
}

#[test]
fn data_that_contradicts_itself_is_an_unusable_input() {
    let mut snapshot = Sample::of_mainnet().snapshot();
    snapshot["block"]["gasUsed"] = json!("0x1");
    let (code, report) = replay_one(&snapshot);
    assert_eq!(code, 2, "{report}");
    let error = report["unusable"][0]["error"].as_str().unwrap();
    assert!(error.contains("input.json: block.hash: hash mismatch"), "{error}");

    let mut witness = Sample::of_mainnet().witness();
    witness["witness"]["headers"] = json!([]);
    assert_eq!(replay_one(&witness).0, 2);
}

#[test]
fn a_blockchain_test_with_a_false_expectation_fails() {
    type Change = fn(&mut Value);
    let table: [(&str, Change, &str); 4] = [
        ("head", |case| case["lastblockhash"] = case["postStateHash"].clone(), "head: expected"),
        (
            "post-state root",
            |case| case["postStateHash"] = case["lastblockhash"].clone(),
            "post-state root: expected",
        ),
        ("post-state", |case| case["postState"] = case["pre"].clone(), "post-state of"),
        (
            "validity",
            |case| case["blocks"][0]["expectException"] = json!("wrong nonce"),
            "block 0 was accepted, expected wrong nonce",
        ),
    ];
    for (name, change, complaint) in table {
        let mut test = Sample::of_paris().blockchain_test();
        change(&mut test["payments"]);
        let (code, report) = replay_one(&test);
        assert_eq!(code, 1, "{name}: {report}");
        assert_eq!(report["tests"]["failed"], 1, "{name}: {report}");
        let failure = &report["tests"]["failures"][0];
        assert!(failure["case"].as_str().unwrap().ends_with("input.json#payments"), "{failure}");
        assert_eq!(failure["network"], "Paris");
        assert!(failure["reason"].as_str().unwrap().starts_with(complaint), "{name}: {failure}");
    }
}

#[test]
fn a_rejected_block_of_a_passing_test_counts_as_verified() {
    let sample = Sample::of_paris().with_header(|header| header.gas_used += 1);
    let mut test = sample.blockchain_test();
    let case = &mut test["payments"];
    case["blocks"][0]["expectException"] = json!("wrong gas used");
    case["lastblockhash"] = json!(sample.parent.hash_slow());
    case["postStateHash"] = json!(sample.parent.state_root);
    let (code, report) = replay_one(&test);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["tests"]["passed"], 1);
    assert_eq!(report["blocks"][0]["verified"], true);
}

#[test]
fn what_cannot_be_used_ends_with_status_2() {
    let empty = TempDir::new().unwrap();
    let garbage = folder(&[("garbage.json", &json!("nothing of interest"))]);
    let readme = TempDir::new().unwrap();
    std::fs::write(readme.path().join("README.md"), "No blocks here.").unwrap();
    let table: [(&str, PathBuf, &str); 4] = [
        ("missing file", empty.path().join("no-such.json"), "no-such.json"),
        ("empty folder", empty.path().to_owned(), "no blocks in"),
        ("folder without blocks", readme.path().to_owned(), "no blocks in"),
        ("another format", garbage.path().join("garbage.json"), "not a known format"),
    ];
    for (name, input, complaint) in table {
        let assert = warpline().arg("replay").arg(&input).assert().code(2);
        let said = stdout(&assert) + &stderr(&assert);
        assert!(said.contains(complaint), "{name}: {said}");
    }
}

#[test]
fn that_there_are_no_blocks_is_said_beside_a_report_too() {
    let empty = TempDir::new().unwrap();
    let (assert, report) = replay_json(&[], &[empty.path()]);
    let message = stderr(&assert);
    assert!(message.contains("no blocks in"), "{message:?}");
    assert.code(2);
    assert_eq!(report["summary"]["blocks"], 0);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let (snapshot, witness) = (Sample::of_mainnet().snapshot(), Sample::of_mainnet().witness());
    let spoiled = Sample::of_mainnet().with_header(|header| header.gas_used += 1).witness();
    let bad = json!({"block": "0xc0", "witness": {}});

    let unusable = folder(&[("1.json", &bad), ("2.json", &snapshot), ("3.json", &witness)]);
    let (assert, report) = replay_json(&[], &[unusable.path()]);
    assert.code(2);
    assert_eq!(report["summary"]["verified"], 2, "{report}");
    assert_eq!(report["unusable"].as_array().unwrap().len(), 1, "{report}");

    let failed = folder(&[("1.json", &bad), ("2.json", &spoiled), ("3.json", &witness)]);
    let (assert, report) = replay_json(&[], &[failed.path()]);
    // A wrong block weighs more than a file that cannot be read.
    assert.code(1);
    assert_eq!(report["summary"]["verified"], 1, "{report}");
    assert_eq!(report["summary"]["failed"], 1, "{report}");
}

#[test]
fn fail_fast_stops_at_the_first_failure() {
    let witness = Sample::of_mainnet().witness();
    let spoiled = Sample::of_mainnet().with_header(|header| header.gas_used += 1).witness();
    let bad = json!({"block": "0xc0", "witness": {}});
    let mut false_test = Sample::of_paris().blockchain_test();
    false_test["payments"]["lastblockhash"] = false_test["payments"]["postStateHash"].clone();
    for (first, code) in [(&bad, 2), (&spoiled, 1), (&false_test, 1)] {
        let folder = folder(&[("1.json", first), ("2.json", &witness)]);
        let (assert, report) = replay_json(&["--fail-fast"], &[folder.path()]);
        assert.code(code);
        assert_eq!(verified_witnesses(&report), 0, "{report}");
    }
    let folder = folder(&[("1.json", &witness), ("2.json", &bad), ("3.json", &witness)]);
    let (assert, report) = replay_json(&["--fail-fast"], &[folder.path()]);
    assert.code(2);
    assert_eq!(verified_witnesses(&report), 1, "{report}");
}

/// How many blocks with the number of the sample's were verified.
fn verified_witnesses(report: &Value) -> usize {
    let blocks = report["blocks"].as_array().unwrap();
    let is_it = |block: &&Value| block["verified"] == true && block["number"] == 15_600_001;
    blocks.iter().filter(is_it).count()
}

#[test]
fn files_are_taken_in_order_of_their_names_whatever_they_are_packed_in() {
    let (snapshot, witness) = (Sample::of_mainnet().snapshot(), Sample::of_mainnet().witness());
    let folder = folder(&[("b.json", &witness), ("a.json", &snapshot)]);
    let archive = folder.path().join("c.tar.zst");
    pack(&archive, &[("x/1.json", &witness), ("x/notes.txt", &json!("not looked at"))]);
    let (assert, report) = replay_json(&[], &[folder.path()]);
    assert.code(0);
    let sources: Vec<_> = report["blocks"].as_array().unwrap().iter().collect();
    let ends = ["a.json", "b.json", "c.tar.zst:x/1.json"];
    assert_eq!(sources.len(), ends.len(), "{report}");
    for (block, end) in sources.iter().zip(ends) {
        assert!(block["source"].as_str().unwrap().ends_with(end), "{block}");
    }
}

/// Writes `files` to an archive.
pub(crate) fn pack(path: &Path, files: &[(&str, &Value)]) {
    let writer = std::fs::File::create(path).unwrap();
    let mut archive = tar::Builder::new(zstd::Encoder::new(writer, 1).unwrap().auto_finish());
    for (name, content) in files {
        let content = content.to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn a_real_block_is_proven_and_refused_with_another_gas() {
    let Some(path) = shared("blocks/mainnet/witness/21287237.json.gz") else { return };
    let (assert, report) = replay_json(&[], &[&path]);
    assert.code(0);
    assert_eq!(report["blocks"][0]["proof"], "state-root", "{report}");

    let file = GzDecoder::new(std::fs::File::open(&path).unwrap());
    let mut document: Value = serde_json::from_reader(file).unwrap();
    let rlp: Bytes = serde_json::from_value(document["block"].take()).unwrap();
    let mut block: Block<Transaction> = alloy_rlp::decode_exact(&rlp).unwrap();
    block.header.gas_used -= 1;
    document["block"] = json!(Bytes::from(alloy_rlp::encode(&block)));
    let (code, report) = replay_one(&document);
    assert_eq!(code, 1, "{report}");
    let error = report["blocks"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("gas used: expected"), "{error}");
}
