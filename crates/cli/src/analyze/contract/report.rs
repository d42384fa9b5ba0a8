//! The JSON document of a contract, schema `warpline.contract.v1`.
//!
//! Templates are given as text, the way the human output writes them without names: `caller`, `arg0`,
//! `storage[2]`, `keccak(arg0 . 3)`, `?` for what is not known. Offsets and gas are numbers, words
//! hexadecimal digits.

use alloy_primitives::hex;
use serde::Serialize;
use warpline_analysis::bytecode::{
    Access, AccessKind, Call, CallInput, Entry, Function, Opener, Relation, Template, WriteValue,
};

use super::{
    Subject,
    text::{describe_proxy, unknowns},
};

/// What `analyze contract --json` writes.
#[derive(Debug, Serialize)]
pub(super) struct ContractReport {
    schema: &'static str,
    source: String,
    code_bytes: usize,
    /// Null where it is none.
    proxy: Option<ProxyReport>,
    functions: Vec<FunctionReport>,
    /// Pairs of functions that may conflict.
    conflicts: Vec<PairReport>,
    /// Symbolic instructions executed: the work of the analysis.
    steps: u64,
}

#[derive(Debug, Serialize)]
struct ProxyReport {
    description: String,
    /// Whose code runs; null where only another contract knows.
    target: Option<String>,
}

#[derive(Debug, Serialize)]
struct FunctionReport {
    /// The selector, `receive` or `fallback`.
    entry: String,
    name: String,
    offset: Option<u32>,
    arguments: Option<Vec<String>>,
    /// Whether all slots that it touches are given by templates that can be filled in.
    known: bool,
    /// Why there may be more than is said; null where there is not.
    incomplete: Option<&'static str>,
    unknown: Vec<String>,
    accesses: Vec<AccessReport>,
    calls: Vec<CallReport>,
    creates: bool,
    self_destructs: bool,
    /// What makes calls of it conflict, in words.
    conflicts: Vec<String>,
    segments: Vec<SegmentReport>,
}

#[derive(Debug, Serialize)]
struct AccessReport {
    pc: u32,
    kind: &'static str,
    slot: String,
    known: bool,
    always: bool,
    /// How the value arises that is written; absent of reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ValueReport>,
}

/// The value of a write.
#[derive(Debug, Serialize)]
struct ValueReport {
    /// `constant`, `value`, `increment`, `field`, `field-increment`, `derived` or `unknown`.
    kind: &'static str,
    /// The value, or what is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    /// The bits that are written, where they are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<String>,
    /// Whether something may be decided by what the slot held; absent where nothing is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    tested: Option<bool>,
}

#[derive(Debug, Serialize)]
struct CallReport {
    pc: u32,
    kind: &'static str,
    target: String,
    value: String,
    selector: Option<String>,
    /// The words behind the selector; null where they are not known or the call data is passed on.
    arguments: Option<Vec<String>>,
    forwards: bool,
    always: bool,
}

#[derive(Debug, Serialize)]
struct SegmentReport {
    /// `entry`, `access`, `call` or `meeting`.
    opener: &'static str,
    /// The offset of what opens it.
    at: u32,
    ranges: Vec<(u32, u32)>,
    gas: u64,
}

#[derive(Debug, Serialize)]
struct PairReport {
    functions: [String; 2],
    /// `always`, `depends` or `unknown`.
    relation: &'static str,
}

/// The report on a contract.
pub(super) fn of(subject: &Subject) -> ContractReport {
    let contract = &subject.contract;
    let proxy = contract.proxy.as_ref().map(|proxy| ProxyReport {
        description: describe_proxy(proxy),
        target: proxy.target().map(|target| target.to_string()),
    });
    ContractReport {
        schema: "warpline.contract.v1",
        source: subject.source.clone(),
        code_bytes: contract.code_size,
        proxy,
        functions: contract.functions.iter().map(|it| function(subject, it)).collect(),
        conflicts: pairs(subject),
        steps: contract.steps,
    }
}

