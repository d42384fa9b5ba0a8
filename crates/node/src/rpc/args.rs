//! Arguments of methods: a list of values, each as JSON.
//!
//! They are read as strictly as Geth reads them: hexadecimal values have `0x` in front and hashes
//! and addresses their whole length, and there are no more arguments than the method takes.
//! Arguments at the end may be missing, or be `null`, where the method says so.

mod overrides;

use std::fmt;

use alloy_eips::{BlockId, BlockNumberOrTag, RpcBlockHash};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use warpline_chain::HeaderError;
use warpline_replay::BlockDecodeError;

use super::RpcError;
pub(super) use overrides::Overrides;

/// No method takes as many arguments.
const MOST_ARGUMENTS: usize = 16;

/// What is wrong with an argument.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// It is not there.
    #[error("missing value")]
    Missing,
    /// It is not the JSON that it has to be.
    #[error("{}", in_words_of_json(.0))]
    Json(#[from] serde_json::Error),
    /// It is no block.
    #[error(transparent)]
    Block(#[from] BlockDecodeError),
    /// It is a block whose header breaks a rule.
    #[error(transparent)]
    Header(Box<HeaderError>),
    /// It is no time such as `5s`.
    #[error("invalid duration")]
    Duration,
    /// More slots than may be asked for at once.
    #[error("{found} slots, at most {most} may be asked for at once")]
    TooManySlots {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// More percentiles than may be asked for at once.
    #[error("{found} percentiles, at most {most} may be asked for at once")]
    TooManyPercentiles {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A block is named twice.
    #[error("cannot specify both blockHash and blockNumber, choose one or the other")]
    HashAndNumber,
    /// An object names no block.
    #[error("neither blockHash nor blockNumber is there")]
    NeitherHashNorNumber,
    /// A filter names both a block and a range of blocks.
    #[error("cannot specify both blockHash and fromBlock/toBlock, choose one or the other")]
    HashAndRange,
    /// More addresses or topics than a filter may have.
    #[error("{found} alternatives in a filter, at most {most} are allowed")]
    TooManyAlternatives {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
}

/// What is wrong with JSON, without the names that things have only here.
fn in_words_of_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let mut words = text.split(' ').peekable();
    let mut plain = Vec::new();
    while let Some(word) = words.next() {
        let (word, end) = match word.strip_suffix(',') {
            Some(word) => (word, ","),
            None => (word, ""),
        };
        let said = match word {
            "struct" => "an object",
            "enum" => "a name",
            "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a number",
            "map" if end == "," => "object",
            "sequence" if end == "," => "list",
            word => word,
        };
        // What is called so is not called so by anybody else.
        if matches!(word, "struct" | "enum") {
            words.next();
        }
        plain.push(format!("{said}{end}"));
    }
    let plain = plain.join(" ");
    match plain.split_once("data did not match any variant of untagged") {
        Some(_) => "it has none of the forms that it may have".to_owned(),
        None => plain,
    }
}

/// One argument.
pub(super) trait Argument: Sized {
    /// Reads it.
    fn parse(json: &str) -> Result<Self, ArgumentError>;

    /// What it is where it is not there; `None` where it must be.
    fn absent() -> Option<Self> {
        None
    }
}

/// All arguments of a method.
pub(super) trait Arguments: Sized {
    /// Reads them.
    ///
    /// # Errors
    /// Where one is missing, malformed or superfluous.
    fn parse(params: Option<&str>) -> Result<Self, RpcError>;
}

impl<T: Argument> Argument for Option<T> {
    fn parse(json: &str) -> Result<Self, ArgumentError> {
        if json == "null" { Ok(None) } else { T::parse(json).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// An argument of a type that knows how it is written.
#[derive(Clone, Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> Argument for Json<T> {
    fn parse(json: &str) -> Result<Self, ArgumentError> {
        Ok(Self(serde_json::from_str(json)?))
    }
}

macro_rules! arguments_as_deserialized {
    ($($type:ty),+) => {$(
        impl Argument for $type {
            fn parse(json: &str) -> Result<Self, ArgumentError> {
                Ok(serde_json::from_str(json)?)
            }
        }
    )+};
}

arguments_as_deserialized!(bool, String, Quantity, Slot);

/// A block as an object (EIP-1898). Members that are `null` are as good as none.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedBlock {
    block_number: Option<BlockNumberOrTag>,
    block_hash: Option<Prefixed<B256>>,
    require_canonical: Option<bool>,
}

impl Argument for BlockId {
    fn parse(json: &str) -> Result<Self, ArgumentError> {
        if !json.trim_start().starts_with('{') {
            return Ok(serde_json::from_str(json)?);
        }
        let NamedBlock { block_number, block_hash, require_canonical } =
            serde_json::from_str(json)?;
        match (block_number, block_hash) {
            (Some(number), None) => Ok(number.into()),
            (None, Some(Prefixed(block_hash))) => {
                Ok(RpcBlockHash { block_hash, require_canonical }.into())
            }
            (Some(_), Some(_)) => Err(ArgumentError::HashAndNumber),
            (None, None) => Err(ArgumentError::NeitherHashNorNumber),
        }
    }
}

macro_rules! arguments_with_prefix {
    ($($type:ty),+) => {$(
        impl Argument for $type {
            fn parse(json: &str) -> Result<Self, ArgumentError> {
                Ok(serde_json::from_str::<Prefixed<Self>>(json)?.0)
            }
        }
    )+};
}

arguments_with_prefix!(Address, B256, Bytes);

/// Bytes in hexadecimal, with `0x` in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefixed<T>(pub(super) T);

impl<'de, T: std::str::FromStr<Err: fmt::Display>> Deserialize<'de> for Prefixed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        if !text.starts_with("0x") {
            return Err(D::Error::custom("hex string without 0x prefix"));
        }
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A number: in hexadecimal with `0x` in front, or as JSON has numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity(pub(super) u64);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in hexadecimal")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                let digits = text.strip_prefix("0x");
                let digits = digits.ok_or_else(|| E::custom("hex string without 0x prefix"))?;
                if digits.starts_with('+') {
                    return Err(E::custom("invalid digit found in string"));
                }
                u64::from_str_radix(digits, 16).map(Quantity).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Number)
    }
}

/// The number of a slot: at most 32 bytes in hexadecimal. Zeroes in front may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The number.
    pub(super) number: U256,
    /// Whether it was written in full, as a hash and not as a number.
    pub(super) is_hash: bool,
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
        if digits.len() > 64 {
            return Err(D::Error::custom("storage key too long (want at most 32 bytes)"));
        }
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(D::Error::custom("invalid hex in storage key"));
        }
        let number = match digits {
            "" => U256::ZERO,
            digits => U256::from_str_radix(digits, 16).map_err(D::Error::custom)?,
        };
        Ok(Self { number, is_hash: digits.len() == 64 })
    }
}

