//! Blocks: which one is meant, and how it is written.

use alloy_consensus::{Block, BlockBody, Header};
use alloy_eip7928::AccountChanges;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes, Sealed, U64, U256};
use alloy_rpc_types_eth::{self as rpc, BlockTransactions};
use warpline_primitives::{RecoveredBlock, Transaction};
use warpline_storage::{StoredHeader, View};

use super::{
    RpcError, args::Quantity, context::Call, error::Inconsistency, methods::Registry, transactions,
};

/// A block as it is written.
pub(super) type RpcBlock = rpc::Block<rpc::Transaction<Transaction>>;

pub(super) fn register(methods: &mut Registry) {
    methods
        .light("eth_blockNumber", block_number)
        .light("eth_getBlockByHash", block_by_hash)
        .light("eth_getBlockByNumber", block_by_number)
        .light("eth_getHeaderByHash", header_by_hash)
        .light("eth_getHeaderByNumber", header_by_number)
        .light("eth_getBlockTransactionCountByHash", transaction_count_by_hash)
        .light("eth_getBlockTransactionCountByNumber", transaction_count_by_number)
        .light("eth_getUncleCountByBlockHash", uncle_count_by_hash)
        .light("eth_getUncleCountByBlockNumber", uncle_count_by_number)
        .light("eth_getUncleByBlockHashAndIndex", uncle_by_hash)
        .light("eth_getUncleByBlockNumberAndIndex", uncle_by_number)
        .light("eth_getBlockAccessList", access_list);
}

/// The number of the block that `id` means; `None` where there is no such block.
///
/// A pending block would be what is on top of the head. This node makes none, so it is the head itself.
/// The head is safe and final: whoever imports a chain vouches for all of it.
///
/// # Errors
/// When the tables cannot be read.
pub(super) fn find(view: &View, id: BlockId) -> Result<Option<u64>, RpcError> {
    let head = view.head().header.number;
    Ok(match id {
        // Only blocks of the chain are kept, so every block that is found is canonical.
        BlockId::Hash(hash) => view.number(hash.block_hash)?,
        BlockId::Number(tag) => match tag {
            BlockNumberOrTag::Latest
            | BlockNumberOrTag::Pending
            | BlockNumberOrTag::Safe
            | BlockNumberOrTag::Finalized => Some(head),
            BlockNumberOrTag::Earliest => Some(0),
            BlockNumberOrTag::Number(number) => (number <= head).then_some(number),
        },
    })
}

/// The number of the block that `id` means, the head where nothing is said.
///
/// # Errors
/// As [`find`], and [`RpcError::UnknownBlock`] where there is no such block.
pub(super) fn resolve(view: &View, id: Option<BlockId>) -> Result<u64, RpcError> {
    let id = id.unwrap_or_default();
    find(view, id)?.ok_or(RpcError::UnknownBlock(id))
}

/// The block `number`, which is not beyond the head.
pub(super) fn block(view: &View, number: u64) -> Result<RecoveredBlock, RpcError> {
    view.block(number)?.ok_or_else(|| missing(number))
}

/// The header of block `number`, which is not beyond the head.
pub(super) fn header(view: &View, number: u64) -> Result<StoredHeader, RpcError> {
    view.header(number)?.ok_or_else(|| missing(number))
}

pub(super) fn missing(number: u64) -> RpcError {
    RpcError::Inconsistent { number, problem: Inconsistency::MissingBlock }
}

/// The block as Ethereum encodes it.
pub(super) fn plain(block: RecoveredBlock) -> Block<Transaction> {
    let transactions = block.transactions.into_iter().map(|tx| tx.into_inner()).collect();
    let body = BlockBody { transactions, ommers: block.ommers, withdrawals: block.withdrawals };
    body.into_block(block.header)
}

fn block_number(call: &Call, (): ()) -> Result<U64, RpcError> {
    Ok(U64::from(call.view()?.head().header.number))
}

/// A block as it is written.
pub(super) fn written(block: RecoveredBlock, is_full: bool) -> RpcBlock {
    let uncles = block.ommers.iter().map(Header::hash_slow).collect();
    let transactions = if is_full {
        BlockTransactions::Full(transactions::of_block(&block))
    } else {
        let hashes = block.transactions.iter().map(|tx| *tx.tx_hash());
        BlockTransactions::Hashes(hashes.collect())
    };
    let withdrawals = block.withdrawals.clone();
    let (hash, plain) = (block.hash, plain(block));
    let size = U256::from(alloy_rlp::Encodable::length(&plain));
    let sealed = Sealed::new_unchecked(plain.header, hash);
    let header = rpc::Header::from_consensus(sealed, None, Some(size));
    rpc::Block { header, uncles, transactions, withdrawals }
}

