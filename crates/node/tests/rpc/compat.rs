//! The conformance tests of the Ethereum execution APIs.
//!
//! Each file is a conversation: `>>` before what is sent, `<<` before what is expected. Responses are
//! compared as JSON, but for the words of errors. Of files marked `speconly` only the shape counts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::node::{Node, conformance};

/// Conversations that do not go as expected, by method or by file, with the reason.
const EXPECTED_TO_FAIL: &[(&str, &str)] = &[
    ("eth_sendRawTransaction", "the node has no transaction pool"),
    ("testing_buildBlockV1", "the node builds no blocks"),
];

/// One request and its expected response.
struct Exchange {
    request: String,
    expected: Value,
}

struct Conversation {
    name: String,
    is_shape_only: bool,
    exchanges: Vec<Exchange>,
}

impl Conversation {
    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut request = None;
        let mut exchanges = Vec::new();
        for line in text.lines() {
            if let Some(sent) = line.strip_prefix(">> ") {
                request = Some(sent.to_owned());
            } else if let Some(expected) = line.strip_prefix("<< ") {
                let expected = serde_json::from_str(expected).unwrap();
                exchanges.push(Exchange { request: request.take().unwrap(), expected });
            }
        }
        let name = path.strip_prefix(root).unwrap().with_extension("");
        Self {
            name: name.to_str().unwrap().to_owned(),
            is_shape_only: text.lines().any(|line| line.starts_with("// speconly")),
            exchanges,
        }
    }

    /// How the conversation goes wrong.
    fn difference(&self, mut answer: impl FnMut(&str) -> Value) -> Option<String> {
        self.exchanges.iter().find_map(|Exchange { request, expected }| {
            let found = answer(request);
            let is_same = match self.is_shape_only {
                true => has_shape(expected, &found),
                false => without_words(expected.clone()) == without_words(found.clone()),
            };
            (!is_same).then(|| format!("{request}\n  expected {expected}\n  found    {found}"))
        })
    }

    /// The entry that says that the conversation fails.
    fn expected_to_fail(&self) -> Option<&'static str> {
        let named = EXPECTED_TO_FAIL.iter().find(|(name, _)| {
            let rest = self.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        named.map(|(name, _)| *name)
    }
}

/// The response without what is not compared.
fn without_words(mut response: Value) -> Value {
    if let Some(error) = response.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("message");
    }
    response
}

/// Whether `found` has the members that `expected` has, and the same kinds of values. What is in maps
/// by address or number is for the node to say.
fn has_shape(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let is_map = expected.keys().chain(found.keys()).any(|key| key.starts_with("0x"));
            is_map
                || expected.iter().all(|(name, value)| match found.get(name) {
                    Some(found) => has_shape(value, found),
                    None => name == "deleteStrategy",
                })
        }
        (Value::Array(expected), Value::Array(found)) => match (expected.first(), found.first()) {
            (Some(expected), Some(found)) => has_shape(expected, found),
            _ => true,
        },
        (Value::String(expected), Value::String(found)) => {
            expected.starts_with("0x") == found.starts_with("0x")
        }
        (expected, found) => std::mem::discriminant(expected) == std::mem::discriminant(found),
    }
}

fn conversations() -> Option<Vec<Conversation>> {
    let root = warpline_testkit::shared("rpc-compat")?.join("tests");
    let mut files: Vec<PathBuf> = Vec::new();
    for method in fs::read_dir(&root).unwrap() {
        files
            .extend(fs::read_dir(method.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    files.sort();
    Some(files.iter().map(|file| Conversation::read(&root, file)).collect())
}

fn check(mut answer: impl FnMut(&Node, &str) -> Value) {
    let (Some(node), Some(conversations)) = (conformance(), conversations()) else { return };
    let mut wrong = Vec::new();
    let mut stale: BTreeSet<_> = EXPECTED_TO_FAIL.iter().map(|(name, _)| *name).collect();
    let mut passed = 0;
    for conversation in &conversations {
        let difference = conversation.difference(|request| answer(node, request));
        match (conversation.expected_to_fail(), difference) {
            (None, Some(difference)) => wrong.push(format!("{}: {difference}", conversation.name)),
            (Some(name), Some(_)) => drop(stale.remove(name)),
            (_, None) => passed += 1,
        }
    }
    println!("{passed} of {} conversations as expected", conversations.len());
    assert!(wrong.is_empty(), "{} conversations differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stale.is_empty(), "expected to fail, and does not: {stale:?}");
}

#[test]
fn conversations_over_http() {
    check(|node, request| node.http().post(request).json());
}

#[test]
fn conversations_over_ws() {
    check(|node, request| {
        let mut ws = node.ws();
        ws.send(request);
        ws.receive()
    });
}