/// The values of a list, of which there are not many.
struct Values<'j>(Vec<&'j RawValue>);

impl<'de> Deserialize<'de> for Values<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of arguments")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values<'de>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    if values.len() == MOST_ARGUMENTS {
                        return Err(A::Error::custom("too many arguments"));
                    }
                    values.push(value);
                }
                Ok(Values(values))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// The values of `params`, at most `most`.
fn values(params: Option<&str>, most: usize) -> Result<Vec<&RawValue>, RpcError> {
    let Some(json) = params.map(str::trim).filter(|json| !matches!(*json, "" | "null")) else {
        return Ok(Vec::new());
    };
    if !json.starts_with('[') {
        return Err(RpcError::NoList);
    }
    let Ok(Values(values)) = serde_json::from_str(json) else {
        return Err(RpcError::TooManyArguments { most });
    };
    if values.len() > most {
        return Err(RpcError::TooManyArguments { most });
    }
    Ok(values)
}

fn argument<T: Argument>(values: &[&RawValue], index: usize) -> Result<T, RpcError> {
    let parsed = match values.get(index) {
        Some(json) => T::parse(json.get()),
        None => T::absent().ok_or(ArgumentError::Missing),
    };
    parsed.map_err(|problem| RpcError::Argument { index, problem })
}

macro_rules! arguments {
    ($most:literal $(, $type:ident $index:literal)+) => {
        impl<$($type: Argument),+> Arguments for ($($type,)+) {
            fn parse(params: Option<&str>) -> Result<Self, RpcError> {
                let values = values(params, $most)?;
                Ok(($(argument::<$type>(&values, $index)?,)+))
            }
        }
    };
}

impl Arguments for () {
    fn parse(params: Option<&str>) -> Result<Self, RpcError> {
        values(params, 0).map(drop)
    }
}

