//! A block on its way to the database, while the next one is executed on top of it.
//!
//! ```text
//! block 7   execute, root ──▶ write
//! block 8                     execute, root ──▶ wait for 7 ──▶ write
//! block 9                                                      execute, root ──▶ wait for 8 ...
//! ```
//!
//! Until it is written nobody is told of it, and a reader of the database does not see it. One block
//! at most is ahead: the next one waits for it, and where it cannot be written neither is the next.

use std::{
    panic::resume_unwind,
    sync::Arc,
    thread::{self, JoinHandle},
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use warpline_primitives::{Account, AccountDiff, RecoveredBlock, StateSource};
use warpline_storage::{Database, Durability, StateView, StorageError, StoredHeader};
use warpline_trie::EMPTY_ROOT_HASH;

use super::{
    Chain, ImportError, Imported, IncomingBlock,
    execute::Executed,
    measure::{self, Part, timed},
    shrinks_at,
};
use crate::event::EventBlock;

/// A block that is being written.
#[derive(Debug)]
pub(super) struct Ahead {
    writing: Arc<Writing>,
    /// `None` once somebody waited for it.
    written: Option<Written>,
}

/// What is written, and how.
#[derive(Debug)]
struct Writing {
    database: Database,
    block: RecoveredBlock,
    executed: Executed,
    durability: Durability,
    /// States up to that of this block are forgotten.
    prune_to: Option<u64>,
}

/// What came of it, or who finds out.
#[derive(Debug)]
enum Written {
    Soon(JoinHandle<Result<(), StorageError>>),
    Now(Result<(), StorageError>),
}

impl Writing {
    fn write(&self) -> Result<(), StorageError> {
        /// More than one, so that a database with more states than is wanted comes to have fewer.
        const MOST_PRUNED: u64 = 4;
        timed(Part::Commit, || {
            let mut writer = self.database.writer()?;
            writer.append(&self.executed.stored(&self.block))?;
            if let Some(last) = self.prune_to {
                writer.prune(last, MOST_PRUNED)?;
            }
            writer.commit(self.durability)
        })
    }
}

impl Ahead {
    /// Writes on a thread of its own; here, where the system has none to spare.
    fn begin(writing: Writing) -> Self {
        let writing = Arc::new(writing);
        let shared = Arc::clone(&writing);
        let begun = thread::Builder::new().name("write".into()).spawn(move || shared.write());
        let written = begun.map_or_else(|_| Written::Now(writing.write()), Written::Soon);
        Self { writing, written: Some(written) }
    }

    pub(super) fn hash(&self) -> B256 {
        self.writing.block.hash
    }

    fn header(&self) -> StoredHeader {
        StoredHeader {
            header: self.writing.block.header.clone(),
            hash: self.writing.block.hash,
            total_difficulty: self.writing.executed.tip.total_difficulty,
        }
    }

    /// The state after it, on that of its parent.
    fn state(&self, parent: StateView) -> StateAhead {
        StateAhead { parent, writing: Arc::clone(&self.writing) }
    }

    /// Waits until it is written.
    fn finish(mut self) -> Result<Arc<Writing>, StorageError> {
        let written = match self.written.take() {
            Some(Written::Soon(writing)) => {
                writing.join().unwrap_or_else(|panic| resume_unwind(panic))
            }
            Some(Written::Now(written)) => written,
            None => Ok(()),
        };
        let Writing { block, .. } = &*self.writing;
        written.map_err(|source| StorageError::Unwritten {
            number: block.number(),
            hash: block.hash,
            source: Box::new(source),
        })?;
        Ok(Arc::clone(&self.writing))
    }
}

impl Drop for Ahead {
    /// Nobody writes to a database whose chain is gone.
    fn drop(&mut self) {
        if let Some(Written::Soon(writing)) = self.written.take() {
            let _ = writing.join();
        }
    }
}

impl Chain {
    /// As [`import`](Self::import), but where the block extends the chain it may still be on its way to
    /// the database when this returns, and is waited for with the next one, or by
    /// [`finish`](Self::finish). Until then it is not the [`head`](Self::head).
    ///
    /// # Errors
    /// As [`import`](Self::import). [`StorageError::Unwritten`] may be about the block before: then neither
    /// is in the chain.
    pub fn import_ahead(&mut self, incoming: IncomingBlock) -> Result<Imported, ImportError> {
        let imported = self.take_in(incoming);
        measure::ended(&imported);
        imported
    }

    /// Waits until everything that was imported is in the database, if not on the disk.
    ///
    /// # Errors
    /// When it cannot be written. Then the block that was on its way is not in the chain.
    pub fn finish(&mut self) -> Result<(), StorageError> {
        let Some(ahead) = self.ahead.take() else { return Ok(()) };
        let trie = self.take_trie();
        let written = ahead.finish()?;
        self.deferred = match written.durability {
            Durability::Durable => 0,
            Durability::Deferred => self.deferred + 1,
        };
        self.advance(trie)?;
        self.announce(Vec::new, || {
            let (block, receipts, tip) = match Arc::try_unwrap(written) {
                Ok(written) => (written.block, written.executed.receipts, written.executed.tip),
                Err(shared) => {
                    let Executed { receipts, tip, .. } = &shared.executed;
                    (shared.block.clone(), receipts.clone(), *tip)
                }
            };
            vec![EventBlock { block, receipts, total_difficulty: tip.total_difficulty }]
        });
        Ok(())
    }

    /// Executes a block whose parent is the head, or is ahead of it, and begins to write it.
    pub(super) fn extend(&mut self, incoming: IncomingBlock) -> Result<Imported, ImportError> {
        let state = self.view.state();
        // Moved, not copied: a node that two tries share is copied when it changes. Whoever sends what
        // is refused makes the next block read its nodes again.
        let trie = self.take_trie().unwrap_or_else(|| state.trie());
        let executed = match &self.ahead {
            None => self.execute(&incoming, self.view.head(), &state, trie),
            Some(ahead) => self.execute(&incoming, &ahead.header(), &ahead.state(state), trie),
        };
        self.finish()?;
        let (executed, trie) = executed?;
        self.trie = trie;
        self.trie.set_source(Arc::new(self.view.state()));
        self.is_stale = false;
        let IncomingBlock { block, .. } = incoming;
        // A trie forgets only what the database has.
        let is_last_before_shrinking = shrinks_at(block.number());
        let is_durable = self.deferred + 1 >= self.options.durable_every;
        self.ahead = Some(Ahead::begin(Writing {
            database: self.database.clone(),
            durability: if is_durable { Durability::Durable } else { Durability::Deferred },
            prune_to: self.options.keep_states.map(|keep| block.number().saturating_sub(keep)),
            block,
            executed,
        }));
        if is_last_before_shrinking {
            self.finish()?;
        }
        Ok(Imported::Extended)
    }
}

/// The state after a block that is being written.
struct StateAhead {
    parent: StateView,
    writing: Arc<Writing>,
}

impl StateAhead {
    fn change(&self, address: &Address) -> Option<&AccountDiff> {
        self.writing.executed.state.account(address)
    }
}

impl StateSource for StateAhead {
    type Error = StorageError;

    fn account(&self, address: Address) -> Result<Option<Account>, StorageError> {
        match self.change(&address) {
            Some(change) => Ok(change.account),
            None => self.parent.account(address),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        let Some(change) = self.change(&address) else {
            return self.parent.storage(address, slot);
        };
        match change.storage.get(&slot) {
            Some(value) => Ok(*value),
            None if change.storage_wiped || change.account.is_none() => Ok(U256::ZERO),
            None => self.parent.storage(address, slot),
        }
    }

    fn has_storage(&self, address: Address) -> Result<bool, StorageError> {
        let Some(change) = self.change(&address) else { return self.parent.has_storage(address) };
        if change.account.is_none() {
            return Ok(false);
        }
        match self.writing.executed.updates.storages.get(&keccak256(address)) {
            Some(storage) => Ok(storage.root != EMPTY_ROOT_HASH),
            None if change.storage_wiped => Ok(false),
            None => self.parent.has_storage(address),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, StorageError> {
        match self.writing.executed.state.codes().get(&code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.parent.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        let block = &self.writing.block;
        if number == block.number() { Ok(block.hash) } else { self.parent.block_hash(number) }
    }
}
