//! Where the code comes from: a file of hexadecimal digits, raw bytes or JSON, or a node.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use alloy_primitives::{Address, hex};
use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use warpline_analysis::bytecode::Names;

use super::{super::ContractArgs, names};

/// Code as it is at an address, and what came with it.
pub(super) struct Given {
    pub(super) source: String,
    pub(super) code: Vec<u8>,
    pub(super) names: Names,
}

/// No file of code is longer: a megabyte is an artefact of some size.
const MAX_BYTES: u64 = 64 << 20;

/// Reads what the arguments name.
pub(super) fn read(args: &ContractArgs) -> anyhow::Result<Given> {
    let path = &args.input;
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin()
            .take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        return decode("standard input".to_owned(), bytes);
    }
    // A file that is named like an address is that file.
    let address = path.to_str().and_then(|text| text.parse::<Address>().ok());
    if let Some(address) = address.filter(|_| !path.exists()) {
        let Some(url) = &args.rpc else {
            bail!("{address} is an address: say with --rpc which node has its code");
        };
        let code = deployed(address, url)?;
        ensure!(!code.is_empty(), "no contract at {address}");
        return Ok(Given { source: address.to_string(), code, names: Names::default() });
    }
    ensure!(args.rpc.is_none(), "{} is no address, which is all that --rpc is for", path.display());
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    decode(path.display().to_string(), bytes)
}

#[cfg(feature = "rpc")]
fn deployed(address: Address, url: &str) -> anyhow::Result<Vec<u8>> {
    super::rpc::code(address, url)
}

#[cfg(not(feature = "rpc"))]
fn deployed(_: Address, _: &str) -> anyhow::Result<Vec<u8>> {
    bail!("this program was built without the feature `rpc`")
}

/// The code in `bytes`, whatever it is written in.
fn decode(source: String, bytes: Vec<u8>) -> anyhow::Result<Given> {
    let (code, names) = match std::str::from_utf8(&bytes).map(str::trim) {
        Ok(text) if text.starts_with('{') => {
            let artefact: Value =
                serde_json::from_str(text).with_context(|| format!("{source} begins like JSON"))?;
            let code = artefact_code(&artefact).with_context(|| source.clone())?;
            (code, names::of_artefact(&artefact).with_context(|| source.clone())?)
        }
        Ok(text) if text.starts_with("0x") || is_printable(text) => {
            (digits(text).with_context(|| source.clone())?, Names::default())
        }
        _ => (bytes, Names::default()),
    };
    ensure!(!code.is_empty(), "{source} has no code");
    Ok(Given { source, code, names })
}

/// Whether it is text rather than code: code has bytes below the blank, if only the zero of a `STOP`.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// The code of a JSON artefact: `deployedBytecode` is digits, or an object with those as `object`.
fn artefact_code(artefact: &Value) -> anyhow::Result<Vec<u8>> {
    let member = artefact
        .get("deployedBytecode")
        .or_else(|| artefact.pointer("/evm/deployedBytecode"))
        .context("no `deployedBytecode` in the artefact")?;
    let text = member.as_str().or_else(|| member.get("object").and_then(Value::as_str));
    digits(text.context("`deployedBytecode` is neither digits nor has an `object`")?)
}

fn digits(text: &str) -> anyhow::Result<Vec<u8>> {
    let compact: String = text.split_ascii_whitespace().collect();
    ensure!(!compact.contains("__"), "the code has places for libraries that are still empty");
    hex::decode(&compact).context("not the hexadecimal digits of code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_recognised_however_it_is_written() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"0x6001\n", &[0x60, 1]),
            (b" 6001 ", &[0x60, 1]),
            (&[0x60, 1, 0], &[0x60, 1, 0]),
            (br#"{"deployedBytecode": "0x6001"}"#, &[0x60, 1]),
            (br#"{"deployedBytecode": {"object": "6001"}}"#, &[0x60, 1]),
            (br#"{"evm": {"deployedBytecode": {"object": "6001"}}}"#, &[0x60, 1]),
        ];
        for (written, code) in table {
            let given = decode("it".to_owned(), written.to_vec()).expect("it is code");
            assert_eq!(given.code, code);
        }
    }

    #[test]
    fn what_is_no_code_is_said_to_be_none() {
        let table: [(&[u8], &str); 6] = [
            (b"", "it has no code"),
            (b"0x", "it has no code"),
            (b"0x600", "not the hexadecimal digits of code"),
            (b"hello", "not the hexadecimal digits of code"),
            (b"{}", "no `deployedBytecode`"),
            (br#"{"deployedBytecode": "60__$ab$__"}"#, "places for libraries"),
        ];
        for (written, expected) in table {
            let Err(error) = decode("it".to_owned(), written.to_vec()) else {
                panic!("{expected}")
            };
            let text = format!("{error:#}");
            assert!(text.contains(expected), "{text}");
        }
    }
}
