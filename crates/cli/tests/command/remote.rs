//! Blocks from a node: `replay --rpc` and `fetch`, with every kind of node and of trouble.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use warpline_chain::Genesis;
use warpline_primitives::{Account, StateSource as _};
use warpline_replay::{Captured, CapturedState, Captures, Input, Inputs};
use warpline_testkit::shared;
use warpline_trie::EMPTY_ROOT_HASH;

use crate::{
    json,
    mock::{Fault, Mock},
    sample::Sample,
    served::Served,
    stderr, stdout, warpline,
};

const DEBUG: [&str; 3] = ["debug_getRawBlock", "debug_getRawHeader", "debug_executionWitness"];
const NUMBER: &str = "15600001";

/// The genesis file of the embedded chain.
fn genesis(folder: &TempDir) -> PathBuf {
    let blocks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "berlin",
        "london",
    ];
    let mut config = json!({
        "chainId": 7878, "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0,
        "pragueTime": 0, "osakaTime": 0,
        "depositContractAddress": "0x00000000219ab540356cBB839Cbe05303d7705Fa",
    });
    for fork in blocks {
        config[format!("{fork}Block")] = json!(0);
    }
    let path = folder.path().join("genesis.json");
    fs::write(&path, json!({"config": config, "alloc": {}}).to_string()).unwrap();
    path
}

/// Changes one member in the file of a genesis block.
fn change(genesis: &Path, pointer: &str, value: Value) {
    let mut file: Value = serde_json::from_slice(&fs::read(genesis).unwrap()).unwrap();
    *file.pointer_mut(pointer).unwrap() = value;
    fs::write(genesis, file.to_string()).unwrap();
}

/// `warpline COMMAND --rpc … --blocks …` with a cache of its own and little patience.
fn ask(command: &str, mock: &Mock, blocks: &str, cache: &Path) -> assert_cmd::Command {
    let mut asked = warpline();
    asked.args([command, "--rpc", &mock.url, "--blocks", blocks, "--rpc-timeout", "2"]);
    asked.args(["--rpc-retries", "3", "--rpc-max-mib", "64"]).env("XDG_CACHE_HOME", cache);
    asked
}

fn replayed(mock: &Mock, blocks: &str, options: &[&str]) -> Value {
    let cache = TempDir::new().unwrap();
    let mut command = ask("replay", mock, blocks, cache.path());
    json(&command.args(["--json", "-"]).args(options).assert().code(0))
}

#[test]
fn a_node_with_witnesses_gives_blocks_that_are_proven_completely() {
    let served = || Served::sample(&Sample::of_mainnet());
    for served in
        [served(), served().without(&["debug_getRawBlock"]), served().with_header_objects()]
    {
        let mock = Mock::start(served);
        let report = replayed(&mock, NUMBER, &[]);
        assert_eq!(report["blocks"][0]["proof"], "state-root", "{report}");
        assert_eq!(report["blocks"][0]["txs"], 3);
        let source = report["blocks"][0]["source"].as_str().unwrap();
        assert!(
            source.starts_with("http://127.0.0.1:") && source.ends_with("#15600001"),
            "{source}"
        );
        assert!(!source.contains("secret-key"), "{source}");
        assert_eq!(mock.calls("debug_traceBlockByHash"), 0);
    }
}

#[test]
fn a_node_without_witnesses_gives_blocks_that_are_proven_as_snapshots_are() {
    for lacks in [&DEBUG[..], &DEBUG[2..], &[DEBUG[2], "debug_traceBlockByHash"]] {
        let mock = Mock::start(Served::sample(&Sample::of_mainnet()).without(lacks));
        let report = replayed(&mock, NUMBER, &[]);
        assert_eq!(report["blocks"][0]["proof"], "receipts-root", "{report}");
        assert_eq!(report["blocks"][0]["identical"], true, "{report}");
    }
    // Somebody may not want a witness.
    let mock = Mock::start(Served::sample(&Sample::of_mainnet()));
    let report = replayed(&mock, "latest", &["--state", "traces"]);
    assert_eq!(report["blocks"][0]["proof"], "receipts-root", "{report}");
    assert_eq!(mock.calls("debug_executionWitness"), 0);
}

