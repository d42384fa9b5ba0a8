//! A block with the accounts, slots and codes it touches: `{block, pre_state, codes,
//! block_hashes}`.
//!
//! The block is what `eth_getBlockByNumber` returns with full transactions. Nothing it derives is
//! trusted: the header's hash, the transactions' hashes, the codes' hashes and the senders are all
//! computed anew. Of ommers such a block has the hashes only.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{Block, BlockBody, Header};
use alloy_eips::{eip2718::Encodable2718, eip4895::Withdrawals};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde::Deserialize;
use serde_json::value::RawValue;
use warpline_chain::ChainSpec;
use warpline_primitives::Transaction;

use super::{check_hash, member};
use crate::{
    JsonPath,
    capture::{Capture, CapturedAccount, CapturedState, encode_block},
    error::Problem,
    json::{AccountJson, Json, Members, Quantity},
};

/// What stands beside the header's fields in a block.
#[derive(Deserialize)]
struct BlockJson {
    hash: B256,
    transactions: Vec<Transaction>,
    #[serde(default)]
    uncles: Vec<B256>,
    withdrawals: Option<Withdrawals>,
}

/// A block as `eth_getBlockByNumber` returns it, all hashes checked.
pub(crate) struct RpcBlock {
    /// Without ommers.
    pub(crate) block: Block<Transaction>,
    pub(crate) ommer_hashes: Vec<B256>,
}

impl RpcBlock {
    /// Decodes the block that stands at `place`.
    pub(crate) fn decode<'a>(
        json: Json<'a>,
        member: &'a RawValue,
        place: &JsonPath,
    ) -> Result<Self, Problem> {
        let header: Header = json.decode(member, place)?;
        let block: BlockJson = json.decode(member, place)?;
        let hash = header.hash_slow();
        let below = |name: &str| place.join(&name.into()).to_string();
        check_hash(|| below("hash"), block.hash, hash)?;
        for (index, transaction) in block.transactions.iter().enumerate() {
            // A transaction from JSON carries the hash it was given with.
            let computed = keccak256(transaction.encoded_2718());
            let at = || below(&format!("transactions[{index}].hash"));
            check_hash(at, *transaction.tx_hash(), computed)?;
        }
        let body = BlockBody {
            transactions: block.transactions,
            ommers: Vec::new(),
            withdrawals: block.withdrawals,
        };
        Ok(Self { block: Block::new(header, body), ommer_hashes: block.uncles })
    }
}

pub(super) fn decode<'a>(
    json: Json<'a>,
    members: &Members<'a>,
    chain: &Arc<ChainSpec>,
) -> Result<Capture, Problem> {
    let block = RpcBlock::decode(json, member(members, "block")?, &"block".into())?;
    let accounts: BTreeMap<Address, AccountJson> =
        json.decode(member(members, "pre_state")?, &"pre_state".into())?;
    let codes: BTreeMap<B256, Bytes> = json.decode(member(members, "codes")?, &"codes".into())?;
    let mut all_codes = Vec::with_capacity(codes.len());
    for (stated, code) in codes {
        check_hash(|| format!("codes.{stated}"), stated, keccak256(&code))?;
        all_codes.push(code);
    }
    let hashes: BTreeMap<Quantity, B256> =
        json.decode(member(members, "block_hashes")?, &"block_hashes".into())?;
    let account = |(address, json): (Address, AccountJson)| {
        let (account, code, storage) = json.into_parts();
        all_codes.extend(code);
        (address, CapturedAccount { account, storage })
    };
    let accounts = accounts.into_iter().map(account).collect();
    Ok(Capture {
        chain: chain.clone(),
        block: encode_block(&block.block),
        ommer_hashes: block.ommer_hashes,
        parent_header: None,
        state: CapturedState::Snapshot(accounts),
        codes: all_codes,
        block_hashes: hashes.into_iter().map(|(number, hash)| (number.0, hash)).collect(),
        access_list: None,
    })
}
