//! What is executed for clients: on which state, by which rules, and for how long.

use std::{borrow::Cow, sync::Arc};

use alloy_consensus::Header;
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_engine::{Engine, Ethereum};
use warpline_primitives::{Account, RecoveredBlock, StateSource};
use warpline_storage::{StateView, StorageError, StoredHeader, View};

use super::{
    RpcError,
    blocks::{self, resolve},
    context::{Call, RpcContext},
};

/// A block, the state after it, and what executes calls there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) header: Header,
    pub(super) total_difficulty: U256,
    pub(super) state: StateWithin,
    pub(super) engine: Engine,
}

impl Place {
    /// The place that `id` means, the head where nothing is said. The rules are those of the block.
    ///
    /// # Errors
    /// Where there is no such block, or its state is no longer kept.
    pub(super) fn of(call: &Call, id: Option<BlockId>) -> Result<Self, RpcError> {
        let view = call.view()?;
        let number = resolve(&view, id)?;
        let StoredHeader { header, total_difficulty, .. } = blocks::header(&view, number)?;
        let engine = match number.checked_sub(1) {
            Some(parent) => {
                let total_difficulty = total_difficulty.saturating_sub(header.difficulty);
                engine_after(call.context(), parent, total_difficulty)
            }
            None => call.context().engine.clone(),
        };
        let state = StateWithin { state: view.state_at(number)?.until(call.deadline.at()), number };
        Ok(Self { header, total_difficulty, state, engine })
    }

    /// What executes blocks on top of this one.
    pub(super) fn engine_of_children(&self, context: &RpcContext) -> Engine {
        engine_after(context, self.header.number, self.total_difficulty)
    }
}

/// What a block is executed on, and what executes it.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) state: StateView,
    pub(super) engine: Engine,
}

impl Parent {
    /// The parent of `block`, which is part of the chain, or would follow one that is.
    ///
    /// # Errors
    /// [`RpcError::NoParent`] where nothing is before it, [`RpcError::UnknownBlock`] where the parent
    /// is not part of the chain, and where its state is no longer kept.
    pub(super) fn of(call: &Call, view: &Arc<View>, block: &Header) -> Result<Self, RpcError> {
        let number = block.number.checked_sub(1).ok_or(RpcError::NoParent)?;
        let header = view.header(number)?.filter(|parent| parent.hash == block.parent_hash);
        let header = header.ok_or_else(|| RpcError::unknown_hash(block.parent_hash))?;
        let engine = engine_after(call.context(), number, header.total_difficulty);
        Ok(Self { state: view.state_at(number)?.until(call.deadline.at()), engine })
    }
}

/// The block that `id` means, with its parent.
///
/// # Errors
/// As [`resolve`] and [`Parent::of`].
pub(super) fn block_with_parent(
    call: &Call,
    id: BlockId,
) -> Result<(RecoveredBlock, Parent), RpcError> {
    let view = call.view()?;
    let block = blocks::block(&view, resolve(&view, Some(id))?)?;
    let parent = Parent::of(call, &view, &block.header)?;
    Ok((block, parent))
}

/// What executes children of the block `parent`. Where the merge comes with a total difficulty, each
/// block has rules of its own.
fn engine_after(context: &RpcContext, parent: u64, total_difficulty: U256) -> Engine {
    match context.chain.for_child_of(parent, total_difficulty) {
        Cow::Borrowed(_) => context.engine.clone(),
        Cow::Owned(spec) => context.engine.with_vm(Ethereum::new(Arc::new(spec))),
    }
}

/// A state in the block `number`, where only the blocks before that have hashes.
///
/// Calls may be made in blocks whose number is overridden by any other, and then ask for blocks that do
/// not exist, or that exist but are no ancestors. Neither have a hash.
#[derive(Clone, Debug)]
pub(super) struct StateWithin {
    pub(super) state: StateView,
    pub(super) number: u64,
}

impl StateSource for StateWithin {
    type Error = StorageError;

    fn account(&self, address: Address) -> Result<Option<Account>, StorageError> {
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StorageError> {
        self.state.storage(address, slot)
    }

    fn has_storage(&self, address: Address) -> Result<bool, StorageError> {
        self.state.has_storage(address)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, StorageError> {
        self.state.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        if number < self.number { self.state.block_hash(number) } else { Ok(B256::ZERO) }
    }
}
