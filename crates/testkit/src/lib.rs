//! Blocks as tables, and the comparison of every way to execute them.
//!
//! A [`Case`] is a pre-state, transactions and a block's circumstances. Executing it all ways and
//! comparing the whole output is one call, [`Case::assert_all_equal`], which returns the output so
//! that a test can also say what it should be:
//!
//! ```
//! use warpline_testkit::{Case, Fork, Tx, account, op, Asm};
//!
//! let (alice, counter) = (account(0xa1), account(0xcc));
//! let increment = Asm::new().sload(0).push(1).op(op::ADD).push(0).op(op::SSTORE);
//! let outcome = Case::new(Fork::Cancun)
//!     .fund(alice)
//!     .contract(counter, increment)
//!     .txs((0..3).map(|_| Tx::call(alice, counter)))
//!     .assert_all_equal();
//! assert_eq!(outcome.slot(counter, 0), 3);
//! ```
//!
//! The oracle is a plain loop over revm ([`Engine::execute_reference`]); the rest are the engine's
//! sequential path and its parallel path on one, two and eight threads, on sources that answer at
//! once, on sources that [answer in uneven time](SlowSource), and on schedules that are
//! disturbed on purpose, with the feature `testing`; and with hints, true or not. A hang is a failure: [`within`] ends it.
//!
//! [`Engine::execute_reference`]: warpline_engine::Engine::execute_reference

mod asm;
mod builds;
mod case;
mod check;
mod hints;
mod integration;
mod latency;
mod lists;
mod outcome;
mod shared;
mod source;
mod tx;
mod watchdog;

pub use asm::{Asm, create2_address, deployer, op};
pub use builds::{BuildCheck, assert_same as assert_same_build, built_block};
pub use case::{BASE_FEE, BENEFICIARY, BLOCK_NUMBER, Case, GAS_PRICE, TIP, account, ether};
pub use check::{Engines, Observed, Plan, check_block, reference_invalid_index};
pub use hints::{Malice, random_hints, true_hints};
pub use integration::{
    OurFactory, Ran, RevmState, assert_same_bundle, execute_with_alloy, execution_ctx, our_factory,
    revm_state, take_bundle,
};
pub use latency::{LatentSource, MAX_OUTSTANDING};
pub use outcome::{Outcome, full_state};
pub use shared::shared;
pub use source::{FailingSource, PanickingSource, ReadFailed, SlowSource};
pub use tx::{Key, Tx};
pub use warpline_chain::EthereumHardfork as Fork;
pub use watchdog::{Ended, watched, within};