fn pairs(subject: &Subject) -> Vec<PairReport> {
    let functions = &subject.contract.functions;
    let mut pairs = Vec::new();
    for (index, one) in functions.iter().enumerate() {
        for other in &functions[index..] {
            let relation = match subject.contract.relation(one, other) {
                Relation::Never => continue,
                Relation::Depends => "depends",
                Relation::Always => "always",
                Relation::Unknown => "unknown",
            };
            pairs.push(PairReport { functions: [entry(one.entry), entry(other.entry)], relation });
        }
    }
    pairs
}

fn entry(entry: Entry) -> String {
    match entry {
        Entry::Selector(selector) => hex::encode_prefixed(selector),
        Entry::Receive => "receive".to_owned(),
        Entry::Fallback => "fallback".to_owned(),
    }
}

fn function(subject: &Subject, function: &Function) -> FunctionReport {
    let touches = subject.contract.touches(function);
    FunctionReport {
        entry: entry(function.entry),
        name: subject.names.heading(function),
        offset: function.offset,
        arguments: function.arguments.clone(),
        known: function.is_known(),
        incomplete: function.incomplete.map(|reason| reason.describe()),
        unknown: unknowns(function),
        accesses: function.accesses.iter().map(access).collect(),
        calls: function.calls.iter().map(call).collect(),
        creates: function.creates,
        self_destructs: function.self_destructs,
        conflicts: touches.iter().map(|it| subject.names.touch(function, it)).collect(),
        segments: function
            .segments
            .iter()
            .map(|segment| {
                let (opener, at) = match segment.opener {
                    Opener::Access(pc) => ("access", pc),
                    Opener::Call(pc) => ("call", pc),
                    Opener::Meeting(pc) => ("meeting", pc),
                    _ => ("entry", 0),
                };
                SegmentReport { opener, at, ranges: segment.ranges.clone(), gas: segment.gas }
            })
            .collect(),
    }
}

fn access(access: &Access) -> AccessReport {
    let (kind, value) = match &access.kind {
        AccessKind::Read => ("read", None),
        AccessKind::Write(value) => ("write", Some(written(value))),
    };
    let (slot, known) = (access.slot.to_string(), access.slot.is_known());
    AccessReport { pc: access.pc, kind, slot, known, always: access.always, value }
}

fn written(value: &WriteValue) -> ValueReport {
    let (kind, template, bits, tested) = match value {
        WriteValue::Constant(value) => ("constant", Some(format!("{value:#x}")), None, None),
        WriteValue::Value(value) => ("value", Some(value.to_string()), None, None),
        WriteValue::Increment(by) => {
            ("increment", Some(by.by.to_string()), None, Some(by.is_tested))
        }
        WriteValue::Field { bits } => ("field", None, Some(bits), None),
        WriteValue::FieldIncrement { bits, increment } => {
            let by = increment.by.to_string();
            ("field-increment", Some(by), Some(bits), Some(increment.is_tested))
        }
        WriteValue::Derived => ("derived", None, None, None),
        _ => ("unknown", None, None, None),
    };
    ValueReport { kind, template, bits: bits.map(|bits| format!("{bits:#x}")), tested }
}

fn call(call: &Call) -> CallReport {
    let texts = |words: &[Template]| words.iter().map(ToString::to_string).collect();
    let (selector, arguments) = match &call.input {
        CallInput::Words { selector, words, .. } => (*selector, Some(texts(words))),
        CallInput::Unknown { selector } => (*selector, None),
        CallInput::Forwarded => (None, None),
    };
    CallReport {
        pc: call.pc,
        kind: call.kind.name(),
        target: call.target.to_string(),
        value: call.value.to_string(),
        selector: selector.map(hex::encode_prefixed),
        arguments,
        forwards: call.input == CallInput::Forwarded,
        always: call.always,
    }
}
