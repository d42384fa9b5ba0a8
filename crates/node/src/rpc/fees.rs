//! What gas costs, and what it did.

use alloy_consensus::{Header, Transaction as _};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{FeeHistory, TxGasAndReward};
use warpline_storage::{StoredHeader, View};

use super::{
    RpcError,
    args::{Argument, ArgumentError, Json, Quantity},
    blocks::{self, Number, resolve},
    context::Call,
    methods::Registry,
    transactions::receipts_of,
};

/// Blocks that a fee history reaches back at most.
const MOST_BLOCKS: u64 = 1024;
/// Percentiles that may be asked for.
const MOST_PERCENTILES: usize = 100;

/// Blocks whose tips are looked at for a suggestion.
const SAMPLED_BLOCKS: u64 = 20;
/// The lowest tips of a block that are looked at.
const SAMPLED_TIPS: usize = 3;
/// Which of the tips is suggested, in hundredths of the way from the lowest to the highest.
const SUGGESTED_PERCENTILE: usize = 60;
/// Lower tips are what a block's own builder pays, and say nothing.
const LEAST_TIP: u128 = 2;
/// No higher tip is suggested: 500 gwei.
const MOST_TIP: u128 = 500_000_000_000;

pub(super) fn register(methods: &mut Registry) {
    methods
        .light("eth_baseFee", base_fee)
        .light("eth_blobBaseFee", blob_base_fee)
        .heavy("eth_gasPrice", gas_price)
        .heavy("eth_maxPriorityFeePerGas", max_priority_fee)
        .heavy("eth_feeHistory", fee_history);
}

/// The tip that was suggested last, and for which head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TipCache(Option<(B256, u128)>);

fn base_fee(call: &Call, (): ()) -> Result<Option<U256>, RpcError> {
    let fee = call.context().chain.next_base_fee(&call.view()?.head().header);
    Ok(fee.map(U256::from))
}

fn blob_base_fee(call: &Call, (): ()) -> Result<Option<U256>, RpcError> {
    Ok(next_blob_fee(call, &call.view()?.head().header).map(U256::from))
}

/// The blob base fee of a child of `parent`; `None` before Cancun.
fn next_blob_fee(call: &Call, parent: &Header) -> Option<u128> {
    let chain = &call.context().chain;
    let params = chain.blob_params_at(parent.timestamp)?;
    let excess = chain.next_excess_blob_gas(parent, parent.timestamp)?;
    Some(params.calc_blob_fee(excess))
}

fn gas_price(call: &Call, (): ()) -> Result<U256, RpcError> {
    let view = call.view()?;
    let base_fee = view.head().header.base_fee_per_gas.unwrap_or_default();
    Ok(U256::from(suggested_tip(call, &view)?.saturating_add(base_fee.into())))
}

fn max_priority_fee(call: &Call, (): ()) -> Result<U256, RpcError> {
    Ok(U256::from(suggested_tip(call, &*call.view()?)?))
}

/// The tip with which a transaction has good chances: above most of the lowest tips of the last blocks.
fn suggested_tip(call: &Call, view: &View) -> Result<u128, RpcError> {
    let StoredHeader { header: head, hash, .. } = view.head();
    let TipCache(cached) = *call.node.tip.lock();
    if let Some((_, tip)) = cached.filter(|(of, _)| of == hash) {
        return Ok(tip);
    }
    let mut tips = Vec::new();
    for number in head.number.saturating_sub(SAMPLED_BLOCKS - 1)..=head.number {
        call.deadline.check()?;
        let block = blocks::block(view, number)?;
        let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
        let by_others =
            block.transactions.iter().filter(|tx| tx.signer() != block.header.beneficiary);
        let mut lowest: Vec<_> = by_others
            .filter_map(|tx| tx.effective_tip_per_gas(base_fee))
            .filter(|tip| *tip >= LEAST_TIP)
            .collect();
        lowest.sort_unstable();
        tips.extend(lowest.into_iter().take(SAMPLED_TIPS));
    }
    tips.sort_unstable();
    let at = tips.len().saturating_sub(1) * SUGGESTED_PERCENTILE / 100;
    let last = cached.map(|(_, tip)| tip);
    let tip = tips.get(at).copied().or(last).unwrap_or_default().min(MOST_TIP);
    *call.node.tip.lock() = TipCache(Some((*hash, tip)));
    Ok(tip)
}

/// Percentiles in rising order.
#[derive(Debug, Default)]
struct Percentiles(Vec<f64>);

impl Argument for Percentiles {
    fn parse(json: &str) -> Result<Self, ArgumentError> {
        let Json(percentiles) = Json::<Vec<f64>>::parse(json)?;
        let found = percentiles.len();
        if found > MOST_PERCENTILES {
            return Err(ArgumentError::TooManyPercentiles { found, most: MOST_PERCENTILES });
        }
        Ok(Self(percentiles))
    }
}

