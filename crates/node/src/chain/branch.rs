//! Valid blocks that are not part of the chain, and the states after them.
//!
//! A branch begins at a block of the chain, whose state is read as of then; what its blocks changed
//! since is kept with them. Branches live in memory: after a restart whoever sent their blocks sends them
//! again. They are bounded: a branch that stays further behind the head than [`MOST_DISTANCE`] is forgotten
//! as a whole, and the oldest are where there are more than [`MOST_BLOCKS`] or where all take more than
//! [`MOST_BYTES`]. A block for which there is no room even then is not taken.

mod state;

use std::{collections::VecDeque, mem, sync::Arc};

use alloy_eips::Encodable2718 as _;
use alloy_primitives::{B256, U256, map::B256Map};
use warpline_primitives::RecoveredBlock;
use warpline_replay::Rejection;
use warpline_storage::{StorageError, StoredHeader, View};

use self::state::{BranchState, KeptTrie, trie_after};
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
    newest: Option<KeptTrie>,
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
        let transactions: usize =
            transactions.map(|tx| TRANSACTION + 2 * tx.inner().encode_2718_len()).sum();
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
        // Of a member that is none any more.
        self.newest = None;
    }

    /// Forgets what is too far behind the head of `view`, what is too much, and all that builds on it. The
    /// path to `newest` is spared as long as there are others, and then loses its end, not its beginning.
    pub(super) fn bound(&mut self, view: &View, newest: Option<B256>) -> Result<(), StorageError> {
        let first = view.head().header.number.saturating_sub(MOST_DISTANCE);
        let too_old = |member: &Arc<Member>| member.incoming.block.number() < first;
        let (mut count, mut bytes) = (self.members.len(), self.bytes());
        let is_too_much = |count, bytes| count > MOST_BLOCKS || bytes > MOST_BYTES;
        if !is_too_much(count, bytes) && !self.members.values().any(too_old) {
            return Ok(());
        }
        let mut spared = VecDeque::new();
        let mut next = newest;
        while let Some(member) = next.and_then(|hash| self.members.remove(&hash)) {
            next = Some(member.incoming.block.header.parent_hash);
            spared.push_front(member);
        }
        let mut others: Vec<_> = mem::take(&mut self.members).into_values().collect();
        others.sort_unstable_by_key(|member| {
            let block = &member.incoming.block;
            (block.number(), block.hash)
        });
        let mut others = VecDeque::from(others);
        while is_too_much(count, bytes) {
            let Some(gone) = others.pop_front().or_else(|| spared.pop_back()) else { break };
            count -= 1;
            bytes = bytes.saturating_sub(gone.bytes);
        }
        for member in spared.into_iter().chain(others) {
            let header = &member.incoming.block.header;
            let parent = header.parent_hash;
            let stands = self.contains(parent) || view.number(parent)?.is_some();
            if header.number >= first && stands {
                self.members.insert(member.incoming.block.hash, member);
            }
        }
        let members = &self.members;
        self.newest.take_if(|kept| !members.contains_key(&kept.member()));
        Ok(())
    }
}

impl Chain {
    /// Executes a block whose parent is not the head, and keeps it beside the chain.
    pub(super) fn add_beside(&mut self, incoming: IncomingBlock) -> Result<(), ImportError> {
        let (number, head) = (incoming.block.number(), self.head().header.number);
        if number < head.saturating_sub(MOST_DISTANCE) {
            return Err(ImportError::TooFarBehind { number, head, most: MOST_DISTANCE });
        }
        let parent = incoming.block.header.parent_hash;
        let path = self.execute_path(parent)?;
        let executed = self.execute_after(&path, &incoming)?;
        let total_difficulty = executed.tip.total_difficulty;
        let executed = Some((Arc::new(executed), path.ancestor.hash));
        let member = Arc::new(Member::new(incoming, total_difficulty, executed));
        let hash = member.incoming.block.hash;
        self.branches.members.insert(hash, member);
        self.branches.bound(&self.view, Some(hash))?;
        if self.branches.contains(hash) { Ok(()) } else { Err(no_room(number)) }
    }

