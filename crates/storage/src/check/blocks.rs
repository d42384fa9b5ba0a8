//! Blocks, and what they are found by.

use std::collections::BTreeSet;

use alloy_consensus::proofs::{
    calculate_ommers_root, calculate_receipt_root, calculate_transaction_root,
    calculate_withdrawals_root,
};
use alloy_primitives::B256;
use redb::ReadableTableMetadata;

use super::{CheckError, CheckReport, check_count};
use crate::{StoredHeader, TransactionPlace, View, tables::log_key, view::missing, write::terms};

impl View {
    pub(super) fn check_blocks(&self, report: &mut CheckReport) -> Result<(), CheckError> {
        let mut parent: Option<StoredHeader> = None;
        let mut terms = 0;
        for number in 0..=self.head().header.number {
            let stored = self.header(number)?.ok_or_else(|| missing("headers", number))?;
            let hashed = stored.header.hash_slow();
            check_hash(number, stored.hash, hashed)?;
            if let Some(parent) = parent {
                check_hash(parent.header.number, parent.hash, stored.header.parent_hash)?;
            }
            if self.number(stored.hash)? != Some(number) {
                return Err(CheckError::Index { number, index: "numbers" });
            }
            terms += self.check_block(number, report)?;
            parent = Some(stored);
        }
        check_count("headers", report.blocks, self.headers.len().map_err(engine)?)?;
        check_count("numbers", report.blocks, self.numbers.len().map_err(engine)?)?;
        check_count("bodies", report.blocks, self.bodies.len().map_err(engine)?)?;
        check_count("senders", report.blocks, self.senders.len().map_err(engine)?)?;
        check_count("receipts", report.blocks, self.receipts.len().map_err(engine)?)?;
        check_count("transactions", report.transactions, self.transactions.len().map_err(engine)?)?;
        check_count("logs", terms, self.logs.len().map_err(engine)?)
    }

    /// Checks body, receipts and indices of a block. Returns how many terms its logs are found by.
    fn check_block(&self, number: u64, report: &mut CheckReport) -> Result<u64, CheckError> {
        let block = self.block(number)?.ok_or_else(|| missing("bodies", number))?;
        let receipts = self.receipts(number)?.ok_or_else(|| missing("receipts", number))?;
        let transactions: Vec<_> = block.transactions.iter().map(|tx| tx.inner()).collect();
        let header = &block.header;
        let root = |part, expected: B256, found: B256| {
            let same = expected == found;
            same.then_some(()).ok_or(CheckError::BlockRoot { number, part, expected, found })
        };
        root("transactions", header.transactions_root, calculate_transaction_root(&transactions))?;
        root("ommers", header.ommers_hash, calculate_ommers_root(&block.ommers))?;
        let withdrawals = block.withdrawals.as_deref().map(|list| calculate_withdrawals_root(list));
        root(
            "withdrawals",
            header.withdrawals_root.unwrap_or_default(),
            withdrawals.unwrap_or_default(),
        )?;
        root("receipts", header.receipts_root, calculate_receipt_root(&receipts))?;
        for (index, transaction) in transactions.iter().enumerate() {
            let place = self.transaction(*transaction.tx_hash())?;
            if place != Some(TransactionPlace { block: number, index }) {
                return Err(CheckError::Index { number, index: "transactions" });
            }
        }
        let terms: BTreeSet<_> = terms(&receipts).into_iter().collect();
        for term in &terms {
            if self.logs.get(&*log_key(*term, number)).map_err(engine)?.is_none() {
                return Err(CheckError::Index { number, index: "logs" });
            }
        }
        report.blocks += 1;
        report.transactions += transactions.len() as u64;
        Ok(terms.len() as u64)
    }
}

fn check_hash(number: u64, expected: B256, found: B256) -> Result<(), CheckError> {
    let same = expected == found;
    same.then_some(()).ok_or(CheckError::BlockHash { number, expected, found })
}

/// A failure of the database engine.
pub(super) fn engine(error: redb::StorageError) -> CheckError {
    CheckError::Storage(error.into())
}
