//! Which blocks there are, and what is known of them before they are executed.

use alloy_consensus::{EMPTY_ROOT_HASH, Header, proofs::calculate_withdrawals_root};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{
    BlockOverrides, TransactionRequest, simulate::SimBlock, state::StateOverride,
};
use warpline_chain::ChainSpec;

use super::{MAX_SIMULATE_BLOCKS, SimulateRefusal};

/// How much later than the one before a block is that does not say.
const SECONDS: u64 = 12;

/// A block that is to be simulated.
#[derive(Debug)]
pub(super) struct Plan<'p> {
    /// What is known of it. Base fee and excess blob gas follow from its parent, unless they are
    /// overridden.
    pub(super) header: Header,
    pub(super) overrides: BlockOverrides,
    pub(super) state: Option<&'p StateOverride>,
    pub(super) calls: &'p [TransactionRequest],
    /// Where the rules have any.
    pub(super) withdrawals: Option<Withdrawals>,
}

/// The blocks on top of `base`, those between included, with what is withdrawn in each that is given.
pub(super) fn plan<'p>(
    spec: &ChainSpec,
    base: &Header,
    (blocks, withdrawals): (&'p [SimBlock], &[Withdrawals]),
) -> Result<Vec<Plan<'p>>, SimulateRefusal> {
    if blocks.is_empty() {
        return Err(SimulateRefusal::Empty);
    }
    if blocks.len() as u64 > MAX_SIMULATE_BLOCKS {
        return Err(SimulateRefusal::TooManyBlocks);
    }
    let mut plans = Vec::new();
    let mut previous = base.clone();
    for (index, block) in blocks.iter().enumerate() {
        let overrides = block.block_overrides.clone().unwrap_or_default();
        let number = overrides.number.map_or(previous.number + 1, |number| number.saturating_to());
        if number <= previous.number {
            return Err(SimulateRefusal::Number { number, previous: previous.number });
        }
        if number - base.number > MAX_SIMULATE_BLOCKS {
            return Err(SimulateRefusal::TooManyBlocks);
        }
        while previous.number + 1 < number {
            let overrides = BlockOverrides::default();
            let (header, withdrawals) = header(spec, &previous, &overrides, &[])?;
            previous.clone_from(&header);
            plans.push(Plan { header, overrides, state: None, calls: &[], withdrawals });
        }
        let withdrawals = withdrawals.get(index).map_or(&[][..], |list| list.as_slice());
        let (header, withdrawals) = header(spec, &previous, &overrides, withdrawals)?;
        previous.clone_from(&header);
        let state = block.state_overrides.as_ref();
        plans.push(Plan { header, overrides, state, calls: &block.calls, withdrawals });
    }
    Ok(plans)
}

/// What is known of the block after `previous`, which it is later than, and what is withdrawn in it. Gas
/// limit and beneficiary stay as they were.
fn header(
    spec: &ChainSpec,
    previous: &Header,
    overrides: &BlockOverrides,
    withdrawals: &[Withdrawal],
) -> Result<(Header, Option<Withdrawals>), SimulateRefusal> {
    let number = previous.number + 1;
    let timestamp = overrides.time.unwrap_or(previous.timestamp.saturating_add(SECONDS));
    if timestamp <= previous.timestamp {
        return Err(SimulateRefusal::Timestamp { timestamp, previous: previous.timestamp });
    }
    let difficulty = if spec.is_merged(number) { U256::ZERO } else { previous.difficulty };
    let is_cancun = spec.is_cancun_active_at_timestamp(timestamp);
    let is_shanghai = spec.is_shanghai_active_at_timestamp(timestamp);
    if !is_shanghai && !withdrawals.is_empty() {
        return Err(SimulateRefusal::Withdrawals);
    }
    let header = Header {
        number,
        timestamp,
        difficulty: overrides.difficulty.unwrap_or(difficulty),
        gas_limit: overrides.gas_limit.unwrap_or(previous.gas_limit),
        beneficiary: overrides.coinbase.unwrap_or(previous.beneficiary),
        mix_hash: overrides.random.unwrap_or_default(),
        base_fee_per_gas: overrides.base_fee.map(|fee| fee.saturating_to()),
        parent_beacon_block_root: is_cancun.then(|| overrides.beacon_root.unwrap_or(B256::ZERO)),
        withdrawals_root: is_shanghai.then(|| calculate_withdrawals_root(withdrawals)),
        receipts_root: EMPTY_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        ..Header::default()
    };
    Ok((header, is_shanghai.then(|| Withdrawals::new(withdrawals.to_vec()))))
}