    /// The path to block `hash`, each member executed on it: those that were part of the chain once, or
    /// whose branch began elsewhere, are executed again.
    pub(super) fn execute_path(&mut self, hash: B256) -> Result<Path, ImportError> {
        let unknown = || ImportError::Rejected(Rejection::UnknownParent { parent: hash });
        let whole = self.branches.path_to(hash, &self.view)?.ok_or_else(unknown)?;
        let base = whole.ancestor.hash;
        let mut path = Path { ancestor: whole.ancestor, members: Vec::new() };
        let mut bytes = 0;
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
            bytes += member.bytes;
            if bytes > MOST_BYTES {
                return Err(no_room(member.incoming.block.number()));
            }
            path.members.push(member);
        }
        Ok(path)
    }

    /// Executes a block on the state after `path`.
    fn execute_after(
        &mut self,
        path: &Path,
        incoming: &IncomingBlock,
    ) -> Result<Executed, ImportError> {
        let base = self.view.state_at(path.ancestor.header.number)?;
        let (executed, trie) = match path.members.last() {
            None => self.execute(incoming, &path.ancestor, &base, base.trie())?,
            Some(last) => {
                let trie = trie_after(self.branches.newest.take(), path, &base);
                let trie = trie.map_err(StorageError::Trie)?;
                let state = BranchState::new(base, path, trie.clone());
                match self.execute(incoming, &last.stored_header(), &state, trie) {
                    Ok(executed) => executed,
                    Err(error) => {
                        // Another block may follow that member.
                        let (member, base) = (last.incoming.block.hash, path.ancestor.hash);
                        let kept = KeptTrie::new(member, base, state.into_trie());
                        self.branches.newest = Some(kept);
                        return Err(error);
                    }
                }
            }
        };
        let kept = KeptTrie::new(incoming.block.hash, path.ancestor.hash, trie);
        self.branches.newest = Some(kept);
        Ok(executed)
    }
}

const fn no_room(number: u64) -> ImportError {
    ImportError::NoRoom { number, most: MOST_BLOCKS, most_bytes: MOST_BYTES }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::Header;
    use warpline_primitives::StateDiff;
    use warpline_storage::{Database, GenesisBlock};

    use super::*;

    /// A block without anything in it that is said to take so many bytes.
    fn member(parent: B256, number: u64, bytes: usize) -> Arc<Member> {
        let extra_data = bytes.to_be_bytes().into();
        let header = Header { parent_hash: parent, number, extra_data, ..Header::default() };
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

    fn insert(branches: &mut Branches, member: Arc<Member>) -> B256 {
        let hash = member.incoming.block.hash;
        branches.members.insert(hash, member);
        hash
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
        branches.bound(&view, None).unwrap();
        assert!(branches.contains(hash(&first)) && branches.contains(hash(&second)));
        let third = member(hash(&second), 3, 1);
        branches.members.insert(hash(&third), Arc::clone(&third));
        branches.bound(&view, None).unwrap();
        assert_eq!(branches.members.len(), 0);
    }

    #[test]
    fn the_newest_branch_is_forgotten_last_and_from_its_end() {
        let header = Header::default();
        let genesis = GenesisBlock { config: Box::default(), header, state: StateDiff::default() };
        let view = Database::in_memory(&genesis).unwrap().view().unwrap();
        let mut branches = Branches::default();
        let mut add = |parent, number, bytes| {
            let added = insert(&mut branches, member(parent, number, bytes));
            branches.bound(&view, Some(added)).unwrap();
            let mut kept: Vec<usize> = branches.members.values().map(|one| one.bytes).collect();
            kept.sort_unstable();
            (added, kept)
        };
        let (half, quarter) = (MOST_BYTES / 2, MOST_BYTES / 4);
        let genesis = view.head().hash;
        let (first, _) = add(genesis, 1, half);
        let (_, kept) = add(genesis, 1, quarter);
        assert_eq!(kept, [quarter, half]);
        let (second, kept) = add(first, 2, half);
        assert_eq!(kept, [half, half]);
        let (_, kept) = add(second, 3, 1);
        assert_eq!(kept, [half, half]);
    }
}
