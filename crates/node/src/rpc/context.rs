//! What methods answer from.

use std::{num::NonZeroUsize, sync::Arc, thread};

use parking_lot::Mutex;
use warpline_chain::ChainSpec;
use warpline_engine::{Engine, TraceMemory};
use warpline_storage::{Database, View};

use super::{
    RpcError,
    fees::TipCache,
    filters::Filters,
    kept::Room,
    pool::{Deadline, Pool},
    progress::Removed,
};
use crate::{config::RpcLimits, event::EventSender};

/// What a server of JSON-RPC is about.
#[derive(Clone, Debug)]
pub struct RpcContext {
    /// The chain and its state.
    pub database: Database,
    /// The rules of the chain.
    pub chain: Arc<ChainSpec>,
    /// What executes calls.
    pub engine: Engine,
    /// Where changes of the head are told.
    pub events: EventSender,
    /// What `web3_clientVersion` answers.
    pub client_version: String,
}

/// For how many times the longest response there is memory for traces. One that is written takes about
/// a sixth of what the tracer does, so that what a single trace needs more would not be sent either.
const TRACE_MEMORY: usize = 8;

/// What all connections of all servers share.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) context: RpcContext,
    pub(super) limits: RpcLimits,
    pub(super) pool: Pool,
    pub(super) filters: Filters,
    /// For the log filters of these and of subscriptions.
    pub(super) room: Room,
    pub(super) removed: Removed,
    pub(super) tip: Mutex<TipCache>,
    /// What all tracers together may take.
    pub(super) trace_memory: TraceMemory,
}

impl Node {
    pub(super) fn new(context: RpcContext, limits: RpcLimits) -> Self {
        let threads = match limits.threads {
            0 => 2 * thread::available_parallelism().map_or(1, NonZeroUsize::get),
            threads => threads,
        };
        Self {
            pool: Pool::new(threads, limits.max_waiting),
            filters: Filters::new(limits.max_filters),
            room: Room::default(),
            removed: Removed::default(),
            tip: Mutex::default(),
            trace_memory: TraceMemory::new(TRACE_MEMORY * limits.response_bytes() as usize),
            limits,
            context,
        }
    }
}

/// A call while it is worked on.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) node: Arc<Node>,
    pub(super) deadline: Deadline,
}

impl Call {
    /// What the node is about.
    pub(super) fn context(&self) -> &RpcContext {
        &self.node.context
    }

    /// What is borne.
    pub(super) fn limits(&self) -> &RpcLimits {
        &self.node.limits
    }

    /// The database as it is now. A method takes one view and answers all from it.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub(super) fn view(&self) -> Result<Arc<View>, RpcError> {
        Ok(self.context().database.view()?)
    }
}
