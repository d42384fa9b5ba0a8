//! Blockchain tests: `{name: {network, pre, genesisRLP, blocks, lastblockhash, postState, ..}}`.
//!
//! The blocks stay encoded. Bytes that do not decode are one way for a test block to be invalid,
//! and which way counts is the runner's business.

use std::{collections::BTreeMap, fmt, num::NonZeroU64, sync::Arc};

use alloy_consensus::{Header, constants::EMPTY_OMMER_ROOT_HASH};
use alloy_eip7928::BlockAccessList;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use warpline_chain::{BlobCounts, BlobSchedule, ChainSpec};
use warpline_primitives::MemoryState;

use super::check_hash;
use crate::{
    InputError, InputProblem, JsonPath, Origin,
    block::decode_exact,
    error::Problem,
    json::{AccountJson, Json, Members, Quantity, state_of},
};

/// One case of a blockchain test file.
#[derive(Clone, Debug)]
pub struct ChainTest {
    /// The file and the case's name.
    pub origin: Origin,
    /// The rules the case runs under, by the name the file gives them.
    pub network: String,
    /// These rules.
    pub chain: Arc<ChainSpec>,
    /// The header of the block everything starts from.
    pub genesis: Header,
    /// Its hash.
    pub genesis_hash: B256,
    /// The state everything starts from.
    pub pre: MemoryState,
    /// The blocks in the order in which they arrive.
    pub blocks: Vec<TestBlock>,
    /// The hash of the canonical head at the end.
    pub last_block_hash: B256,
    /// The state at the end.
    pub post: PostState,
}

/// A block of a case, as it arrives.
#[derive(Clone, Debug)]
pub struct TestBlock {
    /// The encoded block, or what is passed off as one.
    pub rlp: Bytes,
    /// The access list that comes with it, where the file has one.
    pub access_list: Option<BlockAccessList>,
    /// What is to become of it.
    pub expectation: Expectation,
}

/// What is to become of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It is accepted.
    Valid,
    /// It is rejected, for the reason the file gives, if it gives any.
    Invalid(Option<Box<str>>),
}

impl Expectation {
    /// Whether the block is to be accepted.
    pub const fn is_valid(&self) -> bool {
        matches!(self, Self::Valid)
    }
}

/// What a case says of the state at the end.
#[derive(Clone, Debug)]
pub enum PostState {
    /// All accounts.
    Accounts(MemoryState),
    /// The state root.
    Root(B256),
    /// Nothing beyond the head's header.
    Unstated,
}

