//! What holds for the command as a whole: help, colours, pipes, bad arguments.

use std::{
    fs::File,
    io::Read as _,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{sample::Sample, stderr, stdout, warpline};

const ESCAPE: char = '\x1b';

#[test]
fn every_help_has_an_example() {
    let commands = [
        &[][..],
        &["replay"],
        &["fetch"],
        &["convert"],
        &["conformance"],
        &["bench"],
        &["report"],
        &["fuzz"],
        &["analyze"],
        &["analyze", "contract"],
        &["completions"],
    ];
    for command in commands {
        let text = stdout(&warpline().args(command).arg("--help").assert().code(0));
        assert!(text.contains("Example"), "warpline {command:?} --help has none:\n{text}");
        assert!(text.contains("\n  warpline "), "warpline {command:?} --help has none:\n{text}");
    }
}

#[test]
fn bad_arguments_end_with_status_2_and_say_which() {
    let table: [(&[&str], &str); 9] = [
        (&["replay", "--no-such-flag"], "--no-such-flag"),
        (&["replay", "--mode", "guess"], "guess"),
        (&["replay", "--repeat", "0"], "--repeat"),
        (&["replay", "--threads", "many"], "many"),
        (&["conformance", "--shuffle", "well", "tests"], "--shuffle"),
        (&["conformance"], "no fixtures given"),
        (&["bench", "--txs", "0"], "--txs"),
        (&["completions", "clamshell"], "clamshell"),
        (&["no-such-command"], "no-such-command"),
    ];
    for (args, complaint) in table {
        let message = stderr(&warpline().args(args).assert().code(2));
        assert!(message.contains(complaint), "{args:?}: {message}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_noticed_before_any_work() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("no-such-folder").join("report.json");
    let assert = warpline().args(["replay", "--json"]).arg(&file).assert().code(2);
    assert_eq!(stdout(&assert), "");
    assert!(stderr(&assert).contains("report.json"), "{}", stderr(&assert));
}

#[test]
fn colours_are_for_terminals_and_for_those_who_insist() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("witness.json");
    let spoiled = Sample::of_mainnet().with_header(|header| header.gas_used += 1);
    std::fs::write(&file, spoiled.witness().to_string()).unwrap();
    let missing = folder.path().join("missing.json");

    let table: [(&[(&str, &str)], bool); 4] = [
        (&[], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
    ];
    for (environment, coloured) in table {
        let mut command = warpline();
        command.envs(environment.iter().copied()).arg("replay").arg(&file).arg(&missing);
        let assert = command.assert().code(1);
        assert_eq!(stdout(&assert).contains(ESCAPE), coloured, "{environment:?}");
        assert!(!stderr(&assert).contains(ESCAPE), "{environment:?}: {}", stderr(&assert));
    }
}

#[test]
fn json_on_standard_output_is_nothing_but_json() {
    let assert = warpline()
        .env("CLICOLOR_FORCE", "1")
        .args(["replay", "--json", "-", "no-such-file.json"])
        .assert()
        .code(2);
    let report = crate::json(&assert);
    assert_eq!(report["blocks"], serde_json::json!([]));
    assert_eq!(report["unusable"].as_array().unwrap().len(), 1);
}

#[test]
fn completions_name_the_commands() {
    for (shell, name) in [("bash", "_warpline()"), ("zsh", "#compdef warpline"), ("fish", "replay")]
    {
        let text = stdout(&warpline().args(["completions", shell]).assert().code(0));
        assert!(text.contains(name) && text.contains("bench"), "{shell}: {text}");
    }
}

const TALKATIVE: [&[&str]; 4] = [
    &["replay"],
    &["replay", "--json", "-"],
    &["bench", "transfers-hot", "--txs", "10", "--repeat", "1"],
    &["--help"],
];

/// `warpline ... | head -c 1`.
#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    for args in TALKATIVE {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("warpline"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0]).unwrap();
        drop(output);
        assert_quiet_success(args, &child.wait_with_output().unwrap());
    }
}

#[test]
fn output_that_nobody_reads_at_all_is_no_error() {
    for args in TALKATIVE {
        assert_unread(args);
    }
}

#[test]
fn completions_that_nobody_reads_are_no_error() {
    assert_unread(&["completions", "bash"]);
}

/// Runs the command on a pipe whose other end is closed already.
pub(crate) fn assert_unread(args: &[&str]) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("warpline"));
    let output = command.args(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_quiet_success(args, &output);
}

fn assert_quiet_success(args: &[&str], output: &Output) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {message}");
    assert_eq!(message, "", "{args:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let status = Command::new(assert_cmd::cargo::cargo_bin!("warpline"))
        .arg("replay")
        .stdout(full())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}
