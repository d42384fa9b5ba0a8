//! Valid blocks that are not part of the chain, and the states after them.
//!
//! A branch begins at a block of the chain, whose state is read as of then; what the branch changed
//! since is in the trie of each of its blocks. Branches live in memory: after a restart whoever sent
//! their blocks sends them again. They are bounded: a branch that stays further behind the head than
//! [`MOST_DISTANCE`] is forgotten as a whole, and the oldest are where there are more than [`MOST_BLOCKS`] or
//! where all take more than [`MOST_BYTES`].

use std::{collections::HashMap, mem, sync::Arc};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U256, map::B256Map};
use warpline_primitives::{Account, RecoveredBlock, StateSource};
use warpline_replay::Rejection;
use warpline_storage::{StateView, StorageError, StoredHeader, View};
use warpline_trie::{EMPTY_ROOT_HASH, Nibbles, NodeSource, NodeSourceError, StateTrie, TrieKey};

use super::{Chain, Executed, ImportError, IncomingBlock};

/// How many blocks are kept beside the chain. The oldest are forgotten first.
const MOST_BLOCKS: usize = 1024;

/// About how much memory they may take, in bytes.
const MOST_BYTES: usize = 1 << 30;

/// How far behind the head a branch may stay.
const MOST_DISTANCE: u64 = 1024;

/// The blocks beside the chain, by hash.
#[derive(Debug, Default)]
pub(super) struct Branches {
    members: B256Map<Arc<Member>>,
}

/// A block beside the chain.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) incoming: IncomingBlock,
    pub(super) total_difficulty: U256,
    /// What executing it came to, and the hash of the block of the chain on which its branch began then.
    /// `None` for one that was part of the chain, until it is needed again.
    pub(super) executed: Option<(Arc<Executed>, B256)>,
    /// About how much memory it takes.
    bytes: usize,
}

/// The members from the chain to a block, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// The block of the chain on which they build.
    pub(super) ancestor: StoredHeader,
    pub(super) members: Vec<Arc<Member>>,
}

impl Member {
    /// A block beside the chain.
    pub(super) fn new(
        incoming: IncomingBlock,
        total_difficulty: U256,
        executed: Option<(Arc<Executed>, B256)>,
    ) -> Self {
        /// A transaction besides its data.
        const TRANSACTION: usize = 512;
        let transactions = incoming.block.transactions.iter();
        let transactions: usize = transactions.map(|tx| TRANSACTION + tx.input().len()).sum();
        let bytes = executed.as_ref().map(|(executed, _)| executed.bytes());
        let bytes = transactions + bytes.unwrap_or_default();
        Self { incoming, total_difficulty, executed, bytes }
    }

    fn stored_header(&self) -> StoredHeader {
        StoredHeader {
            header: self.incoming.block.header.clone(),
            hash: self.incoming.block.hash,
            total_difficulty: self.total_difficulty,
        }
    }
}

impl Path {
    /// The members with what executing them came to: all of them, once the path was executed.
    pub(super) fn executed(&self) -> impl Iterator<Item = (&Member, &Executed)> {
        let executed = |member: &Arc<Member>| member.executed.is_some();
        debug_assert!(self.members.iter().all(executed), "a member was not executed");
        self.members.iter().filter_map(|member| Some((&**member, &*member.executed.as_ref()?.0)))
    }
}

impl Branches {
    fn bytes(&self) -> usize {
        self.members.values().map(|member| member.bytes).sum()
    }

    pub(super) fn contains(&self, hash: B256) -> bool {
        self.members.contains_key(&hash)
    }

    pub(super) fn block(&self, hash: B256) -> Option<&RecoveredBlock> {
        Some(&self.members.get(&hash)?.incoming.block)
    }

    /// The path to block `hash`; `None` where the chain of `view` has no block on which it begins.
    pub(super) fn path_to(&self, hash: B256, view: &View) -> Result<Option<Path>, StorageError> {
        let mut members = Vec::new();
        let mut next = hash;
        while let Some(member) = self.members.get(&next) {
            next = member.incoming.block.header.parent_hash;
            members.push(Arc::clone(member));
        }
        members.reverse();
        let Some(number) = view.number(next)? else { return Ok(None) };
        let ancestor = view.header(number)?;
        Ok(ancestor.map(|ancestor| Path { ancestor, members }))
    }

    /// The members of `path` have become part of the chain, and `removed` no longer are.
    pub(super) fn swap(&mut self, path: &Path, removed: Vec<Member>) {
        for member in &path.members {
            self.members.remove(&member.incoming.block.hash);
        }
        for member in removed {
            self.members.insert(member.incoming.block.hash, Arc::new(member));
        }
    }

    /// Forgets what is too far behind the head of `view`, what is too much, and all that builds on it.
    pub(super) fn bound(&mut self, view: &View) -> Result<(), StorageError> {
        let first = view.head().header.number.saturating_sub(MOST_DISTANCE);
        let too_old = |member: &Arc<Member>| member.incoming.block.number() < first;
        let mut bytes = self.bytes();
        let are_few = self.members.len() <= MOST_BLOCKS && bytes <= MOST_BYTES;
        if are_few && !self.members.values().any(too_old) {
            return Ok(());
        }
        let mut sorted: Vec<_> = mem::take(&mut self.members).into_values().collect();
        sorted.sort_unstable_by_key(|member| {
            let block = &member.incoming.block;
            (block.number(), block.hash)
        });
        let mut count = sorted.len();
        let is_surplus = |member: &Arc<Member>| {
            let is_too_much = count > MOST_BLOCKS || bytes > MOST_BYTES;
            count -= 1;
            bytes = bytes.saturating_sub(member.bytes);
            is_too_much
        };
        for member in sorted.into_iter().skip_while(is_surplus) {
            let header = &member.incoming.block.header;
            let parent = header.parent_hash;
            let stands = self.contains(parent) || view.number(parent)?.is_some();
            if header.number >= first && stands {
                self.members.insert(member.incoming.block.hash, member);
            }
        }
        Ok(())
    }
}

