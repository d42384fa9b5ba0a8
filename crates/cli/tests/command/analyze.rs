//! `warpline analyze contract`.

use std::path::PathBuf;
#[cfg(feature = "rpc")]
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{json, keys, stderr, stdout, warpline};

const ADDRESS: &str = "0x00000000000000000000000000000000c0DeC0de";

fn artefact(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../workloads/contracts/artifacts");
    PathBuf::from(folder).join(format!("{name}.json"))
}

#[test]
fn a_contract_is_described_in_the_words_of_its_source() {
    let text = stdout(
        &warpline().args(["analyze", "contract"]).arg(artefact("Collectible")).assert().code(0),
    );
    for line in [
        "mint()  0x1249c58b",
        "  increments slot 2 (`nextId`): every call conflicts",
        "  increments `balanceOf[caller]`: calls of the same caller conflict (the additions would commute)",
        "  writes a part of `ownerOf[nextId]`: calls that find the same in slot 2 (`nextId`) conflict",
        "transfer(address to, uint256 id)  0xa9059cbb",
        "  writes a part of `ownerOf[id]`: calls with the same id conflict",
    ] {
        assert!(text.lines().any(|it| it.trim_end() == line), "no line {line:?} in\n{text}");
    }
}

#[test]
fn without_names_there_are_selectors_and_with_an_abi_names() {
    let folder = TempDir::new().unwrap();
    let whole: Value =
        serde_json::from_str(&std::fs::read_to_string(artefact("Token")).unwrap()).unwrap();
    let (code, abi) = (folder.path().join("code.hex"), folder.path().join("abi.json"));
    std::fs::write(&code, whole["deployedBytecode"].as_str().unwrap()).unwrap();
    std::fs::write(&abi, whole["abi"].to_string()).unwrap();
    let run = |args: &[&std::ffi::OsStr]| {
        stdout(&warpline().args(["analyze", "contract"]).arg(&code).args(args).assert().code(0))
    };
    let text = run(&[]);
    assert!(text.contains("0xa9059cbb(address, uint256)"), "{text}");
    assert!(
        text.contains("adds arg1 to slot 3[arg0]: calls with the same arg0 conflict"),
        "{text}"
    );
    let text = run(&["--abi".as_ref(), abi.as_os_str()]);
    assert!(text.contains("transfer(address to, uint256 value)  0xa9059cbb"), "{text}");
    assert!(text.contains("adds value to slot 3[to]: calls with the same to conflict"), "{text}");
}

#[test]
fn the_report_has_all_the_documented_fields() {
    let args = ["analyze", "contract", "--json", "-"];
    let report = json(&warpline().args(args).arg(artefact("Pool")).assert().code(0));
    let all = ["code_bytes", "conflicts", "functions", "proxy", "schema", "source", "steps"];
    assert_eq!(keys(&report), all);
    assert_eq!(report["schema"], "warpline.contract.v1");
    assert_eq!(report["proxy"], Value::Null);
    let functions = report["functions"].as_array().unwrap();
    let trade = functions.iter().find(|it| it["entry"] == "0xa87e59b5").unwrap();
    assert_eq!(
        keys(trade),
        [
            "accesses",
            "arguments",
            "calls",
            "conflicts",
            "creates",
            "entry",
            "incomplete",
            "known",
            "name",
            "offset",
            "segments",
            "self_destructs",
            "unknown",
        ]
    );
    assert_eq!(trade["known"], true);
    let keys_of = |list: &str| keys(&trade[list][0]);
    assert_eq!(keys_of("accesses"), ["always", "kind", "known", "pc", "slot"]);
    assert_eq!(
        keys_of("calls"),
        ["always", "arguments", "forwards", "kind", "pc", "selector", "target", "value"]
    );
    assert_eq!(keys_of("segments"), ["at", "gas", "opener", "ranges"]);
    let pair = &report["conflicts"][0];
    assert_eq!(keys(pair), ["functions", "relation"]);
}

#[test]
fn the_graph_is_one_that_graphviz_reads() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("graph.dot");
    warpline()
        .args(["analyze", "contract", "--dot"])
        .arg(&file)
        .arg(artefact("Token"))
        .assert()
        .code(0);
    let graph = std::fs::read_to_string(file).unwrap();
    assert!(graph.starts_with("digraph contract {\n") && graph.ends_with("}\n"));
    assert!(graph.contains(" -> ") && graph.contains("the read of `balanceOf[to]`"), "{graph}");
}

#[test]
fn what_cannot_be_analysed_is_said_to_be_so() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (empty, words) = (file("empty.hex", "0x"), file("words.txt", "hello"));
    let (json, code) = (file("list.json", "{}"), file("code.hex", "0x6001"));
    let table: [(&[&str], &str); 7] = [
        (&[ADDRESS], "say with --rpc which node has its code"),
        (&[&empty], "has no code"),
        (&[&words], "not the hexadecimal digits of code"),
        (&[&json], "no `deployedBytecode`"),
        (&["no-such-file"], "cannot read no-such-file"),
        (&[&code, "--abi", &json], "neither an ABI nor a storage layout"),
        (&[&code, "--rpc", "http://127.0.0.1:1"], "is no address"),
    ];
    for (args, complaint) in table {
        let message = stderr(&warpline().args(["analyze", "contract"]).args(args).assert().code(2));
        assert!(message.contains(complaint), "{args:?}: {message}");
    }
}

/// A node that gives one answer.
#[cfg(feature = "rpc")]
fn node(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"}") {
            let count = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..count]);
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
    });
    url
}

#[cfg(feature = "rpc")]
#[test]
fn a_node_is_asked_for_the_code_at_an_address() {
    let ask = |answer| {
        let url = node(answer);
        warpline().args(["analyze", "contract", ADDRESS, "--rpc", &url]).assert()
    };
    let code = r#"{"jsonrpc": "2.0", "id": 1, "result": "0x600754600101600755"}"#;
    let text = stdout(&ask(code).code(0));
    assert!(text.contains("increments slot 7: every call conflicts"), "{text}");
    let message = stderr(&ask(r#"{"id": 1, "result": "0x"}"#).code(2));
    assert!(message.contains("no contract at 0x0000"), "{message}");
    let message = stderr(&ask(r#"{"id": 1, "error": {"message": "busy"}}"#).code(2));
    assert!(message.contains("busy"), "{message}");
    let command = ["analyze", "contract", ADDRESS, "--rpc", "ftp://127.0.0.1:1"];
    let message = stderr(&warpline().args(command).assert().code(2));
    assert!(message.contains("http:// or https://"), "{message}");
}
