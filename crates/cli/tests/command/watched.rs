//! A node as operators watch it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    chain::{initialised, rpc_compat, run},
    node::{Node, page},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of metrics in `text`.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words = text.split(|char| !is_part(char));
    let names = words.filter(|word| word.starts_with("warpline_") && *word != "warpline_");
    names.map(str::to_owned).collect()
}

/// The string literals in all sources below `folder` that name metrics.
fn defined(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.append(&mut defined(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            // Quoted, for crates of the workspace have such names, too.
            let quoted = source.split('"').filter(|part| part.starts_with("warpline_"));
            names.extend(quoted.filter(|part| metrics(part).contains(*part)).map(str::to_owned));
        }
    }
    names
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let file = repository().join("docs/grafana/warpline.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let defined = defined(&repository().join("crates/node/src"));
    assert!(defined.contains("warpline_head_block"), "{defined:?}");
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(!panels.is_empty());
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            let used = metrics(expression);
            assert!(!used.is_empty(), "{expression}");
            for name in &used {
                let histogram = ["_bucket", "_sum", "_count"];
                let base = histogram.iter().find_map(|suffix| name.strip_suffix(suffix));
                let known = defined.contains(base.unwrap_or(name)) || defined.contains(name);
                assert!(known, "{name} in {expression}");
            }
        }
    }
}

#[test]
fn a_node_says_where_it_is_watched() {
    let Some(folder) = rpc_compat() else { return };
    let data = initialised(&folder);
    run(data.path(), &["import", folder.join("chain.rlp").to_str().unwrap()]);
    let mut node = Node::start(data.path(), &["--metrics", "127.0.0.1:0"]);
    let address = node.announced("metrics: http://");
    assert_eq!(page(&address, "/health"), "ok\n");
    assert_eq!(page(&address, "/ready"), "ready: head 54\n");
    let metrics = page(&address, "/metrics");
    assert!(metrics.lines().any(|line| line == "warpline_head_block 54"), "{metrics}");
}
