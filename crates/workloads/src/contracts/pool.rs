//! The pool: its reserves and totals put in place, and the call to it.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, sol};
use warpline_primitives::MemoryState;

use super::Contract;
use crate::{artifact::POOL, genesis::ether};

sol! {
    /// What the workloads call on a pool.
    interface Pool {
        function trade(
            address tokenIn,
            uint256 amountIn,
            uint256 minOut,
            address to,
            uint256 deadline
        ) external returns (uint256 amountOut);
    }
}

/// A pool to be put in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolState {
    /// Where it is.
    pub(crate) address: Address,
    /// The tokens it trades.
    pub(crate) tokens: [Address; 2],
    /// The time of its last swap, in seconds since 1970.
    pub(crate) updated_at: u64,
}

impl PoolState {
    /// What a pool made by [`new`](Self::new) owns of either token.
    pub(crate) const RESERVE: U256 = ether(1_000_000);

    /// A pool in balance. [`RESERVE`](Self::RESERVE) has to be given to it on either token.
    pub(crate) const fn new(address: Address, tokens: [Address; 2], updated_at: u64) -> Self {
        Self { address, tokens, updated_at }
    }

    /// Writes the pool into `state` as one that has traded before: its totals are not zero.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let mut contract = Contract::place(&POOL, self.address, state);
        let price = U256::ONE << 112;
        contract.set(&[
            ("token0", self.tokens[0].into_word().into()),
            ("token1", self.tokens[1].into_word().into()),
            ("reserve0", Self::RESERVE),
            ("reserve1", Self::RESERVE),
            ("updatedAt", U256::from(self.updated_at)),
            ("price0Accumulator", price),
            ("price1Accumulator", price),
            ("fees0", U256::ONE),
            ("fees1", U256::ONE),
            ("volume0", Self::RESERVE),
            ("volume1", Self::RESERVE),
            ("trades", U256::ONE),
            ("lastPrice", price),
            ("lock", U256::ONE),
        ]);
    }
}

/// The input of `Pool.trade`; asks for at least half of what goes in, as prices stay near one.
pub(crate) fn trade_input(token_in: Address, amount: U256, to: Address, deadline: u64) -> Bytes {
    let call = Pool::tradeCall {
        tokenIn: token_in,
        amountIn: amount,
        minOut: amount / U256::from(2),
        to,
        deadline: U256::from(deadline),
    };
    call.abi_encode().into()
}
