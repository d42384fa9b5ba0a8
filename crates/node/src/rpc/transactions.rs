//! Transactions of the chain, and their receipts.

use alloy_consensus::{
    Transaction as _,
    transaction::{Recovered, TransactionInfo},
};
use alloy_eips::{BlockId, Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth as rpc;
use warpline_chain::ChainSpec;
use warpline_primitives::{Receipt, RecoveredBlock, Transaction};
use warpline_storage::View;

use super::{
    RpcError,
    args::Quantity,
    blocks::{self, Number, find},
    context::Call,
    error::Inconsistency,
    methods::Registry,
};

/// A transaction as it is written.
type RpcTransaction = rpc::Transaction<Transaction>;

pub(super) fn register(methods: &mut Registry) {
    methods
        .light("eth_getTransactionByHash", by_hash)
        .light("eth_getTransactionByBlockHashAndIndex", by_block_hash)
        .light("eth_getTransactionByBlockNumberAndIndex", by_block_number)
        .light("eth_getRawTransactionByHash", raw_by_hash)
        .light("eth_getRawTransactionByBlockHashAndIndex", raw_by_block_hash)
        .light("eth_getRawTransactionByBlockNumberAndIndex", raw_by_block_number)
        .light("eth_getTransactionReceipt", receipt)
        .light("eth_getBlockReceipts", block_receipts)
        .light("eth_sendRawTransaction", send_raw);
}

/// The transactions of a block, as they are written.
pub(super) fn of_block(block: &RecoveredBlock) -> Vec<RpcTransaction> {
    let transactions = block.transactions.iter().cloned().enumerate();
    transactions.map(|(index, transaction)| written(block, index, transaction)).collect()
}

fn written(
    block: &RecoveredBlock,
    index: usize,
    transaction: Recovered<Transaction>,
) -> RpcTransaction {
    let place = TransactionInfo {
        hash: Some(*transaction.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        base_fee: block.header.base_fee_per_gas,
        block_timestamp: Some(block.header.timestamp),
    };
    RpcTransaction::from_transaction(transaction, place)
}

/// The block that has the transaction with this hash, and its index there.
pub(super) fn located(
    view: &View,
    hash: B256,
) -> Result<Option<(RecoveredBlock, usize)>, RpcError> {
    let Some(place) = view.transaction(hash)? else { return Ok(None) };
    let block = blocks::block(view, place.block)?;
    if block.transactions.len() <= place.index {
        let problem = Inconsistency::MissingTransaction(place.index);
        return Err(RpcError::Inconsistent { number: place.block, problem });
    }
    Ok(Some((block, place.index)))
}

/// The block with this id, and `index` where it has such a transaction.
fn indexed(
    call: &Call,
    id: BlockId,
    index: Quantity,
) -> Result<Option<(RecoveredBlock, usize)>, RpcError> {
    let view = call.view()?;
    let Some(number) = find(&view, id)? else { return Ok(None) };
    let block = blocks::block(&view, number)?;
    let index = usize::try_from(index.0).ok().filter(|index| *index < block.transactions.len());
    Ok(index.map(|index| (block, index)))
}

fn taken((mut block, index): (RecoveredBlock, usize)) -> RpcTransaction {
    let transaction = block.transactions.swap_remove(index);
    written(&block, index, transaction)
}

fn encoded((block, index): (RecoveredBlock, usize)) -> Bytes {
    block.transactions[index].encoded_2718().into()
}

fn by_hash(call: &Call, (hash,): (B256,)) -> Result<Option<RpcTransaction>, RpcError> {
    Ok(located(&*call.view()?, hash)?.map(taken))
}

fn by_block_hash(
    call: &Call,
    (hash, index): (B256, Quantity),
) -> Result<Option<RpcTransaction>, RpcError> {
    Ok(indexed(call, hash.into(), index)?.map(taken))
}

fn by_block_number(
    call: &Call,
    (Number(number), index): (Number, Quantity),
) -> Result<Option<RpcTransaction>, RpcError> {
    Ok(indexed(call, number.into(), index)?.map(taken))
}

/// The encoded transaction with this hash.
pub(super) fn raw_by_hash(call: &Call, (hash,): (B256,)) -> Result<Option<Bytes>, RpcError> {
    Ok(located(&*call.view()?, hash)?.map(encoded))
}

fn raw_by_block_hash(
    call: &Call,
    (hash, index): (B256, Quantity),
) -> Result<Option<Bytes>, RpcError> {
    Ok(indexed(call, hash.into(), index)?.map(encoded))
}

fn raw_by_block_number(
    call: &Call,
    (Number(number), index): (Number, Quantity),
) -> Result<Option<Bytes>, RpcError> {
    Ok(indexed(call, number.into(), index)?.map(encoded))
}

/// The receipts of a block, one for each of its transactions.
pub(super) fn receipts_of(view: &View, block: &RecoveredBlock) -> Result<Vec<Receipt>, RpcError> {
    let number = block.header.number;
    let receipts = view.receipts(number)?.ok_or_else(|| blocks::missing(number))?;
    if receipts.len() == block.transactions.len() {
        return Ok(receipts);
    }
    let (transactions, receipts) = (block.transactions.len(), receipts.len());
    let problem = Inconsistency::Receipts { transactions, receipts };
    Err(RpcError::Inconsistent { number, problem })
}

/// Where a receipt stands among those of its block.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    index: usize,
    gas: u64,
    logs: usize,
}

/// The receipts of a block as they are written, those that are `wanted`.
fn written_receipts(
    chain: &ChainSpec,
    block: &RecoveredBlock,
    receipts: Vec<Receipt>,
    wanted: impl Fn(usize) -> bool,
) -> Vec<rpc::TransactionReceipt> {
    let mut before = Before::default();
    let mut written = Vec::new();
    for receipt in receipts {
        let after = Before {
            index: before.index + 1,
            gas: receipt.cumulative_gas_used(),
            logs: before.logs + receipt.logs().len(),
        };
        if wanted(before.index) {
            written.push(written_receipt(chain, block, before, receipt));
        }
        before = after;
    }
    written
}

fn written_receipt(
    chain: &ChainSpec,
    block: &RecoveredBlock,
    before: Before,
    receipt: Receipt,
) -> rpc::TransactionReceipt {
    let transaction = &block.transactions[before.index];
    let (from, header) = (transaction.signer(), &block.header);
    let gas_used = receipt.cumulative_gas_used().saturating_sub(before.gas);
    let blob_gas_used = transaction.blob_gas_used();
    let mut place = LogPlace::new(block, before.index, before.logs);
    rpc::TransactionReceipt {
        inner: receipt.map_logs(|log| place.next(log)),
        transaction_hash: *transaction.tx_hash(),
        transaction_index: Some(before.index as u64),
        block_hash: Some(block.hash),
        block_number: Some(header.number),
        gas_used,
        effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
        blob_gas_used,
        blob_gas_price: blob_gas_used.and_then(|_| chain.blob_base_fee(header)),
        from,
        to: transaction.to(),
        contract_address: transaction.is_create().then(|| created(from, transaction.nonce())),
    }
}

fn created(from: Address, nonce: u64) -> Address {
    from.create(nonce)
}

/// Where the next log of a transaction stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogPlace {
    block_hash: B256,
    block_number: u64,
    block_timestamp: u64,
    transaction_hash: B256,
    transaction_index: u64,
    log_index: u64,
    is_removed: bool,
}

