//! A block's RLP: as the node has it, or encoded anew from JSON.

use std::sync::atomic::Ordering;

use alloy_consensus::{
    Block, Header,
    proofs::{calculate_ommers_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_primitives::{Address, B256, Bytes};
use serde_json::{json, value::RawValue};
use warpline_primitives::Transaction;

use super::{BlockHead, BodyPart, FetchError, JsonRpc, RemoteNode, RpcRequest, hex};
use crate::{
    JsonPath, block::decode_exact, capture::encode_block, format::snapshot::RpcBlock, json::Json,
};

/// A block that is what its header says.
pub(super) struct Fetched {
    pub(super) rlp: Bytes,
    pub(super) transactions: usize,
    pub(super) has_creations: bool,
    /// Whom it credits besides the transactions: for ommers, and with withdrawals.
    pub(super) credited: Vec<Address>,
    pub(super) transaction_hashes: Vec<B256>,
}

impl<R: JsonRpc> RemoteNode<R> {
    /// The block that was announced.
    pub(super) fn block(&self, head: &BlockHead) -> Result<Fetched, FetchError> {
        let number = head.header.number;
        let rlp = match self.raw_block(number)? {
            Some(rlp) => rlp,
            None => encode_block(&self.block_from_json(head)?),
        };
        let (block, found) =
            decode_exact(&rlp).map_err(|reason| FetchError::Block { number, reason })?;
        if found != head.hash {
            return Err(FetchError::OtherBlock { number, expected: head.hash, found });
        }
        check_body(&block)?;
        let withdrawals = block.body.withdrawals.iter().flatten();
        let credited = withdrawals.map(|withdrawal| withdrawal.address);
        let credited = credited.chain(block.body.ommers.iter().map(|ommer| ommer.beneficiary));
        let transactions = &block.body.transactions;
        Ok(Fetched {
            credited: credited.collect(),
            transactions: transactions.len(),
            has_creations: transactions.iter().any(alloy_consensus::Transaction::is_create),
            transaction_hashes: transactions.iter().map(|tx| *tx.tx_hash()).collect(),
            rlp,
        })
    }

    /// The block's RLP, if the node gives it.
    fn raw_block(&self, number: u64) -> Result<Option<Bytes>, FetchError> {
        if !self.offers.raw_block.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.ask("debug_getRawBlock", json!([hex(number)])) {
            Ok(rlp) => Ok(rlp),
            Err(error) => error.into_fault(&self.offers.raw_block).map(|_| None),
        }
    }

    /// The block with full transactions, and its ommers one by one.
    fn block_from_json(&self, head: &BlockHead) -> Result<Block<Transaction>, FetchError> {
        let number = head.header.number;
        let answer: Option<Box<RawValue>> =
            self.ask("eth_getBlockByNumber", json!([hex(number), true]))?;
        let answer = answer.ok_or(FetchError::NoBlock { number })?;
        let json = Json::new(answer.get().as_bytes());
        let decoded = RpcBlock::decode(json, &answer, &JsonPath::root());
        let RpcBlock { mut block, ommer_hashes } = decoded
            .map_err(|problem| FetchError::BlockJson { number, problem: Box::new(problem.kind) })?;
        let requests: Vec<_> = (0..ommer_hashes.len())
            .map(|index| RpcRequest {
                method: "eth_getUncleByBlockHashAndIndex",
                params: json!([head.hash, hex(index as u64)]),
            })
            .collect();
        block.body.ommers = self.ask_all::<Header>(&requests)?;
        Ok(block)
    }
}

/// Checks the body against the roots of the header.
fn check_body(block: &Block<Transaction>) -> Result<(), FetchError> {
    let (header, body) = (&block.header, &block.body);
    let withdrawals = body.withdrawals.as_ref();
    let roots = [
        (
            BodyPart::Transactions,
            Some(header.transactions_root),
            Some(calculate_transaction_root(&body.transactions)),
        ),
        (BodyPart::Ommers, Some(header.ommers_hash), Some(calculate_ommers_root(&body.ommers))),
        (
            BodyPart::Withdrawals,
            header.withdrawals_root,
            withdrawals.map(|withdrawals| calculate_withdrawals_root(withdrawals)),
        ),
    ];
    for (part, expected, found) in roots {
        if expected != found {
            return Err(FetchError::Body { number: header.number, part, expected, found });
        }
    }
    Ok(())
}
