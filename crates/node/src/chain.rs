//! The chain as a node keeps it: blocks come in, and those that keep all rules move the head.
//!
//! ```text
//!                 ┌─ known already
//! block ─▶ parent ┼─ the head ──────▶ rules ─▶ execute ─▶ roots ─▶ append ─▶ head
//!                 ├─ before the head ▶ rules ─▶ execute ─▶ roots ─▶ kept beside the chain
//!                 ├─ beside the chain ▶      (as above)                │ better than the head
//!                 └─ nobody knows                                      ▼
//!                                              take back to the fork, append the branch ─▶ head
//! ```
//!
//! A block that breaks a rule is refused with the rule, and nothing changes. What is written, is
//! written in one transaction: a reader sees the chain before or after a block, never between. It may
//! be written while the next one is executed: see [`ahead`].

mod ahead;
mod branch;
mod execute;
mod feed;
pub(crate) mod measure;
mod open;

use std::{mem, sync::Arc};

use alloy_primitives::B256;
use warpline_chain::{ChainSpec, Ethash, Tip};
use warpline_engine::{Engine, Ethereum};
use warpline_primitives::RecoveredBlock;
use warpline_replay::Rejection;
use warpline_storage::{Database, Durability, StorageError, StoredHeader, View};
use warpline_trie::StateTrie;

pub use open::{Adopted, ChainSource, OpenError};

use self::{
    ahead::Ahead,
    branch::{Branches, Member, Path},
    execute::Executed,
};
use crate::event::{ChainEvent, EventBlock, EventSender};

/// After how many blocks the trie forgets what is too much: it has to look at all it holds to know.
const SHRINK_EVERY: u64 = 16;

/// Whether the trie forgets what is too much after block `number`.
const fn shrinks_at(number: u64) -> bool {
    number.is_multiple_of(SHRINK_EVERY)
}

/// A chain in a database, and the engine that executes what comes in.
///
/// Only one exists for a database; whoever reads takes [views](Database::view).
#[derive(Debug)]
pub struct Chain {
    database: Database,
    spec: Arc<ChainSpec>,
    engine: Engine<Ethereum>,
    options: ChainOptions,
    view: Arc<View>,
    /// The trie of the newest state, which is that of the block ahead where there is one. What of it was
    /// read stays in memory.
    trie: StateTrie,
    branches: Branches,
    /// What follows the head, and is on its way to the database.
    ahead: Option<Ahead>,
    /// Who verifies proof of work, where somebody does.
    ethash: Option<Ethash>,
    /// How many blocks were appended since the last durable commit.
    deferred: u64,
    /// Where changes of the head are told.
    events: Option<EventSender>,
    /// Whether `view` and `trie` are not those of the newest block, or not to be used.
    is_stale: bool,
}

/// How a [`Chain`] checks and writes.
#[derive(Clone, Copy, Debug)]
pub struct ChainOptions {
    /// After how many blocks the disk is waited for. What was appended since is lost when the power
    /// fails, and the chain is then as it was before it.
    pub durable_every: u64,
    /// How many blocks before the head keep their state; `None` for all.
    pub keep_states: Option<u64>,
    /// About how many nodes of tries stay in memory between blocks.
    pub cached_nodes: usize,
    /// Whether the proof of work of blocks before the merge is verified, that of their ommers, too: it takes
    /// milliseconds for each, and a second or more for each 30,000 blocks.
    pub verify_pow: bool,
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self { durable_every: 1, keep_states: None, cached_nodes: 1 << 18, verify_pow: false }
    }
}

/// What became of a block that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was there already.
    Known,
    /// It is the head now, and its parent was before.
    Extended,
    /// It is valid, and stands beside the chain.
    Beside,
    /// It is the head now, and blocks up to its common ancestor with the old head were taken back.
    Reorganised {
        /// The newest block that both have.
        ancestor: u64,
        /// How many blocks were taken back.
        removed: u64,
    },
}