#[test]
fn a_chain_of_ones_own_is_replayed_from_traces_in_order() {
    let folder = TempDir::new().unwrap();
    let genesis = genesis(&folder);
    let mock = Mock::start(Served::embedded());
    let options = ["--genesis", genesis.to_str().unwrap()];
    let report = replayed(&mock, "1..=latest", &options);
    let numbers: Vec<_> =
        report["blocks"].as_array().unwrap().iter().map(|it| &it["number"]).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!(report["summary"]["verified"], 6, "{report:#}");
    assert_eq!(report["blocks"][5]["proof"], "receipts-root");
    // What a node does not have is found out once a thread at most.
    assert!(mock.calls("debug_executionWitness") <= 4);

    let cache = TempDir::new().unwrap();
    let message = stderr(&ask("replay", &mock, "1", cache.path()).assert().code(2));
    assert!(message.contains("chain 7878") && message.contains("--genesis"), "{message}");
}

/// Real blocks, whose transactions create and meet accounts and slots in every order. `WARPLINE_SOAK=1` takes all.
#[test]
fn real_blocks_are_the_same_from_a_file_and_from_either_kind_of_node() {
    let Some(folder) = shared("blocks/mainnet/witness") else { return };
    let is_soak = std::env::var_os("WARPLINE_SOAK").is_some();
    let sample = ["16424145", "21287237", "25134887"];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let number = name.strip_suffix(".json.gz").unwrap();
        if !is_soak && !sample.contains(&number) {
            continue;
        }
        let proven = |report: &Value| report["blocks"][0]["proof"].clone();
        let expected = json(&warpline().args(["replay", "--json", "-"]).arg(&path).assert());
        let report = replayed(&Mock::start(Served::witnesses(&path)), number, &[]);
        assert_eq!(proven(&report), proven(&expected), "{report:#}");
        let mock = Mock::start(Served::witnesses(&path).without(&DEBUG));
        let report = replayed(&mock, number, &[]);
        assert_eq!(proven(&report), "receipts-root", "{report:#}");
        assert_eq!(report["blocks"][0]["identical"], true);
        assert_traced_state_is_true(&mock, number, &path);
    }
}

/// Fetches a block by traces, and looks up all that came in its witness.
fn assert_traced_state_is_true(mock: &Mock, number: &str, witness: &Path) {
    let out = TempDir::new().unwrap();
    let file = out.path().join("it.capture");
    let mut command = ask("fetch", mock, number, out.path());
    command.args(["--no-cache", "-o"]).arg(&file);
    command.assert().code(0);
    let Some(Ok(Captured::Block(_, traced))) = Captures::open([&file]).next() else {
        panic!("no capture")
    };
    let Some(Ok(Input::Block(proven))) = Inputs::open([witness]).next() else { panic!("no block") };
    let CapturedState::Snapshot(accounts) = &traced.state else { panic!("not traced") };
    for (address, found) in accounts {
        let expected = proven.parent.account(*address).unwrap().unwrap();
        let facts = |account: Account| (account.balance, account.nonce);
        assert_eq!(facts(found.account), facts(expected), "{address}");
        if proven.parent.code(expected.code_hash).is_ok() {
            assert_eq!(found.account.code_hash, expected.code_hash, "{address}");
        }
        for (slot, value) in &found.storage {
            let expected = proven.parent.storage(*address, *slot).unwrap();
            assert_eq!(*value, expected, "{address} {slot}");
        }
    }
}

#[test]
fn what_passes_is_tried_again() {
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(429),
        Fault::Truncated,
        Fault::Cut,
        Fault::Hangup,
        Fault::WrongId,
        Fault::Overload,
    ];
    for fault in faults {
        // Every second request fails.
        let mut count = 0;
        let mock = Mock::faulty(Served::sample(&Sample::of_mainnet()), move |_| {
            count += 1;
            if count % 2 == 1 { fault } else { Fault::None }
        });
        let report = replayed(&mock, NUMBER, &[]);
        assert_eq!(report["blocks"][0]["proof"], "state-root", "{fault:?}: {report}");
    }
    let mut count = 0;
    let mock = Mock::faulty(Served::sample(&Sample::of_mainnet()), move |_| {
        count += 1;
        if count == 2 { Fault::Silence } else { Fault::None }
    });
    let report = replayed(&mock, NUMBER, &[]);
    assert_eq!(report["summary"]["verified"], 1, "{report}");
}

