//! Writing: a block, its state and all that is found by it, together or not at all.

mod blocks;
mod nodes;
mod prune;
mod revert;
mod state;

pub(crate) use blocks::terms;
pub(crate) use state::Changed;

use alloy_eip7928::BlockAccessList;
use alloy_primitives::{B256, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use redb::WriteTransaction;
use warpline_primitives::{Receipt, RecoveredBlock, StateDiff};
use warpline_trie::{StateTrie, TrieUpdates};

use crate::{
    Durability, StorageError, StoredHeader, genesis::GenesisBlock, tables, view::newest_header,
};

/// Under this name stands what describes the chain.
pub(crate) const CHAIN_CONFIG: &str = "chain";
/// Under this name stands the first block whose state can be read.
pub(crate) const EARLIEST_STATE: &str = "earliest_state";

/// A block with everything that executing it came to.
#[derive(Clone, Copy, Debug)]
pub struct ExecutedBlock<'a> {
    /// The block.
    pub block: &'a RecoveredBlock,
    /// The sum of the difficulties up to and including it.
    pub total_difficulty: U256,
    /// Its receipts as they stand in the receipts trie.
    pub receipts: &'a [Receipt],
    /// What it changed.
    pub state: &'a StateDiff,
    /// What that changed in the tries.
    pub trie: &'a TrieUpdates,
    /// Its access list (EIP-7928), where the fork has them.
    pub access_list: Option<&'a BlockAccessList>,
}

/// One transaction on the database. What it wrote is seen, and kept, once it is committed; a writer
/// that is dropped wrote nothing.
pub struct Writer {
    transaction: WriteTransaction,
}

impl Writer {
    pub(crate) fn begin(redb: &redb::Database) -> Result<Self, StorageError> {
        let mut transaction = redb.begin_write()?;
        // Otherwise opening after a crash reads the whole file.
        transaction.set_quick_repair(true);
        Ok(Self { transaction })
    }

    /// Makes everything written so far part of the database.
    ///
    /// # Errors
    /// When the file cannot be written. Then nothing of it was.
    pub fn commit(mut self, durability: Durability) -> Result<(), StorageError> {
        let durability = match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Deferred => redb::Durability::None,
        };
        self.transaction.set_durability(durability)?;
        Ok(self.transaction.commit()?)
    }

    /// The newest block, as written so far.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn head(&self) -> Result<StoredHeader, StorageError> {
        newest_header(&self.transaction.open_table(tables::HEADERS)?)
    }

    /// Adds a block that follows the head.
    ///
    /// # Errors
    /// [`StorageError::Disconnected`] where it does not.
    pub fn append(&mut self, block: &ExecutedBlock<'_>) -> Result<(), StorageError> {
        let head = self.head()?;
        let header = &block.block.header;
        if header.parent_hash != head.hash || header.number != head.header.number + 1 {
            return Err(StorageError::Disconnected {
                number: header.number,
                parent: header.parent_hash,
                head: head.header.number,
                head_hash: head.hash,
            });
        }
        self.put_block(block)?;
        self.put_state(header.number, block.state, block.trie)
    }

    /// Replaces what describes the chain.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_chain_config(&mut self, config: &[u8]) -> Result<(), StorageError> {
        self.put_meta(CHAIN_CONFIG, config)
    }

    pub(crate) fn put_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StorageError> {
        self.transaction.open_table(tables::META)?.insert(name, value)?;
        Ok(())
    }

    pub(crate) fn put_genesis(&mut self, genesis: &GenesisBlock) -> Result<(), StorageError> {
        self.open_all()?;
        self.put_chain_config(&genesis.config)?;
        let mut trie = StateTrie::default();
        trie.apply(&genesis.state)?;
        let updates = trie.commit();
        let mut header = genesis.header.clone();
        header.state_root = updates.root;
        let block = RecoveredBlock {
            hash: header.hash_slow(),
            transactions: Vec::new(),
            ommers: Vec::new(),
            withdrawals: header.withdrawals_root.is_some().then(Default::default),
            header,
        };
        let executed = ExecutedBlock {
            total_difficulty: block.header.difficulty,
            block: &block,
            receipts: &[],
            state: &genesis.state,
            trie: &updates,
            access_list: None,
        };
        self.put_block(&executed)?;
        self.put_state(block.header.number, &genesis.state, &updates)?;
        self.forget_history(block.header.number)
    }

    /// Makes every table, so that views find it.
    fn open_all(&mut self) -> Result<(), StorageError> {
        let transaction = &self.transaction;
        transaction.open_table(tables::META)?;
        transaction.open_table(tables::HEADERS)?;
        transaction.open_table(tables::NUMBERS)?;
        transaction.open_table(tables::BODIES)?;
        transaction.open_table(tables::SENDERS)?;
        transaction.open_table(tables::RECEIPTS)?;
        transaction.open_table(tables::ACCESS_LISTS)?;
        transaction.open_table(tables::TRANSACTIONS)?;
        transaction.open_table(tables::LOGS)?;
        transaction.open_table(tables::ACCOUNTS)?;
        transaction.open_table(tables::SLOTS)?;
        transaction.open_table(tables::CODES)?;
        transaction.open_table(tables::NODES)?;
        transaction.open_table(tables::ACCOUNT_HISTORY)?;
        transaction.open_table(tables::SLOT_HISTORY)?;
        transaction.open_table(tables::NODE_HISTORY)?;
        transaction.open_table(tables::CHANGES)?;
        Ok(())
    }
}

/// The root of an account's storage after a block.
fn storage_root(trie: &TrieUpdates, account: B256, before: Option<B256>) -> B256 {
    let changed = trie.storages.get(&account).map(|storage| storage.root);
    changed.or(before).unwrap_or(EMPTY_ROOT_HASH)
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
