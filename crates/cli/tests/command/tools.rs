//! The node as the ecosystem's tools see it: cast, ethers and viem, which `dev/install-tools` installs.
//! Where they are not installed, it is said in one line what was not run.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use alloy_primitives::{hex, keccak256};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    chain::{initialised, rpc_compat, run},
    node::{Node, page},
};

/// All that is offered.
const APIS: &str = "eth,net,web3,debug,txpool";

/// Returns what it was called with. Made in block 1.
const ENV: &str = "0x9344b07175800259691961298ca11c824e65032d";
/// Counts its calls, and logs them.
const COUNTER: &str = "0x7dcd17433742f4c0ca53122ab541d0ba67fc27df";
/// The first topic of its logs.
const EMIT: &str = "0x00000000000000000000000000000000000000000000000000000000656d6974";
/// Reverts.
const REVERTS: &str = "0x0ee3ab1371c93e7c0c281cc0c2107cdebc8b1930";
const RICH: &str = "0x0c2c51a0990aee1d73c1228de158688341557508";
const SENDER: &str = "0x7435ed30a8b4aeb0877cef0c6e8cffe834eb865f";
/// The first transaction of block 27, which calls the counter, and what it logs.
const COUNTED: &str = "0x205405746564cbcf1dd53fb5ac92c7622d3792d82f03c59d9baddf2443d91864";
const COUNTED_SLOT: &str = "0x13bd2394f758553be374ffa4a9455cdf5e6ef3d905acd02746df2d12361e1ace";
/// The transaction of block 1 that made [`ENV`].
const CREATES: &str = "0xc1d605c6612a5fe84dc95810030bfe5b1d327652b381bc695e28f50d13b2b09e";
/// A transaction of type 4, second in block 45.
const DELEGATES: &str = "0x99f7e58af4dd2735931a3262705fbe57ea2fcc79497668f74309cdeaf37cc223";
/// A transaction that the chain does not have.
const UNSENT: &str = "0xf86c808401a213988261a894aa000000000000000000000000000000000000000a82554487\
    18e5bb3abd109fa073fbe7ff7e74339e7cc61fb3cb3f7630cd3f1d5fef653d7297654b2d22894daea042a188d30f35\
    f19408c73c803bc1e9e17ce129c457e31fd2a368b54507af2f4c";

/// The folder with the tools, if `package` is installed there.
#[expect(clippy::print_stdout, reason = "a test says what it did not run")]
fn installed(package: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dev/tools");
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    let has = folder.join("node_modules").join(package).exists();
    if has && node.is_ok_and(|status| status.success()) {
        return Some(folder);
    }
    println!("not run: {package} is not installed, see dev/install-tools");
    None
}

/// The chain's first 27 blocks, and the others.
fn halves(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let chain = fs::read(folder.join("chain.rlp")).unwrap();
    let mut rest = &chain[..];
    for _ in 0..27 {
        let header = alloy_rlp::Header::decode(&mut rest).unwrap();
        rest = &rest[header.payload_length..];
    }
    (chain[..chain.len() - rest.len()].to_vec(), rest.to_vec())
}

/// Starts a node that has half of the chain, runs `script` against it, and feeds it the other half when
/// the script has subscribed to what comes.
fn run_script(script: &str, package: &str) {
    let Some((tools, folder)) = installed(package).zip(rpc_compat()) else { return };
    let (first, rest) = halves(&folder);
    let data = initialised(&folder);
    let half = data.path().join("first.rlp");
    fs::write(&half, first).unwrap();
    run(data.path(), &["import", half.to_str().unwrap()]);
    let arguments = ["--import", "-", "--ws", "--ws.port", "0", "--metrics", "127.0.0.1:0"];
    let apis = ["--http.api", APIS, "--ws.api", APIS];
    let mut node = Node::start(data.path(), &[&arguments[..], &apis[..]].concat());
    let (ws, metrics) = (node.announced("ws: "), node.announced("metrics: http://"));

    let errors = data.path().join("errors");
    let mut child = Command::new("node")
        .arg(tools.join(script))
        .args([format!("http://{}", node.http), ws])
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "subscribed" {
            node.child.stdin.take().unwrap().write_all(&rest).unwrap();
        }
        said.push(line);
    }
    let status = child.wait().unwrap();
    let errors = fs::read_to_string(errors).unwrap();
    assert!(status.success(), "{}\n{errors}", said.join("\n"));
    assert_eq!(said.last().unwrap(), "all passed", "{errors}");

    // The library asked in the way that was to be tried.
    let metrics = page(&metrics, "/metrics");
    let count = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|count| count.parse::<u64>().ok()).unwrap_or_else(|| panic!("{name}"))
    };
    assert!(count("warpline_rpc_batches_total") > 2);
    assert!(count("warpline_rpc_batch_calls_sum") > 200);
    let subscribed = r#"warpline_rpc_calls_total{method="eth_subscribe",outcome="ok"}"#;
    assert!(count(subscribed) > 1, "{metrics}");
    assert_eq!(count("warpline_head_block"), 54);
}