/// Why a block was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It breaks a rule, or its parent is not known. Nothing has changed.
    #[error("block refused: {0}")]
    Rejected(#[from] Rejection),
    /// The block is older than any that is kept beside the chain. Nothing else is known about it.
    #[error(
        "block {number} does not follow the head, block {head}, and is too far behind it: blocks beside the chain are \
         kept from {most} before the head on"
    )]
    TooFarBehind {
        /// Its number.
        number: u64,
        /// The number of the head.
        head: u64,
        /// How far behind it may be.
        most: u64,
    },
    /// There is no room for it beside the chain, or not for what it builds on. Nothing is wrong with it.
    #[error(
        "block {number} does not follow the head, and there is no room for it beside the chain: its branch has \
         more than {most} blocks or takes more than {most_bytes} bytes"
    )]
    NoRoom {
        /// Its number, or that of a block it builds on.
        number: u64,
        /// How many blocks there may be.
        most: usize,
        /// How much memory they may take.
        most_bytes: usize,
    },
    /// The database failed. Nothing is known about the block.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The engine failed. Nothing is known about the block.
    #[error("the block could not be executed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A block to come, with the length of its encoding in bytes, where that is known.
#[derive(Clone, Debug)]
pub struct IncomingBlock {
    /// The block.
    pub block: RecoveredBlock,
    /// The length of its RLP.
    pub encoded_len: Option<usize>,
}

impl Chain {
    /// The database.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// The rules of the chain. Where a total difficulty ends proof of work, those of a block depend on
    /// its parent: [`ChainSpec::for_child_of`].
    pub const fn spec(&self) -> &Arc<ChainSpec> {
        &self.spec
    }

    /// The engine.
    pub const fn engine(&self) -> &Engine<Ethereum> {
        &self.engine
    }

    /// The newest block.
    pub fn head(&self) -> &StoredHeader {
        self.view.head()
    }