impl LogPlace {
    /// That of the first log of transaction `index`, before which the block has `logs`.
    pub(super) fn new(block: &RecoveredBlock, index: usize, logs: usize) -> Self {
        Self {
            block_hash: block.hash,
            block_number: block.header.number,
            block_timestamp: block.header.timestamp,
            transaction_hash: *block.transactions[index].tx_hash(),
            transaction_index: index as u64,
            log_index: logs as u64,
            is_removed: false,
        }
    }

    /// The same in a block that is no longer part of the chain.
    pub(super) const fn removed(self, is_removed: bool) -> Self {
        Self { is_removed, ..self }
    }

    /// Leaves out a log.
    pub(super) const fn skip(&mut self) {
        self.log_index += 1;
    }

    /// The next log as it is written.
    pub(super) fn next(&mut self, log: alloy_primitives::Log) -> rpc::Log {
        let log_index = self.log_index;
        self.skip();
        rpc::Log {
            inner: log,
            block_hash: Some(self.block_hash),
            block_number: Some(self.block_number),
            block_timestamp: Some(self.block_timestamp),
            transaction_hash: Some(self.transaction_hash),
            transaction_index: Some(self.transaction_index),
            log_index: Some(log_index),
            removed: self.is_removed,
        }
    }
}

fn receipt(call: &Call, (hash,): (B256,)) -> Result<Option<rpc::TransactionReceipt>, RpcError> {
    let view = call.view()?;
    let Some((block, index)) = located(&view, hash)? else { return Ok(None) };
    let receipts = receipts_of(&view, &block)?;
    let chain = &call.context().chain;
    Ok(written_receipts(chain, &block, receipts, |at| at == index).pop())
}

fn block_receipts(
    call: &Call,
    (id,): (BlockId,),
) -> Result<Option<Vec<rpc::TransactionReceipt>>, RpcError> {
    let view = call.view()?;
    let Some(number) = find(&view, id)? else { return Ok(None) };
    let block = blocks::block(&view, number)?;
    let receipts = receipts_of(&view, &block)?;
    Ok(Some(written_receipts(&call.context().chain, &block, receipts, |_| true)))
}

fn send_raw(_: &Call, (_transaction,): (Bytes,)) -> Result<B256, RpcError> {
    Err(RpcError::NoPool)
}