#[test]
fn ethers_works() {
    run_script("ethers.mjs", "ethers");
}

#[test]
fn viem_works() {
    run_script("viem.mjs", "viem");
}

#[test]
fn the_documentation_names_the_versions_that_are_tried() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path| fs::read_to_string(repository.join(path)).unwrap();
    let package: Value = serde_json::from_str(&read("dev/tools/package.json")).unwrap();
    let tools = package["dependencies"].as_object().unwrap();
    assert_eq!(tools.len(), 3);
    let documentation = read("docs/node.md");
    for (name, version) in tools {
        let tool = name.rsplit('/').next().unwrap();
        let named = format!("{tool} {}", version.as_str().unwrap());
        assert!(documentation.contains(&named), "{named} is not in docs/node.md");
    }
}

/// cast, and a node with the whole chain.
struct Cast {
    program: PathBuf,
    home: TempDir,
    node: Node,
    ws: String,
}

impl Cast {
    fn start() -> Option<Self> {
        // Without the script that npm would start it by, which always exits with 0.
        let os = std::env::consts::OS.replace("macos", "darwin");
        let arch = std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64");
        let package = format!("@foundry-rs/cast-{os}-{arch}");
        let program = installed(&package)?.join("node_modules").join(package).join("bin/cast");
        let folder = rpc_compat()?;
        let data = initialised(&folder);
        run(data.path(), &["import", folder.join("chain.rlp").to_str().unwrap()]);
        let arguments = ["--ws", "--ws.port", "0", "--http.api", APIS, "--ws.api", APIS];
        let mut node = Node::start(data.path(), &arguments);
        let ws = node.announced("ws: ");
        Some(Self { program, home: data, node, ws })
    }