    /// Whether the block `hash` is part of the chain, and in the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has(&self, hash: B256) -> Result<bool, StorageError> {
        Ok(self.view.number(hash)?.is_some())
    }

    /// Tells `events` of every change of the head from now on.
    pub fn announce_to(&mut self, events: EventSender) {
        self.events = Some(events);
    }

    /// Takes in a block.
    ///
    /// # Errors
    /// [`ImportError::Rejected`] with the first rule that it breaks: then the chain is as before. The other
    /// errors say nothing about the block, which may be sent again.
    pub fn import(&mut self, incoming: IncomingBlock) -> Result<Imported, ImportError> {
        let imported = self.take_in(incoming);
        let imported = imported.and_then(|imported| Ok(self.finish().map(|()| imported)?));
        measure::ended(&imported);
        imported
    }

    fn take_in(&mut self, incoming: IncomingBlock) -> Result<Imported, ImportError> {
        if self.is_stale {
            // A block was refused, or something broke off in the middle.
            self.finish()?;
            self.advance(None)?;
        }
        let parent = incoming.block.header.parent_hash;
        let is_next = self.ahead.as_ref().is_some_and(|ahead| ahead.hash() == parent);
        // Ommers are compared with those of blocks that are in the database.
        if is_next && incoming.block.ommers.is_empty() {
            return self.extend(incoming);
        }
        self.finish()?;
        let hash = incoming.block.hash;
        if self.view.number(hash)?.is_some() {
            return Ok(Imported::Known);
        }
        let is_member = self.branches.contains(hash);
        if !is_member && incoming.block.header.parent_hash == self.head().hash {
            return self.extend(incoming);
        }
        if !is_member {
            self.add_beside(incoming)?;
        }
        let path = self.execute_path(hash)?;
        // Those that were executed anew are larger now.
        self.branches.bound(&self.view, Some(hash))?;
        let tip = path.members.last().and_then(|last| Some(last.executed.as_ref()?.0.tip));
        match tip {
            Some(tip) if tip.replaces(self.tip()) => self.reorganise(&path),
            _ if is_member => Ok(Imported::Known),
            _ => Ok(Imported::Beside),
        }
    }

    /// Waits until everything that was imported is on the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), StorageError> {
        self.finish()?;
        if self.deferred > 0 {
            self.database.writer()?.commit(Durability::Durable)?;
            self.deferred = 0;
        }
        Ok(())
    }

    fn tip(&self) -> Tip {
        self.tip_of(self.view.head())
    }

    fn tip_of(&self, stored: &StoredHeader) -> Tip {
        let header = &stored.header;
        let before = stored.total_difficulty.saturating_sub(header.difficulty);
        let rules = self.spec.for_child_of(header.number.saturating_sub(1), before);
        // A genesis block is nobody's child: it is merged where the chain begins merged.
        let rules = if header.number == 0 { self.spec.as_ref() } else { rules.as_ref() };
        Tip { total_difficulty: stored.total_difficulty, is_merged: rules.is_merged(header.number) }
    }

    /// Makes the newest block of the database the head, with the trie of its state where it is known.
    fn advance(&mut self, trie: Option<StateTrie>) -> Result<(), StorageError> {
        self.view = self.database.view()?;
        let state = self.view.state();
        self.trie = match trie {
            Some(mut trie) => {
                let is_time = shrinks_at(state.number());
                trie.set_source(Arc::new(state));
                if is_time {
                    trie.shrink(self.options.cached_nodes);
                }
                trie
            }
            None => state.trie(),
        };
        let head = self.view.head().header.number;
        measure::head(head);
        self.branches.bound(&self.view, None)?;
        self.is_stale = false;
        Ok(())
    }

    /// The trie, if it is good. Until another one is there, what is here is stale.
    fn take_trie(&mut self) -> Option<StateTrie> {
        let trie = mem::take(&mut self.trie);
        (!mem::replace(&mut self.is_stale, true)).then_some(trie)
    }

    /// Tells whoever listens that the chain lost and gained blocks.
    fn announce(
        &self,
        removed: impl FnOnce() -> Vec<EventBlock>,
        added: impl FnOnce() -> Vec<EventBlock>,
    ) {
        let Some(events) = self.events.as_ref().filter(|events| events.receiver_count() > 0) else {
            return;
        };
        let shared = |blocks: Vec<EventBlock>| blocks.into_iter().map(Arc::new).collect();
        let event = ChainEvent { removed: shared(removed()), added: shared(added()) };
        // The last listener may have gone in the meantime.
        let _ = events.send(Arc::new(event));
    }

    /// Takes back to where the branch of `path` begins, and appends the branch.
    fn reorganise(&mut self, path: &Path) -> Result<Imported, ImportError> {
        let (ancestor, head) = (path.ancestor.header.number, self.head().header.number);
        let mut removed = Vec::new();
        for number in ancestor + 1..=head {
            let total_difficulty = self.view.total_difficulty(number)?.unwrap_or_default();
            let receipts = self.view.receipts(number)?.unwrap_or_default();
            let block = self.view.block(number)?;
            removed.extend(block.map(|block| EventBlock { block, receipts, total_difficulty }));
        }
        let members = removed.iter().map(|lost| {
            let incoming = IncomingBlock { block: lost.block.clone(), encoded_len: None };
            Member::new(incoming, lost.total_difficulty, None)
        });
        let members = members.collect();
        let gained: Vec<_> = path.executed().collect();
        let mut writer = self.database.writer()?;
        writer.revert_to(ancestor)?;
        for (member, executed) in &gained {
            writer.append(&executed.stored(&member.incoming.block))?;
        }
        writer.commit(Durability::Durable)?;
        self.is_stale = true;
        self.deferred = 0;
        self.branches.swap(path, members);
        self.advance(None)?;
        let added = || {
            let event = |(member, executed): &(&Member, &Executed)| EventBlock {
                block: member.incoming.block.clone(),
                receipts: executed.receipts.clone(),
                total_difficulty: member.total_difficulty,
            };
            gained.iter().map(event).collect()
        };
        self.announce(|| removed.into_iter().rev().collect(), added);
        Ok(match head - ancestor {
            0 => Imported::Extended,
            removed => Imported::Reorganised { ancestor, removed },
        })
    }
}
