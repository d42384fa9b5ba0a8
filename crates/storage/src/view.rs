//! Reading, as of one moment.

use std::sync::Arc;

use alloy_consensus::transaction::Recovered;
use alloy_primitives::{B256, Bytes, U256};
use redb::{ReadOnlyTable, ReadableDatabase, ReadableTable};
use warpline_primitives::{Receipt, RecoveredBlock};

use crate::{
    StateView, StorageError, StoredHeader,
    codec::{self, StoredBody},
    tables,
};

/// The database at one moment: later commits are not seen. Any number of threads may read one view.
///
/// A view keeps the pages that it sees from being used again, so it should not live for long.
pub struct View {
    pub(crate) meta: ReadOnlyTable<&'static str, &'static [u8]>,
    pub(crate) headers: ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) numbers: ReadOnlyTable<&'static [u8; 32], u64>,
    pub(crate) bodies: ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) senders: ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) receipts: ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) access_lists: ReadOnlyTable<u64, &'static [u8]>,
    pub(crate) transactions: ReadOnlyTable<&'static [u8; 32], (u64, u32)>,
    pub(crate) logs: ReadOnlyTable<&'static [u8], ()>,
    pub(crate) accounts: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    pub(crate) slots: ReadOnlyTable<&'static [u8; 64], &'static [u8]>,
    pub(crate) codes: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    pub(crate) nodes: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub(crate) account_history: ReadOnlyTable<&'static [u8; 40], &'static [u8]>,
    pub(crate) slot_history: ReadOnlyTable<&'static [u8; 72], &'static [u8]>,
    pub(crate) node_history: ReadOnlyTable<&'static [u8], &'static [u8]>,
    pub(crate) changes: ReadOnlyTable<u64, &'static [u8]>,
    head: StoredHeader,
    earliest_state: u64,
}

/// Where a transaction stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionPlace {
    /// The block's number.
    pub block: u64,
    /// Its index in the block.
    pub index: usize,
}

impl View {
    pub(crate) fn new(redb: &redb::Database) -> Result<Self, StorageError> {
        let transaction = redb.begin_read()?;
        let headers = transaction.open_table(tables::HEADERS)?;
        let meta = transaction.open_table(tables::META)?;
        let head = newest_header(&headers)?;
        let earliest_state = earliest_state(&meta)?;
        Ok(Self {
            meta,
            headers,
            numbers: transaction.open_table(tables::NUMBERS)?,
            bodies: transaction.open_table(tables::BODIES)?,
            senders: transaction.open_table(tables::SENDERS)?,
            receipts: transaction.open_table(tables::RECEIPTS)?,
            access_lists: transaction.open_table(tables::ACCESS_LISTS)?,
            transactions: transaction.open_table(tables::TRANSACTIONS)?,
            logs: transaction.open_table(tables::LOGS)?,
            accounts: transaction.open_table(tables::ACCOUNTS)?,
            slots: transaction.open_table(tables::SLOTS)?,
            codes: transaction.open_table(tables::CODES)?,
            nodes: transaction.open_table(tables::NODES)?,
            account_history: transaction.open_table(tables::ACCOUNT_HISTORY)?,
            slot_history: transaction.open_table(tables::SLOT_HISTORY)?,
            node_history: transaction.open_table(tables::NODE_HISTORY)?,
            changes: transaction.open_table(tables::CHANGES)?,
            head,
            earliest_state,
        })
    }

    /// The newest block.
    pub const fn head(&self) -> &StoredHeader {
        &self.head
    }

    /// The first block whose state can be read. Blocks themselves are kept from the genesis on.
    pub const fn earliest_state(&self) -> u64 {
        self.earliest_state
    }

