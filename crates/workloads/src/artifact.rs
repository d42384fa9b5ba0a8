//! The compiled contracts, as `contracts/build.mjs` left them.
//!
//! The artefacts are embedded, so that neither a Solidity compiler nor a file is needed at run
//! time. Each records the hash of its source; a test compares it with the source in the tree, which
//! is how a source edited without a rebuild is noticed.

use std::sync::LazyLock;

use alloy_primitives::{B256, Bytes, U256, keccak256};
use serde::Deserialize;

use crate::{Field, Form};

/// A compiled contract and where its variables lie.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The contract's name.
    pub contract: String,
    /// The exact compiler version.
    pub compiler: String,
    /// Keccak-256 of the source text it was compiled from.
    pub source_keccak256: B256,
    /// The code that deploys it, to be followed by the encoded constructor arguments.
    pub bytecode: Bytes,
    /// The code at its address once deployed.
    pub deployed_bytecode: Bytes,
    abi: Vec<AbiEntry>,
    /// Every state variable in order of declaration.
    pub storage_layout: Vec<Variable>,
    /// Keccak-256 of [`deployed_bytecode`](Self::deployed_bytecode).
    #[serde(skip)]
    pub code_hash: B256,
}

/// A function, event or error of a contract, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
struct AbiEntry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    inputs: Vec<AbiInput>,
}

#[derive(Clone, Debug, Deserialize)]
struct AbiInput {
    #[serde(rename = "type")]
    kind: String,
}

/// A state variable of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Variable {
    /// Its name.
    pub label: String,
    /// The slot it starts in; for a mapping, the slot its entries are derived from.
    pub slot: u64,
    /// The byte within the slot, counted from the low end.
    pub offset: usize,
    /// Its type in Solidity's words.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What `contracts/build.mjs` made of a contract. Read when it is first looked at.
macro_rules! embedded {
    ($name:literal) => {
        LazyLock::new(|| {
            Artifact::embedded(include_str!(concat!("../contracts/artifacts/", $name, ".json")))
        })
    };
}

/// `Token.sol`: a fungible token after ERC-20.
pub static TOKEN: LazyLock<Artifact> = embedded!("Token");

/// `Pool.sol`: a constant-product pool of two tokens.
pub static POOL: LazyLock<Artifact> = embedded!("Pool");

/// `Collectible.sol`: numbered collectibles with one counter.
pub static COLLECTIBLE: LazyLock<Artifact> = embedded!("Collectible");

/// The contracts of the fields, in the order of [`Field`] and [`Form`].
static FIELDS: [[LazyLock<Artifact>; 2]; 5] = [
    [embedded!("LendingNaive"), embedded!("LendingParallel")],
    [embedded!("GameNaive"), embedded!("GameParallel")],
    [embedded!("SupplyChainNaive"), embedded!("SupplyChainParallel")],
    [embedded!("ConsentNaive"), embedded!("ConsentParallel")],
    [embedded!("RemittanceNaive"), embedded!("RemittanceParallel")],
];

/// The contract of a field, in one of its forms.
pub fn of(field: Field, form: Form) -> &'static Artifact {
    &FIELDS[field as usize][form as usize]
}

impl Artifact {
    /// All of them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let of_fields = FIELDS.iter().flatten().map(|artifact| &**artifact);
        [&*TOKEN, &*POOL, &*COLLECTIBLE].into_iter().chain(of_fields)
    }

    /// The signatures of its functions, such as `transfer(address,uint256)`.
    pub fn signatures(&self) -> impl Iterator<Item = String> {
        let functions = self.abi.iter().filter(|entry| entry.kind == "function");
        functions.map(|function| {
            let inputs: Vec<_> = function.inputs.iter().map(|input| &*input.kind).collect();
            format!("{}({})", function.name, inputs.join(","))
        })
    }

    /// # Panics
    /// When the artefact is not what `contracts/build.mjs` writes.
    fn embedded(json: &str) -> Self {
        let mut artifact: Self =
            serde_json::from_str(json).expect("the embedded artefacts are well formed");
        artifact.code_hash = keccak256(&artifact.deployed_bytecode);
        artifact
    }

    /// The variable named `label`.
    ///
    /// # Panics
    /// When the contract declares no such variable.
    pub fn variable(&self, label: &str) -> &Variable {
        let found = self.storage_layout.iter().find(|variable| variable.label == label);
        found.unwrap_or_else(|| panic!("{} declares no variable {label}", self.contract))
    }

    /// The slot in which the variable named `label` starts.
    ///
    /// # Panics
    /// As [`variable`](Self::variable).
    pub fn slot(&self, label: &str) -> U256 {
        U256::from(self.variable(label).slot)
    }
}

/// The slot of `key`'s entry in the mapping declared at `slot`.
pub fn mapping_slot(key: impl Into<B256>, slot: U256) -> U256 {
    let mut preimage = [0; 64];
    preimage[..32].copy_from_slice(key.into().as_slice());
    preimage[32..].copy_from_slice(&slot.to_be_bytes::<32>());
    keccak256(preimage).into()
}

/// How Solidity stores a string of fewer than 32 bytes: the text, then twice its length.
///
/// # Panics
/// When `text` has 32 bytes or more, which would take further slots.
pub fn short_string(text: &str) -> U256 {
    assert!(text.len() < 32, "{text:?} does not fit one slot");
    let mut word = [0; 32];
    word[..text.len()].copy_from_slice(text.as_bytes());
    U256::from_be_bytes(word) | U256::from(2 * text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artefacts_were_built_from_the_sources_in_the_tree() {
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts/src");
        let general = [&TOKEN, &POOL, &COLLECTIBLE];
        for artifact in general.into_iter().chain(FIELDS.as_flattened()) {
            let name = &artifact.contract;
            let source = std::fs::read(sources.join(format!("{name}.sol"))).unwrap();
            assert_eq!(
                artifact.source_keccak256,
                keccak256(source),
                "{name} is stale: run contracts/build.mjs"
            );
            assert!(!artifact.bytecode.is_empty() && !artifact.deployed_bytecode.is_empty());
            // The limit of EIP-170.
            assert!(artifact.deployed_bytecode.len() <= 0x6000, "{name} is too large to deploy");
        }
    }

    #[test]
    fn what_the_documentation_quotes_stands_in_the_sources() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(folder.join("../../docs/parallel-friendly.md")).unwrap();
        let blocks: Vec<_> = text.split("```solidity\n// ").skip(1).collect();
        assert!(blocks.len() > 10, "{}", blocks.len());
        for block in blocks {
            let (name, code) = block.split_once('\n').unwrap();
            let (code, _) = code.split_once("```").unwrap();
            let source = std::fs::read_to_string(folder.join("contracts/src").join(name)).unwrap();
            let lines: Vec<_> = source.lines().map(str::trim).collect();
            for line in code.lines().map(str::trim) {
                assert!(lines.contains(&line), "{name}: {line}");
            }
        }
    }

    #[test]
    fn a_field_has_its_own_contract_in_either_form() {
        for field in Field::ALL {
            let code = Form::ALL.map(|form| {
                let artifact = of(field, form);
                let end = if form == Form::Naive { "Naive" } else { "Parallel" };
                let expected = format!("{field:?}{end}");
                assert_eq!(artifact.contract, expected);
                artifact.code_hash
            });
            assert_ne!(code[0], code[1], "{field:?}");
        }
    }

    #[test]
    fn a_short_string_is_left_aligned_with_twice_its_length() {
        let word = short_string("abc").to_be_bytes::<32>();
        assert_eq!(&word[..4], b"abc\0");
        assert_eq!(word[31], 6);
    }
}
