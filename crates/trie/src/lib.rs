//! Merkle-Patricia tries: the one implementation Warpline has.
//!
//! A [`StateTrie`] holds the accounts and storages of a chain: complete, as far as a witness proves
//! them, or on top of a database, a [`NodeSource`], of which it fetches what it needs and keeps it. It is
//! read through `&self` from any number of threads, takes the
//! [`StateDiff`](warpline_primitives::StateDiff) of a block, and hashes again only what changed.
//! [`StateTrie::commit`] says which nodes the database has to write, [`StateTrie::proof`] proves
//! accounts and slots, and a [`Recorder`] notes what an execution needed.
//! Tries that are built once and thrown away, such as those of transactions, receipts and
//! withdrawals, are in `alloy_consensus::proofs`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use alloy_primitives::{Address, U256};
//! use warpline_primitives::{Account, AccountDiff, StateDiff};
//! use warpline_trie::{MemoryTables, StateTrie};
//!
//! // The first state, all of it new to the database.
//! let alice = Address::repeat_byte(0xa1);
//! let account = Account { balance: U256::from(7), ..Account::default() };
//! let state = [(alice, account, [(U256::ZERO, U256::from(5))])];
//! let tables = Arc::new(MemoryTables::new());
//! let genesis = StateTrie::from_accounts(state).commit();
//! tables.write_state(state, &genesis);
//!
//! // A block on top of it.
//! let mut trie = StateTrie::from_source(genesis.root, tables.clone());
//! let mut diff = StateDiff::default();
//! diff.insert_account(
//!     alice,
//!     AccountDiff {
//!         account: Some(account),
//!         storage: [(U256::ZERO, U256::from(6))].into_iter().collect(),
//!         ..AccountDiff::default()
//!     },
//! );
//! trie.apply(&diff)?;
//! assert_eq!(trie.storage(alice, U256::ZERO)?, U256::from(6));
//! let updates = trie.commit();
//! assert_ne!(updates.root, genesis.root);
//! tables.write([&diff], &updates);
//!
//! // Somebody else, later.
//! let trie = StateTrie::from_source(updates.root, tables);
//! let proof = trie.proof(alice, &[U256::ZERO])?;
//! assert_eq!((proof.account, proof.slots[0].value), (Some(account), U256::from(6)));
//! # Ok::<(), warpline_trie::TrieError>(())
//! ```

mod children;
mod commit;
mod error;
mod leaf;
mod memory;
mod node;
mod proof;
mod record;
mod source;
mod state;
mod update;
mod walk;

pub use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
pub use commit::{NodeUpdates, StorageUpdates, TrieUpdates};
pub use error::{DamagedNode, TrieError, TrieId};
pub use leaf::{account_leaf_node, storage_leaf_node};
pub use memory::MemoryTables;
pub use proof::{AccountProof, SlotProof};
pub use record::Recorder;
pub use source::{NodeSource, NodeSourceError, TrieKey};
pub use state::StateTrie;
