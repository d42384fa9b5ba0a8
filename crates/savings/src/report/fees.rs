//! What capacity would mean for fees, scenario by scenario.

use serde::Serialize;

use super::{Settings, Totals};
use crate::{BlockAnalysis, FeePoint, Market, capacity, speedup_at_worst};

/// EIP-7825: the most gas of a transaction.
const TRANSACTION_GAS_CAP: u64 = 1 << 24;
/// How many blocks the paths go on for.
const BLOCKS: usize = 120;
/// The number of cores of scenarios that were not measured.
const CORES: usize = 8;

/// What a higher capacity would mean for fees, and what it takes.
#[derive(Clone, Debug, Serialize)]
pub struct FeeReport {
    /// The part of the time of importing a block that is execution: an assumption.
    pub execution_share: f64,
    /// The base fee at the beginning, in gwei.
    pub base_fee_gwei: f64,
    /// By how many percent demand falls when the fee rises by one.
    pub elasticity: f64,
    /// The gas limit of a block that worst cases are computed for.
    pub gas_limit: u64,
    /// The scenarios, the one that needs no change of rules first.
    pub scenarios: Vec<Scenario>,
}

/// A capacity, and what it rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// A few words.
    pub name: String,
    /// What must hold for the capacity to be safe.
    pub needs: String,
    /// By how much execution is quicker.
    pub speedup: f64,
    /// By what the gas of a block is multiplied.
    pub capacity: f64,
    /// The base fee at which the market comes to rest, in gwei.
    pub fee_at_rest_gwei: f64,
    /// What users pay for the gas that they buy today, of what they pay today.
    pub paid_share: f64,
    /// The base fee of each block, in gwei.
    pub path_gwei: Vec<f64>,
}

impl FeeReport {
    pub(super) fn new(
        analyses: &[BlockAnalysis<'_>],
        totals: &Totals,
        settings: &Settings,
    ) -> Self {
        let newest = analyses.iter().map(|block| block.record).max_by_key(|record| record.number);
        let gas_limit = newest.map_or(30_000_000, |record| record.gas_limit);
        let share = settings.execution_share;
        let market = settings.market;
        let scenario = |name: String, needs: &str, speedup: f64| {
            Scenario::new((name, needs), speedup, capacity(speedup, share), &market)
        };
        let mut scenarios = vec![
            scenario(
                "any block, rules as they are".to_owned(),
                "Nothing. A block can be full of transactions of which each needs the one before, and then \
                 takes as long as ever.",
                1.0,
            ),
            scenario(
                format!(
                    "worst block on {CORES} cores, with access lists and a transaction gas cap"
                ),
                "Access lists (EIP-7928), with which no transaction waits for another, and at most \
                 16.8 million gas for a transaction (EIP-7825).",
                speedup_at_worst(gas_limit, TRANSACTION_GAS_CAP, CORES),
            ),
        ];
        if let Some(measured) = totals.most_threads().filter(|measured| measured.speedup > 1.0) {
            scenarios.push(scenario(
                format!("blocks like these, as measured on {} threads", measured.threads),
                "A price on conflicts that makes a block of nothing but conflicts cost as much as it \
                 takes. Without one an attacker fills blocks with a single line of transactions.",
                measured.speedup,
            ));
        }
        if let Some(simulated) = totals.on(CORES).filter(|row| row.simulated > 1.0) {
            scenarios.push(scenario(
                format!("blocks like these, as simulated on {CORES} cores"),
                "The same price on conflicts, and an engine without overhead: an upper bound.",
                simulated.simulated,
            ));
        }
        Self {
            execution_share: share,
            base_fee_gwei: market.base_fee / 1e9,
            elasticity: market.elasticity,
            gas_limit,
            scenarios,
        }
    }
}

impl Scenario {
    fn new((name, needs): (String, &str), speedup: f64, capacity: f64, market: &Market) -> Self {
        let at_rest = market.fee_at_rest(capacity);
        let gwei = |point: FeePoint| point.base_fee / 1e9;
        Self {
            name,
            needs: needs.to_owned(),
            speedup,
            capacity,
            fee_at_rest_gwei: at_rest / 1e9,
            paid_share: at_rest / market.base_fee,
            path_gwei: market.path(capacity, BLOCKS).into_iter().map(gwei).collect(),
        }
    }
}
