//! What dependencies mean for time: what no number of cores gets below, and what a schedule that knows
//! everything beforehand reaches.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use crate::Dependencies;

/// At what a transaction can be stopped until another has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// Only before it begins: transactions are executed whole.
    Transactions,
    /// Before it first looks at what the other changes: between its dynamic segments.
    Segments,
}

/// How long the transactions of a block take, and which needs which.
#[derive(Clone, Copy, Debug)]
pub struct Timeline<'a> {
    pub(crate) times: &'a [Duration],
    pub(crate) dependencies: &'a Dependencies,
}

/// A line of transactions in which each needs the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// Its transactions, ascending.
    pub transactions: Vec<usize>,
    /// How long they take.
    pub length: Duration,
}

/// A transaction on a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The core.
    pub worker: usize,
    /// The transaction.
    pub transaction: usize,
    /// From when.
    pub start: Duration,
    /// Until when.
    pub end: Duration,
    /// Whether the result counts.
    pub counts: bool,
}

/// Who does what when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Everything that is done, by when it ends.
    pub spans: Vec<Span>,
    /// How long it takes.
    pub makespan: Duration,
}

impl Schedule {
    /// The time spent on executions that do not count.
    pub fn wasted(&self) -> Duration {
        let wasted = self.spans.iter().filter(|span| !span.counts);
        wasted.map(|span| span.end - span.start).sum()
    }
}

impl<'a> Timeline<'a> {
    /// Transactions that take `times` and need each other like that.
    ///
    /// # Panics
    /// If there is not one time for each transaction.
    pub fn new(times: &'a [Duration], dependencies: &'a Dependencies) -> Self {
        assert_eq!(times.len(), dependencies.len(), "one time for each transaction");
        Self { times, dependencies }
    }

    /// The time of all transactions, one after the other.
    pub fn total(&self) -> Duration {
        self.times.iter().sum()
    }

    /// What takes longest of all that has to be done one after the other: less is impossible on any
    /// number of cores, if transactions can be stopped at that granularity.
    pub fn critical_path(&self, granularity: Granularity) -> CriticalPath {
        // For each transaction when it ends at the earliest, and the one that it waits for last.
        let mut ends: Vec<(Duration, Option<usize>)> = Vec::with_capacity(self.times.len());
        for (tx, time) in self.times.iter().enumerate() {
            let mut end = (*time, None);
            for need in self.dependencies.needs(tx) {
                let before = match granularity {
                    Granularity::Transactions => Duration::ZERO,
                    Granularity::Segments => need.at.time.min(*time),
                };
                let after = ends[need.on].0 + (*time - before);
                if after > end.0 {
                    end = (after, Some(need.on));
                }
            }
            ends.push(end);
        }
        let mut transactions = Vec::new();
        let mut next = (0..ends.len()).max_by_key(|tx| ends[*tx].0);
        let length = next.map_or(Duration::ZERO, |last| ends[last].0);
        while let Some(tx) = next {
            transactions.push(tx);
            next = ends[tx].1;
        }
        transactions.reverse();
        CriticalPath { transactions, length }
    }

    /// What `cores` do that know all of this beforehand and lose no time: whoever is free takes the
    /// first transaction, in block order, that needs nobody who has not ended.
    ///
    /// # Panics
    /// If there are no cores.
    pub fn in_order(&self, cores: usize) -> Schedule {
        assert!(cores > 0, "somebody has to do it");
        let count = self.times.len();
        let mut missing: Vec<usize> =
            (0..count).map(|tx| self.dependencies.of(tx).count()).collect();
        let needed_by = self.needed_by();
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..count).filter(|tx| missing[*tx] == 0).map(Reverse).collect();
        let mut idle: Vec<usize> = (0..cores.min(count)).rev().collect();
        let mut running: BinaryHeap<Reverse<(Duration, usize, usize)>> = BinaryHeap::new();
        let mut schedule = Schedule::default();
        loop {
            while let Some(worker) = idle.last().copied()
                && let Some(Reverse(tx)) = ready.pop()
            {
                idle.pop();
                running.push(Reverse((schedule.makespan + self.times[tx], tx, worker)));
            }
            let Some(Reverse((end, transaction, worker))) = running.pop() else { return schedule };
            let start = end - self.times[transaction];
            schedule.spans.push(Span { worker, transaction, start, end, counts: true });
            schedule.makespan = end;
            idle.push(worker);
            for waiting in &needed_by[transaction] {
                missing[*waiting] -= 1;
                if missing[*waiting] == 0 {
                    ready.push(Reverse(*waiting));
                }
            }
        }
    }

    /// For each transaction those that need it.
    pub(crate) fn needed_by(&self) -> Vec<Vec<usize>> {
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); self.times.len()];
        for tx in 0..self.times.len() {
            for on in self.dependencies.of(tx) {
                needed_by[on].push(tx);
            }
        }
        needed_by
    }

    /// By how much `less` time is quicker than one after the other; 1 where there is nothing to do.
    pub fn speedup(&self, less: Duration) -> f64 {
        if less.is_zero() { 1.0 } else { self.total().as_secs_f64() / less.as_secs_f64() }
    }
}
