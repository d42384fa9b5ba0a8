//! Blocks and what belongs to them, encoded as Ethereum encodes them.

use alloy_eips::{BlockId, Encodable2718 as _};
use alloy_primitives::{B256, Bytes};

use super::{
    RpcError,
    blocks::{self, plain, raw_access_list, resolve},
    context::Call,
    methods::Registry,
    transactions::{raw_by_hash, receipts_of},
};

pub(super) fn register(methods: &mut Registry) {
    methods
        .light("debug_getRawBlock", raw_block)
        .light("debug_getRawHeader", raw_header)
        .light("debug_getRawReceipts", raw_receipts)
        .light("debug_getRawTransaction", raw_transaction)
        .light("debug_getRawBlockAccessList", raw_list);
}

fn raw_block(call: &Call, (id,): (BlockId,)) -> Result<Bytes, RpcError> {
    let view = call.view()?;
    let block = blocks::block(&view, resolve(&view, Some(id))?)?;
    Ok(alloy_rlp::encode(plain(block)).into())
}

fn raw_header(call: &Call, (id,): (BlockId,)) -> Result<Bytes, RpcError> {
    let view = call.view()?;
    let header = blocks::header(&view, resolve(&view, Some(id))?)?;
    Ok(alloy_rlp::encode(header.header).into())
}

fn raw_receipts(call: &Call, (id,): (BlockId,)) -> Result<Vec<Bytes>, RpcError> {
    let view = call.view()?;
    let block = blocks::block(&view, resolve(&view, Some(id))?)?;
    let receipts = receipts_of(&view, &block)?;
    Ok(receipts.iter().map(|receipt| receipt.encoded_2718().into()).collect())
}

fn raw_transaction(call: &Call, (hash,): (B256,)) -> Result<Option<Bytes>, RpcError> {
    raw_by_hash(call, (hash,))
}

fn raw_list(call: &Call, (id,): (BlockId,)) -> Result<Option<Bytes>, RpcError> {
    Ok(raw_access_list(call, id)?.map(|(_, list)| list))
}
