//! What capacity means for fees.
//!
//! A transaction uses the same gas however it is executed. What parallel execution can change is how
//! much gas a chain can afford to put into a block, and thereby what a unit of it costs: by the rule of
//! EIP-1559 the base fee rises while blocks are fuller than their target and falls while they are
//! emptier. Here is that rule, with demand that falls as the price rises.

/// EIP-1559: the base fee changes by at most an eighth from block to block.
const MAX_CHANGE: f64 = 1.0 / 8.0;
/// EIP-1559: a block holds at most twice its target.
const ELASTICITY_MULTIPLIER: f64 = 2.0;
/// The least the base fee ever is: a wei.
const LEAST_FEE: f64 = 1.0;

/// The assumptions of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Market {
    /// The base fee today, in wei for a unit of gas.
    pub base_fee: f64,
    /// Gas that is wanted in a block at that fee, in multiples of today's target. 1 is a market at rest.
    pub demand: f64,
    /// By how many percent the gas that is wanted falls when the fee rises by one.
    pub elasticity: f64,
}

/// A block on a path of fees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeePoint {
    /// The base fee in wei for a unit of gas.
    pub base_fee: f64,
    /// Gas used, in multiples of today's target.
    pub gas: f64,
}

impl Default for Market {
    /// At rest at 10 gwei, with an elasticity of one: users have a sum to spend.
    fn default() -> Self {
        Self { base_fee: 10e9, demand: 1.0, elasticity: 1.0 }
    }
}

impl Market {
    /// Gas that is wanted in a block at `base_fee`, in multiples of today's target.
    pub fn demand_at(&self, base_fee: f64) -> f64 {
        self.demand * (base_fee / self.base_fee).powf(-self.elasticity)
    }

    /// What the base fee and the gas used come to over so many blocks, if from now on the target is
    /// `capacity` times what it is today.
    pub fn path(&self, capacity: f64, blocks: usize) -> Vec<FeePoint> {
        let mut base_fee = self.base_fee;
        let block = |_| {
            let gas = self.demand_at(base_fee).min(ELASTICITY_MULTIPLIER * capacity);
            let point = FeePoint { base_fee, gas };
            base_fee *= 1.0 + MAX_CHANGE * (gas - capacity) / capacity;
            base_fee = base_fee.max(LEAST_FEE);
            point
        };
        (0..blocks).map(block).collect()
    }

    /// The base fee at which exactly the target is wanted, in wei.
    pub fn fee_at_rest(&self, capacity: f64) -> f64 {
        let fee = self.base_fee * (capacity / self.demand).powf(-1.0 / self.elasticity);
        fee.max(LEAST_FEE)
    }
}

/// By what the gas of a block can be multiplied if execution gets quicker by `speedup`, which is the
/// part `share` of what takes the time of importing one; the rest stays as it is.
pub fn capacity(speedup: f64, share: f64) -> f64 {
    1.0 / ((1.0 - share) + share / speedup)
}

/// By how much a block of `block_gas` can be executed quicker on `cores` at least, if no transaction
/// uses more than `transaction_gas` and none has to wait for another: time goes with gas, and a
/// transaction cannot be divided. Graham's bound for a schedule in any order.
pub fn speedup_at_worst(block_gas: u64, transaction_gas: u64, cores: usize) -> f64 {
    if block_gas == 0 || cores == 0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "gas of a block is far below 2⁵²")]
    let (block, longest, cores) =
        (block_gas as f64, transaction_gas.min(block_gas) as f64, cores as f64);
    (block / (block / cores + longest * (1.0 - 1.0 / cores))).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_at_rest_stays_there() {
        for point in Market::default().path(1.0, 50) {
            assert!((point.base_fee - 10e9).abs() < 1.0 && (point.gas - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn the_fee_moves_by_an_eighth_at_most_and_comes_to_rest() {
        for (capacity, elasticity) in [(2.0, 1.0), (1.3, 0.5), (5.0, 2.0), (0.5, 1.0)] {
            let market = Market { elasticity, ..Market::default() };
            let path = market.path(capacity, 2_000);
            for pair in path.windows(2) {
                let change = pair[1].base_fee / pair[0].base_fee;
                assert!((0.875 - 1e-9..=1.125 + 1e-9).contains(&change), "{change}");
            }
            let (last, rest) = (path.last().unwrap(), market.fee_at_rest(capacity));
            assert!((last.base_fee / rest - 1.0).abs() < 1e-3, "{last:?}, {rest}");
            assert!((last.gas / capacity - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn with_an_elasticity_of_one_twice_the_capacity_is_half_the_fee() {
        let market = Market::default();
        assert!((market.fee_at_rest(2.0) / 5e9 - 1.0).abs() < 1e-12);
        assert!((market.fee_at_rest(1e30) - 1.0).abs() < 1e-12, "never less than a wei");
    }

    #[test]
    fn what_is_not_execution_bounds_capacity() {
        assert!((capacity(2.0, 1.0) - 2.0).abs() < 1e-12);
        assert!((capacity(1e9, 0.5) - 2.0).abs() < 1e-6);
        assert!((capacity(1.0, 0.7) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn one_transaction_of_all_the_gas_cannot_be_executed_quicker() {
        assert!((speedup_at_worst(30_000_000, u64::MAX, 8) - 1.0).abs() < 1e-12);
        assert!((speedup_at_worst(0, 0, 8) - 1.0).abs() < 1e-12);
        // EIP-7825 in a block of 60 million: 60 / (60 / 8 + 16.8 * 7 / 8).
        let capped = speedup_at_worst(60_000_000, 1 << 24, 8);
        assert!((capped - 2.705).abs() < 1e-2, "{capped}");
        assert!((speedup_at_worst(60_000_000, 21_000, 8) - 8.0).abs() < 0.05);
    }
}
