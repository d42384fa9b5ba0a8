//! A file that says what the command line says.
//!
//! The file becomes flags that stand before those of the command line, so there is one set of names,
//! values and complaints, and what is typed counts more than what is written down.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
};

use anyhow::Context as _;
use toml::{Table, Value};

/// `arguments` with the flags of the file that `--config` names, where `node` is the command.
///
/// # Errors
/// When the file cannot be read, or holds something that is no flag.
pub(crate) fn with_file(arguments: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    let is_node = arguments.get(1).is_some_and(|command| command == "node");
    let Some(path) = config_path(&arguments).filter(|_| is_node) else { return Ok(arguments) };
    let named = || format!("--config {}", path.display());
    let file = fs::read_to_string(path).with_context(named)?;
    let table: Table = file.parse().with_context(named)?;
    let mut flags = Vec::new();
    add_flags("", &table, &mut flags).with_context(named)?;
    let (command, rest) = arguments.split_at(2);
    // A list is not added to, but said anew.
    let typed: Vec<_> = rest.iter().filter_map(|argument| name_of(argument)).collect();
    flags.retain(|flag| name_of(flag).is_none_or(|name| !typed.contains(&name)));
    Ok([command, &flags, rest].concat())
}

/// The name of a flag, if this is one.
fn name_of(argument: &OsStr) -> Option<&[u8]> {
    let bytes = argument.as_encoded_bytes().strip_prefix(b"--")?;
    bytes.split(|byte| *byte == b'=').next()
}

fn config_path(arguments: &[OsString]) -> Option<&Path> {
    let at = arguments.iter().position(|argument| argument == "--config");
    if let Some(at) = at {
        return arguments.get(at + 1).map(Path::new);
    }
    let joined = |argument: &OsString| {
        let bytes = argument.as_encoded_bytes();
        bytes.strip_prefix(b"--config=").map(|path| path.len())
    };
    let (argument, length) =
        arguments.iter().find_map(|argument| Some((argument, joined(argument)?)))?;
    let text = argument.to_str()?;
    text.get(text.len() - length..).map(|path| Path::new(OsStr::new(path)))
}

/// The flags of `table`, whose name is `prefix`, the names of tables being joined by dots.
fn add_flags(prefix: &str, table: &Table, flags: &mut Vec<OsString>) -> anyhow::Result<()> {
    for (key, value) in table {
        let name = match (prefix, key.as_str()) {
            // A flag that other flags are named after cannot be a key beside their table.
            (prefix, "enabled") if !prefix.is_empty() => prefix.to_owned(),
            ("", key) => key.to_owned(),
            (prefix, key) => format!("{prefix}.{key}"),
        };
        let flag = format!("--{name}");
        match value {
            Value::Table(table) => add_flags(&name, table, flags)?,
            Value::Boolean(true) => flags.push(flag.into()),
            // No flag can be taken back, and none is set unless it is said.
            Value::Boolean(false) => {}
            Value::Array(values) => {
                anyhow::ensure!(!values.is_empty(), "{name}: an empty list; leave it out");
                for value in values {
                    let value =
                        scalar(value).with_context(|| format!("{name}: a list of lists"))?;
                    flags.push(format!("{flag}={value}").into());
                }
            }
            value => {
                let value = scalar(value).with_context(|| format!("{name}: a date is no flag"))?;
                flags.push(format!("{flag}={value}").into());
            }
        }
    }
    Ok(())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Array(_) | Value::Table(_) | Value::Datetime(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(file: &str) -> Vec<OsString> {
        let mut flags = Vec::new();
        add_flags("", &file.parse().unwrap(), &mut flags).unwrap();
        flags
    }

    #[test]
    fn keys_become_flags() {
        let file = "
            datadir = '/data'
            metrics = '127.0.0.1:9001'
            [http]
            enabled = true
            port = 1
            api = ['eth', 'debug']
            [ws]
            enabled = false
            [rpc]
            max-batch = 7
            [log.stdout]
            format = 'json'
        ";
        let expected = [
            "--datadir=/data",
            "--metrics=127.0.0.1:9001",
            "--http",
            "--http.port=1",
            "--http.api=eth",
            "--http.api=debug",
            "--rpc.max-batch=7",
            "--log.stdout.format=json",
        ];
        let mut found = flags(file);
        let mut expected = expected.map(OsString::from).to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_typed_replaces_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("node.toml");
        fs::write(&file, "[http]\nport = 1\napi = ['eth', 'debug']\n").unwrap();
        let config = format!("--config={}", file.display());
        let typed = ["w", "node", &config, "--http.api", "eth"].map(OsString::from).to_vec();
        let expected = ["w", "node", "--http.port=1", &config, "--http.api", "eth"];
        assert_eq!(with_file(typed).unwrap(), expected.map(OsString::from));
    }

    #[test]
    fn a_file_is_found_either_way() {
        for arguments in [&["w", "node", "--config", "f"][..], &["w", "node", "--config=f"]] {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            assert_eq!(config_path(&arguments), Some(Path::new("f")));
        }
        let arguments: Vec<_> = ["w", "node", "--http"].map(OsString::from).to_vec();
        assert_eq!(with_file(arguments.clone()).unwrap(), arguments);
    }

    #[test]
    fn dates_and_nested_lists_are_refused() {
        for file in ["a = 1979-05-27", "a = [[1]]", "a = []"] {
            let table = file.parse().unwrap();
            assert!(add_flags("", &table, &mut Vec::new()).is_err(), "{file}");
        }
    }
}
