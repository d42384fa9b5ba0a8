//! The block that a database begins with.

use alloy_consensus::Header;
use warpline_primitives::StateDiff;

/// The first block of a chain.
#[derive(Clone, Debug)]
pub struct GenesisBlock {
    /// What describes the chain, kept as it is for whoever opens the database.
    pub config: Box<[u8]>,
    /// The header, but for its state root: that is found here.
    pub header: Header,
    /// The state, as changes against nothing.
    pub state: StateDiff,
}
