//! Who executed which transaction, when, and whether it counted: what a block's execution looks like
//! from outside.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Collects the [`Activity`]s of an execution. Times are counted from when the log is made.
///
/// Blocks that the engine executes sequentially, or from an access list, leave nothing here, and so do
/// executions that only read ahead.
#[derive(Debug)]
pub struct ActivityLog {
    start: Instant,
    activities: Mutex<Vec<Activity>>,
}

/// A run of the virtual machine on a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Which worker of the engine it was; 0 is the caller.
    pub worker: usize,
    /// The transaction's index in the block.
    pub transaction: usize,
    /// When it began and ended.
    pub start: Duration,
    /// See [`start`](Self::start).
    pub end: Duration,
    /// Gas used, after refunds; `None` where it did not come to an end.
    pub gas_used: Option<u64>,
    /// Whether its result is part of the block's, and it was not in vain.
    pub counts: bool,
}

impl Default for ActivityLog {
    fn default() -> Self {
        Self { start: Instant::now(), activities: Mutex::default() }
    }
}

impl ActivityLog {
    /// The time since the log was made.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Takes in what one worker did.
    pub(crate) fn add(&self, activities: Vec<Activity>) {
        self.activities.lock().extend(activities);
    }

    /// What was done, by when it began. Of the executions of each transaction the last that came to an
    /// end counts.
    pub fn into_activities(self) -> Vec<Activity> {
        let mut activities = self.activities.into_inner();
        activities.sort_unstable_by_key(|it| (it.start, it.worker));
        let transactions = activities.iter().map(|it| it.transaction + 1).max().unwrap_or(0);
        let mut last: Vec<Option<usize>> = vec![None; transactions];
        for (index, activity) in activities.iter().enumerate() {
            if activity.gas_used.is_some() {
                let last = &mut last[activity.transaction];
                // One after the other: a transaction has one owner at a time.
                if last.is_none_or(|other| activities[other].end <= activity.end) {
                    *last = Some(index);
                }
            }
        }
        for index in last.into_iter().flatten() {
            activities[index].counts = true;
        }
        activities
    }
}
