//! `warpline replay` on blocks that are in order: the table, the JSON and the ways to execute.

use serde_json::Value;
use tempfile::TempDir;

use crate::{keys, replay_json, sample::Sample, stdout, warpline};

const NO_INPUTS: [&str; 0] = [];

/// The members every row of `blocks` has.
const BLOCK: [&str; 16] = [
    "executions",
    "fork",
    "gas_used",
    "hash",
    "identical",
    "number",
    "parallel_ms",
    "proof",
    "reexecutions",
    "sequential_ms",
    "source",
    "speedup",
    "txs",
    "validations",
    "verified",
    "width",
];

/// The members a row of `blocks` has, with those that only some rows have.
fn block_keys(more: &[&'static str]) -> Vec<&'static str> {
    let mut keys = [&BLOCK[..], more].concat();
    keys.sort_unstable();
    keys
}

#[test]
fn the_embedded_blocks_are_identical_and_proven_to_the_state_root() {
    let text = stdout(&warpline().arg("replay").assert().code(0));
    let rows = text.lines().filter(|line| line.ends_with("state-root")).count();
    assert_eq!(rows, 6, "{text}");
    assert!(text.contains("6 blocks, 6 identical, 6 verified\n"), "{text}");
}

#[test]
fn the_report_has_exactly_the_documented_fields() {
    let (assert, report) = replay_json(&[], &NO_INPUTS);
    assert.code(0);
    assert_eq!(keys(&report), ["blocks", "engine", "schema", "summary", "unusable"]);
    assert_eq!(report["schema"], "warpline.replay.v1");
    assert_eq!(keys(&report["engine"]), ["threads", "version"]);
    assert_eq!(report["engine"]["version"], env!("CARGO_PKG_VERSION"));
    for block in report["blocks"].as_array().unwrap() {
        assert_eq!(keys(block), block_keys(&[]));
        assert_eq!(block["identical"], true);
        assert_eq!(block["verified"], true);
        assert_eq!(block["proof"], "state-root");
    }
    assert_eq!(
        keys(&report["summary"]),
        [
            "blocks",
            "failed",
            "identical",
            "mismatched",
            "over_1_ms",
            "parallel_ms",
            "sequential_ms",
            "speedup_geomean",
            "speedup_max",
            "speedup_min",
            "speedup_total",
            "verified",
        ]
    );
    assert_eq!(report["summary"]["blocks"], 6);
    assert_eq!(report["summary"]["failed"], 0);
    assert_eq!(report["unusable"], serde_json::json!([]));
}

#[test]
fn blocks_over_a_millisecond_are_summed_up_on_their_own() {
    let (assert, report) = replay_json(&["--repeat", "2"], &NO_INPUTS);
    assert.code(0);
    let blocks = report["blocks"].as_array().unwrap();
    let long: Vec<_> =
        blocks.iter().filter(|block| block["sequential_ms"].as_f64().unwrap() > 1.0).collect();
    let summary = &report["summary"]["over_1_ms"];
    let Some(slowest) = long.iter().min_by(|one, other| {
        one["speedup"].as_f64().unwrap().total_cmp(&other["speedup"].as_f64().unwrap())
    }) else {
        assert_eq!(*summary, Value::Null, "{report}");
        return;
    };
    assert_eq!(keys(summary), ["blocks", "noise_max", "noise_min", "slowest", "speedup_min"]);
    assert_eq!(summary["blocks"], long.len());
    assert_eq!(summary["slowest"], slowest["number"]);
    assert_eq!(summary["speedup_min"], slowest["speedup"]);
    assert!(summary["noise_min"].is_number(), "{summary}");
}

#[test]
fn repeating_adds_the_other_measurements() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("witness.json");
    std::fs::write(&file, Sample::of_mainnet().witness().to_string()).unwrap();
    let (assert, report) = replay_json(&["--repeat", "2"], &[file]);
    assert.code(0);
    let more = ["again_ms", "cold_ms", "cpu_ms", "noise", "parallel_1_ms", "revm_ms"];
    let block = &report["blocks"][0];
    assert_eq!(keys(block), block_keys(&more));
    let [sequential, again, noise] =
        ["sequential_ms", "again_ms", "noise"].map(|member| block[member].as_f64().unwrap());
    assert!((noise - sequential / again).abs() < 1e-9, "{block}");
}

#[test]
fn blocks_are_proven_whatever_a_read_takes() {
    let options = ["--read-latency-us", "20", "--threads", "2"];
    let (assert, report) = replay_json(&options, &NO_INPUTS);
    assert.code(0);
    for block in report["blocks"].as_array().unwrap() {
        assert_eq!(keys(block), block_keys(&["read_depth"]));
        assert_eq!(block["proof"], "state-root");
    }
    assert!(report["summary"]["read_depth"].is_u64(), "{report}");
}

#[test]
fn blocks_are_proven_from_lists_that_are_made_for_them() {
    for more in [&["--read-latency-us", "20"][..], &["--repeat", "2"]] {
        let options = [&["--with-access-list", "--threads", "2"], more].concat();
        let (assert, report) = replay_json(&options, &NO_INPUTS);
        assert.code(0);
        for block in report["blocks"].as_array().unwrap() {
            assert_eq!(
                (&block["identical"], &block["proof"]),
                (&true.into(), &"state-root".into())
            );
            assert_eq!(
                block["validations"], 0,
                "from a list there is nothing to validate: {block}"
            );
        }
    }
}

#[test]
fn a_side_that_is_not_run_has_no_time_and_nothing_to_be_identical_to() {
    for (mode, run, other) in [
        ("parallel", "parallel_ms", "sequential_ms"),
        ("sequential", "sequential_ms", "parallel_ms"),
    ] {
        let (assert, report) = replay_json(&["--mode", mode], &NO_INPUTS);
        assert.code(0);
        for block in report["blocks"].as_array().unwrap() {
            assert!(block[run].is_number(), "{mode}: {block}");
            for member in [other, "speedup", "identical"] {
                assert_eq!(block[member], Value::Null, "{mode}: {block}");
            }
            assert_eq!(block["verified"], true, "{mode}: {block}");
        }
        assert_eq!(report["summary"]["speedup_total"], Value::Null);
    }
}

#[test]
fn one_thread_is_enough() {
    let (assert, report) = replay_json(&["--threads", "1"], &NO_INPUTS);
    assert.code(0);
    assert_eq!(report["engine"]["threads"], 1);
    assert_eq!(report["summary"]["verified"], 6);
}

#[test]
fn a_report_goes_to_a_file_beside_the_table() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("report.json");
    let assert = warpline().args(["replay", "--json"]).arg(&file).assert().code(0);
    assert!(stdout(&assert).contains("6 blocks, 6 identical, 6 verified"));
    let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["summary"]["blocks"], 6);
}
