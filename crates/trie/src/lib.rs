//! Merkle-Patricia tries: the one implementation Warpline has.
//!
//! A [`StateTrie`] holds the accounts and storages of a chain, either complete or as far as a
//! witness proves them. It is read through `&self` from any number of threads, takes the
//! [`StateDiff`](warpline_primitives::StateDiff) of a block, and hashes again only what changed.
//! Tries that are built once and thrown away, such as those of transactions, receipts and
//! withdrawals, are in `alloy_consensus::proofs`.
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use warpline_primitives::{Account, AccountDiff, StateDiff};
//! use warpline_trie::StateTrie;
//!
//! let alice = Address::repeat_byte(0xa1);
//! let account = Account { balance: U256::from(7), ..Account::default() };
//! let mut trie = StateTrie::from_accounts([(alice, account, [(U256::ZERO, U256::from(5))])]);
//! let before = trie.root();
//!
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
//! assert_ne!(trie.root(), before);
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
