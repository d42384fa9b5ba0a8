//! Fees a block inherits from its parent: the base fee and the excess blob gas.
//!
//! A parent may be a genesis block that somebody made up, so nothing here may overflow or divide
//! by zero, whatever the parent holds.

use alloy_consensus::Header;
use alloy_eips::{
    eip1559::{
        DEFAULT_BASE_FEE_MAX_CHANGE_DENOMINATOR, DEFAULT_ELASTICITY_MULTIPLIER, INITIAL_BASE_FEE,
    },
    eip4844::DATA_GAS_PER_BLOB,
};
use alloy_primitives::U256;

use crate::BlobParams;

/// The base fee after `parent`, whose own was `base_fee`; `None` where it had none, before London
/// (EIP-1559).
pub(crate) fn next_base_fee(parent: &Header, base_fee: Option<u64>) -> u64 {
    let Some(base_fee) = base_fee else { return INITIAL_BASE_FEE };
    let target = parent.gas_limit / DEFAULT_ELASTICITY_MULTIPLIER;
    if target == 0 {
        return base_fee;
    }
    let distance = parent.gas_used.abs_diff(target);
    let change = u128::from(base_fee) * u128::from(distance)
        / u128::from(target)
        / u128::from(DEFAULT_BASE_FEE_MAX_CHANGE_DENOMINATOR);
    let change = u64::try_from(change).unwrap_or(u64::MAX);
    match parent.gas_used.cmp(&target) {
        std::cmp::Ordering::Equal => base_fee,
        std::cmp::Ordering::Less => base_fee.saturating_sub(change),
        std::cmp::Ordering::Greater => base_fee.saturating_add(change.max(1)),
    }
}

/// The excess blob gas after `parent` under the child's `params` (EIP-4844). From Osaka on it
/// stays up while a blob costs less than the execution gas it is worth (EIP-7918).
pub(crate) fn next_excess_blob_gas(parent: &Header, params: &BlobParams) -> u64 {
    let excess = parent.excess_blob_gas.unwrap_or_default();
    let used = parent.blob_gas_used.unwrap_or_default();
    let sum = excess.saturating_add(used);
    let target = params.target_blob_count.saturating_mul(DATA_GAS_PER_BLOB);
    if sum < target {
        return 0;
    }
    let base_fee = parent.base_fee_per_gas.unwrap_or_default();
    let floor = U256::from(params.blob_base_cost) * U256::from(base_fee);
    let price = U256::from(DATA_GAS_PER_BLOB) * U256::from(params.calc_blob_fee(excess));
    if floor <= price || params.max_blob_count == 0 {
        return sum - target;
    }
    let room = params.max_blob_count.saturating_sub(params.target_blob_count);
    let kept = u128::from(used) * u128::from(room) / u128::from(params.max_blob_count);
    excess.saturating_add(u64::try_from(kept).unwrap_or(u64::MAX))
}
