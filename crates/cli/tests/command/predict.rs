//! `warpline analyze predict`.

use std::fs;

use serde_json::Value;

use crate::{inputs::folder, json, keys, sample::Sample, stderr, stdout, warpline};

#[test]
fn the_report_has_all_the_documented_fields() {
    let block = Sample::of_mainnet().snapshot();
    let blocks = folder(&[("one.json", &block), ("again.json", &block)]);
    let model = tempfile::tempdir().unwrap();
    let model = model.path().join("model");
    let predict = |options: &[&str]| {
        let mut command = warpline();
        command.args(["analyze", "predict", "--repeat", "1", "--threads", "2", "--json", "-"]);
        json(&command.args(options).arg(blocks.path()).assert().code(0))
    };
    let report = predict(&["--save", model.to_str().unwrap()]);
    assert_eq!(keys(&report), ["blocks", "engine", "schema", "summary"]);
    assert_eq!(report["schema"], "warpline.predict.v1");
    assert_eq!(
        keys(&report["blocks"][0]),
        [
            "calls",
            "known_calls",
            "number",
            "parallel_ms",
            "read_slots",
            "reexecutions",
            "sequential_ms",
            "speedup",
            "txs",
            "written_slots",
        ]
    );
    let summary = &report["summary"];
    assert_eq!(
        keys(summary),
        [
            "blocks",
            "calls",
            "contexts",
            "gas_time_error",
            "known_calls",
            "learning_ms",
            "parallel_ms",
            "patterns",
            "predicting_ms",
            "reexecutions",
            "sequential_ms",
            "sources",
            "speedup",
            "time_error",
            "timed_txs",
            "txs",
        ]
    );
    let names = summary["sources"].as_array().unwrap().iter().map(|row| &row["source"]);
    assert_eq!(names.collect::<Vec<_>>(), ["templates", "learned", "both"]);
    assert_eq!(
        keys(&summary["sources"][0]["written_slots"]),
        ["hits", "missed", "precision", "recall", "vain"]
    );
    assert_eq!(
        (&summary["blocks"], &summary["timed_txs"]),
        (&1.into(), &0.into()),
        "the same once"
    );
    assert_eq!(summary["sources"][2]["read_plain_accounts"]["recall"], 1.0, "{summary}");

    let loaded = predict(&["--load", model.to_str().unwrap(), "--read-latency-us", "10"]);
    let contexts = |report: &Value| report["summary"]["contexts"].as_u64().unwrap();
    assert!(contexts(&report) > 0);
    assert_eq!(contexts(&loaded), contexts(&report), "it is no other block");
}

#[test]
fn a_table_says_the_same_for_people() {
    let blocks = folder(&[("one.json", &Sample::of_mainnet().witness())]);
    let mut command = warpline();
    let command = command.args(["analyze", "predict", "--repeat", "1"]).arg(blocks.path());
    let text = stdout(&command.assert().code(0));
    for part in ["templates", "learned", "both", "re-executions:", "speed-up:", "1 block, "] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn what_cannot_be_used_is_said() {
    let blocks = folder(&[("one.json", &Sample::of_mainnet().snapshot())]);
    let other = tempfile::tempdir().unwrap();
    let model = other.path().join("model");
    fs::write(&model, "{}").unwrap();
    let predict = |arguments: &[&std::path::Path]| {
        let mut command = warpline();
        stderr(&command.args(["analyze", "predict"]).args(arguments).assert().code(2))
    };
    let error = predict(&["--load".as_ref(), &model, blocks.path()]);
    assert!(error.contains("not a predictor"), "{error}");
    let error = predict(&[other.path()]);
    assert!(error.contains("no block in"), "{error}");
}
