//! What is added up over blocks.

use std::time::Duration;

use alloy_consensus::Transaction as _;
use warpline_analysis::predict::{Predictor, Score};
use warpline_engine::TransactionTrace;
use warpline_primitives::{AccessHints, RecoveredBlock};

use super::{
    SOURCES,
    report::{SourceRow, Summary},
};
use crate::measure::ms;

/// Transactions that run code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) txs: usize,
    /// They touch storage.
    pub(super) calls: usize,
    /// Of those, how many call a function that was learned.
    pub(super) known: usize,
}

impl Calls {
    pub(super) fn of(
        block: &RecoveredBlock,
        predictor: &Predictor,
        traces: &[TransactionTrace],
    ) -> Self {
        let calls = block.transactions.iter().zip(traces).filter(|(_, it)| !it.slots.is_empty());
        let known = calls.clone().filter(|(tx, _)| predictor.knows(tx.inner())).count();
        Self { txs: block.transactions.len(), calls: calls.count(), known }
    }

    pub(super) const fn add(&mut self, other: Self) {
        self.txs += other.txs;
        self.calls += other.calls;
        self.known += other.known;
    }
}

/// How far off predicted times are, as parts of what it was. Times of executions that are themselves
/// measured once.
#[derive(Clone, Debug, Default)]
pub(super) struct TimeErrors {
    predicted: Vec<f64>,
    /// Those of the same transactions, guessed from the gas they ask for.
    by_gas: Vec<f64>,
    /// How much gas was asked for, and how long it took, before this block.
    gas: f64,
    ns: f64,
}

#[expect(clippy::cast_precision_loss, reason = "of times of seconds at most")]
impl TimeErrors {
    pub(super) fn add(
        &mut self,
        block: &RecoveredBlock,
        hints: &AccessHints,
        traces: &[TransactionTrace],
    ) {
        let (mut gas, mut ns) = (0.0, 0.0);
        for ((tx, hints), trace) in block.transactions.iter().zip(&hints.transactions).zip(traces) {
            let took = trace.took.as_nanos() as f64;
            let asked = tx.gas_limit() as f64;
            gas += asked;
            ns += took;
            if let Some(predicted) = hints.time_ns.filter(|_| self.gas > 0.0) {
                self.predicted.push((predicted as f64 - took).abs() / took.max(1.0));
                let guess = asked * self.ns / self.gas;
                self.by_gas.push((guess - took).abs() / took.max(1.0));
            }
        }
        self.gas += gas;
        self.ns += ns;
    }

    /// The median error of the predictions, and of the guesses; and of how many.
    fn medians(mut self) -> (Option<f64>, Option<f64>, usize) {
        let middle = |errors: &mut Vec<f64>| {
            errors.sort_unstable_by(f64::total_cmp);
            errors.get(errors.len() / 2).copied()
        };
        (middle(&mut self.predicted), middle(&mut self.by_gas), self.predicted.len())
    }
}

/// Times and work of executions without hints, with predictions, and with the truth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ran {
    pub(super) sequential_ms: f64,
    pub(super) parallel_ms: [f64; 3],
    pub(super) reexecutions: [u64; 3],
}

impl Ran {
    pub(super) fn add(&mut self, other: &Self) {
        self.sequential_ms += other.sequential_ms;
        for at in 0..3 {
            self.parallel_ms[at] += other.parallel_ms[at];
            self.reexecutions[at] += other.reexecutions[at];
        }
    }

    pub(super) fn speedups(&self) -> [f64; 3] {
        self.parallel_ms.map(|ms| self.sequential_ms / ms)
    }
}

/// The sums over all blocks.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) blocks: usize,
    pub(super) scores: [Score; 3],
    pub(super) calls: Calls,
    pub(super) times: TimeErrors,
    pub(super) ran: Ran,
    pub(super) predicting: Duration,
    pub(super) learning: Duration,
}

impl Totals {
    pub(super) fn summary(self, predictor: &Predictor) -> Summary {
        let Self { blocks, scores, calls, times, ran, predicting, learning } = self;
        let (time_error, gas_time_error, timed) = times.medians();
        let sources = SOURCES.into_iter().zip(&scores);
        Summary {
            blocks,
            txs: calls.txs,
            calls: calls.calls,
            known_calls: calls.known,
            sources: sources.map(|((_, name), score)| SourceRow::new(name, score)).collect(),
            timed_txs: timed,
            time_error,
            gas_time_error,
            sequential_ms: ran.sequential_ms,
            parallel_ms: ran.parallel_ms,
            speedup: ran.speedups(),
            reexecutions: ran.reexecutions,
            predicting_ms: ms(predicting),
            learning_ms: ms(learning),
            contexts: predictor.contexts(),
            patterns: predictor.patterns(),
        }
    }
}
