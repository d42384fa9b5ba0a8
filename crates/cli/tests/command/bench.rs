//! `warpline bench`.

use serde_json::Value;

use crate::{json, keys, stderr, stdout, warpline};

#[test]
fn a_small_workload_has_all_the_documented_fields() {
    let args = ["bench", "transfers-hot", "--txs", "50", "--repeat", "1", "--json", "-"];
    let report = json(&warpline().args(args).assert().code(0));
    assert_eq!(keys(&report), ["rows", "schema"]);
    assert_eq!(report["schema"], "warpline.bench.v1");
    let row = &report["rows"][0];
    assert_eq!(
        keys(row),
        [
            "again_ms",
            "cpu_ms",
            "executions",
            "gas",
            "ggas_per_s",
            "noise",
            "parallel_1_ms",
            "parallel_ms",
            "peak_mib",
            "reexecutions",
            "resident_mib",
            "revm_ms",
            "sequential_ms",
            "speedup",
            "threads",
            "txs",
            "validations",
            "width",
            "workload",
        ]
    );
    assert_eq!(row["workload"], "transfers-hot");
    assert_eq!(row["txs"], 50);
    assert_eq!(row["gas"], 50 * 21_000);
    assert!(row["noise"].is_number(), "{row}");
    assert_eq!(row["peak_mib"], Value::Null, "whose would it be?");
}

#[test]
fn one_side_alone_has_no_other_times_and_its_own_memory() {
    for (mode, run, other) in [
        ("parallel", "parallel_ms", "sequential_ms"),
        ("sequential", "sequential_ms", "parallel_ms"),
    ] {
        let args = ["bench", "erc20-hot", "--txs", "50", "--repeat", "1", "--json", "-"];
        let report = json(&warpline().args(args).args(["--mode", mode]).assert().code(0));
        let row = &report["rows"][0];
        assert!(row[run].is_number() && row["ggas_per_s"].is_number(), "{mode}: {row}");
        for member in [other, "again_ms", "parallel_1_ms", "revm_ms", "speedup", "noise"] {
            assert_eq!(row[member], Value::Null, "{mode}: {row}");
        }
        assert!(row["executions"].as_u64() >= Some(50), "{mode}: {row}");
        if cfg!(target_os = "linux") {
            let [resident, peak] =
                ["resident_mib", "peak_mib"].map(|member| row[member].as_f64().unwrap());
            assert!(peak >= resident && resident > 1.0, "{mode}: {row}");
        }
        let two = json(&warpline().args(args).args(["nft-mint", "--mode", mode]).assert().code(0));
        assert_eq!(two["rows"][1]["peak_mib"], Value::Null, "the first has left something: {two}");
    }
}

#[test]
fn the_table_has_a_row_for_each_workload_asked_for() {
    let args = ["bench", "nft-mint", "erc20-hot", "--txs", "20", "--repeat", "1", "--threads", "1"];
    let text = stdout(&warpline().args(args).assert().code(0));
    let rows: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(rows, ["workload", "nft-mint", "erc20-hot"]);
}

#[test]
fn the_shapes_are_measured_unless_others_are_named() {
    let args = ["bench", "--txs", "2", "--repeat", "1", "--mode", "sequential", "--json", "-"];
    let names = |more: &[&str]| {
        let report = json(&warpline().args(args).args(more).assert().code(0));
        let rows = report["rows"].as_array().unwrap().clone();
        rows.iter().map(|row| row["workload"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let shapes = names(&[]);
    assert_eq!(shapes.len(), 9);
    assert!(shapes.iter().all(|name| !name.ends_with("-naive")), "{shapes:?}");
    let fields = ["consent-naive", "remittance-parallel"];
    assert_eq!(names(&fields), fields);
}

#[test]
fn reads_that_take_time_are_outstanding_together() {
    let args = ["bench", "erc20-independent", "--txs", "30", "--repeat", "1", "--threads", "2"];
    let slowly = |more: &[&str]| {
        warpline().args(args).args(["--read-latency-us", "100"]).args(more).assert().code(0)
    };
    let row = &json(&slowly(&["--json", "-"]))["rows"][0];
    let depth = row["read_depth"].as_u64().expect("it is reported");
    assert!((1..=32).contains(&depth), "{depth}");
    assert_eq!(row["threads"], 2);
    let text = stdout(&slowly(&[]));
    let last = text.lines().last().expect("it prints something");
    assert!(last.starts_with("up to ") && last.ends_with(" reads outstanding"), "{last}");
}

#[test]
fn techniques_are_left_out_one_by_one() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("witness.json");
    std::fs::write(&file, crate::sample::Sample::of_mainnet().witness().to_string()).unwrap();
    let args = ["bench", "nft-mint", "--txs", "30", "--repeat", "1", "--threads", "2", "--ablate"];
    let text = stdout(&warpline().args(args).arg("--blocks").arg(&file).assert().code(0));
    let alone = ["bench", "--repeat", "1", "--threads", "2", "--ablate", "--blocks"];
    let alone = stdout(&warpline().args(alone).arg(&file).assert().code(0));
    assert!(alone.lines().nth(1).is_some_and(|row| row.starts_with("blocks ")), "{alone}");
    let first: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(first[..3], ["workload", "nft-mint", "blocks"], "{text}");
    let heading = text.lines().next().unwrap();
    let names: Vec<_> = heading.split_whitespace().skip(3).collect();
    assert_eq!((names.first(), names.last()), (Some(&"all"), Some(&"none")));
    for name in &names[1..names.len() - 1] {
        assert!(text.lines().skip(3).any(|line| line.trim().starts_with(name)), "{name}: {text}");
    }

    let report = json(&warpline().args(args).args(["--json", "-"]).assert().code(0));
    assert_eq!(keys(&report), ["rows", "schema"]);
    assert_eq!(report["schema"], "warpline.ablation.v1");
    let row = &report["rows"][0];
    assert_eq!(keys(row), ["noise", "sequential_ms", "txs", "variants", "workload"]);
    let variants = row["variants"].as_array().unwrap();
    assert_eq!(variants.len(), names.len());
    for (variant, name) in variants.iter().zip(names) {
        assert_eq!(keys(variant), ["executions", "parallel_ms", "speedup", "variant"]);
        assert_eq!(variant["variant"], name);
        assert!(variant["executions"].as_u64() >= Some(30), "{variant}");
    }
}

#[test]
fn blocks_to_leave_techniques_out_of_must_be_there() {
    let args =
        ["bench", "nft-mint", "--txs", "2", "--repeat", "1", "--ablate", "--blocks", "nowhere"];
    let assert = warpline().args(args).assert().code(2);
    assert_eq!(stdout(&assert), "", "nothing is measured before");
    assert!(stderr(&assert).contains("nowhere"), "{}", stderr(&assert));
    let message = stderr(&warpline().args(["bench", "--blocks", "x"]).assert().code(2));
    assert!(message.contains("--ablate"), "{message}");
}

#[test]
fn an_unknown_workload_is_named_together_with_the_known_ones() {
    let assert = warpline().args(["bench", "swaps-cold"]).assert().code(2);
    let message = stderr(&assert);
    assert!(
        ["swaps-cold", "swaps-hot", "consent-naive"].iter().all(|name| message.contains(name)),
        "{message}"
    );
}
