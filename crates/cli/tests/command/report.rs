//! `warpline report`, and `replay --report`.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::{sample::Sample, stderr, stdout, warpline};

/// What is written beside the page `NAME.html`.
fn beside(folder: &Path, name: &str) -> [String; 4] {
    let read = |end: &str| fs::read_to_string(folder.join(format!("{name}{end}"))).unwrap();
    [".html", ".json", "-blocks.csv", "-conflicts.csv"].map(read)
}

#[test]
fn a_report_on_generated_blocks_says_what_stands_in_the_way() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("mints.html");
    let mut command = warpline();
    command.args([
        "report",
        "--txs",
        "40",
        "--repeat",
        "1",
        "--threads",
        "2,1,2",
        "--currency",
        "BTC",
    ]);
    for workload in ["nft-mint", "game-naive", "game-parallel"] {
        command.args(["--workload", workload]);
    }
    let assert = command.arg("-o").arg(&page).assert().code(0);
    assert_eq!(stdout(&assert).matches("wrote").count(), 4, "{}", stdout(&assert));

    let [html, json, blocks, conflicts] = beside(folder.path(), "mints");
    for text in ["BTC", "The same job, written in two ways", "nextId", "<svg"] {
        assert!(html.contains(text), "no {text}");
    }
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], "warpline.report.v1");
    assert_eq!(json["totals"]["blocks"], 3);
    let threads: Vec<_> =
        json["totals"]["measured"].as_array().unwrap().iter().map(|it| &it["threads"]).collect();
    assert_eq!(threads, [1, 2]);
    // Whatever they take: who needs whom does not depend on it.
    let share = |at: usize| json["blocks"][at]["critical_gas_share"].as_f64().unwrap();
    assert!((share(0) - 1.0).abs() < 1e-9, "mints come one after the other: {}", share(0));
    assert!((share(1) - 1.0).abs() < 1e-9 && share(2) < 0.9, "{} and {}", share(1), share(2));
    assert_eq!(json["blocks"][1]["job"], "game");
    assert_eq!(blocks.lines().count(), 1 + 3 * 2);
    assert!(conflicts.lines().count() > 1 && conflicts.contains("nextId"));
}

#[test]
fn a_replay_can_be_reported_on() {
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("replay.html");
    let assert =
        warpline().args(["replay", "--threads", "2", "--report"]).arg(&page).assert().code(0);
    assert!(stdout(&assert).contains("6 blocks"), "{}", stdout(&assert));
    let [html, json, ..] = beside(folder.path(), "replay");
    assert!(html.contains("What parallel execution saves"));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["totals"]["blocks"], 6);
}

#[test]
fn a_block_that_is_not_in_order_is_not_reported_on() {
    let folder = TempDir::new().unwrap();
    let [file, page] = ["witness.json", "page.html"].map(|name| folder.path().join(name));
    let spoiled = Sample::of_mainnet().with_header(|header| header.gas_used += 1);
    fs::write(&file, spoiled.witness().to_string()).unwrap();
    let assert = warpline().arg("report").arg(&file).arg("-o").arg(&page).assert().code(1);
    assert!(stdout(&assert).contains("failed"), "{}", stdout(&assert));
    assert_eq!(fs::read(&page).unwrap(), b"", "there is nothing to write");
}

#[test]
fn what_cannot_be_reported_on_is_said() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let table: [(Vec<String>, &str); 8] = [
        (vec!["-o".into(), path("page.json")], "is where figures go"),
        (vec!["--base-fee-gwei=inf".into(), "-o".into(), path("a.html")], "--base-fee-gwei is inf"),
        (vec!["-o".into(), path("no-such/page.html")], "page.html"),
        (vec!["-o".into(), path("page")], "has no extension"),
        (vec!["--price-core-hour=-1".into(), "-o".into(), path("a.html")], "core-hour costs -1"),
        (vec!["--execution-share=2".into(), "-o".into(), path("a.html")], "--execution-share is 2"),
        (vec!["--elasticity=0".into(), "-o".into(), path("a.html")], "--elasticity is 0"),
        (vec![path("missing.json"), "-o".into(), path("a.html")], "missing.json"),
    ];
    for (args, complaint) in table {
        let assert = warpline().arg("report").args(&args).assert().code(2);
        let told = stderr(&assert) + &stdout(&assert);
        assert!(told.contains(complaint), "{args:?}: {told}");
    }
}

#[test]
fn two_documents_do_not_go_to_one_file() {
    let folder = TempDir::new().unwrap();
    let [json, page] = ["may.json", "may.html"].map(|name| folder.path().join(name));
    let mut command = warpline();
    let assert = command.arg("replay").arg("--json").arg(&json).arg("--report").arg(&page).assert();
    assert!(stderr(&assert.code(2)).contains("is asked for twice"));
}

/// Looks at a page as a person would, on light and on dark, where there is a browser for it.
#[test]
fn the_page_is_seen_in_a_browser() {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let there = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
    let Some(browser) = browsers.iter().find(there) else {
        println!("not run: the page was not looked at, for want of a browser (chromium)");
        return;
    };
    let folder = TempDir::new().unwrap();
    let page = folder.path().join("page.html");
    let report =
        ["report", "--txs", "60", "--repeat", "1", "--threads", "2", "--workload", "mixed"];
    warpline().args(report).arg("-o").arg(&page).assert().code(0);
    let pictures = ["light", "dark"].map(|scheme| {
        let picture = folder.path().join(format!("{scheme}.png"));
        let scheme = if scheme == "dark" { 0 } else { 1 };
        let status = Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg("--window-size=900,3000")
            .arg(format!("--screenshot={}", picture.display()))
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        fs::read(picture).unwrap()
    });
    for picture in &pictures {
        // An empty page of that size is a tenth of it.
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 60_000, "{}", picture.len());
    }
    assert_ne!(pictures[0], pictures[1], "dark is not light");
}