    /// What describes the chain, as it was given when the database was made.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn chain_config(&self) -> Result<Box<[u8]>, StorageError> {
        let name = crate::write::CHAIN_CONFIG;
        let config = self.meta.get(name)?;
        let config = config.ok_or_else(|| StorageError::missing("meta", name.as_bytes()))?;
        Ok(config.value().into())
    }

    /// The header of block `number`; `None` beyond the head.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn header(&self, number: u64) -> Result<Option<StoredHeader>, StorageError> {
        let Some(stored) = self.headers.get(number)? else { return Ok(None) };
        let decoded = StoredHeader::decode(stored.value());
        decoded.map(Some).map_err(|error| damaged("headers", number, error))
    }

    /// The hash of block `number`; `None` beyond the head.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        let Some(stored) = self.headers.get(number)? else { return Ok(None) };
        let (hash, ..) = codec::split_header(stored.value())
            .map_err(|error| damaged("headers", number, error))?;
        Ok(Some(hash))
    }

    /// The total difficulty up to and including block `number`; `None` beyond the head.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn total_difficulty(&self, number: u64) -> Result<Option<U256>, StorageError> {
        let Some(stored) = self.headers.get(number)? else { return Ok(None) };
        let (_, difficulty, _) = codec::split_header(stored.value())
            .map_err(|error| damaged("headers", number, error))?;
        Ok(Some(difficulty))
    }

    /// The number of the block with this hash; `None` where the chain has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn number(&self, hash: B256) -> Result<Option<u64>, StorageError> {
        Ok(self.numbers.get(&hash.0)?.map(|number| number.value()))
    }

    /// Block `number` with the senders of its transactions; `None` beyond the head.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn block(&self, number: u64) -> Result<Option<RecoveredBlock>, StorageError> {
        let Some(StoredHeader { header, hash, .. }) = self.header(number)? else { return Ok(None) };
        let body = self.bodies.get(number)?;
        let body = body.ok_or_else(|| missing("bodies", number))?;
        let body: StoredBody = alloy_rlp::decode_exact(body.value())
            .map_err(|error| damaged("bodies", number, error))?;
        let senders = self.senders.get(number)?;
        let senders = senders.ok_or_else(|| missing("senders", number))?;
        let senders = codec::decode_senders(senders.value())
            .map_err(|error| damaged("senders", number, error))?;
        if senders.len() != body.transactions.len() {
            return Err(damaged("senders", number, alloy_rlp::Error::UnexpectedLength));
        }
        let transactions = body.transactions.into_iter().zip(senders);
        let transactions = transactions.map(|(tx, from)| Recovered::new_unchecked(tx, from));
        Ok(Some(RecoveredBlock {
            header,
            hash,
            transactions: transactions.collect(),
            ommers: body.ommers,
            withdrawals: body.withdrawals,
        }))
    }

    /// The receipts of block `number`, in block order; `None` beyond the head.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<Receipt>>, StorageError> {
        let Some(stored) = self.receipts.get(number)? else { return Ok(None) };
        let receipts = codec::decode_receipts(stored.value());
        receipts.map(Some).map_err(|error| damaged("receipts", number, error))
    }

    /// The RLP of the access list (EIP-7928) of block `number`; `None` where it has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn access_list(&self, number: u64) -> Result<Option<Bytes>, StorageError> {
        let list = self.access_lists.get(number)?;
        Ok(list.map(|list| Bytes::copy_from_slice(list.value())))
    }

    /// Where the transaction with this hash stands; `None` where the chain has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn transaction(&self, hash: B256) -> Result<Option<TransactionPlace>, StorageError> {
        let place = self.transactions.get(&hash.0)?;
        Ok(place.map(|place| {
            let (block, index) = place.value();
            TransactionPlace { block, index: index as usize }
        }))
    }

    /// The state after block `number`.
    ///
    /// # Errors
    /// [`StorageError::Ahead`] beyond the head, [`StorageError::Pruned`] where it is no longer kept.
    pub fn state_at(self: &Arc<Self>, number: u64) -> Result<StateView, StorageError> {
        let head = self.head.header.number;
        if number > head {
            return Err(StorageError::Ahead { number, head });
        }
        if number < self.earliest_state {
            return Err(StorageError::Pruned { number, earliest: self.earliest_state });
        }
        let header = self.header(number)?.ok_or_else(|| missing("headers", number))?.header;
        Ok(StateView::new(Arc::clone(self), number, header.state_root))
    }

    /// The state after the newest block.
    pub fn state(self: &Arc<Self>) -> StateView {
        let head = &self.head.header;
        StateView::new(Arc::clone(self), head.number, head.state_root)
    }
}

/// The newest header there is.
pub(crate) fn newest_header(
    headers: &impl ReadableTable<u64, &'static [u8]>,
) -> Result<StoredHeader, StorageError> {
    let (number, stored) = headers.last()?.ok_or_else(|| missing("headers", 0))?;
    StoredHeader::decode(stored.value()).map_err(|error| damaged("headers", number.value(), error))
}

/// The first block whose state can be read.
pub(crate) fn earliest_state(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<u64, StorageError> {
    let name = crate::write::EARLIEST_STATE;
    let Some(stored) = meta.get(name)? else { return Ok(0) };
    let number = stored.value().try_into().map(u64::from_be_bytes);
    let source = alloy_rlp::Error::UnexpectedLength;
    number.map_err(|_| StorageError::damaged("meta", name.as_bytes(), source))
}

pub(crate) fn damaged(table: &'static str, number: u64, error: alloy_rlp::Error) -> StorageError {
    StorageError::damaged(table, &number.to_be_bytes(), error)
}

pub(crate) fn missing(table: &'static str, number: u64) -> StorageError {
    StorageError::missing(table, &number.to_be_bytes())
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("head", &self.head.header.number).finish_non_exhaustive()
    }
}