    /// What it prints, or says about why it fails.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        // Nothing of the user's: no configuration, no cache, no proxy.
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("ETH_RPC_URL", format!("http://{}", self.node.http));
        let output = command.args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn prints(&self, arguments: &[&str]) -> String {
        self.run(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    /// That each prints exactly this.
    fn expect(&self, cases: &[(&[&str], &str)]) {
        for (arguments, expected) in cases {
            assert_eq!(self.prints(arguments), *expected, "{arguments:?}");
        }
    }

    /// That each prints this among other things.
    fn expect_among(&self, cases: &[(&[&str], &[&str])]) {
        for (arguments, parts) in cases {
            let printed = self.prints(arguments);
            for part in *parts {
                assert!(printed.contains(part), "{arguments:?}: {printed}");
            }
        }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let printed = self.prints(arguments);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }
}

#[test]
fn cast_reads_the_chain_and_its_state() {
    let Some(cast) = Cast::start() else { return };
    let head = "0xd226371d0b1551adb03fb52b71f08e3e11247fe9b1af994768af8cdaa8e7dcd7";
    let slot = |value: &str| format!("0x{value:0>64}");
    cast.expect(&[
        (&["chain-id"], "3503995874084926"),
        (&["block-number"], "54"),
        (&["block-number", "finalized"], "54"),
        (&["block-number", "--rpc-url", &cast.ws], "54"),
        (&["block", "latest", "-f", "hash"], head),
        (&["block", head, "-f", "number"], "54"),
        (&["block", "earliest", "-f", "number"], "0"),
        (&["find-block", "100"], "10"),
        (&["base-fee", "30"], "670476525"),
        (&["gas-price"], "27399063"),
        (&["balance", RICH], "1000000000000000000000000100000000003"),
        (&["balance", SENDER, "--block", "3"], "999999999999999999999999999908066432"),
        (&["nonce", SENDER, "--block", "10"], "89"),
        (
            &["code", COUNTER],
            "0x3680600080376000206000548082558060010160005560005263656d697460206000a2",
        ),
        (&["code", ENV, "--block", "0"], "0x"),
        (&["codesize", COUNTER], "35"),
        (&["storage", COUNTER, "0"], &slot("38")),
        (&["storage", COUNTER, COUNTED_SLOT, "--block", "26"], &slot("0")),
        (&["storage", COUNTER, COUNTED_SLOT, "--block", "27"], &slot("13")),
        (&["receipt", COUNTED, "gasUsed"], "51868"),
        (&["tx", COUNTED, "nonce"], "144"),
        (&["implementation", COUNTER], "0x0000000000000000000000000000000000000000"),
    ]);
    cast.expect_among(&[
        (&["client"], &["warpline/v"]),
        (&["receipt", COUNTED], &["1 (success)", "blockNumber          27"]),
        (&["tx-pool", "status"], &[r#""pending": "0x0""#]),
        (&["rpc", "eth_feeHistory", "0x5", "latest", "[10,50]"], &[r#""oldestBlock":"0x32""#]),
    ]);
    let logs = cast.json(&[
        "logs",
        "--json",
        "--from-block",
        "1",
        "--address",
        COUNTER,
        EMIT,
        COUNTED_SLOT,
    ]);
    assert_eq!(logs.as_array().unwrap().len(), 1, "{logs}");
    assert_eq!(logs[0]["transactionHash"], COUNTED);

    // cast encodes what it was told, and that has the hash.
    for transaction in [COUNTED, CREATES, DELEGATES] {
        let raw = hex::decode(cast.prints(&["tx", transaction, "--raw"])).unwrap();
        assert_eq!(keccak256(raw).to_string(), transaction);
    }
    for number in ["0", "9", "27", "36", "40", "42", "45", "54"] {
        let raw = hex::decode(cast.prints(&["block", number, "--raw"])).unwrap();
        assert_eq!(keccak256(raw).to_string(), cast.prints(&["block", number, "-f", "hash"]));
    }
    let proof = cast.json(&["proof", COUNTER, "0x0"]);
    assert_eq!(proof["storageProof"][0]["value"], "0x38");
    assert_eq!(proof["storageHash"], cast.prints(&["storage-root", COUNTER]));
}

#[test]
fn cast_calls_and_traces() {
    let Some(cast) = Cast::start() else { return };
    let env = "env()(uint256,uint256,address,uint256,uint256,address,uint256)";
    for (block, fee) in [("54", "27399063 [2.739e7]"), ("30", "670476525 [6.704e8]")] {
        // Who offers no fee is not told of one either.
        let to = ["call", ENV, env, "--block", block, "--from", RICH];
        let printed = cast.prints(&[&to[..], &["--value", "23", "--gas-price", "1gwei"]].concat());
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines[..2], [block, "3503995874084926 [3.503e15]"], "{printed}");
        assert_eq!((lines[3], lines[6]), (fee, "23"), "{printed}");
        assert_eq!(lines[5].to_lowercase(), RICH, "{printed}");
    }
    // Returns what is in slot 0.
    let code = format!("{COUNTER}:0x60005460005260206000f3");
    let state = format!("{COUNTER}:0:0x2a");
    let overridden =
        ["call", COUNTER, "0x", "--override-code", &code, "--override-state-diff", &state];
    assert_eq!(cast.prints(&overridden), format!("0x{:0>64}", "2a"));

    cast.expect(&[(&["estimate", COUNTER, "0x010203"], "50013")]);
    cast.expect_among(&[
        (
            &["access-list", COUNTER, "0x010203", "--from", RICH],
            &["gas used: 51724", "access list:"],
        ),
        // Executed by cast, on the state that the node gives it.
        (&["run", COUNTED], &["Gas used: 51868", COUNTED_SLOT, "successfully"]),
        (&["run", CREATES], &["Gas used: 63351", "new <unknown>@0x9344b071"]),
        (&["run", DELEGATES, "--evm-version", "prague"], &["Gas used: 36800", "successfully"]),
        (&["call", ENV, "--trace"], &["[Return]", "successfully"]),
    ]);
    let trace =
        cast.json(&["rpc", "debug_traceTransaction", COUNTED, r#"{"tracer":"callTracer"}"#]);
    assert_eq!((&trace["type"], &trace["to"]), (&"CALL".into(), &COUNTER.into()), "{trace}");
    assert_eq!(trace["gasUsed"], "0xca9c", "{trace}");
}

#[test]
fn cast_is_told_what_is_wrong() {
    let Some(cast) = Cast::start() else { return };
    let unknown = "0x00000000000000000000000000000000000000000000000000000000deadbeef";
    let cases: [(&[&str], &str); 8] = [
        (&["call", REVERTS, "0x01"], "error code 3: execution reverted: user error"),
        (&["estimate", REVERTS, "0x01"], "error code 3: execution reverted: user error"),
        (&["call", REVERTS, "0x00"], "error code 3: execution reverted: assert(false)"),
        (&["call", ENV, "0x", "--block", "10"], "invalid opcode"),
        (&["publish", UNSENT], "this node has no transaction pool"),
        (&["rpc", "eth_nonsense"], "error code -32601"),
        (&["block", "60"], "not found"),
        (&["tx", unknown], "tx not found"),
    ];
    for (arguments, reason) in cases {
        let said = cast.run(arguments).unwrap_err();
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}
