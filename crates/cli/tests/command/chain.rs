//! `init`, `import`, `export`, `db` and `node`, as people run them.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

#[cfg(feature = "rpc")]
use crate::replay_json;
use crate::{node::Node, stderr, stdout, warpline};

/// The folder with a chain from Homestead to the second blob parameter fork, where it is at hand.
pub(crate) fn rpc_compat() -> Option<PathBuf> {
    warpline_testkit::shared("rpc-compat")
}

/// A folder with a database that holds the genesis block.
pub(crate) fn initialised(folder: &Path) -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let mut command = warpline();
    command.arg("init").arg("--chain").arg(folder.join("genesis.json"));
    command.arg("--datadir").arg(data.path()).assert().success();
    data
}

/// Runs `arguments` on the database in `data` and returns what was printed.
pub(crate) fn run(data: &Path, arguments: &[&str]) -> String {
    let mut command = warpline();
    stdout(&command.args(arguments).arg("--datadir").arg(data).assert().success())
}

#[test]
fn a_chain_comes_in_and_goes_out_again() {
    let Some(folder) = rpc_compat() else { return };
    let file = folder.join("chain.rlp");
    let (one, two) = (initialised(&folder), initialised(&folder));
    let printed = run(one.path(), &["import", file.to_str().unwrap()]);
    assert!(printed.contains("54 blocks imported, 0 known already; 249 transactions"), "{printed}");
    assert!(printed.contains("head: block 54 0xd226371d0b15"), "{printed}");

    let exported = one.path().join("exported.rlp.gz");
    run(one.path(), &["export", exported.to_str().unwrap()]);
    run(two.path(), &["import", exported.to_str().unwrap(), "--durable-every", "1"]);
    let all = ["db", "export"];
    assert!(run(one.path(), &all) == run(two.path(), &all), "the databases differ");
    let checked = run(two.path(), &["db", "check"]);
    assert!(checked.contains("all in order: 55 blocks with 249 transactions"), "{checked}");
    let stats = run(two.path(), &["db", "stats"]);
    assert!(stats.contains("blocks 0 to 54, states from 0 on"), "{stats}");
    let again = run(two.path(), &["import", file.to_str().unwrap()]);
    assert!(again.contains("0 blocks imported, 54 known already"), "{again}");
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let empty = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], code: i32, reason: &str| {
        let mut command = warpline();
        let assert = command.args(arguments).arg("--datadir").arg(empty.path()).assert().code(code);
        let said = stderr(&assert) + &stdout(&assert);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    };
    refused(&["import", "x.rlp"], 2, "make one with `warpline init`");
    refused(&["db", "check"], 2, "no database at");
    refused(&["init", "--chain", "nowhere.json"], 2, "neither `mainnet` nor a genesis file");
    refused(&["node"], 2, "no database at");

    let genesis = empty.path().join("genesis.json");
    fs::write(&genesis, r#"{"config": {"chainId": 5, "berlinBlock": 0, "londonBlock": 1}}"#)
        .unwrap();
    let data = tempfile::tempdir().unwrap();
    let genesis = genesis.to_str().unwrap();
    let one = r#"{"config": {"chainId": 5}, "extraData": "0x01"}"#;
    let other = empty.path().join("other.json");
    fs::write(&other, one).unwrap();
    let mut command = warpline();
    command.args(["init", "--chain", other.to_str().unwrap()]);
    command.arg("--datadir").arg(data.path()).assert().success();
    let mut command = warpline();
    let assert = command.args(["init", "--chain", "mainnet"]).arg("--datadir").arg(data.path());
    let said = stderr(&assert.assert().code(2));
    assert!(said.contains("choose another --datadir"), "{said}");
    refused(&["init", "--chain", genesis], 2, "homestead");
    // Forks to come can be added, those that have begun cannot be moved.
    let later = r#"{"config": {"chainId": 5, "homesteadBlock": 9}, "extraData": "0x01"}"#;
    let begun = r#"{"config": {"chainId": 5, "homesteadBlock": 0}, "extraData": "0x01"}"#;
    let init = |file: &str| {
        fs::write(&other, file).unwrap();
        let mut command = warpline();
        command.args(["init", "--chain", other.to_str().unwrap(), "--datadir"]);
        command.arg(data.path()).assert()
    };
    assert!(stdout(&init(one).success()).contains("has this chain already"));
    assert!(stdout(&init(later).success()).contains("now with these forks"));
    assert!(stderr(&init(begun).code(2)).contains("Homestead begins elsewhere"));

    let garbage = empty.path().join("garbage.rlp");
    fs::write(&garbage, b"not a chain").unwrap();
    let mut command = warpline();
    command.args(["import", garbage.to_str().unwrap()]).arg("--datadir").arg(data.path());
    let said = stdout(&command.assert().code(1));
    assert!(said.contains("failed") && said.contains("head: block 0"), "{said}");
}

