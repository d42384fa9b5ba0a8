//! Which transaction runs next, and on whom it waits.
//!
//! Transactions are handed out in block order. One that is known to need an earlier one (same
//! sender, or paid by it) is not started before that one was executed; one that runs into a value
//! under revision waits for it; one whose reads came into doubt is handed out again. Everything
//! else is left to the ordered commit, which validates by value and executes what is left over.
//!
//! There is no coordinator: every worker takes what it finds, in this order of preference:
//! committing, a transaction it set free itself (its inputs are in this worker's caches),
//! one that others set free, and the next in block order.
//!
//! *Termination.* The transaction next in line for the commit is always either owned by a worker
//! or free for the holder of the commit role to take, and the holder executes on final values, so
//! it never waits. Queues and waiting lists can therefore lose or repeat an entry and cost time
//! only.

mod dependency;
mod status;
mod wait;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::atomic::{
        AtomicBool, AtomicU32, AtomicUsize,
        Ordering::{Acquire, SeqCst},
    },
};

use parking_lot::Mutex;

pub(crate) use dependency::Freed;
use dependency::Waiters;
pub(crate) use status::CommitClaim;
use status::Status;

/// How far beyond the committed transactions others may be started: bounds what speculation
/// holds in memory.
const WINDOW: u32 = 4096;

/// Which earlier transaction to wait for before starting; `NO_DEPENDENCY` for none.
pub(crate) const NO_DEPENDENCY: u32 = u32::MAX;

/// One transaction's scheduling state.
#[derive(Debug, Default)]
struct Slot {
    status: Status,
    waiters: Waiters,
}

impl AsRef<Waiters> for Slot {
    fn as_ref(&self) -> &Waiters {
        &self.waiters
    }
}

/// The scheduler of one block.
#[derive(Debug)]
pub(crate) struct Scheduler {
    slots: Vec<Slot>,
    dependencies: Vec<u32>,
    /// The next transaction in block order that was never handed out.
    cursor: AtomicU32,
    /// How many transactions are committed.
    committed: AtomicU32,
    ready: Mutex<BinaryHeap<Reverse<u32>>>,
    /// Length of `ready`, to look without locking.
    ready_len: AtomicUsize,
    /// Whether somebody holds the commit role.
    committing: AtomicBool,
    halted: AtomicBool,
    parking: wait::Parking,
}

impl Scheduler {
    /// A scheduler for as many transactions as there are `dependencies`.
    pub(crate) fn new(dependencies: Vec<u32>) -> Self {
        Self {
            slots: dependencies.iter().map(|_| Slot::default()).collect(),
            dependencies,
            cursor: AtomicU32::new(0),
            committed: AtomicU32::new(0),
            ready: Mutex::default(),
            ready_len: AtomicUsize::new(0),
            committing: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            parking: wait::Parking::default(),
        }
    }

