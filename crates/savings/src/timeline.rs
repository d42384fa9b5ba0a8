//! What dependencies mean for time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use crate::Dependencies;

/// How long the transactions of a block take, and which needs which.
#[derive(Clone, Copy, Debug)]
pub struct Timeline<'a> {
    times: &'a [Duration],
    dependencies: &'a Dependencies,
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

    /// The transactions of the longest line in which each needs the one before it, ascending, and how
    /// long they take: less is impossible on any number of cores, if transactions are executed whole.
    pub fn critical_path(&self) -> (Vec<usize>, Duration) {
        // For each transaction when it ends at the earliest, and the one that it waits for last.
        let mut ends: Vec<(Duration, Option<usize>)> = Vec::with_capacity(self.times.len());
        for (tx, time) in self.times.iter().enumerate() {
            let last = self.dependencies.of(tx).iter().copied().max_by_key(|on| ends[*on].0);
            let start = last.map_or(Duration::ZERO, |last| ends[last].0);
            ends.push((start + *time, last));
        }
        let mut path = Vec::new();
        let mut next = (0..ends.len()).max_by_key(|tx| ends[*tx].0);
        let length = next.map_or(Duration::ZERO, |last| ends[last].0);
        while let Some(tx) = next {
            path.push(tx);
            next = ends[tx].1;
        }
        path.reverse();
        (path, length)
    }

    /// How long `cores` take that know all of this beforehand and lose no time: whoever is free takes
    /// the first transaction, in block order, that needs nobody who has not ended.
    ///
    /// # Panics
    /// If there are no cores.
    pub fn on_cores(&self, cores: usize) -> Duration {
        assert!(cores > 0, "somebody has to do it");
        let mut missing: Vec<usize> =
            (0..self.times.len()).map(|tx| self.dependencies.of(tx).len()).collect();
        let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); self.times.len()];
        for tx in 0..self.times.len() {
            for on in self.dependencies.of(tx) {
                needed_by[*on].push(tx);
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..self.times.len()).filter(|tx| missing[*tx] == 0).map(Reverse).collect();
        let mut running: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::new();
        let mut now = Duration::ZERO;
        loop {
            while running.len() < cores
                && let Some(Reverse(tx)) = ready.pop()
            {
                running.push(Reverse((now + self.times[tx], tx)));
            }
            let Some(Reverse((end, tx))) = running.pop() else { return now };
            now = end;
            for waiting in &needed_by[tx] {
                missing[*waiting] -= 1;
                if missing[*waiting] == 0 {
                    ready.push(Reverse(*waiting));
                }
            }
        }
    }

    /// By how much `less` time is quicker than one after the other; 1 where there is nothing to do.
    pub fn speedup(&self, less: Duration) -> f64 {
        if less.is_zero() { 1.0 } else { self.total().as_secs_f64() / less.as_secs_f64() }
    }
}