impl Percentiles {
    fn check(self) -> Result<Vec<f64>, RpcError> {
        let mut least = 0.0;
        for percentile in &self.0 {
            if !(least..=100.0).contains(percentile) {
                return Err(RpcError::Percentile(*percentile));
            }
            least = *percentile;
        }
        Ok(self.0)
    }
}

fn fee_history(
    call: &Call,
    (Quantity(count), Number(newest), percentiles): (Quantity, Number, Option<Percentiles>),
) -> Result<FeeHistory, RpcError> {
    let percentiles = percentiles.unwrap_or_default().check()?;
    let view = call.view()?;
    let head = view.head().header.number;
    if newest.as_number().is_some_and(|newest| newest > head) {
        return Err(RpcError::RangeBeyondHead { head });
    }
    let newest = resolve(&view, Some(newest.into()))?;
    let count = count.min(MOST_BLOCKS).min(newest + 1);
    if count == 0 {
        return Ok(FeeHistory { gas_used_ratio: Vec::new(), ..FeeHistory::default() });
    }
    let oldest = newest + 1 - count;
    let chain = &call.context().chain;
    let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    for number in oldest..=newest {
        call.deadline.check()?;
        let header = blocks::header(&view, number)?.header;
        history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
        history.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
        history.base_fee_per_blob_gas.push(chain.blob_base_fee(&header).unwrap_or_default());
        let most_blob_gas = chain.blob_params_at(header.timestamp);
        let most_blob_gas = most_blob_gas.map_or(0, |params| params.max_blob_gas_per_block());
        let blob_gas_used = header.blob_gas_used.unwrap_or_default();
        history.blob_gas_used_ratio.push(ratio(blob_gas_used, most_blob_gas));
        if !percentiles.is_empty() {
            let rewards = rewards(&view, &header, &percentiles)?;
            history.reward.get_or_insert_default().push(rewards);
        }
        if number == newest {
            let next = chain.next_base_fee(&header).unwrap_or_default();
            history.base_fee_per_gas.push(next.into());
            let next = next_blob_fee(call, &header).unwrap_or_default();
            history.base_fee_per_blob_gas.push(next);
        }
    }
    Ok(history)
}

/// How much of `most` was used; nothing of nothing.
#[expect(clippy::cast_precision_loss, reason = "a ratio is asked for")]
fn ratio(used: u64, most: u64) -> f64 {
    if most == 0 { 0.0 } else { used as f64 / most as f64 }
}

/// The tips at these percentiles of the gas that the block used.
fn rewards(view: &View, header: &Header, percentiles: &[f64]) -> Result<Vec<u128>, RpcError> {
    let block = blocks::block(view, header.number)?;
    let receipts = receipts_of(view, &block)?;
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let mut gas_before = 0;
    let mut tips = Vec::with_capacity(receipts.len());
    for (transaction, receipt) in block.transactions.iter().zip(&receipts) {
        let gas_after = receipt.cumulative_gas_used();
        tips.push(TxGasAndReward {
            gas_used: gas_after.saturating_sub(gas_before),
            reward: transaction.effective_tip_per_gas(base_fee).unwrap_or_default(),
        });
        gas_before = gas_after;
    }
    Ok(at_percentiles(tips, header.gas_used, percentiles))
}

fn at_percentiles(mut tips: Vec<TxGasAndReward>, gas_used: u64, percentiles: &[f64]) -> Vec<u128> {
    tips.sort_unstable();
    let mut paid = tips.iter();
    let mut at = paid.next();
    let mut gas = at.map_or(0, |tip| tip.gas_used);
    let mut rewards = Vec::with_capacity(percentiles.len());
    for percentile in percentiles {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of what is not negative"
        )]
        let share = (gas_used as f64 * percentile / 100.0) as u64;
        while gas < share {
            let Some(next) = paid.next() else { break };
            gas += next.gas_used;
            at = Some(next);
        }
        rewards.push(at.map_or(0, |tip| tip.reward));
    }
    rewards
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(gas_used: u64, reward: u128) -> TxGasAndReward {
        TxGasAndReward { gas_used, reward }
    }

    #[test]
    fn tips_are_weighed_by_gas() {
        let tips = vec![tip(10, 3), tip(70, 1), tip(20, 2)];
        let at = [0.0, 70.0, 70.5, 71.0, 90.0, 91.0, 100.0];
        assert_eq!(at_percentiles(tips, 100, &at), [1, 1, 1, 2, 2, 3, 3]);
        assert_eq!(at_percentiles(Vec::new(), 0, &[0.0, 50.0]), [0, 0]);
    }

    #[test]
    fn percentiles_rise() {
        assert!(Percentiles(vec![0.0, 50.0, 50.0, 100.0]).check().is_ok());
        for wrong in [vec![-1.0], vec![101.0], vec![50.0, 49.0], vec![f64::NAN]] {
            assert!(Percentiles(wrong).check().is_err());
        }
    }
}