fn block_by_hash(
    call: &Call,
    (hash, is_full): (B256, Option<bool>),
) -> Result<Option<RpcBlock>, RpcError> {
    of_block(call, hash.into(), |block| written(block, is_full.unwrap_or_default()))
}

fn block_by_number(
    call: &Call,
    (Number(number), is_full): (Number, Option<bool>),
) -> Result<Option<RpcBlock>, RpcError> {
    of_block(call, number.into(), |block| written(block, is_full.unwrap_or_default()))
}

/// A header as it is written: without what only a whole block has.
pub(super) fn rpc_header(header: Header, hash: B256) -> rpc::Header {
    rpc::Header::from_consensus(Sealed::new_unchecked(header, hash), None, None)
}

fn written_header(call: &Call, id: BlockId) -> Result<Option<rpc::Header>, RpcError> {
    let view = call.view()?;
    let Some(number) = find(&view, id)? else { return Ok(None) };
    let StoredHeader { header, hash, .. } = header(&view, number)?;
    Ok(Some(rpc_header(header, hash)))
}

fn header_by_hash(call: &Call, (hash,): (B256,)) -> Result<Option<rpc::Header>, RpcError> {
    written_header(call, hash.into())
}

fn header_by_number(
    call: &Call,
    (Number(number),): (Number,),
) -> Result<Option<rpc::Header>, RpcError> {
    written_header(call, number.into())
}

/// Something of the block with this id; `None` where there is no such block.
fn of_block<T>(
    call: &Call,
    id: BlockId,
    read: impl FnOnce(RecoveredBlock) -> T,
) -> Result<Option<T>, RpcError> {
    let view = call.view()?;
    let number = find(&view, id)?;
    number.map(|number| block(&view, number).map(read)).transpose()
}

fn transaction_count_by_hash(call: &Call, (hash,): (B256,)) -> Result<Option<U64>, RpcError> {
    of_block(call, hash.into(), |block| U64::from(block.transactions.len()))
}

fn transaction_count_by_number(
    call: &Call,
    (Number(number),): (Number,),
) -> Result<Option<U64>, RpcError> {
    of_block(call, number.into(), |block| U64::from(block.transactions.len()))
}

fn uncle_count_by_hash(call: &Call, (hash,): (B256,)) -> Result<Option<U64>, RpcError> {
    of_block(call, hash.into(), |block| U64::from(block.ommers.len()))
}

fn uncle_count_by_number(
    call: &Call,
    (Number(number),): (Number,),
) -> Result<Option<U64>, RpcError> {
    of_block(call, number.into(), |block| U64::from(block.ommers.len()))
}

fn uncle(call: &Call, id: BlockId, index: Quantity) -> Result<Option<RpcBlock>, RpcError> {
    let uncle = of_block(call, id, |mut block| {
        let index = usize::try_from(index.0).ok().filter(|index| *index < block.ommers.len())?;
        Some(rpc::Block::uncle_from_header(block.ommers.swap_remove(index)))
    });
    Ok(uncle?.flatten())
}

fn uncle_by_hash(
    call: &Call,
    (hash, index): (B256, Quantity),
) -> Result<Option<RpcBlock>, RpcError> {
    uncle(call, hash.into(), index)
}

fn uncle_by_number(
    call: &Call,
    (Number(number), index): (Number, Quantity),
) -> Result<Option<RpcBlock>, RpcError> {
    uncle(call, number.into(), index)
}

/// The RLP of the access list (EIP-7928) of the block with this id; `None` where there is no such block.
///
/// # Errors
/// [`RpcError::NoAccessList`] where the block has none.
pub(super) fn raw_access_list(call: &Call, id: BlockId) -> Result<Option<(u64, Bytes)>, RpcError> {
    let view = call.view()?;
    let Some(number) = find(&view, id)? else { return Ok(None) };
    let list = view.access_list(number)?.ok_or(RpcError::NoAccessList(number))?;
    Ok(Some((number, list)))
}

fn access_list(call: &Call, (id,): (BlockId,)) -> Result<Option<Vec<AccountChanges>>, RpcError> {
    let Some((number, rlp)) = raw_access_list(call, id)? else { return Ok(None) };
    let list = alloy_rlp::decode_exact(&rlp);
    list.map(Some).map_err(|error| RpcError::Inconsistent {
        number,
        problem: Inconsistency::AccessList(error),
    })
}

/// A block by its number or a tag, and not by its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) BlockNumberOrTag);

impl super::args::Argument for Number {
    fn parse(json: &str) -> Result<Self, super::args::ArgumentError> {
        Ok(Self(serde_json::from_str(json)?))
    }
}
