//! `warpline conformance`: which cases pass, fail or are skipped, and the status that follows.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    conformance_json,
    inputs::{folder, pack},
    keys,
    sample::Sample,
    stderr, stdout, warpline,
};

const FALSE_HEAD: &str = "head: expected";

/// A file whose case passes.
fn sound() -> Value {
    Sample::of_paris().blockchain_test()
}

/// A file whose case fails: it expects another head.
fn false_head() -> Value {
    let mut test = sound();
    test["payments"]["lastblockhash"] = test["payments"]["postStateHash"].clone();
    test
}

/// A file whose only block is invalid, marked so or not: a transaction has the wrong nonce.
fn invalid(marked: bool) -> Value {
    let mut sample = Sample::of_paris();
    sample.block.transactions.remove(0);
    let mut test = sample.blockchain_test();
    let case = &mut test["payments"];
    case["lastblockhash"] = json!(sample.parent.hash_slow());
    case["postStateHash"] = json!(sample.parent.state_root);
    if marked {
        case["blocks"][0]["expectException"] = json!("wrong nonce");
    }
    test
}

/// Runs one file of this content.
fn run_one(options: &[&str], content: &Value) -> (i32, Value) {
    let folder = folder(&[("input.json", content)]);
    let (assert, report) = conformance_json(options, &[folder.path()]);
    (assert.get_output().status.code().unwrap(), report)
}

/// The numbers of cases, of those that passed, failed and were skipped, and of executed blocks.
fn totals(report: &Value) -> [u64; 5] {
    ["cases", "passed", "failed", "skipped", "blocks"].map(|name| report[name].as_u64().unwrap())
}

#[test]
fn valid_and_invalid_blocks_that_end_as_expected_pass() {
    for (content, options) in [(sound(), &[][..]), (invalid(true), &["--threads", "3"])] {
        let (code, report) = run_one(options, &content);
        assert_eq!(code, 0, "{report:#}");
        assert_eq!(totals(&report), [1, 1, 0, 0, 1], "{report:#}");
    }
}

#[test]
fn a_case_that_fails_is_named_with_the_reason() {
    let rejected = "block 0 was rejected: execution: transaction 0:";
    for (content, reason) in [(false_head(), FALSE_HEAD), (invalid(false), rejected)] {
        let (code, report) = run_one(&[], &content);
        assert_eq!(code, 1, "{report:#}");
        assert_eq!(totals(&report), [1, 0, 1, 0, 1], "{report:#}");
        let failure = &report["failures"][0];
        assert!(failure["file"].as_str().unwrap().ends_with("input.json"), "{failure}");
        assert_eq!(failure["case"], "payments");
        assert!(failure["reason"].as_str().unwrap().starts_with(reason), "{failure}");
    }
}

