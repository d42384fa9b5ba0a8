//! Looking through a whole database for what does not fit together.
//!
//! Blocks must be linked by their hashes and commit to what is stored of them. The state is hashed from
//! scratch, by alloy's hash builder and not by our own trie, and must have the root that the head names.
//! Every node must be reached from the root, under the hash by which its parent knows it. Every version
//! in the histories must be named by the block that made it.

mod blocks;
mod history;
mod state;

use alloy_primitives::B256;

use crate::{Database, StorageError};

/// What a check went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Blocks.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Accounts in the newest state.
    pub accounts: u64,
    /// Storage slots in the newest state.
    pub slots: u64,
    /// Stored nodes of tries.
    pub nodes: u64,
    /// Versions of accounts, slots and nodes.
    pub versions: u64,
}

/// What does not fit together.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Something cannot be read at all.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A header is not what its hash or its child says.
    #[error("block {number}: its hash is {found}, expected {expected}")]
    BlockHash {
        /// Which block.
        number: u64,
        /// The hash it is known by.
        expected: B256,
        /// The hash of what is stored, or the parent hash of the next block.
        found: B256,
    },
    /// A part of a block is not what the header commits to.
    #[error("block {number}: the root of its {part} is {found}, expected {expected}")]
    BlockRoot {
        /// Which block.
        number: u64,
        /// Which part.
        part: &'static str,
        /// The header's.
        expected: B256,
        /// Of what is stored.
        found: B256,
    },
    /// An index does not lead where it should.
    #[error("block {number}: the index of {index} does not lead to it")]
    Index {
        /// Which block.
        number: u64,
        /// Which table.
        index: &'static str,
    },
    /// A table has entries that nothing leads to, or lacks some.
    #[error("table {table} has {found} entries, {expected} belong there")]
    Count {
        /// Which table.
        table: &'static str,
        /// How many there should be.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// The storage of an account has another root than the account says.
    #[error("storage of account {account}: root {found}, expected {expected}")]
    StorageRoot {
        /// The hash of its address.
        account: B256,
        /// The account's.
        expected: B256,
        /// Of the slots.
        found: B256,
    },
    /// The state has another root than the head says.
    #[error("state root {found}, expected {expected}")]
    StateRoot {
        /// The head's.
        expected: B256,
        /// Of the accounts.
        found: B256,
    },
    /// Code is not what its hash says.
    #[error("code {hash} is damaged")]
    Code {
        /// The hash it is known by.
        hash: B256,
    },
    /// A node of a trie is not what its parent says.
    #[error("node at 0x{path}: hash {found}, expected {expected}")]
    Node {
        /// Where it stands, a hexadecimal digit for each nibble.
        path: Box<str>,
        /// Its parent's.
        expected: B256,
        /// Of what is stored.
        found: B256,
    },
}

impl Database {
    /// Looks through everything. `progress` is told what is begun.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, mut progress: impl FnMut(&'static str)) -> Result<CheckReport, CheckError> {
        let view = self.view()?;
        let mut report = CheckReport::default();
        progress("blocks");
        view.check_blocks(&mut report)?;
        progress("state");
        view.check_state(&mut report)?;
        progress("nodes of tries");
        view.check_nodes(&mut report)?;
        progress("history");
        view.check_history(&mut report)?;
        Ok(report)
    }
}

/// Whether a table has as many entries as were counted otherwise.
fn check_count(table: &'static str, expected: u64, found: u64) -> Result<(), CheckError> {
    if expected == found { Ok(()) } else { Err(CheckError::Count { table, expected, found }) }
}
