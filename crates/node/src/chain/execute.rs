//! One block on the state of its parent: rules, execution, roots.

use std::{borrow::Cow, sync::Arc};

use alloy_consensus::Header;
use alloy_eip7928::BlockAccessList;
use alloy_primitives::B256;
use alloy_rlp::Encodable;
use warpline_chain::{ChainSpec, EthereumHardforks, Tip};
use warpline_engine::{Ethereum, ExecuteOptions, ExecutionError, Strategy};
use warpline_primitives::{
    BlockOutput, CommitObserver, Receipt, RecoveredBlock, StateDiff, StateSource,
};
use warpline_replay::{Rejection, TransactionRoots, VerifyError, receipts_with, verify_output};
use warpline_storage::{ExecutedBlock, StorageError, StoredHeader};
use warpline_trie::{StateTrie, TrieUpdates};

use super::{
    Chain, ImportError, IncomingBlock, feed,
    measure::{self, Part, timed},
};

/// How many generations back ommers are looked for.
const OMMER_GENERATIONS: usize = 7;

/// What executing a block came to, proven by its header.
#[derive(Clone, Debug)]
pub(super) struct Executed {
    pub(super) tip: Tip,
    pub(super) receipts: Vec<Receipt>,
    pub(super) state: StateDiff,
    pub(super) access_list: Option<BlockAccessList>,
    pub(super) updates: TrieUpdates,
}

impl Executed {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        /// A node of a trie with its children, and as it is written.
        const NODE: usize = 2048;
        /// An account, a slot, or a log besides its data.
        const ENTRY: usize = 256;
        let logs = self.receipts.iter().flat_map(|receipt| receipt.logs());
        let logs = logs.map(|log| ENTRY + log.data.data.len()).sum::<usize>();
        let entries = self.state.accounts().map(|(_, change)| 1 + change.storage.len());
        let entries = entries.sum::<usize>();
        let codes = self.state.codes().values().map(|code| code.len()).sum::<usize>();
        let list = self.access_list.as_ref().map_or(0, Encodable::length);
        logs + codes + 2 * list + ENTRY * entries + NODE * self.updates.written()
    }

    /// What is written of it.
    pub(super) fn stored<'a>(&'a self, block: &'a RecoveredBlock) -> ExecutedBlock<'a> {
        ExecutedBlock {
            block,
            total_difficulty: self.tip.total_difficulty,
            receipts: &self.receipts,
            state: &self.state,
            trie: &self.updates,
            access_list: self.access_list.as_ref(),
        }
    }
}

impl Chain {
    /// Executes a block on `state`, of which `trie` is the trie, and proves the result. Returns the trie of
    /// the state after it, too.
    pub(super) fn execute<S: StateSource<Error = StorageError>>(
        &self,
        incoming: &IncomingBlock,
        parent: &StoredHeader,
        state: &S,
        trie: StateTrie,
    ) -> Result<(Executed, StateTrie), ImportError> {
        let block = &incoming.block;
        let rules = self.rules_after(parent);
        self.check(incoming, parent, &rules)?;

        let pre_byzantium = !rules.is_byzantium_active_at_block(block.number());
        let mut roots = pre_byzantium.then(|| TransactionRoots::new(trie.clone()));
        let (output, mut trie) = self.run(&rules, block, state, trie, roots.as_mut());
        let output = output?;
        rules.validate_body(block, incoming.encoded_len).map_err(Rejection::Body)?;
        let roots = match &roots {
            Some(roots) => roots.roots().map_err(|error| StorageError::Trie(error.clone()))?,
            None => &[],
        };
        verify_output(block, &rules, &output, roots).map_err(Rejection::Verification)?;
        measure::executed(block.transactions.len(), output.gas_used, &output.work);
        let updates = timed(Part::Root, || {
            trie.apply(&output.state)?;
            Ok(trie.commit())
        });
        let updates = updates.map_err(StorageError::Trie)?;
        let (expected, found) = (block.header.state_root, updates.root);
        if expected != found {
            return Err(Rejection::Verification(VerifyError::StateRoot { expected, found }).into());
        }
        let receipts =
            if pre_byzantium { receipts_with(&output.receipts, roots) } else { output.receipts };
        let executed = Executed {
            tip: Tip {
                total_difficulty: parent.total_difficulty.saturating_add(block.header.difficulty),
                is_merged: rules.is_merged(block.number()),
            },
            receipts,
            state: output.state,
            access_list: output.access_list,
            updates,
        };
        Ok((executed, trie))
    }

