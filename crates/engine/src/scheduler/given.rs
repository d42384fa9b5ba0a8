//! What tests let a scheduler know beforehand.

use std::ops::Range;

use super::{Forecast, NO_DEPENDENCY, Portion, Scheduler};

/// Batches of so many transactions, and what each of them waits for; nothing beyond the end.
pub(super) struct Given<'d>(pub(super) u32, pub(super) &'d [u32]);

impl Forecast for Given<'_> {
    fn batch_end(&self, start: u32, limit: u32) -> u32 {
        limit.min(start + self.0)
    }

    fn dependencies(&self, txs: Range<u32>, into: &mut Vec<u32>) {
        into.extend(txs.map(|tx| self.1.get(tx as usize).copied().unwrap_or(NO_DEPENDENCY)));
    }

    fn known_dependency(&self, tx: u32) -> Option<u32> {
        Some(self.1.get(tx as usize).copied().unwrap_or(NO_DEPENDENCY))
    }
}

/// What a worker is given that takes one at a time and waits for nothing.
pub(super) fn next(scheduler: &Scheduler) -> Option<u32> {
    scheduler.next(&mut Portion::default(), &Given(1, &[]))
}