#[test]
fn what_does_not_pass_ends_with_the_reason() {
    let table = [
        (Fault::Status(500), "HTTP status 500 (asked 4 times)", 4),
        (Fault::Status(401), "HTTP status 401: it wants to know who asks", 1),
        // The mock says where to: to another scheme, as providers do.
        (Fault::Status(302), "HTTP status 302: it is at another address", 1),
        (Fault::Status(429), "asked too often", 4),
        (Fault::WrongId, "has the id 999999, which no question has (asked 4 times)", 4),
        (Fault::Cut, "is no JSON-RPC", 4),
        (Fault::Long, "longer than 1048576 bytes: allow more with --rpc-max-mib", 1),
        (Fault::Hangup, "cannot ask http://127.0.0.1", 4),
    ];
    for (fault, complaint, requests) in table {
        let mock = Mock::faulty(Served::sample(&Sample::of_mainnet()), move |_| fault);
        let cache = TempDir::new().unwrap();
        let mut command = warpline();
        command.args(["fetch", "--rpc", &mock.url, "--blocks", NUMBER, "--rpc-retries", "3"]);
        command.args(["--rpc-max-mib", "1"]).env("XDG_CACHE_HOME", cache.path());
        let message = stderr(&command.assert().code(2));
        assert!(message.contains(complaint), "{fault:?}: {message}");
        assert!(!message.contains("secret-key"), "{message}");
        assert_eq!(mock.requests(), requests, "{fault:?}");
    }
}

#[test]
fn a_node_that_takes_no_batches_is_asked_one_by_one() {
    let served = Served::sample(&Sample::of_mainnet()).without(&DEBUG);
    let mock = Mock::faulty(
        served,
        |methods| {
            if methods.len() > 1 { Fault::NoBatch } else { Fault::None }
        },
    );
    let report = replayed(&mock, NUMBER, &[]);
    assert_eq!(report["blocks"][0]["proof"], "receipts-root", "{report}");
}

#[test]
fn answers_that_contradict_themselves_are_no_block() {
    let mut served = Served::embedded();
    served.gives_another = true;
    let folder = TempDir::new().unwrap();
    let mock = Mock::start(served);
    let mut command = ask("fetch", &mock, "2..=3", folder.path());
    let assert = command.arg("--genesis").arg(genesis(&folder)).assert().code(2);
    let message = stderr(&assert);
    assert!(
        message.contains("block 2: ") && message.contains("the node announced 0x"),
        "{message}"
    );
    assert!(stdout(&assert).contains("2 blocks are missing"), "{}", stdout(&assert));
    // It may have been the chain that moved, so it was asked some times.
    assert_eq!(mock.calls("debug_getRawBlock"), 8);

    let spoiled = Sample::of_mainnet().with_header(|header| header.transactions_root.0[0] ^= 1);
    let mock = Mock::start(Served::sample(&spoiled).without(&["debug_getRawBlock"]));
    let message = stderr(&ask("fetch", &mock, NUMBER, folder.path()).assert().code(2));
    assert!(message.contains("the header commits to transactions"), "{message}");
}

#[test]
fn a_node_without_states_is_told_what_it_takes() {
    let lacks = ["debug_executionWitness", "debug_traceBlockByHash", "debug_traceBlockByNumber"];
    let mock = Mock::start(Served::sample(&Sample::of_mainnet()).without(&lacks));
    let cache = TempDir::new().unwrap();
    let message = stderr(&ask("fetch", &mock, NUMBER, cache.path()).assert().code(2));
    assert!(message.contains("--http.api eth,debug"), "{message}");
    let message = stderr(&ask("fetch", &mock, "15600002", cache.path()).assert().code(2));
    assert!(message.contains("the node has no block 15600002 yet"), "{message}");
    let message = stderr(&ask("fetch", &mock, "0", cache.path()).assert().code(2));
    assert!(message.contains("no block 0") || message.contains("begin with block 1"), "{message}");
}