/// Decodes all cases of a file, by name.
pub(super) fn decode<'a>(
    json: Json<'a>,
    members: &Members<'a>,
    origin: &Origin,
) -> Vec<Result<ChainTest, InputError>> {
    let case = |(name, case): (&String, &&'a RawValue)| {
        let origin = origin.with_case(name.as_str());
        decode_case(json, case, &origin).map_err(|problem| problem.in_origin(origin))
    };
    members.iter().map(case).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CaseJson {
    network: String,
    pre: BTreeMap<Address, AccountJson>,
    #[serde(rename = "genesisRLP")]
    genesis_rlp: Option<Bytes>,
    genesis_block_header: Option<HeaderJson>,
    blocks: Vec<TestBlockJson>,
    #[serde(rename = "lastblockhash")]
    last_block_hash: B256,
    post_state: Option<BTreeMap<Address, AccountJson>>,
    post_state_hash: Option<B256>,
    config: Option<ConfigJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigJson {
    blob_schedule: Option<BTreeMap<String, BlobCountsJson>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlobCountsJson {
    target: Quantity,
    max: Quantity,
    base_fee_update_fraction: Quantity,
}

fn decode_case<'a>(
    json: Json<'a>,
    case: &'a RawValue,
    origin: &Origin,
) -> Result<ChainTest, Problem> {
    // Errors are placed below the case, which the origin names already.
    let case: CaseJson = json.decode(case, &JsonPath::root())?;
    let schedule = case.config.and_then(|config| config.blob_schedule);
    let schedule = schedule.map(blob_schedule).transpose()?;
    let chain = ChainSpec::from_fixture_network(&case.network, schedule.as_ref())
        .map_err(|error| Problem::at("network", error))?;
    let (genesis, genesis_hash) =
        decode_genesis(case.genesis_rlp.as_ref(), case.genesis_block_header)?;
    let post = match (case.post_state, case.post_state_hash) {
        (Some(accounts), _) => PostState::Accounts(state_of(accounts)),
        (None, Some(root)) => PostState::Root(root),
        (None, None) => PostState::Unstated,
    };
    let blocks = case.blocks.into_iter().map(|block| block.into_block(&case.network)).collect();
    Ok(ChainTest {
        origin: origin.clone(),
        chain: Arc::new(chain),
        network: case.network,
        genesis,
        genesis_hash,
        pre: state_of(case.pre),
        blocks,
        last_block_hash: case.last_block_hash,
        post,
    })
}

fn blob_schedule(json: BTreeMap<String, BlobCountsJson>) -> Result<BlobSchedule, Problem> {
    let entry = |(fork, json): (String, BlobCountsJson)| {
        let key = fork.parse().ok();
        let fraction = NonZeroU64::new(json.base_fee_update_fraction.0);
        let (Some(key), Some(base_fee_update_fraction)) = (key, fraction) else {
            return Err(Problem::at("config.blobSchedule", InputProblem::BlobSchedule { fork }));
        };
        let (target, max) = (json.target.0, json.max.0);
        Ok((key, BlobCounts { target, max, base_fee_update_fraction }))
    };
    json.into_iter().map(entry).collect()
}

fn decode_genesis(
    rlp: Option<&Bytes>,
    json: Option<HeaderJson>,
) -> Result<(Header, B256), Problem> {
    let (header, hash) = match (rlp, &json) {
        (Some(rlp), _) => {
            let decoded = decode_exact(rlp).map_err(|error| Problem::at("genesisRLP", error))?;
            (decoded.0.header, decoded.1)
        }
        (None, Some(json)) => {
            let header = json.header();
            let hash = header.hash_slow();
            (header, hash)
        }
        (None, None) => return Err(Problem::at("", InputProblem::NoGenesis)),
    };
    if let Some(stated) = json.and_then(|json| json.hash) {
        check_hash(|| "genesisBlockHeader.hash".into(), stated, hash)?;
    }
    Ok((header, hash))
}

/// A header under the field names that only blockchain tests use.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeaderJson {
    parent_hash: B256,
    #[serde(default = "empty_ommers")]
    uncle_hash: B256,
    coinbase: Address,
    state_root: B256,
    transactions_trie: B256,
    receipt_trie: B256,
    bloom: Bloom,
    difficulty: U256,
    number: Quantity,
    gas_limit: Quantity,
    gas_used: Quantity,
    timestamp: Quantity,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: B64,
    base_fee_per_gas: Option<Quantity>,
    withdrawals_root: Option<B256>,
    blob_gas_used: Option<Quantity>,
    excess_blob_gas: Option<Quantity>,
    parent_beacon_block_root: Option<B256>,
    requests_hash: Option<B256>,
    block_access_list_hash: Option<B256>,
    slot_number: Option<Quantity>,
    hash: Option<B256>,
}

const fn empty_ommers() -> B256 {
    EMPTY_OMMER_ROOT_HASH
}

impl HeaderJson {
    fn header(&self) -> Header {
        let number = |quantity: Option<Quantity>| quantity.map(|quantity| quantity.0);
        Header {
            parent_hash: self.parent_hash,
            ommers_hash: self.uncle_hash,
            beneficiary: self.coinbase,
            state_root: self.state_root,
            transactions_root: self.transactions_trie,
            receipts_root: self.receipt_trie,
            logs_bloom: self.bloom,
            difficulty: self.difficulty,
            number: self.number.0,
            gas_limit: self.gas_limit.0,
            gas_used: self.gas_used.0,
            timestamp: self.timestamp.0,
            extra_data: self.extra_data.clone(),
            mix_hash: self.mix_hash,
            nonce: self.nonce,
            base_fee_per_gas: number(self.base_fee_per_gas),
            withdrawals_root: self.withdrawals_root,
            blob_gas_used: number(self.blob_gas_used),
            excess_blob_gas: number(self.excess_blob_gas),
            parent_beacon_block_root: self.parent_beacon_block_root,
            requests_hash: self.requests_hash,
            block_access_list_hash: self.block_access_list_hash,
            slot_number: number(self.slot_number),
        }
    }
}

/// The parts of a test block that matter. Its decoded forms are skipped unread, but for whether
/// there is a header: some old files mark an invalid block by nothing else.
struct TestBlockJson {
    rlp: Bytes,
    access_list: Option<BlockAccessList>,
    has_header: bool,
    /// What stands behind `expectException`, by what the member's name continues with: nothing,
    /// `ALL`, or a network.
    exceptions: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DecodedJson {
    block_access_list: Option<BlockAccessList>,
}

impl TestBlockJson {
    fn into_block(self, network: &str) -> TestBlock {
        let applies = |(on, _): &&(String, String)| on.is_empty() || on == "ALL" || on == network;
        let exception = self.exceptions.iter().find(applies).map(|(_, reason)| reason);
        let expectation = if self.has_header && exception.is_none() {
            Expectation::Valid
        } else {
            Expectation::Invalid(exception.map(|reason| reason.as_str().into()))
        };
        TestBlock { rlp: self.rlp, access_list: self.access_list, expectation }
    }
}

impl<'de> Deserialize<'de> for TestBlockJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = TestBlockJson;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block with its `rlp`")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut rlp = None;
                let mut access_list = None;
                let mut has_header = false;
                let mut exceptions = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "rlp" => rlp = Some(map.next_value()?),
                        "blockAccessList" => access_list = map.next_value()?,
                        // What an invalid block is made of.
                        "rlp_decoded" => {
                            let decoded: Option<DecodedJson> = map.next_value()?;
                            let list = decoded.and_then(|decoded| decoded.block_access_list);
                            access_list = access_list.or(list);
                        }
                        "blockHeader" => {
                            has_header = map.next_value::<Option<de::IgnoredAny>>()?.is_some();
                        }
                        _ => match name.strip_prefix("expectException") {
                            Some(on) => exceptions.push((on.to_owned(), map.next_value()?)),
                            None => drop(map.next_value::<de::IgnoredAny>()?),
                        },
                    }
                }
                let rlp = rlp.ok_or_else(|| de::Error::missing_field("rlp"))?;
                Ok(TestBlockJson { rlp, access_list, has_header, exceptions })
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}
