//! What was measured of a block.

use std::time::Duration;

use alloy_primitives::Address;
use warpline_engine::{Activity, TransactionTrace};

use crate::Call;

/// A block as it was executed and measured, in all ways there are.
#[derive(Clone, Debug)]
pub struct BlockRecord {
    /// Its number.
    pub number: u64,
    /// Where it comes from.
    pub source: String,
    /// What it shows, where it is one of several that do the same job.
    pub variant: Option<Variant>,
    /// The fork whose rules it follows.
    pub fork: String,
    /// Gas used.
    pub gas_used: u64,
    /// The most gas that it could have used.
    pub gas_limit: u64,
    /// Its base fee in wei, since London.
    pub base_fee: Option<u64>,
    /// Who is paid the fees.
    pub beneficiary: Address,
    /// What is seen of its transactions before they run.
    pub calls: Vec<Call>,
    /// What its transactions did.
    pub traces: Vec<TransactionTrace>,
    /// One transaction after the other.
    pub sequential: Sample,
    /// In parallel, by the number of threads.
    pub parallel: Vec<Measured>,
}

/// One of several ways to do the same job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The job.
    pub job: String,
    /// The way.
    pub form: String,
}

/// How long an execution took: the median of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// From beginning to end.
    pub took: Duration,
    /// The time of all cores together.
    pub core_time: Duration,
}

/// A block executed in parallel.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How many threads might run.
    pub threads: usize,
    /// How long it took.
    pub sample: Sample,
    /// How many the engine thought worth it.
    pub width: usize,
    /// What they did, in one execution; nothing where that was one.
    pub activities: Vec<Activity>,
}

impl Measured {
    /// The executions that were in vain: how many, their gas as far as they came to an end, and their
    /// time.
    pub fn in_vain(&self) -> (usize, u64, Duration) {
        let in_vain = self.activities.iter().filter(|activity| !activity.counts);
        in_vain.fold((0, 0, Duration::ZERO), |(count, gas, time), activity| {
            let took = activity.end - activity.start;
            (count + 1, gas + activity.gas_used.unwrap_or(0), time + took)
        })
    }
}

/// Of several traces of one block, for each transaction the one that took neither longest nor shortest.
///
/// # Panics
/// If they are not all of as many transactions.
pub fn median_traces(mut traces: Vec<Vec<TransactionTrace>>) -> Vec<TransactionTrace> {
    let Some(mut medians) = traces.pop() else { return Vec::new() };
    let mut candidates: Vec<TransactionTrace> = Vec::with_capacity(traces.len() + 1);
    for (tx, median) in medians.iter_mut().enumerate() {
        candidates.clear();
        candidates.extend(traces.iter_mut().map(|of_block| of_block[tx].clone()));
        candidates.push(median.clone());
        candidates.sort_by_key(|trace| trace.took);
        *median = candidates.swap_remove(candidates.len() / 2);
    }
    medians
}
