//! All blocks together.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use super::{ms, ratio};
use crate::{BlockAnalysis, CORES, CorePrice, core_seconds_per_gigagas};

/// All blocks together, times added up.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// How many blocks.
    pub blocks: usize,
    /// How many transactions.
    pub transactions: usize,
    /// Gas used.
    pub gas: u64,
    /// One transaction after the other.
    pub sequential_ms: f64,
    /// The time of cores that this takes.
    pub sequential_core_ms: f64,
    /// Core-seconds that this takes for a gigagas.
    pub sequential_core_s_per_ggas: f64,
    /// What these cost.
    pub sequential_cost_per_ggas: f64,
    /// The currency of costs.
    pub currency: String,
    /// What a core costs for an hour.
    pub price_core_hour: f64,
    /// By how much any number of cores is quicker at most, transactions being executed whole.
    pub bound: f64,
    /// The geometric mean of that over blocks.
    pub bound_geomean: f64,
    /// As [`bound`](Self::bound), if to meet an account is to depend on its balance.
    pub bound_by_accounts: f64,
    /// As [`bound`](Self::bound), if transactions could be stopped where they look at what others
    /// change.
    pub bound_of_segments: f64,
    /// What can be reached on some numbers of cores.
    pub cores: Vec<CoresRow>,
    /// What was measured.
    pub measured: Vec<MeasuredRow>,
}

/// All blocks on some number of cores, as speed-ups over one transaction after the other.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CoresRow {
    /// How many cores.
    pub cores: usize,
    /// With perfect knowledge and no overhead, in block order.
    pub in_order: f64,
    /// As the engine schedules, without overhead.
    pub simulated: f64,
    /// The same, if transactions were executed whole.
    pub simulated_whole: f64,
    /// The share of the time of executions that these would be in vain.
    pub simulated_wasted: f64,
}

/// All blocks executed in parallel.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredRow {
    /// How many threads might run.
    pub threads: usize,
    /// How long that took.
    pub parallel_ms: f64,
    /// The time of cores that it took.
    pub core_ms: f64,
    /// By how much that is quicker.
    pub speedup: f64,
    /// The geometric mean over blocks.
    pub speedup_geomean: f64,
    /// The block that gains least, and the one that gains most.
    pub speedup_min: f64,
    /// See [`speedup_min`](Self::speedup_min).
    pub speedup_max: f64,
    /// How many blocks get slower by more than 2 %.
    pub slower: usize,
    /// How many the engine executed sequentially.
    pub left_sequential: usize,
    /// Core-seconds for a gigagas.
    pub core_s_per_ggas: f64,
    /// What these cost.
    pub cost_per_ggas: f64,
    /// What was done in vain, in one execution of each block.
    pub wasted: Wasted,
}

/// Executions that were in vain.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Wasted {
    /// Executions of transactions, in all.
    pub executions: usize,
    /// Those that were in vain.
    pub in_vain: usize,
    /// Their gas, as far as they came to an end.
    pub gas: u64,
    /// Their time.
    pub ms: f64,
    /// The time of all.
    pub of_ms: f64,
}