#[test]
fn a_cached_block_is_not_fetched_again_unless_it_is_damaged() {
    let mock = Mock::start(Served::sample(&Sample::of_mainnet()));
    let cache = TempDir::new().unwrap();
    let fetch = || stdout(&ask("fetch", &mock, NUMBER, cache.path()).assert().code(0));
    assert!(fetch().contains("1 block fetched, 0 from the cache"));
    let witnesses = mock.calls("debug_executionWitness");
    assert!(fetch().contains("0 blocks fetched, 1 from the cache"));
    assert_eq!(mock.calls("debug_executionWitness"), witnesses);
    let files: Vec<_> = fs::read_dir(cache.path().join("warpline/blocks/1")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let path = files[0].as_ref().unwrap().path();
    let sound = fs::read(&path).unwrap();
    let mut damaged = sound.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bytes in [&damaged[..], &sound[..sound.len() / 2], b"", &[&sound[..], b"x"].concat()] {
        fs::write(&path, bytes).unwrap();
        let said = fetch();
        assert!(said.contains("in the cache cannot be used, fetched again"), "{said}");
        assert!(said.contains("1 block fetched"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), sound);
    }
    // Replaying finds it there, too.
    let report = json(&ask("replay", &mock, NUMBER, cache.path()).args(["--json", "-"]).assert());
    assert_eq!(report["summary"]["verified"], 1, "{report}");
    assert_eq!(mock.calls("debug_executionWitness"), witnesses + 4);
    // Who wants traces gets them, and the witness stays.
    let said = stdout(
        &ask("fetch", &mock, NUMBER, cache.path()).args(["--state", "traces"]).assert().code(0),
    );
    assert!(said.contains("snapshot") && said.contains("1 block fetched"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), sound);
}

#[test]
fn a_genesis_file_of_another_chain_with_the_same_id_is_refused() {
    let folder = TempDir::new().unwrap();
    let (path, cache) = (genesis(&folder), folder.path().join("cache"));
    let written = Genesis::from_json(&fs::read(&path).unwrap()).unwrap();
    let first = written.header(EMPTY_ROOT_HASH);
    let expected = first.hash_slow().to_string();
    let mut served = Served::embedded();
    served.first = Some(first);
    let mock = Mock::start(served);
    let fetch = || ask("fetch", &mock, "1", &cache).arg("--genesis").arg(&path).assert();
    fetch().code(0);
    let account = json!({"0x0000000000000000000000000000000000000001": {"balance": "1"}});
    change(&path, "/alloc", account);
    let message = stderr(&fetch().code(2));
    assert!(message.contains("genesis.json makes another block 0 than the node has"), "{message}");
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn a_cached_snapshot_that_fails_is_fetched_again() {
    let served = || Served::sample(&Sample::of_mainnet()).without(&DEBUG);
    let (wrong, right) = (Mock::start(served().without_balances()), Mock::start(served()));
    let cache = TempDir::new().unwrap();
    ask("fetch", &wrong, NUMBER, cache.path()).assert().code(0);
    let said = stdout(&ask("replay", &right, NUMBER, cache.path()).assert().code(1));
    assert!(said.contains("is dropped from the cache, to be fetched again"), "{said}");
    assert_eq!(right.calls("debug_traceBlockByHash"), 0);
    ask("replay", &right, NUMBER, cache.path()).assert().code(0);
    // What stands the test stays.
    ask("replay", &wrong, NUMBER, cache.path()).assert().code(0);
    // As it comes, a wrong one is not kept either.
    let cache = TempDir::new().unwrap();
    ask("replay", &wrong, NUMBER, cache.path()).assert().code(1);
    ask("replay", &right, NUMBER, cache.path()).assert().code(0);
}

#[test]
fn a_cached_block_of_other_rules_is_fetched_again() {
    let folder = TempDir::new().unwrap();
    let (genesis, cache) = (genesis(&folder), folder.path().join("cache"));
    let mock = Mock::start(Served::embedded());
    let fork = || {
        let mut command = ask("replay", &mock, "1", &cache);
        let command = command.args(["--json", "-", "--mode", "sequential", "--genesis"]);
        json(&command.arg(&genesis).assert())["blocks"][0]["fork"].clone()
    };
    // The block carries what Osaka's do, so that it is the rules alone that differ.
    change(&genesis, "/config/osakaTime", json!(u64::MAX));
    assert_eq!(fork(), "Prague");
    change(&genesis, "/config/osakaTime", json!(0));
    assert_eq!(fork(), "Osaka");
    assert_eq!(mock.calls("debug_traceBlockByHash"), 2);
    assert_eq!(fork(), "Osaka");
    assert_eq!(mock.calls("debug_traceBlockByHash"), 2);
}

#[test]
fn a_witness_takes_the_place_of_a_cached_snapshot_for_who_insists() {
    let mock = Mock::start(Served::sample(&Sample::of_mainnet()));
    let cache = TempDir::new().unwrap();
    let fetch = |state| {
        let mut command = ask("fetch", &mock, NUMBER, cache.path());
        stdout(&command.args(["--state", state]).assert().code(0))
    };
    assert!(fetch("traces").contains("1 block fetched"));
    assert!(fetch("any").contains("1 from the cache"));
    assert!(fetch("witness").contains("1 block fetched"));
    let said = fetch("any");
    assert!(said.contains("1 from the cache") && said.contains("witness"), "{said}");
}

#[test]
fn the_cache_is_where_caches_are() {
    let mock = Mock::start(Served::sample(&Sample::of_mainnet()));
    let home = TempDir::new().unwrap();
    let mut command = warpline();
    command.args(["fetch", "--rpc", &mock.url, "--blocks", NUMBER]);
    command.env_remove("XDG_CACHE_HOME").env("HOME", home.path()).assert().code(0);
    assert!(home.path().join(".cache/warpline/blocks/1").is_dir());
    command.env("XDG_CACHE_HOME", home.path().join("there")).assert().code(0);
    assert!(home.path().join("there/warpline/blocks/1").is_dir());
    let named = home.path().join("named");
    warpline()
        .args(["fetch", "--rpc", &mock.url, "--blocks", NUMBER, "--cache"])
        .arg(&named)
        .assert()
        .code(0);
    assert!(named.join("1").is_dir());
    let message = stderr(&command.arg("--no-cache").assert().code(2));
    assert!(message.contains("the blocks would go nowhere"), "{message}");
}

#[test]
fn a_cache_that_cannot_be_written_stops_only_who_wants_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mock = Mock::start(Served::sample(&Sample::of_mainnet()));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // A file where the folder would be, and a folder where a file would be.
    let taken = folder.path().join("taken");
    let hash = format!("{:x}", Sample::of_mainnet().block.hash);
    fs::create_dir_all(taken.join(format!("warpline/blocks/1/{NUMBER}-{hash}.capture"))).unwrap();
    let reasons = [(&file, "cannot make the folder"), (&taken, "to the cache (--no-cache does")];
    for (cache, complaint) in reasons {
        let said = stdout(&ask("replay", &mock, NUMBER, cache).assert().code(0));
        assert!(said.contains("not kept: cannot ") && said.contains(complaint), "{said}");
        let out = folder.path().join("it.capture");
        let said = stdout(&ask("fetch", &mock, NUMBER, cache).arg("-o").arg(&out).assert().code(0));
        assert!(said.contains("not kept: cannot ") && out.exists(), "{said}");
        let message = stderr(&ask("fetch", &mock, NUMBER, cache).assert().code(2));
        assert!(message.contains(complaint), "{message}");
    }
    let homeless = |command| {
        let mut asked = ask(command, &mock, NUMBER, folder.path());
        asked.env_remove("XDG_CACHE_HOME").env_remove("HOME").assert()
    };
    assert!(stdout(&homeless("replay").code(0)).contains("no folder for caches"));
    assert!(stderr(&homeless("fetch").code(2)).contains("no folder for caches"));
}

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    static TRACED: AtomicUsize = AtomicUsize::new(0);
    let folder = TempDir::new().unwrap();
    let (genesis, cache) = (genesis(&folder), folder.path().join("cache"));
    // From the third block on, this node says nothing.
    let slow = Mock::faulty(Served::embedded(), |methods| {
        let is_trace = methods.iter().any(|method| method == "debug_traceBlockByHash");
        let is_late = is_trace && TRACED.fetch_add(1, Ordering::Relaxed) >= 2;
        if is_late { Fault::Silence } else { Fault::None }
    });
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("warpline"))
        .args(["fetch", "--fetch-ahead", "1", "--blocks", "1..=6", "--rpc", &slow.url])
        .env("XDG_CACHE_HOME", &cache)
        .arg("--genesis")
        .arg(&genesis)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while TRACED.load(Ordering::Relaxed) < 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "the third block is never asked for");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let mock = Mock::start(Served::embedded());
    let out = folder.path().join("blocks.capture");
    let mut command = ask("fetch", &mock, "1..=6", &cache);
    command.arg("--genesis").arg(&genesis).arg("-o").arg(&out);
    let said = stdout(&command.assert().code(0));
    assert!(said.contains("4 blocks fetched, 2 from the cache"), "{said}");
    assert_eq!(mock.calls("debug_traceBlockByHash"), 4);

    // The captures say what chain they are of.
    let report = json(&warpline().args(["replay", "--json", "-"]).arg(&out).assert().code(0));
    assert_eq!(report["summary"]["verified"], 6, "{report:#}");
    assert_eq!(report["blocks"][0]["fork"], "Osaka");
}

