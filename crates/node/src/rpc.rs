//! JSON-RPC: what the node answers, to whom, and how much of it.
//!
//! ```text
//! connection -> gate -> jsonrpsee -> observe -> pool -> method -> view of the database
//! ```
//!
//! A connection has one of a number of places. The gate refuses what pages of foreign origins send.
//! jsonrpsee reads requests and batches, which are counted, and the methods, plain functions each, run
//! on a bounded pool of threads that may block, each with a time limit. All that a method answers comes
//! from one view of the database.
//!
//! Whatever a client sends, the others go on being answered: every list, wait and table that a client
//! can make longer has a limit, and what exceeds it is answered with an error.

mod args;
mod blocks;
mod body;
mod calls;
mod connection;
mod context;
mod debug;
mod error;
mod execution;
mod fees;
mod filters;
mod gate;
mod kept;
mod logs;
mod methods;
mod node;
mod observe;
mod pool;
mod progress;
mod proofs;
mod server;
mod simulation;
mod state;
mod subscriptions;
mod traces;
mod transactions;
mod unsent;
mod witness;

use std::sync::Arc;

use jsonrpsee::server::{Methods, RegisterMethodError};

pub use args::ArgumentError;
pub use context::RpcContext;
pub use error::{Inconsistency, RpcError};
pub use server::{RpcHandle, RpcServer, RpcServerError};

/// All methods that there are.
fn methods_of(node: Arc<context::Node>) -> Result<Methods, RegisterMethodError> {
    let mut methods = methods::Registry::new(node);
    node::register(&mut methods);
    blocks::register(&mut methods);
    transactions::register(&mut methods);
    state::register(&mut methods);
    proofs::register(&mut methods);
    logs::register(&mut methods);
    filters::register(&mut methods);
    subscriptions::register(&mut methods);
    fees::register(&mut methods);
    calls::register(&mut methods);
    simulation::register(&mut methods);
    debug::register(&mut methods);
    traces::register(&mut methods);
    witness::register(&mut methods);
    methods.finish()
}
