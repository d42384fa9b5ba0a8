//! `warpline replay --bounds`: speed-ups held against what the blocks allow.

use std::path::PathBuf;

use assert_cmd::assert::Assert;
use serde_json::{Value, json};
use tempfile::TempDir;

use warpline_testkit::shared;

use crate::{inputs::folder, keys, replay_json, sample::Sample, stderr, stdout, warpline};

/// The number of the sample's only block.
const NUMBER: u64 = 15_600_001;

/// Bounds of a block that allow a speed-up of `limit` on any number of cores.
fn bounds(number: u64, txs: usize, limit: f64) -> Value {
    let limits =
        json!({"critical_path": limit, "cores_2": limit, "cores_8": limit, "cores_16": limit});
    let bounds = json!({
        "txs": txs,
        "largest_tx_share": 0.5,
        "account_reads": limits,
        "credits_commute": limits,
    });
    Value::from_iter([(number.to_string(), bounds)])
}

/// Replays the sample with a file of bounds.
fn replay(bounds: &Value, options: &[&str]) -> (Assert, Value) {
    let folder = folder(&[("witness.json", &Sample::of_mainnet().witness())]);
    let extra = TempDir::new().unwrap();
    let file = extra.path().join("bounds.json");
    std::fs::write(&file, bounds.to_string()).unwrap();
    let file = file.display().to_string();
    let options = [&["--repeat", "2", "--bounds", &file], options].concat();
    replay_json(&options, &[folder.path()])
}

#[test]
fn the_report_has_the_share_of_the_schedule() {
    let options = ["--threads", "2", "--without", &NUMBER.to_string()];
    let (assert, report) = replay(&bounds(NUMBER, 3, 1.0), &options);
    assert.code(0);
    let found = &report["bounds"];
    let members = ["account_reads", "blocks", "credits_commute", "file", "left_out"];
    assert_eq!(keys(found), [&members[..], &["missing", "without"]].concat());
    assert_eq!(found["blocks"], 1);
    assert_eq!(found["left_out"], 1);
    assert_eq!(found["without"], json!([NUMBER]));
    assert_eq!(found["missing"], json!([]));
    for name in ["account_reads", "credits_commute"] {
        assert_eq!(keys(&found[name]), ["exceeded", "share", "share_without"]);
        let (share, speedup) = (&found[name]["share"], &report["blocks"][0]["speedup"]);
        let (share, speedup) = (share.as_f64().unwrap(), speedup.as_f64().unwrap());
        // Of a block that allows nothing, the schedule takes the sequential time.
        assert!((share - speedup).abs() < 1e-9, "{found}");
        assert_eq!(found[name]["share_without"], Value::Null, "nothing is left: {found}");
    }
}

#[test]
fn without_a_file_of_bounds_the_report_has_none() {
    let (assert, report) = replay_json(&["--repeat", "2"], &[] as &[PathBuf]);
    assert.code(0);
    assert_eq!(report.get("bounds"), None);
}

#[test]
fn a_block_without_bounds_is_named_and_another_number_of_threads_has_no_share() {
    for (bounds, threads, missing, said) in [
        (bounds(NUMBER + 1, 3, 1.0), "2", json!([NUMBER]), "no bounds for block 15600001\n"),
        (bounds(NUMBER, 4, 1.0), "2", json!([NUMBER]), "nothing was measured that has bounds\n"),
        (bounds(NUMBER, 3, 9.0), "3", json!([]), "no bounds for 3 threads, only for 2, 8 and 16"),
    ] {
        let report = TempDir::new().unwrap();
        let json = report.path().join("report.json").display().to_string();
        let folder = folder(&[("witness.json", &Sample::of_mainnet().witness())]);
        let file = report.path().join("bounds.json");
        std::fs::write(&file, bounds.to_string()).unwrap();
        let assert = warpline()
            .args(["replay", "--repeat", "2", "--threads", threads, "--json", &json, "--bounds"])
            .args([&file, folder.path()])
            .assert()
            .code(0);
        assert!(stdout(&assert).contains(said), "{}", stdout(&assert));
        let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        assert_eq!(report["bounds"]["missing"], missing);
        assert_eq!(report["bounds"]["credits_commute"]["share"], Value::Null, "{report}");
        assert_eq!(report["bounds"]["credits_commute"]["exceeded"], json!([]), "{report}");
    }
}

#[test]
fn bounds_that_cannot_be_used_end_with_status_2_before_any_work() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, content: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file.display().to_string()
    };
    let sound = write("sound.json", &bounds(NUMBER, 3, 2.0).to_string());
    let low = write("low.json", &bounds(NUMBER, 3, 0.5).to_string());
    let bad = write("bad.json", "{\"1\": {\"txs\": 4}}");
    let missing = folder.path().join("missing.json").display().to_string();
    let table: [(&[&str], &str); 7] = [
        (&["--repeat", "2", "--bounds", &missing], "missing.json: No such file"),
        (&["--repeat", "2", "--bounds", &bad], "bad.json is not a file of bounds"),
        (&["--repeat", "2", "--bounds", &low], "account_reads.critical_path of block 15600001"),
        (&["--bounds", &sound], "add --repeat"),
        (&["--repeat", "2", "--mode", "parallel", "--bounds", &sound], "leave out --mode"),
        (&["--repeat", "2", "--without", "7"], "--bounds"),
        (&["--repeat", "2", "--bounds", &sound, "--without", "seven"], "seven"),
    ];
    for (options, complaint) in table {
        let assert = warpline().arg("replay").args(options).assert().code(2);
        assert!(stderr(&assert).contains(complaint), "{options:?}: {}", stderr(&assert));
        assert_eq!(stdout(&assert), "", "{options:?}");
    }
}

#[test]
fn the_bounds_of_the_real_blocks_can_be_read() {
    let (Some(file), Some(block)) =
        (shared("blocks/bounds.json"), shared("blocks/mainnet/witness/21429020.json.gz"))
    else {
        return;
    };
    let file = file.display().to_string();
    let options = ["--repeat", "2", "--threads", "2", "--bounds", &file];
    let (assert, report) = replay_json(&options, &[block]);
    assert.code(0);
    assert_eq!(report["bounds"]["blocks"], 1, "{report}");
    assert!(report["bounds"]["credits_commute"]["share"].is_number(), "{report}");
}
