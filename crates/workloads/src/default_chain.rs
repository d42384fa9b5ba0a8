//! A short chain of small blocks in which a bit of everything happens.
//!
//! What a newcomer replays first, and what tests replay always: payments, tokens, swaps, mints,
//! deployments, every type of transaction, failures, withdrawals and a withdrawal request. All
//! transactions are truly signed, with keys that anybody can derive.
//!
//! The blocks are kept as lists of transactions. What their headers say about execution is found
//! out by executing them, for which this crate has no means of its own: see
//! [`DefaultChain::seal_with`].

use alloy_consensus::Header;
use alloy_primitives::B256;
use warpline_chain::ChainSpec;
use warpline_primitives::{BlockOutput, MemoryState, RecoveredBlock};
use warpline_trie::StateTrie;

use crate::{
    genesis::{chain, genesis_header, next_header},
    seal,
};

mod cast;
mod script;

/// Small, so that the busier blocks are above the target of half of it and the others below, and
/// the base fee moves both ways.
const GAS_LIMIT: u64 = 8_000_000;

/// A first state and the transactions of the blocks that follow, not yet executed.
#[derive(Clone, Debug)]
pub struct DefaultChain {
    /// The rules.
    pub chain: ChainSpec,
    /// The header of block 0, complete.
    pub genesis: Header,
    /// The state after block 0.
    pub state: MemoryState,
    /// The blocks from number 1 on. What their headers say of parent, fees and execution is
    /// preliminary: [`seal_with`](Self::seal_with) makes it true.
    pub blocks: Vec<RecoveredBlock>,
}

/// A block with a complete header, and what it was executed on.
#[derive(Clone, Debug)]
pub struct SealedCase {
    /// The header of the block before.
    pub parent: Header,
    /// The state before the block; it knows the hashes of all blocks before.
    pub state: MemoryState,
    /// The block.
    pub block: RecoveredBlock,
    /// What the execution yielded.
    pub output: BlockOutput,
}

/// The default blocks. They are the same on every call.
pub fn default_chain() -> DefaultChain {
    let chain = chain();
    let (state, bodies) = script::write(chain.chain_id());
    let accounts = state.accounts().map(|(address, account, slots)| {
        let slots = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value));
        (*address, *account, slots)
    });
    let state_root = StateTrie::from_accounts(accounts).root();
    let genesis = Header { state_root, ..genesis_header(GAS_LIMIT) };
    let mut header = genesis.clone();
    let blocks = bodies.into_iter().map(|(transactions, withdrawals)| {
        header = next_header(&chain, &header);
        RecoveredBlock {
            hash: header.hash_slow(),
            header: header.clone(),
            transactions,
            ommers: Vec::new(),
            withdrawals: Some(withdrawals),
        }
    });
    let blocks = blocks.collect();
    DefaultChain { chain, genesis, state, blocks }
}

impl DefaultChain {
    /// Executes the blocks in turn and completes their headers.
    ///
    /// `execute` is given a block whose header is complete but for what execution decides, and the
    /// state to execute it on; it returns the output and the root of the state after the block.
    /// Each block is then [sealed](seal), and the next one is its child.
    ///
    /// # Errors
    /// The first error of `execute`.
    pub fn seal_with<E>(
        &self,
        mut execute: impl FnMut(&RecoveredBlock, &MemoryState) -> Result<(BlockOutput, B256), E>,
    ) -> Result<Vec<SealedCase>, E> {
        let mut cases = Vec::with_capacity(self.blocks.len());
        let (mut parent, mut state) = (self.genesis.clone(), self.state.clone());
        for block in &self.blocks {
            let header = next_header(&self.chain, &parent);
            state.insert_block_hash(parent.number, header.parent_hash);
            let block = RecoveredBlock { hash: header.hash_slow(), header, ..block.clone() };
            let (output, state_root) = execute(&block, &state)?;
            let block = seal(block, &output, state_root);
            let mut after = state.clone();
            after.apply(&output.state);
            let next = block.header.clone();
            cases.push(SealedCase { parent, state, block, output });
            (parent, state) = (next, after);
        }
        Ok(cases)
    }
}
