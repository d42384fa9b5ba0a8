//! The collection: its counter put in place, and the call to it.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, sol};
use warpline_primitives::MemoryState;

use super::Contract;
use crate::artifact::{COLLECTIBLE, short_string};

sol! {
    /// What the workloads call on a collection.
    interface Collectible {
        function mint() external returns (uint256 id);
    }
}

/// A collection to be put in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CollectibleState {
    /// Where it is.
    pub(crate) address: Address,
    /// Its name, which is its symbol too; fewer than 32 bytes.
    pub(crate) name: &'static str,
}

impl CollectibleState {
    /// Writes the collection into `state`; the first mint will hand out number 1.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let mut contract = Contract::place(&COLLECTIBLE, self.address, state);
        contract.set(&[
            ("name", short_string(self.name)),
            ("symbol", short_string(self.name)),
            ("nextId", U256::ONE),
        ]);
    }
}

/// The input of `Collectible.mint`.
pub(crate) fn mint_input() -> Bytes {
    Collectible::mintCall {}.abi_encode().into()
}