#[test]
fn the_table_has_totals_by_network_and_every_failure() {
    let folder = folder(&[("1.json", &false_head()), ("2.json", &sound())]);
    let output = stdout(&warpline().arg("conformance").arg(folder.path()).assert().code(1));
    let lines: Vec<_> = output.lines().collect();
    assert!(lines[0].starts_with("failed "), "{output}");
    assert!(lines[0].contains("1.json#payments [Paris]: head: expected"), "{output}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[1])[0], "network", "{output}");
    assert_eq!(words(lines[2]), ["Paris", "2", "1", "1", "0", "2"], "{output}");
    assert_eq!(words(lines[3]), ["total", "2", "1", "1", "0", "2"], "{output}");
}

#[test]
fn the_report_has_the_promised_shape() {
    let folder = folder(&[("1.json", &false_head()), ("2.json", &json!("no test"))]);
    let list = folder.path().join("skips");
    std::fs::write(&list, "*1.json | * | * | known").unwrap();
    let options = ["--threads", "2", "--shuffle", "7"];
    let (_, failed) = conformance_json(&options, &[folder.path()]);
    let options = ["--skips", list.to_str().unwrap()];
    let (assert, skipped) = conformance_json(&options, &[folder.path()]);
    assert.code(0);

    for report in [&failed, &skipped] {
        let expected = [
            "blocks",
            "cases",
            "elapsed_ms",
            "engine",
            "failed",
            "failures",
            "forks",
            "ignored",
            "passed",
            "schema",
            "shuffle",
            "skipped",
            "skips",
            "stale_skips",
            "unusable",
        ];
        assert_eq!(keys(report), expected);
        let fork = ["blocks", "cases", "failed", "network", "passed", "skipped"];
        assert_eq!(keys(&report["forks"][0]), fork);
        assert!(report["ignored"][0].as_str().unwrap().ends_with("2.json"), "{report:#}");
    }
    assert_eq!(failed["schema"], "warpline.conformance.v1");
    assert_eq!(keys(&failed["engine"]), ["threads", "version"]);
    assert_eq!(failed["engine"]["threads"], 2);
    assert_eq!(failed["shuffle"], 7);
    assert!(failed["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(keys(&failed["failures"][0]), ["case", "file", "network", "reason"]);
    assert_eq!(skipped["shuffle"], Value::Null);
    assert_eq!(keys(&skipped["skips"][0]), ["case", "file", "network", "reason"]);
    assert_eq!(skipped["skips"][0]["reason"], "known");
}

#[test]
fn every_order_gives_the_same_totals() {
    let folder = folder(&[("a.json", &sound()), ("b.json", &invalid(true))]);
    let (sound, false_head) = (sound(), false_head());
    let names: Vec<_> = (0..40).map(|number| format!("{number}.json")).collect();
    let member = |(number, name): (usize, &'_ String)| {
        (name.clone(), if number % 3 == 0 { &false_head } else { &sound })
    };
    let members: Vec<_> = names.iter().enumerate().map(member).collect();
    let members: Vec<_> = members.iter().map(|(name, test)| (&**name, *test)).collect();
    pack(&folder.path().join("c.tar.zst"), &members);

    let failed = |report: &Value| -> Vec<String> {
        let failures = report["failures"].as_array().unwrap();
        failures.iter().map(|row| row["file"].as_str().unwrap().to_owned()).collect()
    };
    let (assert, in_order) = conformance_json(&[], &[folder.path()]);
    assert.code(1);
    assert_eq!(totals(&in_order), [42, 28, 14, 0, 42]);
    for seed in ["0", "1", "18446744073709551615"] {
        let run = || conformance_json(&["--shuffle", seed], &[folder.path()]).1;
        let (one, other) = (run(), run());
        assert_eq!(totals(&one), totals(&in_order), "{seed}");
        assert_eq!(failed(&one), failed(&other), "{seed}: the seed fixes the order");
        assert_ne!(failed(&one), failed(&in_order), "{seed}");
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names
        };
        assert_eq!(sorted(failed(&one)), sorted(failed(&in_order)), "{seed}");
    }
}

/// Runs one file with a list of skips.
fn run_with_skips(list: &str, content: &Value) -> (i32, Value) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("skips");
    std::fs::write(&path, list).unwrap();
    run_one(&["--skips", path.to_str().unwrap()], content)
}

#[test]
fn a_skipped_case_is_executed_and_excused() {
    let list = "# known\n\n*input.json | Paris | pay* | not done yet";
    let (code, report) = run_with_skips(list, &false_head());
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(totals(&report), [1, 0, 0, 1, 1], "{report:#}");
    assert_eq!(report["skips"][0]["reason"], "not done yet");
}

#[test]
fn a_skip_that_excuses_nothing_is_an_error() {
    let table = [
        ("*input.json | Paris | pay* | why", "would pass"),
        ("*input.json | Berlin | pay* | why", "no such case in the files that it matches"),
        ("*input.json | Paris | purchases | why", "no such case in the files that it matches"),
    ];
    for (list, reason) in table {
        let (code, report) = run_with_skips(list, &sound());
        assert_eq!(code, 1, "{report:#}");
        assert_eq!(report["failed"], 0, "{report:#}");
        assert_eq!(report["stale_skips"][0]["reason"], reason, "{report:#}");
        let skip = report["stale_skips"][0]["skip"].as_str().unwrap();
        assert!(skip.starts_with("line 1: *input.json | "), "{skip}");
    }
    let (code, report) = run_with_skips("*other.json | Paris | pay* | why", &sound());
    assert_eq!(code, 0, "a skip for files that were not run is none of this run's: {report:#}");
}

#[test]
fn a_list_of_skips_that_cannot_be_used_ends_with_status_2() {
    let folder = folder(&[("1.json", &sound())]);
    let list = folder.path().join("skips");
    let table = [
        (None, "cannot read the skips"),
        (Some("*1.json | Paris | payments"), "line 1: expected `file | network | case | reason`"),
        (Some("\n*1.json | Paris | payments |"), "line 2: a skip needs a reason"),
    ];
    for (content, complaint) in table {
        if let Some(content) = content {
            std::fs::write(&list, content).unwrap();
        }
        let mut command = warpline();
        command.args(["conformance", "--skips"]).arg(&list).arg(folder.path());
        let message = stderr(&command.assert().code(2));
        assert!(message.contains(complaint), "{message}");
    }
}

#[test]
fn what_is_no_blockchain_test_is_never_counted_as_one() {
    let (snapshot, witness) = (Sample::of_mainnet().snapshot(), Sample::of_mainnet().witness());
    let garbage = json!("nothing of interest");
    let files = [("s.json", &snapshot), ("w.json", &witness), ("x.json", &garbage)];
    let folder = folder(&files);
    let empty = TempDir::new().unwrap();
    let inside = |name: &str| folder.path().join(name);
    let table: [(PathBuf, &str); 6] = [
        (inside("s.json"), "s.json: not a blockchain test"),
        (inside("w.json"), "w.json: not a blockchain test"),
        (inside("x.json"), "x.json: not a known format"),
        (inside("no-such.json"), "no-such.json: cannot be read"),
        (empty.path().to_owned(), "no blockchain tests in"),
        (folder.path().to_owned(), "x.json: not in a known format, ignored"),
    ];
    for (input, complaint) in table {
        let assert = warpline().arg("conformance").arg(&input).assert().code(2);
        let said = stdout(&assert) + &stderr(&assert);
        assert!(said.contains(complaint), "{}: {said}", input.display());
    }
}

#[test]
fn what_cannot_be_used_stops_nothing_and_weighs_less_than_a_failure() {
    let snapshot = Sample::of_mainnet().snapshot();
    for (test, code) in [(sound(), 2), (false_head(), 1)] {
        let folder = folder(&[("1.json", &snapshot), ("2.json", &test)]);
        let (assert, report) = conformance_json(&[], &[folder.path()]);
        assert.code(code);
        assert_eq!(report["cases"], 1, "{report:#}");
        assert_eq!(report["unusable"].as_array().unwrap().len(), 1, "{report:#}");
    }
}

/// `warpline conformance ... | head` may end the output, but not turn a failure into a success.
#[test]
fn a_failure_that_nobody_reads_of_is_still_a_failure() {
    let folder = folder(&[("1.json", &false_head()), ("2.json", &sound())]);
    assert_eq!(unread(&[], &folder.path().join("1.json")), Some(1));
    assert_eq!(unread(&["--json", "-"], &folder.path().join("1.json")), Some(1));
    assert_eq!(unread(&[], &folder.path().join("2.json")), Some(0));
}

/// The status of a run on a pipe whose other end is closed already.
fn unread(options: &[&str], input: &Path) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("warpline"));
    command.arg("conformance").args(options).arg(input);
    command.stdout(writer).stderr(Stdio::null()).status().unwrap().code()
}
