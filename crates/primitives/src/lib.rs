//! The plain values Warpline's crates exchange.
//!
//! Nothing here executes anything. A [`RecoveredBlock`] and a [`StateSource`] go into the engine, a
//! [`BlockOutput`] comes out; what changed is a [`StateDiff`], and whoever wants to see each change
//! as it becomes final is a [`CommitObserver`]. What somebody expects of a block beforehand is
//! [`AccessHints`].
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use warpline_primitives::{Account, MemoryState, StateSource};
//!
//! let mut state = MemoryState::default();
//! let alice = Address::repeat_byte(0xa1);
//! state.insert_account(alice, Account { balance: U256::from(7), ..Account::default() });
//! assert_eq!(state.account(alice)?.map(|account| account.balance), Some(U256::from(7)));
//! assert_eq!(state.storage(alice, U256::ZERO)?, U256::ZERO);
//! # Ok::<(), warpline_primitives::MissingState>(())
//! ```

mod account;
mod block;
mod diff;
mod hints;
mod memory;
mod observer;
mod output;
mod slots;
mod source;

pub use account::Account;
pub use block::{RecoveredBlock, Transaction};
pub use diff::{AccountDiff, DiffMismatch, StateDiff};
pub use hints::{AccessHint, AccessHints, Chance, Location, TransactionHints};
pub use memory::{MemoryState, MissingState};
pub use observer::{CommitObserver, CommitStep};
pub use output::{BlockOutput, OutputMismatch, Receipt, WorkCounts};
pub use slots::Slots;
pub use source::StateSource;
