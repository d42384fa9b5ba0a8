//! `warpline fuzz`.

use tempfile::TempDir;

use crate::{json, keys, stderr, stdout, warpline};

#[test]
fn a_short_run_has_all_the_documented_fields() {
    let folder = TempDir::new().unwrap();
    let mut command = warpline();
    command.args(["fuzz", "--seconds", "1", "--seed", "7", "--json", "-", "--out"]);
    let report = json(&command.arg(folder.path()).assert().code(0));
    let expected = [
        "blocks",
        "executions",
        "findings",
        "reexecutions",
        "schema",
        "seconds",
        "seed",
        "transactions",
        "valid",
    ];
    assert_eq!(keys(&report), expected);
    assert_eq!(report["schema"], "warpline.fuzz.v1");
    assert_eq!(report["seed"], 7);
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing found, nothing written");
}

#[test]
fn one_block_can_be_had_again() {
    let of = |only: &str, fork: &str| {
        let args = ["fuzz", "--seconds", "0", "--seed", "3", "--json", "-", "--only", only];
        let report = json(&warpline().args(args).args(["--fork", fork]).assert().code(0));
        assert_eq!(report["blocks"], 1);
        report["transactions"].clone()
    };
    assert_eq!(of("5", "osaka"), of("5", "Osaka"));
    let others: Vec<_> = ["6", "7", "8", "9"].map(|only| of(only, "Osaka")).into();
    assert!(others.iter().any(|other| *other != of("5", "Osaka")), "{others:?}");
}

#[test]
fn a_seed_is_drawn_and_printed() {
    let text = stdout(&warpline().args(["fuzz", "--seconds", "0"]).assert().code(0));
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.starts_with("seed ") && rest.contains("0 findings"), "{text}");
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    for (args, complaint) in [
        (&["--fork", "Atlantis"][..], "Atlantis"),
        (&["--only", "3"], "--seed"),
        (&["--seed", "many"], "many"),
        (&["--out", "/dev/null/folder"], "/dev/null/folder"),
    ] {
        let message = stderr(&warpline().arg("fuzz").args(args).assert().code(2));
        assert!(message.contains(complaint), "{args:?}: {message}");
    }
}

/// Only an engine that can be broken on purpose shows what a finding looks like.
#[cfg(feature = "testing")]
#[test]
fn a_broken_validation_is_found_made_small_and_written_down() {
    let folder = TempDir::new().unwrap();
    let mut command = warpline();
    command.args(["fuzz", "--seconds", "0", "--seed", "1", "--sabotage", "--json", "-", "--out"]);
    let report = json(&command.arg(folder.path()).assert().code(1));
    let finding = &report["findings"][0];
    let members = ["after_s", "difference", "files", "fork", "index", "kind", "txs"];
    assert_eq!(keys(finding), members);
    assert_eq!(finding["files"].as_array().unwrap().len(), 2);
    assert!(finding["txs"][1].as_u64().unwrap() <= 6, "{finding}");
    // The engine that replays them is sound.
    warpline().arg("replay").arg(folder.path()).assert().code(0);
}
