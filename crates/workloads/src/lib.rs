//! Contracts, block generators and the default blocks.
//!
//! [`generate`] makes a block of any size in which the transactions share as much, or as little,
//! as its [`Workload`] says, or do what the users of a [`Field`] do. [`default_chain`] is a short chain of small, truly signed blocks in
//! which a bit of everything happens. The contracts they call are our own, and live with their
//! compiled form in `contracts/`. [`Random`] makes the choices, and whichever else must be random
//! and yet the same in every run.
//!
//! ```
//! use warpline_primitives::StateSource as _;
//! use warpline_workloads::{Size, Workload, generate};
//!
//! let workload: Workload = "swaps-hot".parse()?;
//! let generated = generate(workload, Size::Transactions(100), 42);
//! assert_eq!(generated.block.transactions.len(), 100);
//! let sender = generated.block.transactions[0].signer();
//! assert!(generated.state.account(sender)?.is_some(), "every sender is funded");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod artifact;
mod contracts;
mod default_chain;
mod generate;
mod genesis;
mod random;
mod seal;
mod transaction;
mod workload;

pub use default_chain::{DefaultChain, SealedCase, default_chain};
pub use generate::{GeneratedBlock, generate};
pub use genesis::{BENEFICIARY, CHAIN_ID, chain, next_header};
pub use random::Random;
pub use seal::seal;
pub use workload::{Field, Form, Size, UnknownWorkload, Workload};