impl Totals {
    pub(super) fn new(analyses: &[BlockAnalysis<'_>], price: &CorePrice) -> Self {
        let sum = |of: &dyn Fn(&BlockAnalysis<'_>) -> Duration| -> Duration {
            analyses.iter().map(of).sum()
        };
        let gas = analyses.iter().map(|block| block.record.gas_used).sum();
        let total = ms(sum(&|block| block.total()));
        let bound = |of: &dyn Fn(&BlockAnalysis<'_>) -> Duration| ratio(total, ms(sum(of)));
        let core_time = sum(&|block| block.record.sequential.core_time);
        let per_ggas = core_seconds_per_gigagas(core_time, gas);
        let cores = CORES.iter().enumerate().map(|(at, cores)| {
            let simulated = sum(&|block| block.cores[at].simulated);
            let wasted = ms(sum(&|block| block.cores[at].wasted));
            CoresRow {
                cores: *cores,
                in_order: bound(&|block| block.cores[at].in_order),
                simulated: ratio(total, ms(simulated)),
                simulated_whole: bound(&|block| block.cores[at].simulated_whole),
                simulated_wasted: wasted / (total + wasted).max(f64::MIN_POSITIVE),
            }
        });
        let threads: BTreeSet<usize> =
            analyses.iter().flat_map(|it| &it.record.parallel).map(|it| it.threads).collect();
        Self {
            blocks: analyses.len(),
            transactions: analyses.iter().map(|block| block.times.len()).sum(),
            gas,
            sequential_ms: ms(sum(&|block| block.record.sequential.took)),
            sequential_core_ms: ms(core_time),
            sequential_core_s_per_ggas: per_ggas,
            sequential_cost_per_ggas: price.of_core_seconds(per_ggas),
            currency: price.currency.clone(),
            price_core_hour: price.per_core_hour,
            bound: bound(&|block| block.critical.length),
            bound_geomean: geometric_mean(
                analyses.iter().map(|block| ratio(ms(block.total()), ms(block.critical.length))),
            ),
            bound_by_accounts: bound(&|block| block.critical_by_accounts.length),
            bound_of_segments: bound(&|block| block.critical_of_segments.length),
            cores: cores.collect(),
            measured: threads
                .into_iter()
                .map(|threads| MeasuredRow::new(analyses, threads, price))
                .collect(),
        }
    }

    /// What was measured with most threads.
    pub fn most_threads(&self) -> Option<&MeasuredRow> {
        self.measured.last()
    }

    /// What can be reached on so many cores, if that is one of those that were looked at.
    pub fn on(&self, cores: usize) -> Option<&CoresRow> {
        self.cores.iter().find(|row| row.cores == cores)
    }
}

impl MeasuredRow {
    /// Of the blocks that were executed with so many threads.
    fn new(analyses: &[BlockAnalysis<'_>], threads: usize, price: &CorePrice) -> Self {
        let (mut sequential, mut parallel) = (Duration::ZERO, Duration::ZERO);
        let (mut core_time, mut gas) = (Duration::ZERO, 0);
        let mut wasted = Wasted::default();
        let mut left_sequential = 0;
        let mut speedups = Vec::new();
        for block in analyses {
            let Some(measured) = block.measured(threads) else { continue };
            let record = block.record;
            sequential += record.sequential.took;
            parallel += measured.sample.took;
            core_time += measured.sample.core_time;
            gas += record.gas_used;
            left_sequential += usize::from(measured.width <= 1);
            wasted.add(measured, record.traces.len());
            speedups.push(ratio(ms(record.sequential.took), ms(measured.sample.took)));
        }
        let core_s_per_ggas = core_seconds_per_gigagas(core_time, gas);
        Self {
            threads,
            parallel_ms: ms(parallel),
            core_ms: ms(core_time),
            speedup: ratio(ms(sequential), ms(parallel)),
            speedup_geomean: geometric_mean(speedups.iter().copied()),
            speedup_min: speedups.iter().copied().reduce(f64::min).unwrap_or(1.0),
            speedup_max: speedups.iter().copied().reduce(f64::max).unwrap_or(1.0),
            slower: speedups.iter().filter(|speedup| **speedup < 0.98).count(),
            left_sequential,
            core_s_per_ggas,
            cost_per_ggas: price.of_core_seconds(core_s_per_ggas),
            wasted,
        }
    }
}

impl Wasted {
    /// Adds what was done for a block of so many transactions.
    fn add(&mut self, measured: &crate::Measured, transactions: usize) {
        let (in_vain, gas, time) = measured.in_vain();
        let all = measured.activities.iter().map(|activity| activity.end - activity.start);
        // Whoever executes sequentially executes each once.
        self.executions += measured.activities.len().max(transactions);
        self.in_vain += in_vain;
        self.gas += gas;
        self.ms += ms(time);
        self.of_ms += ms(all.sum());
    }
}

/// The mean that a factor and its inverse cancel out in; 1 of nothing.
fn geometric_mean(factors: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = factors.fold((0.0, 0.0), |(sum, count), it| (sum + it.ln(), count + 1.0));
    if count > 0.0 { f64::exp(sum / count) } else { 1.0 }
}
