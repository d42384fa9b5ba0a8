//! The state after a block beside the chain: what its branch changed, over the state where that begins.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256, map::B256Map};
use warpline_primitives::{Account, StateSource};
use warpline_storage::{StateView, StorageError};
use warpline_trie::{
    EMPTY_ROOT_HASH, Nibbles, NodeSource, NodeSourceError, StateTrie, TrieError, TrieKey,
};

use super::Path;

/// The trie after a member, kept for the block that follows it.
///
/// There is one, of the member that came last, and none in the members: what a trie holds is shared with
/// the one before, but each has a list of all storages that its branch has touched. For another member it is
/// made again of what the members changed.
#[derive(Debug)]
pub(super) struct KeptTrie {
    member: B256,
    /// The hash of the block of the chain on which the branch begins.
    base: B256,
    trie: StateTrie,
}

impl KeptTrie {
    pub(super) fn new(member: B256, base: B256, mut trie: StateTrie) -> Self {
        // A state that is kept would keep the pages of its view from being used again.
        trie.set_source(Arc::new(NoSource));
        Self { member, base, trie }
    }

    pub(super) const fn member(&self) -> B256 {
        self.member
    }
}

/// The trie after the last member of `path`, which reads from `base`: `kept`, if it is that.
pub(super) fn trie_after(
    kept: Option<KeptTrie>,
    path: &Path,
    base: &StateView,
) -> Result<StateTrie, TrieError> {
    let last = path.members.last().map(|member| member.incoming.block.hash);
    let is_it = |kept: &KeptTrie| Some(kept.member) == last && kept.base == path.ancestor.hash;
    if let Some(KeptTrie { mut trie, .. }) = kept.filter(is_it) {
        trie.set_source(Arc::new(base.clone()));
        return Ok(trie);
    }
    let mut trie = base.trie();
    for (_, executed) in path.executed() {
        trie.apply(&executed.state)?;
        // What the database is told then is what the member tells it, and what the next one builds on.
        trie.commit();
    }
    Ok(trie)
}

/// Where a kept trie reads from while nobody uses it.
#[derive(Debug)]
struct NoSource;

/// The trie of a block beside the chain was read without being given a state: a bug of ours.
#[derive(Debug, thiserror::Error)]
#[error("a trie beside the chain has no state to read from")]
struct NoState;

impl NodeSource for NoSource {
    fn node(&self, _: TrieKey, _: &Nibbles, _: B256) -> Result<Option<Bytes>, NodeSourceError> {
        Err(NodeSourceError::new(NoState))
    }
}

/// The state after the last block of a branch.
pub(super) struct BranchState {
    /// The state on which the branch builds.
    base: StateView,
    trie: StateTrie,
    codes: B256Map<Bytes>,
    hashes: HashMap<u64, B256>,
}

impl BranchState {
    /// `trie` is the one after the last member of `path`, which reads from `base`.
    pub(super) fn new(base: StateView, path: &Path, trie: StateTrie) -> Self {
        let mut state = Self { trie, base, codes: B256Map::default(), hashes: HashMap::new() };
        for (member, executed) in path.executed() {
            let block = &member.incoming.block;
            state.hashes.insert(block.number(), block.hash);
            let codes = executed.state.codes().iter();
            state.codes.extend(codes.map(|(hash, code)| (*hash, code.clone())));
        }
        state
    }

    pub(super) fn into_trie(self) -> StateTrie {
        self.trie
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
