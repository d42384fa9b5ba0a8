//! What `import` says, and how it ends.

use std::{fs, io::Write as _, path::Path};

use crate::{
    chain::{initialised, rpc_compat, run},
    output::limited,
    stderr, stdout, warpline,
};

/// An import that waits for standard input is stopped, in the middle of a block and between two, with all that came
/// on the disk.
#[test]
#[cfg(unix)]
fn an_import_told_to_stop_keeps_what_it_has() {
    use std::process::{Command, Stdio};
    let Some(folder) = rpc_compat() else { return };
    let chain = fs::read(folder.join("chain.rlp")).unwrap();
    // More than fits into a pipe: once it is written, somebody reads it, and listens.
    let twice = [&chain[..], &chain].concat();
    for (signal, code, cut) in [("INT", 130, 1), ("TERM", 143, 0)] {
        let data = initialised(&folder);
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("warpline"))
            .args(["import", "-", "--datadir"])
            .arg(data.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&twice[..twice.len() - cut]).unwrap();
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        drop(input);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&format!("stopped by SIG{signal}")), "{said}");
        let head = head(&said);
        let stats = run(data.path(), &["db", "stats"]);
        assert!(stats.contains(&format!("blocks 0 to {head},")), "{said}{stats}");
        assert!(run(data.path(), &["db", "check"]).contains("all in order"), "{said}");
    }
}

/// What was imported before the disk was full is taken back with what came then, as none of it was waited for.
#[test]
#[cfg(unix)]
fn what_a_full_disk_took_back_is_not_called_imported() {
    let Some(folder) = rpc_compat() else { return };
    let file = folder.join("chain.rlp");
    for every in ["1", "64"] {
        let data = initialised(&folder);
        let import = ["import", file.to_str().unwrap(), "--durable-every", every];
        let arguments = [&import[..], &["--datadir", "."]].concat();
        // 512 KiB, more than the genesis block takes.
        let assert = limited(1024, &arguments, data.path()).code(2);
        let (said, complaint) = (stdout(&assert), stderr(&assert));
        assert!(!said.contains("imported"), "{said}");
        let named = complaint.contains("chain.rlp: block ");
        assert!(named && complaint.contains("cannot be written: database: "), "{complaint}");
        let stats = run(data.path(), &["db", "stats"]);
        assert!(stats.contains(&format!("blocks 0 to {},", head(&said))), "{said}{stats}");
    }
}

#[test]
fn a_file_that_does_not_fit_may_be_of_another_chain_or_begin_too_late() {
    let Some(folder) = rpc_compat() else { return };
    let whole = initialised(&folder);
    run(whole.path(), &["import", folder.join("chain.rlp").to_str().unwrap()]);
    let other = tempfile::tempdir().unwrap();
    let genesis = other.path().join("genesis.json");
    fs::write(&genesis, r#"{"config": {"chainId": 5}, "extraData": "0x01"}"#).unwrap();
    let mut command = warpline();
    command.arg("init").arg("--chain").arg(&genesis).arg("--datadir").arg(other.path());
    command.assert().success();
    let this = initialised(&folder);
    let file = this.path().join("part.rlp");
    let file = file.to_str().unwrap();
    let import = |data: &Path| {
        let mut command = warpline();
        let assert = command.args(["import", file, "--datadir"]).arg(data).assert();
        let said = stdout(&assert.code(1));
        assert!(said.contains("unknown parent 0x"), "{said}");
        said
    };

    run(whole.path(), &["export", file]);
    let said = import(other.path());
    assert!(
        said.contains("may be of another chain: the parent is no block up to 0, the head"),
        "{said}"
    );
    run(whole.path(), &["export", file, "--first", "3"]);
    let said = import(this.path());
    assert!(said.contains("begins beyond block 0, the head, or is of another chain"), "{said}");
    assert!(said.contains("failed") && said.contains("block 3 at byte 0"), "{said}");
}

/// The number of the block that is called the head.
fn head(said: &str) -> u64 {
    let head = said.lines().find_map(|line| line.strip_prefix("head: block "));
    let number = head.and_then(|head| head.split(' ').next()).unwrap_or_else(|| panic!("{said}"));
    number.parse().unwrap()
}
