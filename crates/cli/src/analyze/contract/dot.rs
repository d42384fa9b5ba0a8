//! The control flow as a Graphviz graph: blocks by offset, openers of segments within, and which functions
//! run a block.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use warpline_analysis::bytecode::{Block, Function, Opener};

use super::{Subject, text::describe_opener};

/// So many functions are named at a block that all of them share.
const MAX_NAMED: usize = 3;

/// The graph as text.
pub(super) fn graph(subject: &Subject) -> String {
    let contract = &subject.contract;
    let mut openers: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut users: BTreeMap<u32, Vec<&Function>> = BTreeMap::new();
    let mut edges: BTreeSet<(u32, u32)> = BTreeSet::new();
    for function in &contract.functions {
        edges.extend(&function.edges);
        for block in &function.blocks {
            users.entry(*block).or_default().push(function);
        }
        for segment in &function.segments {
            let (Opener::Access(pc) | Opener::Call(pc)) = segment.opener else { continue };
            let words = describe_opener(&subject.names, function, segment);
            openers.entry(pc).or_default().insert(words);
        }
    }
    let mut text = String::from("digraph contract {\n  node [shape=box, fontname=monospace];\n");
    for block in contract.blocks.iter().filter(|block| users.contains_key(&block.start)) {
        let label = label(subject, block, &users[&block.start], &openers);
        let fill = if openers.range(block.start..block.end).next().is_some() {
            ", style=filled, fillcolor=mistyrose"
        } else {
            ""
        };
        let _ = writeln!(text, "  b{} [label=\"{label}\"{fill}];", block.start);
    }
    for (from, to) in edges {
        let _ = writeln!(text, "  b{from} -> b{to};");
    }
    text + "}\n"
}

fn label(
    subject: &Subject,
    block: &Block,
    users: &[&Function],
    openers: &BTreeMap<u32, BTreeSet<String>>,
) -> String {
    let mut label = format!("{:#x} to {:#x}, {} gas\\l", block.start, block.end, block.gas);
    let names: Vec<_> = users.iter().map(|function| subject.names.entry(function.entry)).collect();
    let names = match names.len() {
        0..=MAX_NAMED => names.join(", "),
        many => format!("{many} functions"),
    };
    label += &escaped(&names);
    label += "\\l";
    for words in openers.range(block.start..block.end).flat_map(|(_, words)| words) {
        label += &escaped(words);
        label += "\\l";
    }
    label
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
