//! Valid blocks that are not part of the chain, and the states after them.
//!
//! A branch begins at a block of the chain, whose state is read as of then; what the branch changed
//! since is in the trie of each of its blocks. Branches live in memory: after a restart whoever sent
//! their blocks sends them again.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256, map::B256Map};
use warpline_chain::Tip;
use warpline_primitives::{Account, RecoveredBlock, StateSource};
use warpline_replay::Rejection;
use warpline_storage::{StateView, StorageError, StoredHeader, View};
use warpline_trie::{EMPTY_ROOT_HASH, StateTrie};

use super::{Chain, Executed, ImportError, IncomingBlock};

/// How many blocks are kept beside the chain. The oldest are forgotten first.
const MOST_BLOCKS: usize = 1024;

/// How far behind the head a branch may stay.
const MOST_DISTANCE: u64 = 1024;

/// The blocks beside the chain, by hash.
#[derive(Debug, Default)]
pub(super) struct Branches {
    members: B256Map<Member>,
}

/// A block beside the chain.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) incoming: IncomingBlock,
    pub(super) total_difficulty: U256,
    /// What executing it came to; `None` for one that was part of the chain, until it is needed again.
    pub(super) executed: Option<Arc<Executed>>,
}

impl Member {
    fn stored_header(&self) -> StoredHeader {
        StoredHeader {
            header: self.incoming.block.header.clone(),
            hash: self.incoming.block.hash,
            total_difficulty: self.total_difficulty,
        }
    }
}

impl Branches {
    pub(super) fn contains(&self, hash: B256) -> bool {
        self.members.contains_key(&hash)
    }

    pub(super) fn block(&self, hash: B256) -> Option<&RecoveredBlock> {
        Some(&self.members.get(&hash)?.incoming.block)
    }

    /// The members from the chain to block `hash`, oldest first, and the number of the block of the
    /// chain on which they build.
    pub(super) fn path_to(&self, hash: B256) -> (u64, Vec<Member>) {
        let mut path = Vec::new();
        let mut next = hash;
        while let Some(member) = self.members.get(&next) {
            next = member.incoming.block.header.parent_hash;
            path.push(member.clone());
        }
        path.reverse();
        let first = path.first().map_or(0, |member: &Member| member.incoming.block.number());
        (first.saturating_sub(1), path)
    }

    /// The path to block `hash` has become part of the chain, and `removed` no longer are.
    pub(super) fn swap(&mut self, hash: B256, path: &[Member], removed: Vec<Member>) {
        debug_assert!(path.last().is_some_and(|member| member.incoming.block.hash == hash));
        for member in path {
            self.members.remove(&member.incoming.block.hash);
        }
        for member in removed {
            self.insert(member);
        }
    }

    fn insert(&mut self, member: Member) {
        self.members.insert(member.incoming.block.hash, member);
        if self.members.len() > MOST_BLOCKS {
            let oldest = self.members.values().min_by_key(|member| {
                let block = &member.incoming.block;
                (block.number(), block.hash)
            });
            let number = oldest.map(|member| member.incoming.block.number());
            // All of a height: what builds on one that is gone is of no use.
            self.members.retain(|_, member| Some(member.incoming.block.number()) != number);
        }
    }

    /// Forgets what is too far behind `head`.
    pub(super) fn forget_before(&mut self, head: u64) {
        let first = head.saturating_sub(MOST_DISTANCE);
        self.members.retain(|_, member| member.incoming.block.number() >= first);
    }
}

impl Chain {
    /// Executes a block whose parent is not the head, and keeps it beside the chain.
    pub(super) fn add_beside(&mut self, incoming: IncomingBlock) -> Result<Tip, ImportError> {
        let parent = incoming.block.header.parent_hash;
        self.execute_branch(parent)?;
        let (ancestor, path) = self.branches.path_to(parent);
        let executed = match path.last() {
            Some(last) => {
                let state = BranchState::new(&self.view, ancestor, &path)?;
                self.execute(&incoming, &last.stored_header(), &state, state.trie.clone())?
            }
            None => {
                let number = self.view.number(parent)?;
                let number = number.ok_or(Rejection::UnknownParent { parent })?;
                let state = self.view.state_at(number)?;
                let header = self.view.header(number)?;
                let header = header.ok_or(Rejection::UnknownParent { parent })?;
                self.execute(&incoming, &header, &state, state.trie())?
            }
        };
        let tip = executed.tip;
        let total_difficulty = tip.total_difficulty;
        let executed = Some(Arc::new(executed));
        self.branches.insert(Member { incoming, total_difficulty, executed });
        Ok(tip)
    }

    /// Executes the members up to block `hash` that were part of the chain once.
    pub(super) fn execute_branch(&mut self, hash: B256) -> Result<(), ImportError> {
        let (ancestor, mut path) = self.branches.path_to(hash);
        for at in 0..path.len() {
            if path[at].executed.is_some() {
                continue;
            }
            let (before, rest) = path.split_at(at);
            let member = &rest[0];
            let executed = match before.last() {
                Some(last) => {
                    let state = BranchState::new(&self.view, ancestor, before)?;
                    self.execute(
                        &member.incoming,
                        &last.stored_header(),
                        &state,
                        state.trie.clone(),
                    )?
                }
                None => {
                    let state = self.view.state_at(ancestor)?;
                    let parent = member.incoming.block.header.parent_hash;
                    let header = self.view.header(ancestor)?;
                    let header = header.ok_or(Rejection::UnknownParent { parent })?;
                    self.execute(&member.incoming, &header, &state, state.trie())?
                }
            };
            let executed = Some(Arc::new(executed));
            let hash = member.incoming.block.hash;
            path[at].executed.clone_from(&executed);
            if let Some(member) = self.branches.members.get_mut(&hash) {
                member.executed = executed;
            }
        }
        Ok(())
    }
}

/// The state after the last block of a branch.
struct BranchState {
    /// The state on which the branch builds.
    base: StateView,
    trie: StateTrie,
    codes: B256Map<Bytes>,
    hashes: HashMap<u64, B256>,
}

impl BranchState {
    fn new(view: &Arc<View>, ancestor: u64, path: &[Member]) -> Result<Self, StorageError> {
        let base = view.state_at(ancestor)?;
        let mut state =
            Self { trie: base.trie(), base, codes: B256Map::default(), hashes: HashMap::new() };
        for member in path {
            let block = &member.incoming.block;
            state.hashes.insert(block.number(), block.hash);
            if let Some(executed) = &member.executed {
                let codes = executed.state.codes().iter();
                state.codes.extend(codes.map(|(hash, code)| (*hash, code.clone())));
                state.trie = executed.trie.clone();
            }
        }
        Ok(state)
    }
}

impl StateSource for BranchState {
    type Error = StorageError;

    fn account(&self, address: Address) -> Result<Option<Account>, StorageError> {
        Ok(self.trie.account(address)?)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        Ok(self.trie.storage(address, slot)?)
    }

    fn has_storage(&self, address: Address) -> Result<bool, StorageError> {
        Ok(self.trie.storage_root(address)? != EMPTY_ROOT_HASH)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, StorageError> {
        match self.codes.get(&code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.base.block_hash(number),
        }
    }
}
