//! A node: importing chains, and serving them over JSON-RPC.
//!
//! A [`Chain`] takes in blocks: it checks them against every rule, executes them in parallel, proves
//! their roots and writes them, with all that is found by them, in one transaction of its database.

mod chain;
pub mod config;
pub mod event;
mod import;
pub mod metrics;
pub mod rpc;
pub mod service;

pub use chain::{
    Adopted, Chain, ChainOptions, ChainSource, ImportError, Imported, IncomingBlock, OpenError,
};
pub use import::{ImportFileError, ImportProgress, encode_block, import_file};