    /// Executes a block. Meanwhile `trie` comes to hold what its root will need.
    fn run<S: StateSource<Error = StorageError>>(
        &self,
        rules: &Arc<ChainSpec>,
        block: &RecoveredBlock,
        state: &S,
        trie: StateTrie,
        roots: Option<&mut TransactionRoots>,
    ) -> (Result<BlockOutput, ImportError>, StateTrie) {
        let engine = self.engine.with_vm(Ethereum::new(Arc::clone(rules)));
        let execute = |observer: Option<&mut dyn CommitObserver>| {
            let mut options = ExecuteOptions::from(Strategy::Auto);
            if let Some(observer) = observer {
                options = options.observed_by(observer);
            }
            let output = timed(Part::Execute, || engine.execute_with(block, state, options));
            output.map_err(|error| match error {
                ExecutionError::InvalidBlock(error) => {
                    ImportError::Rejected(Rejection::Execution(Box::new(error)))
                }
                ExecutionError::StateRead(error) => ImportError::Storage(error),
                error => ImportError::Failed(Box::new(error)),
            })
        };
        match roots {
            Some(roots) => (execute(Some(roots)), trie),
            None if feed::pays(block.transactions.len()) => {
                feed::beside(trie, |feed| execute(feed.map(|feed| feed as &mut dyn CommitObserver)))
            }
            None => (execute(None), trie),
        }
    }

    /// The rules for children of `parent`.
    pub(super) fn rules_after(&self, parent: &StoredHeader) -> Arc<ChainSpec> {
        match self.spec.for_child_of(parent.header.number, parent.total_difficulty) {
            Cow::Borrowed(_) => Arc::clone(&self.spec),
            Cow::Owned(rules) => Arc::new(rules),
        }
    }

    /// Checks what can be said of a block before it is executed. Its roots come afterwards: a block
    /// that also breaks a rule of execution is refused for that.
    fn check(
        &self,
        incoming: &IncomingBlock,
        parent: &StoredHeader,
        rules: &ChainSpec,
    ) -> Result<(), ImportError> {
        let block = &incoming.block;
        rules.validate_header(&block.header, &parent.header).map_err(Rejection::Header)?;
        let (ancestors, included) = self.family(incoming)?;
        rules
            .validate_ommers(&block.header, &block.ommers, &ancestors, &included)
            .map_err(Rejection::Ommers)?;
        if let Some(ethash) = self.ethash.as_ref().filter(|_| !rules.is_merged(block.number())) {
            for header in [&block.header].into_iter().chain(&block.ommers) {
                ethash.verify(header).map_err(Rejection::Seal)?;
            }
        }
        rules.validate_transactions(block).map_err(Rejection::Body)?;
        Ok(())
    }

    /// The ancestors of a block that matter to its ommers, parent first, and the ommers they have
    /// included.
    fn family(&self, incoming: &IncomingBlock) -> Result<(Vec<Header>, Vec<B256>), StorageError> {
        let (mut ancestors, mut included) = (Vec::new(), Vec::new());
        if incoming.block.ommers.is_empty() {
            return Ok((ancestors, included));
        }
        let mut next = incoming.block.header.parent_hash;
        while ancestors.len() < OMMER_GENERATIONS {
            let block = match self.branches.block(next) {
                Some(block) => Some(block.clone()),
                None => match self.view.number(next)? {
                    Some(number) => self.view.block(number)?,
                    None => None,
                },
            };
            let Some(block) = block else { break };
            included.extend(block.ommers.iter().map(Header::hash_slow));
            next = block.header.parent_hash;
            ancestors.push(block.header);
        }
        Ok((ancestors, included))
    }
}
