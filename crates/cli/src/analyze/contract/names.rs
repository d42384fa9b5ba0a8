//! Names from a JSON ABI, and from the storage layout beside it.

use std::{fs, path::Path};

use alloy_primitives::{U256, keccak256};
use anyhow::{Context as _, bail};
use serde_json::Value;
use warpline_analysis::bytecode::{Names, Signature, Variable};

/// Reads the names in a file.
pub(super) fn read(path: &Path) -> anyhow::Result<Names> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", name()))?;
    let json: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", name()))?;
    let names = of_artefact(&json).with_context(name)?;
    if names == Names::default() {
        bail!("{}: neither an ABI nor a storage layout", name());
    }
    Ok(names)
}

/// The names in an ABI, or in an artefact with one. Empty where there are none.
pub(super) fn of_artefact(json: &Value) -> anyhow::Result<Names> {
    let mut names = Names::default();
    let abi = json.as_array().or_else(|| json.get("abi").and_then(Value::as_array));
    for item in abi.into_iter().flatten() {
        if item.get("type").and_then(Value::as_str) == Some("function") {
            let (selector, signature) = signature(item).context("a function of the ABI")?;
            names.functions.insert(selector, signature);
        }
    }
    let layout = json.get("storageLayout");
    // solc nests the list, and the types beside it.
    let list = layout.and_then(|it| it.as_array().or_else(|| it.get("storage")?.as_array()));
    let types = layout.and_then(|it| it.get("types"));
    for item in list.into_iter().flatten() {
        names.variables.push(variable(item, types).context("a variable of the storage layout")?);
    }
    Ok(names)
}

fn signature(item: &Value) -> anyhow::Result<([u8; 4], Signature)> {
    let name = text(item, "name")?.to_owned();
    let inputs = item.get("inputs").and_then(Value::as_array).context("no `inputs`")?;
    let mut arguments = Vec::with_capacity(inputs.len());
    for input in inputs {
        let named = input.get("name").and_then(Value::as_str).unwrap_or_default();
        arguments.push((named.to_owned(), canonical(input)?));
    }
    let types: Vec<_> = arguments.iter().map(|(_, kind)| kind.as_str()).collect();
    let hash = keccak256(format!("{name}({})", types.join(",")));
    Ok(([hash[0], hash[1], hash[2], hash[3]], Signature { name, arguments }))
}

/// The type as selectors are made of it: tuples by their components.
fn canonical(input: &Value) -> anyhow::Result<String> {
    let kind = text(input, "type")?;
    let Some(dimensions) = kind.strip_prefix("tuple") else { return Ok(kind.to_owned()) };
    let components = input.get("components").and_then(Value::as_array);
    let components = components.context("a tuple without `components`")?;
    let components: Vec<_> = components.iter().map(canonical).collect::<Result<_, _>>()?;
    Ok(format!("({}){dimensions}", components.join(",")))
}

fn variable(item: &Value, types: Option<&Value>) -> anyhow::Result<Variable> {
    let kind = text(item, "type")?;
    let described = types.and_then(|types| types.get(kind));
    let bytes = match described.and_then(|it| it.get("numberOfBytes")) {
        Some(bytes) => u32::try_from(number(bytes)?).unwrap_or(u32::MAX),
        None => bytes_of(kind),
    };
    let offset = item.get("offset").map_or(Ok(U256::ZERO), number)?;
    Ok(Variable {
        label: text(item, "label")?.to_owned(),
        slot: number(item.get("slot").context("no `slot`")?)?,
        offset: u32::try_from(offset).context("an `offset` beyond a slot")?,
        bytes,
    })
}

/// How many bytes a value of an elementary type has; a word where that is not known.
fn bytes_of(kind: &str) -> u32 {
    let bits = |prefix| kind.strip_prefix(prefix).and_then(|bits: &str| bits.parse::<u32>().ok());
    match kind {
        "bool" => 1,
        "address" | "address payable" => 20,
        _ => match (bits("uint").or_else(|| bits("int")), bits("bytes")) {
            (Some(bits), _) => bits / 8,
            (_, Some(bytes)) => bytes,
            _ if kind.starts_with("contract ") => 20,
            _ => 32,
        },
    }
}

fn text<'v>(item: &'v Value, member: &str) -> anyhow::Result<&'v str> {
    item.get(member).and_then(Value::as_str).with_context(|| format!("no `{member}`"))
}

/// A number, or the digits of one.
fn number(value: &Value) -> anyhow::Result<U256> {
    match value {
        Value::Number(number) => Ok(U256::from(number.as_u64().context("not a natural number")?)),
        Value::String(digits) => digits.parse().context("not a number"),
        _ => bail!("not a number"),
    }
}
