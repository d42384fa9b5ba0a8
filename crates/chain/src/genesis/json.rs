//! The members of a genesis file, decoded one by one.
//!
//! Members are kept undecoded until somebody asks for them. So every error can name the member it is about,
//! and numbers of any size stay exact: a total difficulty is often written as a JSON number that no 64 bits
//! hold.

use std::{borrow::Cow, fmt};

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use super::{GenesisError, MemberPath, MemberProblem};

/// A JSON object and the place where it stands.
pub(super) struct Object<'a> {
    place: MemberPath,
    members: Members<'a>,
}

/// The members of an object in the order of the file.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

impl<'a> Object<'a> {
    /// The object that a whole file consists of.
    pub(super) fn document(json: &'a [u8]) -> Result<Self, GenesisError> {
        let members = serde_json::from_slice(json).map_err(GenesisError::Json)?;
        Ok(Self { place: MemberPath::default(), members })
    }

    /// An error about the member `name`.
    pub(super) fn fail(&self, name: &str, problem: MemberProblem) -> GenesisError {
        GenesisError::Member { place: self.place(name), problem }
    }

    /// The place of the member `name`.
    pub(super) fn place(&self, name: &str) -> MemberPath {
        self.place.join(name)
    }

    /// The names of all members that are not null.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let given = self.members.0.iter().filter(|(_, value)| value.get() != "null");
        given.map(|(name, _)| name.as_ref())
    }

    /// Whether the member `name` is there and not null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The JSON text of the member `name`, whose case does not matter. The last of several counts.
    fn get(&self, name: &str) -> Option<&'a str> {
        let named = |(member, _): &&(Cow<'a, str>, &RawValue)| member.eq_ignore_ascii_case(name);
        let text = self.members.0.iter().rev().find(named)?.1.get();
        (text != "null").then_some(text)
    }

    /// Decodes the member `name`, if it is there.
    fn decode<T>(
        &self,
        name: &str,
        decode: impl FnOnce(&'a str) -> Result<T, MemberProblem>,
    ) -> Result<Option<T>, GenesisError> {
        let decoded = self.get(name).map(decode).transpose();
        decoded.map_err(|problem| self.fail(name, problem))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<U256>, GenesisError> {
        self.decode(name, number)
    }

    pub(super) fn u64(&self, name: &str) -> Result<Option<u64>, GenesisError> {
        self.decode(name, |text| {
            u64::try_from(number(text)?).map_err(|_| MemberProblem::TooLarge { bits: 64 })
        })
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, GenesisError> {
        self.decode(name, |text| text.parse().map_err(|_| MemberProblem::NotABoolean))
    }

    pub(super) fn bytes(&self, name: &str) -> Result<Option<Bytes>, GenesisError> {
        self.decode(name, |text| bytes(&string(text)?))
    }

    pub(super) fn hash(&self, name: &str) -> Result<Option<B256>, GenesisError> {
        self.decode(name, |text| fixed(&string(text)?).map(B256::new))
    }

    pub(super) fn address(&self, name: &str) -> Result<Option<Address>, GenesisError> {
        self.decode(name, |text| fixed(&string(text)?).map(Address::new))
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, GenesisError> {
        let members = self.decode(name, members)?;
        Ok(members.map(|members| Self { place: self.place(name), members }))
    }

    /// All members, as accounts by address; the names are for error messages.
    pub(super) fn accounts(
        &self,
    ) -> Result<impl Iterator<Item = (&str, Address, Self)>, GenesisError> {
        let account = |(name, value): &'_ (Cow<'a, str>, &'a RawValue)| {
            let address = fixed(name).map_err(|problem| self.fail(name, problem))?;
            let members = members(value.get()).map_err(|problem| self.fail(name, problem))?;
            Ok((Address::new(address), Self { place: self.place(name), members }))
        };
        let accounts: Vec<_> = self.members.0.iter().map(account).collect::<Result<_, _>>()?;
        let names = self.members.0.iter().map(|(name, _)| name.as_ref());
        Ok(names.zip(accounts).map(|(name, (address, account))| (name, address, account)))
    }

    /// All members, as storage slots with values.
    pub(super) fn words(&self) -> Result<Vec<(U256, U256)>, GenesisError> {
        let word = |(name, value): &(Cow<'a, str>, &RawValue)| {
            let slot = word(name).map_err(|problem| self.fail(name, problem))?;
            let text = value.get();
            let value = if text.starts_with('"') {
                string(text).and_then(|text| word(&text))
            } else {
                number(text)
            };
            Ok((slot, value.map_err(|problem| self.fail(name, problem))?))
        };
        self.members.0.iter().map(word).collect()
    }
}

fn members(text: &str) -> Result<Members<'_>, MemberProblem> {
    serde_json::from_str(text).map_err(|_| MemberProblem::NotAnObject)
}

/// The contents of a JSON string.
fn string(text: &str) -> Result<String, MemberProblem> {
    serde_json::from_str(text).map_err(|_| MemberProblem::NotHexadecimal)
}

/// A number: JSON's own, or in quotes and then decimal or, with `0x`, hexadecimal. Quotes around
/// nothing mean zero.
fn number(text: &str) -> Result<U256, MemberProblem> {
    let quoted = text.starts_with('"').then(|| string(text)).transpose();
    let quoted = quoted.map_err(|_| MemberProblem::NotANumber)?;
    let digits = quoted.as_deref().unwrap_or(text);
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => parse(digits, 16, MemberProblem::NotANumber),
        None => parse(digits, 10, MemberProblem::NotANumber),
    }
}

/// A storage word: up to 32 bytes in hexadecimal, even without `0x`.
fn word(text: &str) -> Result<U256, MemberProblem> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    parse(digits.unwrap_or(text), 16, MemberProblem::NotHexadecimal)
}

fn parse(digits: &str, radix: u8, problem: MemberProblem) -> Result<U256, MemberProblem> {
    // The parser passes over underscores, so the digits are looked at first.
    if !digits.chars().all(|digit| digit.is_digit(radix.into())) {
        return Err(problem);
    }
    U256::from_str_radix(digits, radix.into()).map_err(|_| MemberProblem::TooLarge { bits: 256 })
}

fn bytes(text: &str) -> Result<Bytes, MemberProblem> {
    hex::decode(text).map(Bytes::from).map_err(|_| MemberProblem::NotHexadecimal)
}

/// Exactly `N` bytes.
fn fixed<const N: usize>(text: &str) -> Result<[u8; N], MemberProblem> {
    let bytes = bytes(text)?;
    let wrong = |_| MemberProblem::Length { expected: N, found: bytes.len() };
    <[u8; N]>::try_from(bytes.as_ref()).map_err(wrong)
}