#[test]
fn what_is_wrong_in_a_file_of_flags_is_said_with_its_name_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    for (content, complaint) in [
        ("foo = 1", "node.toml: there is no key `foo`"),
        ("[http]\nenabled = 'yes'", "node.toml: `http.enabled`: expected true or false"),
        ("config = 'other.toml'", "node.toml: `config`: a file cannot name another one"),
        ("[http", "node.toml: TOML parse error at line 1"),
    ] {
        fs::write(&file, content).unwrap();
        let mut command = warpline();
        let assert = command.args(["node", "--config"]).arg(&file).assert().code(2);
        let said = stderr(&assert);
        assert!(said.contains(complaint) && !said.contains("--help"), "{content}: {said}");
    }
}

#[test]
fn a_damaged_database_is_called_damaged() {
    let Some(folder) = rpc_compat() else { return };
    let data = initialised(&folder);
    run(data.path(), &["import", folder.join("chain.rlp").to_str().unwrap()]);
    let path = data.path().join("warpline.redb");
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    for byte in bytes.iter_mut().skip(8192).step_by(512) {
        *byte ^= 0xff;
    }
    fs::write(&path, &bytes).unwrap();
    let mut command = warpline();
    let checked = command.args(["db", "check", "--datadir"]).arg(data.path()).assert().code(1);
    assert!(stdout(&checked).contains("damaged"), "{length} bytes: {checked}");
    let mut command = warpline();
    let read = command.args(["db", "export", "--datadir"]).arg(data.path()).assert().code(2);
    assert!(stderr(&read).contains("error: "), "{read}");
}

/// A folder in place of the file, and a name that leads nowhere, are what the system lets nobody read, root included.
#[test]
#[cfg(unix)]
fn a_database_that_cannot_be_read_is_not_called_damaged() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("warpline.redb");
    let check = |code: i32| {
        let mut command = warpline();
        command.args(["db", "check", "--datadir"]).arg(data.path()).assert().code(code)
    };
    fs::create_dir(&path).unwrap();
    let refused = check(2);
    let (said, complaint) = (stdout(&refused), stderr(&refused));
    assert!(!said.contains("damaged") && complaint.contains("Is a directory"), "{refused}");
    fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("warpline.redb", &path).unwrap();
    let complaint = stderr(&check(2));
    assert!(complaint.contains("warpline.redb: Too many levels"), "{complaint}");
    fs::remove_file(&path).unwrap();

    for content in ["", "no database", &"no database".repeat(1000)] {
        fs::write(&path, content).unwrap();
        assert!(stdout(&check(1)).contains("damaged: cannot open the database"), "{content}");
    }
}

/// Chosen so that the same kills happen each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The database always opens, its head is a block of the chain, and everything fits together, its root
/// recomputed from scratch; and the import goes on to the same end. `WARPLINE_KILLS` says how often.
#[test]
fn an_import_survives_being_killed() {
    let Some(folder) = rpc_compat() else { return };
    let file = folder.join("chain.rlp");
    let kills = std::env::var("WARPLINE_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(8);
    let whole = initialised(&folder);
    let start = Instant::now();
    run(whole.path(), &["import", file.to_str().unwrap(), "--durable-every", "1"]);
    let takes = u64::try_from(start.elapsed().as_micros()).unwrap();
    let expected = run(whole.path(), &["db", "export"]);

    let mut dice = Dice(1);
    let mut data = initialised(&folder);
    let (mut interrupted, mut resumed) = (0, 0);
    for kill in 0..kills {
        let every = ["1", "5", "64"][usize::try_from(dice.below(3)).unwrap()];
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("warpline"))
            .args(["import", file.to_str().unwrap(), "--durable-every", every, "--datadir"])
            .arg(data.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(dice.below(takes)));
        child.kill().unwrap();
        child.wait().unwrap();
        let checked = run(data.path(), &["db", "check"]);
        assert!(checked.contains("all in order"), "kill {kill}: {checked}");
        let stats = run(data.path(), &["db", "stats"]);
        let at = |number: u32| stats.contains(&format!("blocks 0 to {number},"));
        interrupted += u32::from((1..54).any(at));
        if at(54) || kill + 1 == kills {
            let last = run(data.path(), &["import", file.to_str().unwrap()]);
            resumed += u32::from(!last.contains(" 54 blocks imported"));
            assert!(run(data.path(), &["db", "export"]) == expected, "kill {kill}");
            data = initialised(&folder);
        }
    }
    println!("{kills} kills, {interrupted} in the middle of the chain, {resumed} imports resumed");
}

