//! Which blocks there are, and what is known of them before they are executed.

use alloy_consensus::{EMPTY_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS};
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
}

/// The blocks on top of `base`, those between included.
pub(super) fn plan<'p>(
    spec: &ChainSpec,
    base: &Header,
    blocks: &'p [SimBlock],
) -> Result<Vec<Plan<'p>>, SimulateRefusal> {
    if blocks.is_empty() {
        return Err(SimulateRefusal::Empty);
    }
    if blocks.len() as u64 > MAX_SIMULATE_BLOCKS {
        return Err(SimulateRefusal::TooManyBlocks);
    }
    let mut plans = Vec::new();
    let mut previous = base.clone();
    for block in blocks {
        let overrides = block.block_overrides.clone().unwrap_or_default();
        let number = overrides.number.map_or(previous.number + 1, |number| number.saturating_to());
        if number <= previous.number {
            return Err(SimulateRefusal::Number { number, previous: previous.number });
        }
        if number - base.number > MAX_SIMULATE_BLOCKS {
            return Err(SimulateRefusal::TooManyBlocks);
        }
        while previous.number + 1 < number {
            let header = header(spec, &previous, &BlockOverrides::default())?;
            previous.clone_from(&header);
            plans.push(Plan {
                header,
                overrides: BlockOverrides::default(),
                state: None,
                calls: &[],
            });
        }
        let header = header(spec, &previous, &overrides)?;
        previous.clone_from(&header);
        let state = block.state_overrides.as_ref();
        plans.push(Plan { header, overrides, state, calls: &block.calls });
    }
    Ok(plans)
}

/// What is known of the block after `previous`, which it is later than. Gas limit and beneficiary stay
/// as they were.
fn header(
    spec: &ChainSpec,
    previous: &Header,
    overrides: &BlockOverrides,
) -> Result<Header, SimulateRefusal> {
    let number = previous.number + 1;
    let timestamp = overrides.time.unwrap_or(previous.timestamp.saturating_add(SECONDS));
    if timestamp <= previous.timestamp {
        return Err(SimulateRefusal::Timestamp { timestamp, previous: previous.timestamp });
    }
    let difficulty = if spec.is_merged(number) { U256::ZERO } else { previous.difficulty };
    let is_cancun = spec.is_cancun_active_at_timestamp(timestamp);
    let is_shanghai = spec.is_shanghai_active_at_timestamp(timestamp);
    Ok(Header {
        number,
        timestamp,
        difficulty: overrides.difficulty.unwrap_or(difficulty),
        gas_limit: overrides.gas_limit.unwrap_or(previous.gas_limit),
        beneficiary: overrides.coinbase.unwrap_or(previous.beneficiary),
        mix_hash: overrides.random.unwrap_or_default(),
        base_fee_per_gas: overrides.base_fee.map(|fee| fee.saturating_to()),
        parent_beacon_block_root: is_cancun.then(|| overrides.beacon_root.unwrap_or(B256::ZERO)),
        withdrawals_root: is_shanghai.then_some(EMPTY_WITHDRAWALS),
        receipts_root: EMPTY_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        ..Header::default()
    })
}