arguments!(1, A 0);
arguments!(2, A 0, B 1);
arguments!(3, A 0, B 1, C 2);
arguments!(4, A 0, B 1, C 2, D 3);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: Arguments>(params: &str) -> Result<T, RpcError> {
        T::parse(Some(params))
    }

    #[test]
    fn nothing_and_null_are_no_arguments() {
        for params in [None, Some("null"), Some("[]"), Some(" [ ] ")] {
            <()>::parse(params).unwrap();
            let (block,) = <(Option<BlockId>,)>::parse(params).unwrap();
            assert_eq!(block, None);
        }
        assert!(matches!(parse::<()>("{}"), Err(RpcError::NoList)));
        assert!(matches!(parse::<()>("[1]"), Err(RpcError::TooManyArguments { most: 0 })));
    }

    #[test]
    fn arguments_at_the_end_may_be_missing() {
        let (full, block) = parse::<(bool, Option<BlockId>)>("[true]").unwrap();
        assert_eq!((full, block), (true, None));
        let (_, block) = parse::<(bool, Option<BlockId>)>(r#"[true, "0x1"]"#).unwrap();
        assert_eq!(block, Some(BlockId::from(1)));
        let missing = parse::<(bool, Option<BlockId>)>("[]");
        let problem = ArgumentError::Missing;
        assert_eq!(
            missing.unwrap_err().to_string(),
            RpcError::Argument { index: 0, problem }.to_string()
        );
    }

    #[test]
    fn hexadecimal_has_a_prefix() {
        let hash = "11".repeat(32);
        assert!(parse::<(B256,)>(&format!(r#"["{hash}"]"#)).is_err());
        assert!(parse::<(B256,)>(&format!(r#"["0x{hash}"]"#)).is_ok());
        assert!(parse::<(Address,)>(r#"["0x11"]"#).is_err());
        assert!(parse::<(BlockId,)>(r#"["2"]"#).is_err());
        assert!(parse::<(Quantity,)>(r#"["2"]"#).is_err());
        assert!(parse::<(Quantity,)>(r#"["0x+2"]"#).is_err());
        assert_eq!(parse::<(Quantity,)>(r#"["0x1b"]"#).unwrap().0, Quantity(27));
    }

    #[test]
    fn blocks_are_named_by_objects_too() {
        let block = |json: &str| parse::<(BlockId,)>(&format!("[{json}]")).map(|(block,)| block);
        let hash = B256::repeat_byte(0x11);
        for json in [
            r#"{"blockNumber": "0x5"}"#,
            r#"{"blockNumber": "0x5", "requireCanonical": true}"#,
            r#" {"blockHash": null, "blockNumber": "0x5", "requireCanonical": null}"#,
        ] {
            assert_eq!(block(json).unwrap(), BlockId::from(5), "{json}");
        }
        for (canonical, expected) in [("null", None), ("false", Some(false)), ("true", Some(true))]
        {
            let json = format!(
                r#"{{"requireCanonical": {canonical}, "blockHash": "{hash}", "blockNumber": null}}"#
            );
            let expected = RpcBlockHash { block_hash: hash, require_canonical: expected };
            assert_eq!(block(&json).unwrap(), BlockId::from(expected));
        }
        let both = format!(r#"{{"blockHash": "{hash}", "blockNumber": "0x5"}}"#);
        for (json, complaint) in [(both.as_str(), "choose one"), ("{}", "neither blockHash")] {
            assert!(block(json).unwrap_err().to_string().contains(complaint), "{json}");
        }
    }

    #[test]
    fn slots_are_short_or_whole() {
        let slot = |text: &str| parse::<(Slot,)>(&format!("[\"{text}\"]")).map(|(slot,)| slot);
        assert_eq!(slot("0x1").unwrap(), Slot { number: U256::ONE, is_hash: false });
        assert_eq!(slot("0x").unwrap(), Slot { number: U256::ZERO, is_hash: false });
        assert!(slot(&format!("0x{}", "0".repeat(64))).unwrap().is_hash);
        assert!(slot(&format!("0x{}", "0".repeat(65))).is_err());
        assert!(slot("0xasdf").is_err());
    }

    #[test]
    fn what_is_wrong_is_said_without_our_names() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "it is only read")]
        struct Ours {
            number: u64,
        }

        let error = |json: &str| <Json<Ours>>::parse(json).unwrap_err().to_string();
        assert_eq!(error("5"), "invalid type: integer `5`, expected an object at line 1 column 1");
        assert_eq!(
            error(r#"{"number": {}}"#),
            "invalid type: object, expected a number at line 1 column 11"
        );
        assert_eq!(error("{}"), "missing field `number` at line 1 column 2");
    }

    #[test]
    fn depth_and_length_are_no_danger() {
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse::<(BlockId,)>(&deep).is_err());
        assert!(parse::<(Json<serde_json::Value>,)>(&deep).is_err());
        let long = format!("[{}1]", "1,".repeat(100_000));
        assert!(matches!(parse::<(BlockId,)>(&long), Err(RpcError::TooManyArguments { most: 1 })));
    }
}
