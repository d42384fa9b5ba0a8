//! Blocks that are shown in detail: who did what when, and the line of transactions that decides how
//! long it takes.

use std::time::Duration;

use serde::Serialize;

use super::{Names, ms, ratio};
use crate::{BlockAnalysis, Need, Span};

/// A block in detail. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Focus {
    /// Its number.
    pub number: u64,
    /// Why it is shown.
    pub why: &'static str,
    /// How many transactions it has.
    pub transactions: usize,
    /// All transactions, one after the other.
    pub total_ms: f64,
    /// Its critical path.
    pub critical_ms: f64,
    /// By how much any number of cores is quicker at most.
    pub bound: f64,
    /// Whether [`spans`](Self::spans) were measured, or else simulated.
    pub measured: bool,
    /// How many workers there are.
    pub workers: usize,
    /// Who executed what, and when.
    pub spans: Vec<FocusSpan>,
    /// The transactions of the critical path, in order.
    pub critical_path: Vec<Step>,
}

/// An execution of a transaction by a worker.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FocusSpan {
    /// The worker.
    pub worker: usize,
    /// The transaction's index in the block.
    pub transaction: usize,
    /// From when.
    pub start_ms: f64,
    /// Until when.
    pub end_ms: f64,
    /// Whether its result is part of the block.
    pub counts: bool,
}

/// A transaction on a critical path, and where it could be divided.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its index in the block.
    pub transaction: usize,
    /// Which function it calls.
    pub call: String,
    /// Gas used.
    pub gas: u64,
    /// How long it takes.
    pub ms: f64,
    /// What it needs of the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Gas that it has spent when it first looks at that: what could be executed before.
    pub gas_before: u64,
    /// The time that it has taken then.
    pub ms_before: f64,
}

/// The block with the longest critical path, and the longest block of the others that were executed in
/// parallel.
pub(super) fn of(analyses: &[BlockAnalysis<'_>], names: &Names) -> Vec<Focus> {
    let several = analyses.iter().filter(|block| block.times.len() > 1);
    let Some(worst) = several.max_by_key(|block| block.critical.length) else { return Vec::new() };
    let in_parallel = |block: &&BlockAnalysis<'_>| {
        !std::ptr::eq(*block, worst)
            && block.record.parallel.iter().any(|measured| !measured.activities.is_empty())
    };
    let longest = analyses.iter().filter(in_parallel).max_by_key(|block| block.total());
    let worst = Focus::new(worst, "the one with the longest critical path", names);
    let longest = longest.map(|block| {
        Focus::new(block, "the longest of the others that were executed in parallel", names)
    });
    [Some(worst), longest].into_iter().flatten().collect()
}

impl Focus {
    fn new(block: &BlockAnalysis<'_>, why: &'static str, names: &Names) -> Self {
        let record = block.record;
        let measured = record.parallel.iter().rev().find(|it| !it.activities.is_empty());
        let simulated_on = record.parallel.last().map_or(2, |measured| measured.threads.max(2));
        let (workers, spans) = match measured {
            Some(measured) => {
                let begin = measured.activities.first().map_or(Duration::ZERO, |it| it.start);
                let spans = measured.activities.iter().map(|it| FocusSpan {
                    worker: it.worker,
                    transaction: it.transaction,
                    start_ms: ms(it.start.saturating_sub(begin)),
                    end_ms: ms(it.end.saturating_sub(begin)),
                    counts: it.counts,
                });
                (measured.threads, spans.collect())
            }
            None => {
                let schedule = block.simulated(simulated_on);
                (simulated_on, schedule.spans.iter().map(FocusSpan::of).collect())
            }
        };
        Self {
            number: record.number,
            why,
            transactions: block.times.len(),
            total_ms: ms(block.total()),
            critical_ms: ms(block.critical.length),
            bound: ratio(ms(block.total()), ms(block.critical.length)),
            measured: measured.is_some(),
            workers,
            spans,
            critical_path: steps(block, names),
        }
    }
}

impl FocusSpan {
    fn of(span: &Span) -> Self {
        Self {
            worker: span.worker,
            transaction: span.transaction,
            start_ms: ms(span.start),
            end_ms: ms(span.end),
            counts: span.counts,
        }
    }
}

/// The critical path, transaction by transaction.
fn steps(block: &BlockAnalysis<'_>, names: &Names) -> Vec<Step> {
    let path = &block.critical.transactions;
    let before = std::iter::once(None).chain(path.iter().copied().map(Some));
    let step = |(tx, before): (&usize, Option<usize>)| {
        let call = &block.record.calls[*tx];
        let trace = &block.record.traces[*tx];
        let needs = block.dependencies.needs(*tx).iter();
        let first = needs.filter(|need| Some(need.on) == before).min_by_key(|need| need.at.time);
        Step {
            transaction: trace.index,
            call: match call.to {
                None => "creates a contract".to_owned(),
                Some(to) if !call.has_input => format!("pays {}", names.contract(to)),
                Some(to) => format!("{} {}", names.contract(to), names.selector(call.selector)),
            },
            gas: trace.gas_used,
            ms: ms(trace.took),
            waits_for: first.map(|need: &Need| names.place(need.place)),
            gas_before: first.map_or(0, |need| need.at.gas),
            ms_before: first.map_or(0.0, |need| ms(need.at.time)),
        }
    };
    path.iter().zip(before).map(step).collect()
}