#[test]
fn a_range_beyond_the_newest_block_is_refused_at_once() {
    let mock = Mock::start(Served::sample(&Sample::of_mainnet()));
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("it.capture");
    let mut command = ask("fetch", &mock, "15600001..=99999999999", folder.path());
    let message = stderr(&command.arg("-o").arg(&out).assert().code(2));
    let expected = "the node has no block 99999999999 yet: the newest is 15600001";
    assert!(message.contains(expected), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(mock.calls("eth_getBlockByNumber"), 0);
    assert!(!out.exists());
}

#[test]
fn a_file_that_lacks_blocks_does_not_get_its_name() {
    let folder = TempDir::new().unwrap();
    let genesis = genesis(&folder);
    let out = folder.path().join("out").join("it.capture");
    fs::create_dir(out.parent().unwrap()).unwrap();
    fs::write(&out, "what was there").unwrap();
    // From the third block on, or from the first, this node wants to know who asks.
    let fetch = |able: usize| {
        let mut count = 0;
        let mock = Mock::faulty(Served::embedded(), move |methods| {
            count += usize::from(methods.iter().any(|method| method == "debug_traceBlockByHash"));
            if count > able { Fault::Status(401) } else { Fault::None }
        });
        let mut command = ask("fetch", &mock, "1..=6", folder.path());
        command.args(["--no-cache", "--fetch-ahead", "1", "-o"]).arg(&out);
        stdout(&command.arg("--genesis").arg(&genesis).assert().code(2))
    };
    let names = || {
        let entries = fs::read_dir(out.parent().unwrap()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let said = fetch(0);
    assert!(said.contains("6 blocks are missing"), "{said}");
    assert_eq!(names(), ["it.capture"]);
    let said = fetch(2);
    assert!(said.contains("4 blocks are missing"), "{said}");
    assert!(said.contains("those that came are in ") && said.contains("it.capture.partial"));
    assert_eq!(names(), ["it.capture", "it.capture.partial"]);
    assert_eq!(fs::read(&out).unwrap(), b"what was there");
    let report = json(
        &warpline()
            .args(["replay", "--json", "-"])
            .arg(out.with_extension("capture.partial"))
            .assert(),
    );
    assert_eq!(report["summary"]["verified"], 2, "{report:#}");
}

#[test]
fn arguments_that_go_nowhere_together_are_refused() {
    let table: [(&[&str], &str); 6] = [
        (&["replay", "--rpc", "http://127.0.0.1:1"], "--blocks"),
        (&["replay", "--blocks", "1"], "--rpc"),
        (&["replay", "--rpc", "http://h", "--blocks", "1", "file"], "cannot be used with"),
        (&["fetch", "--rpc", "http://h", "--blocks", "3..=2"], "there is no block in 3..=2"),
        (
            &["fetch", "--rpc", "ftp://h/key", "--blocks", "1"],
            "ftp://h: --rpc takes URLs that begin with http:// or https://",
        ),
        (
            &["fetch", "--rpc", "http://h", "--blocks", "1", "--cache", "x", "--no-cache"],
            "--no-cache",
        ),
    ];
    for (args, complaint) in table {
        let message = stderr(&warpline().args(args).assert().code(2));
        assert!(message.contains(complaint), "{args:?}: {message}");
    }
}
