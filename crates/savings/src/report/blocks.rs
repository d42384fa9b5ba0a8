//! A line for each block.

use serde::Serialize;

use super::{ms, ratio};
use crate::BlockAnalysis;

/// A block. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct BlockRow {
    /// Its number.
    pub number: u64,
    /// Where it comes from.
    pub source: String,
    /// The job that it does, where others do the same in other ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The way it does that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The fork whose rules it follows.
    pub fork: String,
    /// How many transactions it has.
    pub transactions: usize,
    /// Gas used.
    pub gas: u64,
    /// One transaction after the other.
    pub sequential_ms: f64,
    /// What was measured in parallel.
    pub measured: Vec<BlockMeasured>,
    /// By how much any number of cores is quicker at most, transactions being executed whole.
    pub bound: f64,
    /// As [`bound`](Self::bound), if to meet an account is to depend on its balance.
    pub bound_by_accounts: f64,
    /// As [`bound`](Self::bound), if transactions could be stopped where they look at what others
    /// change.
    pub bound_of_segments: f64,
    /// The part of all transactions' gas that those on the critical path use.
    pub critical_gas_share: f64,
    /// What can be reached on some numbers of cores.
    pub cores: Vec<BlockCores>,
}

/// A block that was executed in parallel.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BlockMeasured {
    /// How many threads might run.
    pub threads: usize,
    /// How many the engine thought worth it.
    pub width: usize,
    /// How long it took.
    pub parallel_ms: f64,
    /// The time of cores that it took.
    pub core_ms: f64,
    /// By how much that is quicker.
    pub speedup: f64,
    /// Executions that were in vain, in one execution of the block.
    pub in_vain: usize,
}

/// A block on some number of cores, as speed-ups.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BlockCores {
    /// How many cores.
    pub cores: usize,
    /// With perfect knowledge and no overhead, in block order.
    pub in_order: f64,
    /// As the engine schedules, without overhead.
    pub simulated: f64,
}

impl BlockRow {
    pub(super) fn new(block: &BlockAnalysis<'_>) -> Self {
        let record = block.record;
        let total = ms(block.total());
        let bound = |path: &crate::CriticalPath| ratio(total, ms(path.length));
        let sequential_ms = ms(record.sequential.took);
        let measured = record.parallel.iter().map(|measured| {
            let parallel_ms = ms(measured.sample.took);
            BlockMeasured {
                threads: measured.threads,
                width: measured.width,
                parallel_ms,
                core_ms: ms(measured.sample.core_time),
                speedup: ratio(sequential_ms, parallel_ms),
                in_vain: measured.in_vain().0,
            }
        });
        let cores = block.cores.iter().map(|it| BlockCores {
            cores: it.cores,
            in_order: ratio(total, ms(it.in_order)),
            simulated: ratio(total, ms(it.simulated)),
        });
        let gas = |tx: &usize| record.traces[*tx].gas_used;
        let critical_gas: u64 = block.critical.transactions.iter().map(gas).sum();
        #[expect(clippy::cast_precision_loss, reason = "gas of a block is far below 2⁵²")]
        let critical_gas_share = ratio(critical_gas as f64, record.gas_used as f64);
        Self {
            number: record.number,
            source: record.source.clone(),
            job: record.variant.as_ref().map(|variant| variant.job.clone()),
            form: record.variant.as_ref().map(|variant| variant.form.clone()),
            fork: record.fork.clone(),
            transactions: record.traces.len(),
            gas: record.gas_used,
            sequential_ms,
            measured: measured.collect(),
            bound: bound(&block.critical),
            bound_by_accounts: bound(&block.critical_by_accounts),
            bound_of_segments: bound(&block.critical_of_segments),
            critical_gas_share,
            cores: cores.collect(),
        }
    }
}
