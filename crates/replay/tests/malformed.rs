//! Whatever is wrong with an input, the error names the place and the reason, and the inputs
//! beside it are still read.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{io::Write, sync::Arc};

use alloy_primitives::keccak256;
use common::{TempDir, documents, transfers};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use warpline_chain::ChainSpec;
use warpline_replay::{
    Input, InputError, InputProblem, Inputs, Origin, Verdict, decode_document, run_chain_test,
};

fn decode(document: &[u8]) -> Vec<Result<Input, InputError>> {
    decode_document(document, &Origin::file("file.json"), &Arc::new(ChainSpec::mainnet()))
}

/// The only error of `document`, as it is shown.
fn error_of(document: &[u8]) -> String {
    let mut results = decode(document);
    assert_eq!(results.len(), 1);
    results.remove(0).unwrap_err().to_string()
}

/// A document, what is put where in it (`null` removes), and what the error says.
type Row<'a> = (fn() -> Value, &'a str, Value, &'a str);

fn spoil(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(members), Value::Null) => drop(members.remove(name).unwrap()),
        (parent, value) => *parent.pointer_mut(&format!("/{name}")).unwrap() = value,
    }
}

fn check(rows: &[Row<'_>]) {
    for (document, pointer, value, expected) in rows {
        let mut spoiled = document();
        spoil(&mut spoiled, pointer, value.clone());
        let error = error_of(spoiled.to_string().as_bytes());
        assert!(error.starts_with("file.json"), "{error}");
        assert!(error.contains(expected), "{pointer}: expected {expected:?} in {error:?}");
    }
}

#[test]
fn the_documents_are_valid_unless_spoiled() {
    let [snapshot, witness] = [documents::snapshot(), documents::witness()].map(|document| {
        match decode(document.to_string().as_bytes()).remove(0).unwrap() {
            Input::Block(input) => *input,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!((snapshot.number(), snapshot.transaction_count()), (46147, 1));
    assert_eq!((witness.number(), witness.parent_header.unwrap().number), (10, 9));
    let Input::ChainTest(test) =
        decode(documents::chain_test().to_string().as_bytes()).remove(0).unwrap()
    else {
        panic!("not a test")
    };
    let report = run_chain_test(&test, transfers::execute);
    assert!(matches!(report.verdict, Verdict::Passed), "{report:?}");
    assert_eq!(report.blocks_run(), 2);
}

#[test]
fn spoiled_snapshots() {
    let row = documents::snapshot;
    let tx = "/block/transactions/0";
    let other = json!(format!("0x{}", "11".repeat(32)));
    check(&[
        (row, "/block/hash", other.clone(), "block.hash: hash mismatch: the file says 0x1111"),
        (row, "/block/gasUsed", json!("0x5209"), "block.hash: hash mismatch"),
        (row, "/block/gasUsed", Value::Null, "block: line 1 column"),
        (row, "/block/gasUsed", Value::Null, "missing field `gasUsed`"),
        (row, "/block/gasUsed", json!("0xzz"), "block.gasUsed: line 1 column"),
        (row, "/block/transactions", json!([other]), "block.transactions[0]: "),
        (row, &format!("{tx}/hash"), other.clone(), "block.transactions[0].hash: hash mismatch"),
        (row, &format!("{tx}/value"), json!("0x1"), "block.transactions[0].hash: hash mismatch"),
        (row, &format!("{tx}/hash"), Value::Null, "block.transactions[0]: "),
        (row, &format!("{tx}/s"), Value::Null, "block.transactions[0]: "),
        (row, "/pre_state", json!([]), "pre_state: line 1 column"),
        (row, "/pre_state", json!({"0x12": {}}), "pre_state"),
        (row, "/pre_state", Value::Null, "`pre_state` is missing"),
        (row, "/codes", json!({other.as_str().unwrap(): "0x00"}), "codes.0x1111"),
        (row, "/codes", json!({other.as_str().unwrap(): "0x0"}), "codes.0x11111111"),
        (row, "/block_hashes", json!({"18446744073709551616": other}), "does not fit 64 bits"),
    ]);
}

#[test]
fn spoiled_witnesses() {
    let row = documents::witness;
    let broken_root = || documents::witness_on(keccak256([0xc1]), &[0xc1]);
    let good = row();
    let headers = &good["witness"]["headers"];
    let block = good["block"].as_str().unwrap();
    let mut gap = headers.clone();
    gap[1] = gap[0].clone();
    let cut = &block[..block.len() - 2];
    check(&[
        (row, "/block", json!(cut), "block: malformed RLP: "),
        (row, "/block", json!(format!("{block}00")), "block: malformed RLP: 1 bytes after the end"),
        (row, "/block", json!(format!("{block}0")), "block: line 1 column"),
        (row, "/block", json!(format!("{cut}zz")), "block: line 1 column"),
        (row, "/block", json!(7), "block: line 1 column"),
        (row, "/block", Value::Null, "`block` is missing"),
        (row, "/witness/state", Value::Null, "witness: line 1 column"),
        (broken_root, "/witness/keys", json!([]), "witness.state: node 0x"),
        (row, "/witness/codes/0", json!("0x600"), "witness.codes[0]: "),
        (row, "/witness/headers", json!([]), "witness.headers: no header of the parent block 0x"),
        (row, "/witness/headers/0", headers[1].clone(), "witness.headers[0]: header chain broken"),
        (row, "/witness/headers", gap, "witness.headers[1]: header chain broken"),
        (row, "/witness/headers/1", json!("0xf90200"), "witness.headers[1]: malformed RLP: "),
        (row, "/witness/headers/1", json!({"number": "0x8"}), "witness.headers[1]: "),
        (row, "/witness/headers/1", json!(["0x"]), "witness.headers[1]: line 1 column"),
    ]);
}

#[test]
fn spoiled_blockchain_tests() {
    let row = documents::chain_test;
    let counts = json!({"target": "0x03", "max": "0x06", "baseFeeUpdateFraction": "0x00"});
    check(&[
        (row, "/case/network", json!("Atlantis"), "#case: network: unknown network \"Atlantis\""),
        (row, "/case/network", json!(5), "#case: network: line 1 column"),
        (row, "/case/lastblockhash", Value::Null, "missing field `lastblockhash`"),
        (row, "/case/genesisRLP", json!("0xc0"), "#case: genesisRLP: malformed RLP: "),
        (row, "/case/genesisRLP", Value::Null, "#case: neither `genesisRLP` nor"),
        (row, "/case/blocks/0/rlp", Value::Null, "#case: blocks[0]: "),
        (row, "/case/blocks/1/rlp", json!("0xabc"), "#case: blocks[1].rlp: line 1 column"),
        (row, "/case/blocks/1/expectException", json!(3), "#case: blocks[1].expectException: "),
        (row, "/case/pre", json!({"0x00": {}}), "#case: pre"),
        (row, "/case/postState", json!({"a": 1}), "#case: postState"),
    ]);
    let mut blobs = row();
    blobs["case"]["config"] = json!({"blobSchedule": {"Prague": counts}});
    assert!(error_of(blobs.to_string().as_bytes()).contains("config.blobSchedule"));
}

#[test]
fn undecodable_blocks_are_invalid_blocks_not_input_errors() {
    let mut document = documents::chain_test();
    document["case"]["blocks"][1]["rlp"] = json!("0xc0");
    let Input::ChainTest(test) = decode(document.to_string().as_bytes()).remove(0).unwrap() else {
        panic!("not a test")
    };
    assert!(run_chain_test(&test, transfers::execute).passed());
    // A block that should have been accepted fails the case, and says which.
    document["case"]["blocks"][0]["rlp"] = json!("0xc0");
    let Input::ChainTest(test) = decode(document.to_string().as_bytes()).remove(0).unwrap() else {
        panic!("not a test")
    };
    let Verdict::Failed(failure) = run_chain_test(&test, transfers::execute).verdict else {
        panic!("passed")
    };
    assert!(failure.to_string().starts_with("block 0 was rejected: malformed RLP"), "{failure}");
}

#[test]
fn not_json_and_not_a_format() {
    let rows = [
        ("", "line 1 column 0"),
        ("{\n  \"block\": tru", "line 2 column"),
        ("\u{1}", "line 1 column"),
        ("[1]", "not a known format"),
        ("7", "not a known format"),
        ("{\"46147\": {\"txs\": 1}}", "not a known format"),
        ("{\"block\": {}}", "not a known format"),
        ("{\"witness\": {}}", "`block` is missing"),
        ("{\"a\":\n{\"blocks\": [],\n \"pre\": 3}}", "pre: line 3 column"),
    ];
    for (document, expected) in rows {
        let error = error_of(document.as_bytes());
        assert!(error.contains(expected), "{document:?}: expected {expected:?} in {error:?}");
    }
    assert!(error_of(&[b'{', 0xff, 0xfe]).contains("line 1"));
    let deep = "[".repeat(100_000);
    assert!(error_of(format!("{{\"witness\": {deep}").as_bytes()).contains("file.json"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Each result as one line: what was found, and where.
fn listing(folder: &TempDir, names: &[&str]) -> Vec<String> {
    let prefix = format!("{}/", folder.path().display());
    let paths = names.iter().map(|name| folder.path().join(name));
    let line = |result: Result<Input, InputError>| match result {
        Ok(Input::Block(input)) => format!("block {}", input.origin),
        Ok(Input::ChainTest(test)) => format!("test {}", test.origin),
        Ok(Input::Skipped(origin)) => format!("skipped {origin}"),
        Err(error) => format!("error {error}"),
    };
    Inputs::open(paths).map(|result| line(result).replace(&prefix, "")).collect()
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let folder = TempDir::new("walk");
    let [snapshot, witness, test] =
        [documents::snapshot(), documents::witness(), documents::chain_test()]
            .map(|document| document.to_string().into_bytes());
    let long = format!("{}/long.json", "folder/".repeat(30));
    let members: [(&str, &[u8]); 6] = [
        ("README.md", b"no JSON"),
        ("bad.json", b"{"),
        ("cut.json.gz", &gzip(&witness)[..100]),
        ("notes.json", b"{}"),
        ("test.json", &test),
        (&long, &witness),
    ];
    let archive = tar(&members);
    let packed = zstd::encode_all(&*archive, 3).unwrap();
    folder.write("tests/README.md", b"no JSON");
    folder.write("tests/a-bounds.json", b"{\"1\": {\"txs\": 1}}");
    folder.write("tests/b/block.json", &witness);
    folder.write("tests/c.json.gz", &gzip(&snapshot));
    folder.write("tests/d-cut.json.gz", &gzip(&snapshot)[..500]);
    folder.write("tests/e.tar.zst", &packed);
    folder.write("tests/f-cut.tar.zst", &packed[..packed.len() - 20]);
    folder.write("tests/g.tar.gz", &gzip(&archive[..archive.len() - 3000]));
    folder.write("tests/h.json", &test);
    let found = listing(&folder, &["tests"]);
    let expected = [
        "skipped tests/a-bounds.json",
        "block tests/b/block.json",
        "block tests/c.json.gz",
        "error tests/d-cut.json.gz: cannot be read: ",
        "error tests/e.tar.zst:bad.json: line 1 column 1: ",
        "error tests/e.tar.zst:cut.json.gz: cannot be read: ",
        "skipped tests/e.tar.zst:notes.json",
        "test tests/e.tar.zst:test.json#case",
        &format!("block tests/e.tar.zst:{long}"),
        "error tests/f-cut.tar.zst: cannot be read: ",
        "error tests/g.tar.gz:bad.json: line 1 column 1: ",
        "error tests/g.tar.gz:cut.json.gz: cannot be read: ",
        "skipped tests/g.tar.gz:notes.json",
        "test tests/g.tar.gz:test.json#case",
        "error tests/g.tar.gz: cannot be read: ",
        "test tests/h.json#case",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "expected {expected}, found {found}");
    }
}

#[test]
fn contents_count_and_names_do_not() {
    let folder = TempDir::new("names");
    let witness = documents::witness().to_string().into_bytes();
    folder.write("block.bin", &witness);
    folder.write("plain.json.gz", &witness);
    folder.write("packed.json", &zstd::encode_all(&*gzip(&witness), 1).unwrap());
    folder.write("archive.json", &tar(&[("in.json", &witness)]));
    folder.write("bounds.json", b"{\"1\": {\"txs\": 1}}");
    let layers = (0..6).fold(witness, |bytes, _| gzip(&bytes));
    folder.write("onion.json.gz", &layers);
    let names = ["block.bin", "plain.json.gz", "packed.json", "archive.json", "bounds.json"];
    assert_eq!(
        listing(&folder, &names),
        [
            "block block.bin",
            "block plain.json.gz",
            "block packed.json",
            "block archive.json:in.json",
            "error bounds.json: not a known format (snapshot, execution witness, blockchain test or capture)",
        ]
    );
    let problem =
        |name| Inputs::open([folder.path().join(name)]).next().unwrap().unwrap_err().problem;
    assert!(matches!(*problem("onion.json.gz"), InputProblem::TooDeep { .. }));
    assert!(matches!(*problem("absent.json"), InputProblem::Unreadable(_)));
}
