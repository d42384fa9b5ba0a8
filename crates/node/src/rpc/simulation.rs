//! Execution of blocks that are not part of the chain: `eth_simulateV1`.

use super::methods::Registry;

pub(super) const fn register(_: &mut Registry) {}
