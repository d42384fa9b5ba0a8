//! A file that says what the command line says.
//!
//! The file becomes flags that stand before those of the command line, so there is one set of names and
//! values, and what is typed counts more than what is written down. Each flag is tried alone before, for
//! whoever wrote a file wants to hear of its keys, not of flags.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
};

use anyhow::Context as _;
use clap::{
    Parser as _,
    error::{ContextKind, ErrorKind},
};
use toml::{Table, Value};

use crate::args::Cli;

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
    let mut flags = flags("", &table).with_context(named)?;
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
fn flags(prefix: &str, table: &Table) -> anyhow::Result<Vec<OsString>> {
    let mut flags = Vec::new();
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        anyhow::ensure!(path != "config", "`config`: a file cannot name another one");
        // A flag that other flags are named after cannot be a key beside their table.
        let is_switch = key == "enabled" && !prefix.is_empty();
        let name = if is_switch { prefix } else { &path };
        let flag = |value: &Value| {
            let value = scalar(value).with_context(|| {
                format!("`{path}`: expected a string, a number, true or false, found {value}")
            })?;
            tried(&path, format!("--{name}={value}"))
        };
        match value {
            Value::Table(table) => flags.append(&mut self::flags(&path, table)?),
            Value::Boolean(is_set) => {
                let flag = tried(&path, format!("--{name}"))?;
                // No flag can be taken back, and none is set unless it is said.
                flags.extend(is_set.then_some(flag));
            }
            Value::Array(values) => {
                anyhow::ensure!(!values.is_empty(), "`{path}`: an empty list; leave it out");
                for value in values {
                    flags.push(flag(value)?);
                }
            }
            value => flags.push(flag(value)?),
        }
    }
    Ok(flags)
}

/// The flag, if the command would take it.
fn tried(path: &str, flag: String) -> anyhow::Result<OsString> {
    let Err(error) = Cli::try_parse_from(["warpline", "node", &flag]) else {
        return Ok(flag.into());
    };
    let said = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let value = said(ContextKind::InvalidValue);
    let valid = said(ContextKind::ValidValue);
    let cause = || std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::DisplayHelp => {
            match said(ContextKind::SuggestedArg).strip_prefix("--") {
                Some(similar) => anyhow::bail!("there is no key `{path}`, but `{similar}`"),
                None => anyhow::bail!("there is no key `{path}`"),
            }
        }
        ErrorKind::TooManyValues => {
            anyhow::bail!("`{path}`: expected true or false, found {value:?}")
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            anyhow::bail!("`{path}`: expected a value, found true or false")
        }
        ErrorKind::InvalidValue => {
            anyhow::bail!("`{path}`: expected one of {valid}, found {value:?}")
        }
        ErrorKind::ValueValidation => anyhow::bail!("`{path}`: {value:?}: {}", cause()),
        _ => anyhow::bail!("`{path}`: {error}"),
    }
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

    fn read(file: &str) -> anyhow::Result<Vec<OsString>> {
        flags("", &file.parse().unwrap())
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
        let mut found = read(file).unwrap();
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
    fn what_is_wrong_is_said_of_the_key() {
        for (file, complaint) in [
            ("foo = 1", "there is no key `foo`"),
            ("foo = false", "there is no key `foo`"),
            ("help = true", "there is no key `help`"),
            ("[http]\nprt = 1", "there is no key `http.prt`, but `http.port`"),
            ("config = 'x'", "`config`: a file cannot name another one"),
            ("[http]\nenabled = 'yes'", "`http.enabled`: expected true or false, found \"yes\""),
            ("http = 'yes'", "`http`: expected true or false, found \"yes\""),
            ("[http]\nport = true", "`http.port`: expected a value, found true or false"),
            ("[http]\nport = false", "`http.port`: expected a value, found true or false"),
            ("[http]\nport = 'x'", "`http.port`: \"x\": invalid digit found in string"),
            ("[http]\nport = 70000", "`http.port`: \"70000\": 70000 is not in 0..=65535"),
            ("metrics = 5", "`metrics`: \"5\": invalid socket address syntax"),
            (
                "[http]\napi = ['eth', 'foo']",
                "`http.api`: expected one of eth, net, web3, txpool, debug, found \"foo\"",
            ),
            (
                "datadir = 1979-05-27",
                "`datadir`: expected a string, a number, true or false, found 1979-05-27",
            ),
            (
                "[http]\nport = [[1]]",
                "`http.port`: expected a string, a number, true or false, found [1]",
            ),
            ("import = []", "`import`: an empty list; leave it out"),
        ] {
            assert_eq!(read(file).unwrap_err().to_string(), complaint, "{file}");
        }
    }
}
