//! Durable tables: a chain of blocks, its state, the tries over it, and what all of that was before.
//!
//! A [`Database`] is one file (redb). What a block brings is written in one transaction by a
//! [`Writer`]: block, receipts, state, nodes of tries, indices and history are there together or not
//! at all. A [`View`] reads as of one moment, from any number of threads; the [`StateView`] after any
//! block whose history is kept is a [`StateSource`](warpline_primitives::StateSource) for the engine
//! and a [`NodeSource`](warpline_trie::NodeSource) for tries.

mod check;
mod codec;
mod database;
mod dump;
mod error;
mod genesis;
mod logs;
mod nodes;
mod state;
mod tables;
mod view;
mod write;

pub use check::{CheckError, CheckReport};
pub use codec::{StoredAccount, StoredHeader};
pub use database::{Database, DatabaseOptions, Durability, SCHEMA_VERSION};
pub use dump::{EntryVisitor, TableSize};
pub use error::StorageError;
pub use genesis::GenesisBlock;
pub use logs::LogQuery;
pub use state::StateView;
pub use view::{TransactionPlace, View};
pub use write::{ExecutedBlock, Writer};
