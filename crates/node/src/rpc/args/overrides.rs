//! What a block is to be instead of what it is: `blockOverrides`.
//!
//! The members are Geth's, and those that others have besides. One that is not known is refused: whoever
//! writes it expects something to come of it.

use std::{collections::BTreeMap, fmt};

use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::BlockOverrides;
use serde::{Deserialize, Deserializer, de::Visitor};
use warpline_engine::{CallError, CallRefusal};

use super::super::RpcError;

/// What a block is to be instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Overrides {
    pub(in super::super) block: BlockOverrides,
    /// What is withdrawn in it.
    pub(in super::super) withdrawals: Option<Withdrawals>,
}

impl Overrides {
    /// Those of a block in which only one call is made.
    ///
    /// # Errors
    /// Where something is to be withdrawn: a call does not see its block end.
    pub(in super::super) fn of_call(self) -> Result<BlockOverrides, RpcError> {
        match self.withdrawals {
            None => Ok(self.block),
            Some(_) => {
                let refusal = CallRefusal::BlockOverride("withdrawals");
                Err(RpcError::Call(Box::new(CallError::Refused(refusal))))
            }
        }
    }
}

/// The members as they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Members {
    #[serde(alias = "blockNumber")]
    number: Option<U256>,
    difficulty: Option<U256>,
    #[serde(alias = "timestamp", with = "alloy_serde::quantity::opt")]
    time: Option<u64>,
    #[serde(with = "alloy_serde::quantity::opt")]
    gas_limit: Option<u64>,
    #[serde(alias = "feeRecipient")]
    coinbase: Option<Address>,
    #[serde(alias = "prevRandao")]
    random: Option<B256>,
    #[serde(alias = "baseFeePerGas")]
    base_fee: Option<U256>,
    blob_base_fee: Option<U256>,
    #[serde(alias = "parentBeaconBlockRoot")]
    beacon_root: Option<B256>,
    block_hash: Option<Hashes>,
    withdrawals: Option<Withdrawals>,
}

impl<'de> Deserialize<'de> for Overrides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Members {
            number,
            difficulty,
            time,
            gas_limit,
            coinbase,
            random,
            base_fee,
            blob_base_fee,
            beacon_root,
            block_hash,
            withdrawals,
        } = Members::deserialize(deserializer)?;
        let block = BlockOverrides {
            number,
            difficulty,
            time,
            gas_limit,
            coinbase,
            random,
            base_fee,
            blob_base_fee,
            beacon_root,
            block_hash: block_hash.map(|Hashes(hashes)| hashes),
        };
        Ok(Self { block, withdrawals })
    }
}

/// Hashes of ancestors, by their numbers.
#[derive(Debug)]
struct Hashes(BTreeMap<u64, B256>);

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbered;

        impl<'de> Visitor<'de> for Numbered {
            type Value = Hashes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of block numbers with their hashes")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Hashes, A::Error> {
                let mut hashes = BTreeMap::new();
                while let Some((Number(number), hash)) = map.next_entry()? {
                    hashes.insert(number, hash);
                }
                Ok(Hashes(hashes))
            }
        }

        deserializer.deserialize_map(Numbered)
    }
}

/// The number of a block as the name of a member: decimal, or hexadecimal with `0x` in front.
struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        let is_number = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        number.ok().filter(|_| is_number).map(Self).ok_or_else(|| {
            serde::de::Error::custom(format_args!("{text:?} is no number of a block"))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &serde_json::Value) -> Result<Overrides, String> {
        serde_json::from_str(&json.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn hashes_are_numbered_in_either_way() {
        let hash = B256::repeat_byte(7);
        let overrides = parse(&json!({ "blockHash": { "99": hash, "0x64": hash } })).unwrap();
        assert_eq!(overrides.block.block_hash, Some([(99, hash), (100, hash)].into()));
        let error = parse(&json!({ "blockHash": hash })).unwrap_err();
        assert!(error.contains("an object of block numbers with their hashes"), "{error}");
        for number in ["", "x", "0x", "+1", "0x+1", "18446744073709551616"] {
            let error = parse(&json!({ "blockHash": { number: hash } })).unwrap_err();
            assert!(error.contains("is no number of a block"), "{error}");
        }
    }

    #[test]
    fn members_have_the_names_that_they_have_elsewhere() {
        let names = [
            json!({ "number": "0x1", "time": "0x2", "feeRecipient": Address::ZERO }),
            json!({ "blockNumber": "0x1", "timestamp": "0x2", "coinbase": Address::ZERO }),
        ];
        let [geth, others] = names.map(|names| parse(&names).unwrap());
        assert_eq!(geth, others);
        let error = parse(&json!({ "nunmber": "0x1" })).unwrap_err();
        assert!(error.starts_with("unknown field `nunmber`"), "{error}");
    }
}
