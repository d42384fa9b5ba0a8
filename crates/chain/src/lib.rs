//! What a chain's rules say about a block before anything of it is executed.
//!
//! A [`ChainSpec`] knows when each fork begins and which blob parameters apply. From that follow
//! the header rules ([`ChainSpec::validate_header`]), the ommer rules
//! ([`ChainSpec::validate_ommers`]) and the rules of a body that need no state
//! ([`ChainSpec::validate_body`]). A [`Genesis`] is where a chain comes from: its rules, its first
//! header and the state it begins with. [`ChainSpec::fork_id`] and [`ChainSpec::fork_configs`] tell
//! other nodes which forks it has. Proof of work is checked by who asks for it ([`Ethash`]), and what a
//! transaction may do in the state is the engine's question.
//!
//! ```
//! use alloy_consensus::Header;
//! use warpline_chain::{ChainSpec, EthereumHardfork};
//!
//! let spec = ChainSpec::at_fork(EthereumHardfork::Paris, 1337);
//! let parent = Header {
//!     gas_limit: 30_000_000,
//!     gas_used: 15_000_000,
//!     base_fee_per_gas: Some(7),
//!     ..Header::default()
//! };
//! let child = Header {
//!     parent_hash: parent.hash_slow(),
//!     number: 1,
//!     timestamp: 12,
//!     gas_used: 0,
//!     ..parent.clone()
//! };
//! spec.validate_header(&child, &parent)?;
//! assert_eq!(spec.fork_name_at(child.number, child.timestamp), "Paris");
//! # Ok::<(), warpline_chain::HeaderError>(())
//! ```

mod blob;
mod body;
mod difficulty;
mod ethash;
mod fee;
mod fork_choice;
mod fork_config;
mod genesis;
mod header;
mod network;
mod ommers;
mod spec;

pub use alloy_eips::{
    eip2124::{ForkHash, ForkId},
    eip7840::BlobParams,
    eip7910::SystemContract,
};
pub use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
pub use blob::{BlobCounts, BlobSchedule};
pub use body::{BodyError, MAX_BLOCK_RLP_LEN};
pub use ethash::{Ethash, SealError};
pub use fork_choice::Tip;
pub use fork_config::{ForkConfig, ForkConfigs};
pub use genesis::{Genesis, GenesisAccount, GenesisError, MemberPath, MemberProblem};
pub use header::{HeaderError, HeaderField};
pub use network::UnknownNetwork;
pub use ommers::OmmerError;
pub use spec::ChainSpec;