    fn len(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "a block's gas bounds its length")]
        let len = self.slots.len() as u32;
        len
    }

    /// How many transactions are committed.
    pub(crate) fn committed(&self) -> u32 {
        self.committed.load(SeqCst)
    }

    /// Whether all is done, or was called off.
    pub(crate) fn is_over(&self) -> bool {
        self.halted.load(Acquire) || self.committed() == self.len()
    }

    /// Calls everything off.
    pub(crate) fn halt(&self) {
        self.halted.store(true, SeqCst);
        self.parking.wake();
    }

    /// Whether values that `tx` wrote may be read.
    pub(crate) fn is_settled(&self, tx: u32) -> bool {
        self.slots[tx as usize].status.is_settled()
    }

    // The commit role.

    /// Takes the commit role if it is free and there is something to commit.
    pub(crate) fn try_enter_commit(&self) -> Option<CommitRole<'_>> {
        if !self.can_commit() || self.committing.swap(true, SeqCst) {
            return None;
        }
        Some(CommitRole { scheduler: self })
    }

    fn can_commit(&self) -> bool {
        let next = self.committed();
        next < self.len()
            && !self.committing.load(SeqCst)
            && self.slots[next as usize].status.is_committable()
    }

    // Execution.

    /// The next transaction to look at, if any.
    pub(crate) fn next(&self) -> Option<u32> {
        if self.ready_len.load(Acquire) > 0 {
            let mut ready = self.ready.lock();
            let next = ready.pop();
            self.ready_len.store(ready.len(), SeqCst);
            if let Some(Reverse(tx)) = next {
                return Some(tx);
            }
        }
        loop {
            if !self.has_fresh() {
                return None;
            }
            let tx = self.cursor.fetch_add(1, SeqCst);
            if tx >= self.len() {
                return None;
            }
            let dependency = self.dependencies[tx as usize];
            if dependency == NO_DEPENDENCY
                || self.is_settled(dependency)
                || !self.wait(tx, dependency)
            {
                return Some(tx);
            }
        }
    }

    fn has_fresh(&self) -> bool {
        let cursor = self.cursor.load(SeqCst);
        cursor < self.len() && cursor < self.committed().saturating_add(WINDOW)
    }

    /// Takes `tx` for execution, if it is free.
    pub(crate) fn claim(&self, tx: u32) -> bool {
        self.slots[tx as usize].status.claim()
    }

    /// Takes `tx`, executed but in doubt, for another look.
    pub(crate) fn claim_suspect(&self, tx: u32) -> bool {
        self.slots[tx as usize].status.claim_suspect()
    }

    /// The owner of `tx` executes it again: from now on others wait for it.
    pub(crate) fn reopen(&self, tx: u32) {
        dependency::reopen(&self.slots, tx);
    }

    /// Ends an execution or a look of `tx`'s owner. `None` where new doubts came up meanwhile; the
    /// transaction then stays with the owner. Else who had waited for it.
    pub(crate) fn finish(&self, tx: u32) -> Option<Freed> {
        self.slots[tx as usize].status.finish().then(|| self.settle(tx))
    }

    /// As [`finish`](Self::finish), doubts or not: the commit will settle them.
    pub(crate) fn finish_anyway(&self, tx: u32) -> Freed {
        self.slots[tx as usize].status.finish_anyway();
        self.settle(tx)
    }

    fn settle(&self, tx: u32) -> Freed {
        let freed = dependency::close(&self.slots, tx);
        self.parking.wake();
        freed
    }

    /// The owner of `tx` gives it up until its turn to commit.
    pub(crate) fn release(&self, tx: u32) {
        self.slots[tx as usize].status.release();
        self.parking.wake();
    }

    /// `tx`, which nobody owns, waits for `on`. `false` where there is nothing to wait for.
    pub(crate) fn wait(&self, tx: u32, on: u32) -> bool {
        dependency::wait(&self.slots, tx, on)
    }

    /// Hands out `txs` (again).
    pub(crate) fn push(&self, txs: impl IntoIterator<Item = u32>) {
        let mut ready = self.ready.lock();
        let before = ready.len();
        ready.extend(txs.into_iter().map(Reverse));
        let grown = ready.len() > before;
        self.ready_len.store(ready.len(), SeqCst);
        drop(ready);
        if grown {
            self.parking.wake();
        }
    }

    /// Casts doubt on `tx`'s reads, and hands it out if it was executed.
    pub(crate) fn suspect(&self, tx: u32) {
        if self.slots[tx as usize].status.suspect() {
            self.push([tx]);
        }
    }

    /// Waits until there may be work.
    pub(crate) fn idle(&self) {
        self.parking.wait(|| {
            self.is_over()
                || self.ready_len.load(SeqCst) > 0
                || self.has_fresh()
                || self.can_commit()
        });
    }
}

/// The right to commit, held by at most one worker. Given back when dropped.
#[derive(Debug)]
pub(crate) struct CommitRole<'s> {
    scheduler: &'s Scheduler,
}

impl CommitRole<'_> {
    /// Takes the next transaction in line; `None` at the end of the block.
    pub(crate) fn begin(&self) -> Option<(u32, CommitClaim)> {
        let next = self.scheduler.committed();
        let slot = self.scheduler.slots.get(next as usize)?;
        Some((next, slot.status.begin_commit()))
    }

    /// The validation of `tx` failed: it is executed again, by the holder.
    pub(crate) fn restart(&self, tx: u32) {
        self.scheduler.slots[tx as usize].status.restart();
        self.scheduler.reopen(tx);
    }

    /// `tx`, next in line, is final.
    pub(crate) fn commit(&self, tx: u32) -> Freed {
        let scheduler = self.scheduler;
        scheduler.slots[tx as usize].status.commit();
        let freed = dependency::close(&scheduler.slots, tx);
        scheduler.committed.store(tx + 1, SeqCst);
        if tx + 1 == scheduler.len() {
            scheduler.parking.wake();
        }
        freed
    }
}

impl Drop for CommitRole<'_> {
    /// Who saw the role taken and passed by relies on the holder: the worker loop looks for
    /// something to commit again after each turn.
    fn drop(&mut self) {
        self.scheduler.committing.store(false, SeqCst);
    }
}
