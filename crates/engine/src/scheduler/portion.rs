//! What one worker took of the block.

use std::{collections::VecDeque, ops::Range};

/// What is known of the transactions before they run.
pub(crate) trait Forecast {
    /// Where a batch that begins at `start` ends: beyond `start`, and at most at `limit`.
    fn batch_end(&self, start: u32, limit: u32) -> u32;

    /// Adds, for each of `txs`, which earlier transaction to wait for before starting, or
    /// [`NO_DEPENDENCY`](super::NO_DEPENDENCY).
    fn dependencies(&self, txs: Range<u32>, into: &mut Vec<u32>);

    /// The same for one transaction that was asked for before, if that is known still.
    fn known_dependency(&self, tx: u32) -> Option<u32>;
}

/// The transactions that a worker took, batch by batch.
#[derive(Debug, Default)]
pub(crate) struct Portion {
    /// Those of the last batch that it did not look at.
    rest: Range<u32>,
    /// What those wait for, the next one last.
    dependencies: Vec<u32>,
    /// The batches that may not be committed, in order.
    batches: VecDeque<Range<u32>>,
}

impl Portion {
    /// The next of the batch, and what it waits for.
    pub(super) fn next(&mut self) -> Option<(u32, u32)> {
        self.rest.next().zip(self.dependencies.pop())
    }

    /// Adds a batch. There is nothing left of the one before.
    pub(super) fn take(&mut self, batch: Range<u32>, forecast: &impl Forecast) {
        self.dependencies.clear();
        forecast.dependencies(batch.clone(), &mut self.dependencies);
        self.dependencies.reverse();
        self.batches.push_back(batch.clone());
        self.rest = batch;
    }

    /// Whether `tx`, next in line for the commit, is part of this portion.
    pub(crate) fn contains(&mut self, tx: u32) -> bool {
        while self.batches.pop_front_if(|batch| batch.end <= tx).is_some() {}
        self.batches.front().is_some_and(|batch| batch.contains(&tx))
    }
}
