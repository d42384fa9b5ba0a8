//! For chains that already stand on revm, alloy-evm or reth: the engine's results as their types.
//!
//! - [`Engine::bundle_state`](crate::Engine::bundle_state) makes revm's `BundleState` of a block's
//!   changes, and [`Engine::commit_to`](crate::Engine::commit_to) commits them to a revm database.
//! - [`ParallelBlockExecutorFactory`] and its executors stand where alloy-evm's
//!   `EthBlockExecutorFactory` and `EthBlockExecutor` stood.
//!
//! Both need the values from before the block, which a
//! [`StateDiff`](warpline_primitives::StateDiff) does not repeat. They are read from the parent
//! state, once each.

mod block;
mod bundle;
mod executor;
mod factory;
mod parent;

pub use executor::ParallelBlockExecutor;
pub use factory::{ParallelBlockCtx, ParallelBlockExecutorFactory};
pub use parent::{
    DynSource, GivenParent, ParentSource, SourceDb, SourceError, StateParent, erased,
};