#[test]
#[cfg(unix)]
fn a_node_serves_imports_and_stops_when_told() {
    let Some(folder) = rpc_compat() else { return };
    let data = tempfile::tempdir().unwrap();
    let (genesis, chain) = (folder.join("genesis.json"), folder.join("chain.rlp"));
    let config = data.path().join("node.toml");
    fs::write(&config, "[http]\napi = ['eth', 'web3', 'debug']\n[rpc]\nmax-batch = 3\n").unwrap();
    let config = config.to_str().unwrap();
    let files = ["--chain", genesis.to_str().unwrap(), "--import", chain.to_str().unwrap()];
    let mut node = Node::start(data.path(), &[&files[..], &["--config", config]].concat());
    let start = Instant::now();
    while node.call("eth_blockNumber", &json!([]))["result"] != "0x36" {
        assert!(start.elapsed() < Duration::from_secs(60), "the import does not end");
        thread::sleep(Duration::from_millis(20));
    }
    let block = node.call("debug_getRawHeader", &json!(["0x1"]));
    assert!(block["result"].is_string(), "{block}");
    let version = node.call("web3_clientVersion", &json!([]));
    assert!(version["result"].as_str().unwrap().starts_with("warpline/v"), "{version}");
    let hidden = node.call("txpool_status", &json!([]));
    assert_eq!(hidden["error"]["code"], -32601, "{hidden}");

    // What the file says is the default of what is typed.
    let mut command = warpline();
    command.args(["node", "--config", config, "--rpc.max-batch", "x", "--datadir"]);
    let said = stderr(&command.arg(data.path()).assert().code(2));
    assert!(said.contains("--rpc.max-batch"), "{said}");
    // Only one process has the database.
    let mut command = warpline();
    let said =
        stderr(&command.args(["db", "stats", "--datadir"]).arg(data.path()).assert().code(2));
    assert!(said.contains("in use by another process"), "{said}");

    Command::new("kill").args(["-TERM", &node.child.id().to_string()]).status().unwrap();
    let status = node.child.wait().unwrap();
    assert!(status.success(), "{status}");
    let mut logs = String::new();
    node.child.stderr.take().unwrap().read_to_string(&mut logs).unwrap();
    assert!(logs.contains("stopped"), "{logs}");
    let checked = run(data.path(), &["db", "check"]);
    assert!(checked.contains("all in order: 55 blocks"), "{checked}");
}

/// A block whose end does not come is not waited for.
#[test]
#[cfg(unix)]
fn a_node_that_waits_for_a_block_stops_when_told() {
    let Some(folder) = rpc_compat() else { return };
    let data = initialised(&folder);
    let mut node = Node::start(data.path(), &["--import", "-"]);
    let begun = [0xfa, 0x10, 0, 0, 0];
    node.child.stdin.as_mut().unwrap().write_all(&begun).unwrap();
    Command::new("kill").args(["-TERM", &node.child.id().to_string()]).status().unwrap();
    let status = node.child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(run(data.path(), &["db", "check"]).contains("all in order: 1 block"));
}

#[test]
#[cfg(unix)]
fn who_asks_a_node_to_stop_twice_does_not_wait() {
    let Some(folder) = rpc_compat() else { return };
    let data = initialised(&folder);
    let mut node = Node::start(data.path(), &[]);
    // A request whose end does not come is waited for, once the server asks for it.
    let mut client = TcpStream::connect(&node.http).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\
                content-type: application/json\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    let status = loop {
        let id = node.child.id().to_string();
        Command::new("kill").args(["-INT", &id]).status().unwrap();
        thread::sleep(Duration::from_millis(100));
        if let Some(status) = node.child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
    assert!(run(data.path(), &["db", "check"]).contains("all in order: 1 block"));
}

/// What a node serves is enough to execute its chain anew, from witnesses and from traces.
#[test]
#[cfg(feature = "rpc")]
fn all_blocks_of_a_node_are_replayed_from_it() {
    let Some(folder) = rpc_compat() else { return };
    let data = initialised(&folder);
    run(data.path(), &["import", folder.join("chain.rlp").to_str().unwrap()]);
    let node = Node::start(data.path(), &["--http.api", "eth,debug"]);
    let (url, genesis) = (format!("http://{}", node.http), folder.join("genesis.json"));
    for (way, before_byzantium, after) in [
        ("witness", "state-root", "state-root"),
        // The blocks before Byzantium have the roots of states in their receipts.
        ("traces", "gas-and-bloom", "receipts-root"),
    ] {
        let blocks = ["--blocks", "1..=54", "--state", way, "--no-cache", "--rpc", &url];
        let options = [&blocks[..], &["--genesis", genesis.to_str().unwrap()]].concat();
        let (assert, report) = replay_json::<&Path>(&options, &[]);
        assert.success();
        assert_eq!(report["summary"]["verified"], 54, "{way}: {report:#}");
        for block in report["blocks"].as_array().unwrap() {
            let expected =
                if block["number"].as_u64() < Some(9) { before_byzantium } else { after };
            assert_eq!(block["proof"], expected, "{way}: {block}");
        }
    }
}