impl Chain {
    /// Executes a block whose parent is not the head, and keeps it beside the chain.
    pub(super) fn add_beside(&mut self, incoming: IncomingBlock) -> Result<(), ImportError> {
        let parent = incoming.block.header.parent_hash;
        let path = self.execute_path(parent)?;
        let executed = self.execute_after(&path, &incoming)?;
        let total_difficulty = executed.tip.total_difficulty;
        let executed = Some((Arc::new(executed), path.ancestor.hash));
        let member = Arc::new(Member::new(incoming, total_difficulty, executed));
        self.branches.members.insert(member.incoming.block.hash, member);
        Ok(self.branches.bound(&self.view)?)
    }

    /// The path to block `hash`, each member executed on it: those that were part of the chain once, or
    /// whose branch began elsewhere, are executed again.
    pub(super) fn execute_path(&mut self, hash: B256) -> Result<Path, ImportError> {
        let unknown = || ImportError::Rejected(Rejection::UnknownParent { parent: hash });
        let whole = self.branches.path_to(hash, &self.view)?.ok_or_else(unknown)?;
        let base = whole.ancestor.hash;
        let mut path = Path { ancestor: whole.ancestor, members: Vec::new() };
        for member in whole.members {
            let stands = member.executed.as_ref().is_some_and(|(_, began)| *began == base);
            let member = if stands {
                member
            } else {
                let executed = self.execute_after(&path, &member.incoming)?;
                let executed = Some((Arc::new(executed), base));
                let incoming = member.incoming.clone();
                let member = Arc::new(Member::new(incoming, member.total_difficulty, executed));
                self.branches.members.insert(member.incoming.block.hash, Arc::clone(&member));
                member
            };
            path.members.push(member);
        }
        Ok(path)
    }

    /// Executes a block on the state after `path`.
    fn execute_after(
        &self,
        path: &Path,
        incoming: &IncomingBlock,
    ) -> Result<Executed, ImportError> {
        let base = self.view.state_at(path.ancestor.header.number)?;
        let mut executed = match path.members.last() {
            Some(last) => {
                let state = BranchState::new(base, path);
                self.execute(incoming, &last.stored_header(), &state, state.trie.clone())
            }
            None => self.execute(incoming, &path.ancestor, &base, base.trie()),
        }?;
        // A state that is kept would keep the pages of its view from being used again.
        executed.trie.set_source(Arc::new(NoSource));
        Ok(executed)
    }
}

/// Where the trie of a member reads from while nobody uses it.
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
struct BranchState {
    /// The state on which the branch builds.
    base: StateView,
    trie: StateTrie,
    codes: B256Map<Bytes>,
    hashes: HashMap<u64, B256>,
}

impl BranchState {
    fn new(base: StateView, path: &Path) -> Self {
        let mut state = Self {
            trie: StateTrie::default(),
            base,
            codes: B256Map::default(),
            hashes: HashMap::new(),
        };
        for (member, executed) in path.executed() {
            let block = &member.incoming.block;
            state.hashes.insert(block.number(), block.hash);
            let codes = executed.state.codes().iter();
            state.codes.extend(codes.map(|(hash, code)| (*hash, code.clone())));
            state.trie = executed.trie.clone();
        }
        state.trie.set_source(Arc::new(state.base.clone()));
        state
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

#[cfg(test)]
mod tests {
    use alloy_consensus::Header;
    use warpline_primitives::StateDiff;
    use warpline_storage::{Database, GenesisBlock};

    use super::*;

    /// A block without anything in it that is said to take so many bytes.
    fn member(parent: B256, number: u64, bytes: usize) -> Arc<Member> {
        let header = Header { parent_hash: parent, number, ..Header::default() };
        let block = RecoveredBlock {
            hash: header.hash_slow(),
            header,
            transactions: Vec::new(),
            ommers: Vec::new(),
            withdrawals: None,
        };
        let incoming = IncomingBlock { block, encoded_len: None };
        Arc::new(Member { bytes, ..Member::new(incoming, U256::ZERO, None) })
    }

    #[test]
    fn branches_that_take_too_much_are_forgotten_from_their_roots() {
        let header = Header::default();
        let genesis = GenesisBlock { config: Box::default(), header, state: StateDiff::default() };
        let view = Database::in_memory(&genesis).unwrap().view().unwrap();
        let hash = |member: &Arc<Member>| member.incoming.block.hash;
        let first = member(view.head().hash, 1, MOST_BYTES / 2);
        let second = member(hash(&first), 2, MOST_BYTES / 2);
        let mut branches = Branches::default();
        for member in [&first, &second] {
            branches.members.insert(hash(member), Arc::clone(member));
        }
        branches.bound(&view).unwrap();
        assert!(branches.contains(hash(&first)) && branches.contains(hash(&second)));
        let third = member(hash(&second), 3, 1);
        branches.members.insert(hash(&third), Arc::clone(&third));
        branches.bound(&view).unwrap();
        assert_eq!(branches.members.len(), 0);
    }
}
