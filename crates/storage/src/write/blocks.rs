//! A block, and what it is found by.

use alloy_primitives::B256;
use warpline_primitives::Receipt;

use super::{ExecutedBlock, Writer};
use crate::{
    StorageError, StoredHeader,
    codec::{self, StoredBody},
    tables::{self, LogTerm, log_key},
    view::{damaged, missing},
};

impl Writer {
    pub(super) fn put_block(&mut self, executed: &ExecutedBlock<'_>) -> Result<(), StorageError> {
        let &ExecutedBlock { block, total_difficulty, receipts, .. } = executed;
        let number = block.header.number;
        let stored =
            StoredHeader { header: block.header.clone(), hash: block.hash, total_difficulty };
        let tables = &self.transaction;
        tables.open_table(tables::HEADERS)?.insert(number, &*stored.encode())?;
        tables.open_table(tables::NUMBERS)?.insert(&block.hash.0, number)?;

        let body = StoredBody {
            transactions: block.transactions.iter().map(|tx| tx.inner().clone()).collect(),
            ommers: block.ommers.clone(),
            withdrawals: block.withdrawals.clone(),
        };
        tables.open_table(tables::BODIES)?.insert(number, &*alloy_rlp::encode(&body))?;
        let senders = codec::encode_senders(block.transactions.iter().map(|tx| tx.signer()));
        tables.open_table(tables::SENDERS)?.insert(number, &*senders)?;
        let mut places = tables.open_table(tables::TRANSACTIONS)?;
        for (index, transaction) in (0_u32..).zip(&body.transactions) {
            places.insert(&transaction.tx_hash().0, (number, index))?;
        }

        tables.open_table(tables::RECEIPTS)?.insert(number, &*codec::encode_receipts(receipts))?;
        let mut logs = tables.open_table(tables::LOGS)?;
        for term in terms(receipts) {
            logs.insert(&*log_key(term, number), ())?;
        }
        if let Some(list) = executed.access_list {
            let list = alloy_rlp::encode(list);
            tables.open_table(tables::ACCESS_LISTS)?.insert(number, &*list)?;
        }
        Ok(())
    }

    /// Removes the block `number` and what it is found by.
    pub(super) fn remove_block(&mut self, number: u64) -> Result<(), StorageError> {
        let tables = &self.transaction;
        let header = tables.open_table(tables::HEADERS)?.remove(number)?.map(|header| {
            codec::split_header(header.value())
                .map(|(hash, ..)| hash)
                .map_err(|error| damaged("headers", number, error))
        });
        let hash: B256 = header.ok_or_else(|| missing("headers", number))??;
        tables.open_table(tables::NUMBERS)?.remove(&hash.0)?;

        let mut bodies = tables.open_table(tables::BODIES)?;
        let body = bodies.remove(number)?.ok_or_else(|| missing("bodies", number))?;
        let body: StoredBody = alloy_rlp::decode_exact(body.value())
            .map_err(|error| damaged("bodies", number, error))?;
        tables.open_table(tables::SENDERS)?.remove(number)?;
        let mut places = tables.open_table(tables::TRANSACTIONS)?;
        for transaction in &body.transactions {
            places.remove(&transaction.tx_hash().0)?;
        }

        let mut receipts = tables.open_table(tables::RECEIPTS)?;
        let stored = receipts.remove(number)?.ok_or_else(|| missing("receipts", number))?;
        let decoded = codec::decode_receipts(stored.value())
            .map_err(|error| damaged("receipts", number, error))?;
        let mut logs = tables.open_table(tables::LOGS)?;
        for term in terms(&decoded) {
            logs.remove(&*log_key(term, number))?;
        }
        tables.open_table(tables::ACCESS_LISTS)?.remove(number)?;
        Ok(())
    }
}

/// What the logs of `receipts` are found by, each once.
pub(crate) fn terms(receipts: &[Receipt]) -> Vec<LogTerm> {
    let mut terms = Vec::new();
    for log in receipts.iter().flat_map(|receipt| receipt.logs()) {
        let topics = (0_u8..).zip(log.topics()).map(|(place, topic)| LogTerm::Topic(place, *topic));
        terms.extend(topics.chain([LogTerm::Address(log.address)]));
    }
    terms.sort_unstable();
    terms.dedup();
    terms
}
