//! The blocks accepted so far, on all branches, each with the state after it.
//!
//! Which of them is the canonical head is for [`Tip`] to say.

use std::{borrow::Cow, mem, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{B256, U256, map::B256Map};
use warpline_chain::Tip;
use warpline_primitives::RecoveredBlock;

use super::{Candidate, CaseFailure, Rejection};
use crate::{
    BlockDecodeError, BlockInput, ChainTest, CompleteState, ParentState, TestBlock, input::Ommers,
};

/// How many generations back ommers are looked for.
const OMMER_GENERATIONS: usize = 7;

/// A block as it arrives.
pub(super) type Arrival = Result<RecoveredBlock, BlockDecodeError>;

/// An accepted block.
pub(super) struct Node {
    pub(super) header: Header,
    pub(super) hash: B256,
    /// The state after it. Gone once the last block that builds on it has taken it over.
    pub(super) state: CompleteState,
    ommers: Vec<B256>,
    tip: Tip,
}

pub(super) struct BlockTree<'a> {
    test: &'a ChainTest,
    nodes: B256Map<Node>,
    /// How many blocks are still to come, by parent.
    awaited: B256Map<usize>,
    head: B256,
}

impl<'a> BlockTree<'a> {
    /// The tree that consists of the genesis block.
    pub(super) fn new(test: &'a ChainTest, arrivals: &[Arrival]) -> Result<Self, CaseFailure> {
        let (header, hash) = (test.genesis.clone(), test.genesis_hash);
        let mut state = CompleteState::new(test.pre.clone());
        let (expected, found) = (header.state_root, state.root());
        if expected != found {
            return Err(CaseFailure::GenesisRoot { expected, found });
        }
        state.insert_block_hash(header.number, hash);
        let mut awaited = B256Map::default();
        for block in arrivals.iter().flatten() {
            *awaited.entry(block.header.parent_hash).or_default() += 1;
        }
        let tip = Tip {
            total_difficulty: header.difficulty,
            is_merged: test.chain.is_merged(header.number),
        };
        let genesis = Node { header, hash, state, ommers: Vec::new(), tip };
        Ok(Self { test, nodes: [(hash, genesis)].into_iter().collect(), awaited, head: hash })
    }

    /// The canonical head.
    pub(super) fn head(&self) -> &Node {
        &self.nodes[&self.head]
    }

    /// Checks a block up to execution, and puts the state it starts from beside it.
    pub(super) fn admit(
        &mut self,
        test_block: &TestBlock,
        arrival: Arrival,
    ) -> Result<BlockInput, Rejection> {
        let block = arrival?;
        let parent_hash = block.header.parent_hash;
        let awaited = self.awaited.entry(parent_hash).or_default();
        *awaited = awaited.saturating_sub(1);
        let last = *awaited == 0;

        let Some(parent) = self.nodes.get(&parent_hash) else {
            return Err(Rejection::UnknownParent { parent: parent_hash });
        };
        let chain =
            match self.test.chain.for_child_of(parent.header.number, parent.tip.total_difficulty) {
                Cow::Borrowed(_) => self.test.chain.clone(),
                Cow::Owned(chain) => Arc::new(chain),
            };
        chain.validate_header(&block.header, &parent.header)?;
        let (ancestors, included) = self.family(&block);
        chain.validate_ommers(&block.header, &block.ommers, &ancestors, &included)?;
        chain.validate_transactions(&block)?;

        let parent_header = Some(parent.header.clone());
        // A valid block never needs its parent's state again. An invalid one does.
        let state = match self.nodes.get_mut(&parent_hash) {
            Some(parent) if last && test_block.expectation.is_valid() => {
                mem::take(&mut parent.state)
            }
            Some(parent) => parent.state.clone(),
            None => return Err(Rejection::UnknownParent { parent: parent_hash }),
        };
        Ok(BlockInput {
            origin: self.test.origin.clone(),
            chain,
            block,
            encoded_len: Some(test_block.rlp.len()),
            access_list: test_block.access_list.clone(),
            ommers: Ommers::Known,
            parent_header,
            parent: ParentState::Complete(state),
        })
    }

    /// The ancestors of `block` that matter to its ommers, parent first, and the ommers they have
    /// included.
    fn family(&self, block: &RecoveredBlock) -> (Vec<Header>, Vec<B256>) {
        let (mut ancestors, mut included) = (Vec::new(), Vec::new());
        if block.ommers.is_empty() {
            return (ancestors, included);
        }
        let mut next = self.nodes.get(&block.header.parent_hash);
        while let Some(node) = next.filter(|_| ancestors.len() < OMMER_GENERATIONS) {
            ancestors.push(node.header.clone());
            included.extend_from_slice(&node.ommers);
            next = self.nodes.get(&node.header.parent_hash);
        }
        (ancestors, included)
    }

    /// Adds a block that has kept all rules, and finds the new head.
    pub(super) fn insert(&mut self, candidate: Candidate) {
        let Candidate { input, output, trie, .. } = candidate;
        let BlockInput { chain, block, parent: ParentState::Complete(mut state), .. } = input
        else {
            return;
        };
        let Some(trie) = trie else { return };
        let RecoveredBlock { header, hash, ommers, .. } = block;
        state.advance(&output.state, trie, header.number, hash);
        let parent = self.nodes.get(&header.parent_hash);
        let before = parent.map_or(U256::ZERO, |parent| parent.tip.total_difficulty);
        let node = Node {
            hash,
            state,
            ommers: ommers.iter().map(Header::hash_slow).collect(),
            tip: Tip {
                total_difficulty: before.saturating_add(header.difficulty),
                is_merged: chain.is_merged(header.number),
            },
            header,
        };
        if node.tip.replaces(self.head().tip) {
            self.head = hash;
        }
        self.nodes.insert(hash, node);
    }
}
