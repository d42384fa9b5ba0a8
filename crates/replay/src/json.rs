//! JSON with good error messages, and recognising a document by what is in it.

use std::collections::BTreeMap;

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use warpline_primitives::{Account, MemoryState};

use crate::{
    InputProblem, JsonPath,
    error::{JsonFault, Problem},
};

/// The members of a JSON object, not decoded yet.
pub(crate) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// A whole JSON document. Parts of it are decoded one by one, and errors are counted from its
/// beginning all the same.
#[derive(Clone, Copy)]
pub(crate) struct Json<'a>(&'a [u8]);

/// The formats this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Snapshot,
    Witness,
    ChainTests,
}

impl<'a> Json<'a> {
    pub(crate) const fn new(document: &'a [u8]) -> Self {
        Self(document)
    }

    /// The members of the document's object; `None` where it is JSON but no object.
    pub(crate) fn members(self) -> Result<Option<Members<'a>>, Problem> {
        let first = self.0.iter().find(|byte| !byte.is_ascii_whitespace());
        match serde_json::from_slice::<&RawValue>(self.0) {
            Err(error) => Err(Problem::at("", InputProblem::Json(fault(&error)))),
            Ok(_) if first != Some(&b'{') => Ok(None),
            Ok(object) => self.decode(object, &JsonPath::root()).map(Some),
        }
    }

    /// Decodes `part` of this document, which stands at `place`.
    pub(crate) fn decode<T: Deserialize<'a>>(
        self,
        part: &'a RawValue,
        place: &JsonPath,
    ) -> Result<T, Problem> {
        // Keeping track of the place costs time, so it is only done once there is an error.
        let plain = match serde_json::from_str(part.get()) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let mut deserializer = serde_json::Deserializer::from_str(part.get());
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Ok(_) => Err(self.problem(part, place, "", &plain)),
            Err(error) => {
                let path = error.path().to_string();
                Err(self.problem(part, place, &path, error.inner()))
            }
        }
    }

    fn problem(
        self,
        part: &RawValue,
        place: &JsonPath,
        path: &str,
        error: &serde_json::Error,
    ) -> Problem {
        let mut fault = fault(error);
        let start = part.get().as_ptr().addr().saturating_sub(self.0.as_ptr().addr());
        let before = self.0.get(..start).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        if fault.line <= 1 {
            let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            fault.column += before.len() - line_start;
        }
        fault.line += lines;
        let path = if path == "." { "" } else { path };
        Problem::at(place.join(&JsonPath::from(path)), InputProblem::Json(fault))
    }
}

fn fault(error: &serde_json::Error) -> JsonFault {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let suffix = format!(" at line {line} column {column}");
    let reason = text.strip_suffix(&suffix).unwrap_or(&text).to_owned();
    JsonFault { line, column, reason }
}

/// Which format an object with these members is in.
pub(crate) fn recognise(members: &Members<'_>) -> Option<Format> {
    let has = |name| members.contains_key(name);
    if has("witness") {
        return Some(Format::Witness);
    }
    if has("pre_state") || (has("block") && has("codes")) {
        return Some(Format::Snapshot);
    }
    members.values().any(|value| is_chain_test(value)).then_some(Format::ChainTests)
}

/// Whether an object looks like a case of a blockchain test: it has blocks, and a network or a
/// state to begin with.
fn is_chain_test(value: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Case {
        blocks: Option<de::IgnoredAny>,
        network: Option<de::IgnoredAny>,
        pre: Option<de::IgnoredAny>,
    }
    let looks = |case: Case| case.blocks.is_some() && (case.network.or(case.pre)).is_some();
    value.get().starts_with('{') && serde_json::from_str(value.get()).is_ok_and(looks)
}

/// A number of at most 64 bits, as a JSON number or as a string with or without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(pub(crate) u64);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = U256::deserialize(deserializer)?;
        let too_large = |_| de::Error::custom(format_args!("{value} does not fit 64 bits"));
        u64::try_from(value).map(Self).map_err(too_large)
    }
}

/// An account as snapshots (with a code hash) and blockchain tests (with code) write it.
#[derive(Debug, Deserialize)]
pub(crate) struct AccountJson {
    balance: U256,
    nonce: Quantity,
    code_hash: Option<B256>,
    code: Option<Bytes>,
    #[serde(default)]
    storage: BTreeMap<U256, U256>,
}

impl AccountJson {
    /// The account, the code that is given with it, and its storage. A code hash that is given goes before that of
    /// the code.
    pub(crate) fn into_parts(self) -> (Account, Option<Bytes>, BTreeMap<U256, U256>) {
        let code = self.code.filter(|code| !code.is_empty());
        let code_hash = self.code_hash.or_else(|| code.as_ref().map(keccak256));
        let account = Account {
            balance: self.balance,
            nonce: self.nonce.0,
            code_hash: code_hash.unwrap_or(KECCAK_EMPTY),
        };
        (account, code, self.storage)
    }
}

/// The state that consists of `accounts`.
pub(crate) fn state_of(accounts: BTreeMap<Address, AccountJson>) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, json) in accounts {
        let (account, code, storage) = json.into_parts();
        if let Some(code) = code {
            state.insert_code(code);
        }
        state.insert_account(address, account);
        for (slot, value) in storage {
            state.insert_storage(address, slot, value);
        }
    }
    state
}
