//! A block with the accounts, slots and codes it touches: `{block, pre_state, codes,
//! block_hashes}`.
//!
//! The block is what `eth_getBlockByNumber` returns with full transactions. Nothing it derives is
//! trusted: the header's hash, the transactions' hashes, the codes' hashes and the senders are all
//! computed anew. Of ommers such a block has the hashes only.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{BlockBody, Header};
use alloy_eips::{eip2718::Encodable2718, eip4895::Withdrawals};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde::Deserialize;
use warpline_chain::ChainSpec;
use warpline_primitives::Transaction;

use super::{check_hash, member};
use crate::{
    BlockInput, JsonPath, Origin, ParentState,
    block::recover_senders,
    error::Problem,
    input::Ommers,
    json::{AccountJson, Json, Members, Quantity, state_of},
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

pub(super) fn decode<'a>(
    json: Json<'a>,
    members: &Members<'a>,
    origin: &Origin,
    chain: &Arc<ChainSpec>,
) -> Result<BlockInput, Problem> {
    let block_place = JsonPath::from("block");
    let block_member = member(members, "block")?;
    let header: Header = json.decode(block_member, &block_place)?;
    let block: BlockJson = json.decode(block_member, &block_place)?;
    let hash = header.hash_slow();
    check_hash(|| "block.hash".into(), block.hash, hash)?;
    for (index, transaction) in block.transactions.iter().enumerate() {
        // A transaction from JSON carries the hash it was given with.
        let computed = keccak256(transaction.encoded_2718());
        let place = || format!("block.transactions[{index}].hash");
        check_hash(place, *transaction.tx_hash(), computed)?;
    }
    let ommers =
        if block.uncles.is_empty() { Ommers::Known } else { Ommers::HashesOnly(block.uncles) };

    let accounts: BTreeMap<Address, AccountJson> =
        json.decode(member(members, "pre_state")?, &"pre_state".into())?;
    let mut state = state_of(accounts);
    let codes: BTreeMap<B256, Bytes> = json.decode(member(members, "codes")?, &"codes".into())?;
    for (stated, code) in codes {
        check_hash(|| format!("codes.{stated}"), stated, keccak256(&code))?;
        state.insert_code(code);
    }
    let hashes: BTreeMap<Quantity, B256> =
        json.decode(member(members, "block_hashes")?, &"block_hashes".into())?;
    for (number, hash) in hashes {
        state.insert_block_hash(number.0, hash);
    }

    let body = BlockBody {
        transactions: block.transactions,
        ommers: Vec::new(),
        withdrawals: block.withdrawals,
    };
    let block =
        recover_senders(header, hash, body, chain).map_err(|error| Problem::at("block", error))?;
    Ok(BlockInput {
        origin: origin.clone(),
        chain: chain.clone(),
        block,
        encoded_len: None,
        access_list: None,
        ommers,
        parent_header: None,
        parent: ParentState::Snapshot(state),
    })
}
