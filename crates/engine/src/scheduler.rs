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

mod conflict;
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

pub(crate) use conflict::{Classes, Conflicts};
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
    /// What the block taught so far.
    pub(crate) conflicts: Conflicts,
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
            conflicts: Conflicts::default(),
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
        self.is_halted() || self.committed() == self.len()
    }

    /// Whether everything was called off.
    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Acquire)
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
            if !self.is_held_back(tx) {
                return Some(tx);
            }
        }
    }

    /// Puts `tx` on a waiting list if it has reason to wait: for a known dependency until that was
    /// executed, for the one before it in a class that runs in line until that is committed. A
    /// line that was started on a value that did not last would otherwise be wrong all along, and
    /// be corrected one by one while it grows at the other end.
    fn is_held_back(&self, tx: u32) -> bool {
        let dependency = self.dependencies[tx as usize];
        if dependency != NO_DEPENDENCY && !self.is_settled(dependency) && self.wait(tx, dependency)
        {
            return true;
        }
        let predecessor = self.conflicts.predecessor(tx);
        predecessor != NO_DEPENDENCY
            && predecessor >= self.committed()
            && self.wait(tx, predecessor)
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

    /// Who waits for a member of a class that runs in line goes on waiting for its commit.
    ///
    /// Nobody is woken: whoever executed `tx` looks next whether it can commit, and whoever holds
    /// the commit role then looks again after giving it back.
    fn settle(&self, tx: u32) -> Freed {
        if self.conflicts.is_in_line(tx) {
            return Freed::new();
        }
        dependency::close(&self.slots, tx)
    }

    /// The owner of `tx` gives it up until its turn to commit. Nobody is woken, as above.
    pub(crate) fn release(&self, tx: u32) {
        self.slots[tx as usize].status.release();
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
        let mut freed = dependency::close(&scheduler.slots, tx);
        let was_full = !scheduler.has_fresh();
        scheduler.committed.store(tx + 1, SeqCst);
        if tx + 1 == scheduler.len() || (was_full && scheduler.has_fresh()) {
            scheduler.parking.wake();
        }
        // The next in line is this worker's own next task.
        freed.retain(|freed| *freed != tx + 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(transactions: usize) -> Scheduler {
        Scheduler::new(vec![NO_DEPENDENCY; transactions])
    }

    /// Executes `tx` without a hitch.
    fn execute(scheduler: &Scheduler, tx: u32) -> Freed {
        assert!(scheduler.claim(tx));
        scheduler.finish(tx).expect("nobody cast doubt on it")
    }

    #[test]
    fn transactions_are_handed_out_in_order_and_once() {
        let scheduler = scheduler(3);
        let all: Vec<_> = std::iter::from_fn(|| scheduler.next()).collect();
        assert_eq!(all, [0, 1, 2]);
    }

    #[test]
    fn a_dependent_transaction_is_held_back_until_the_other_was_executed() {
        let scheduler = Scheduler::new(vec![NO_DEPENDENCY, 0, NO_DEPENDENCY]);
        assert_eq!(scheduler.next(), Some(0));
        assert_eq!(scheduler.next(), Some(2), "1 waits for 0");
        assert_eq!(execute(&scheduler, 0).as_slice(), [1]);
    }

    #[test]
    fn who_waits_for_a_settled_transaction_goes_on_at_once() {
        let scheduler = scheduler(2);
        execute(&scheduler, 0);
        assert!(!scheduler.wait(1, 0));
    }

    #[test]
    fn nobody_stands_on_two_waiting_lists() {
        let scheduler = scheduler(4);
        assert!(scheduler.wait(3, 0));
        assert!(scheduler.wait(3, 1), "it waits already, if not for this one");
        assert!(scheduler.wait(2, 1));
        assert_eq!(execute(&scheduler, 1).as_slice(), [2]);
        assert_eq!(execute(&scheduler, 0).as_slice(), [3]);
    }

    #[test]
    fn doubts_during_an_execution_keep_it_with_its_owner() {
        let scheduler = scheduler(2);
        assert!(scheduler.claim(1));
        scheduler.suspect(1);
        assert_eq!(scheduler.finish(1), None);
        assert!(!scheduler.is_settled(1));
        assert!(scheduler.finish(1).is_some(), "the doubt was delivered");
        assert!(scheduler.is_settled(1));
    }

    #[test]
    fn doubts_after_an_execution_hand_it_out_again() {
        let scheduler = scheduler(1);
        assert_eq!(scheduler.next(), Some(0));
        execute(&scheduler, 0);
        scheduler.suspect(0);
        scheduler.suspect(0);
        assert_eq!(scheduler.next(), Some(0));
        assert_eq!(scheduler.next(), None, "one doubt is enough");
        assert!(scheduler.claim_suspect(0));
        assert!(!scheduler.claim_suspect(0));
    }

    #[test]
    fn the_commit_role_is_held_by_one_and_goes_in_order() {
        let scheduler = scheduler(2);
        execute(&scheduler, 1);
        let role = scheduler.try_enter_commit().expect("0 is pending: the role executes it");
        assert!(scheduler.try_enter_commit().is_none());
        assert_eq!(role.begin(), Some((0, CommitClaim::Pending)));
        assert!(role.commit(0).is_empty());
        assert_eq!(role.begin(), Some((1, CommitClaim::Executed)));
        role.restart(1);
        assert!(!scheduler.is_settled(1), "its values are under revision");
        assert!(scheduler.wait(0, 1), "and others may wait for them");
        assert_eq!(role.commit(1).as_slice(), [0]);
        assert_eq!(role.begin(), None);
        drop(role);
        assert!(scheduler.is_over());
    }

    #[test]
    fn a_transaction_in_execution_blocks_the_commit() {
        let scheduler = scheduler(1);
        assert!(scheduler.claim(0));
        assert!(scheduler.try_enter_commit().is_none());
        scheduler.release(0);
        assert!(scheduler.try_enter_commit().is_some());
    }

    #[test]
    fn speculation_stays_within_the_window() {
        let scheduler = scheduler(WINDOW as usize + 10);
        let handed_out = std::iter::from_fn(|| scheduler.next()).count();
        assert_eq!(handed_out, WINDOW as usize);
    }

    #[test]
    fn a_sleeper_is_woken_by_the_end_of_the_block() {
        let scheduler = std::sync::Arc::new(scheduler(1));
        assert_eq!(scheduler.next(), Some(0));
        assert!(scheduler.claim(0));
        let sleeper = std::thread::spawn({
            let scheduler = scheduler.clone();
            move || {
                while !scheduler.is_over() {
                    scheduler.idle();
                }
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        // Who executes it also commits it: the sleeper need not be woken in between.
        assert!(scheduler.finish(0).is_some());
        let role = scheduler.try_enter_commit().expect("the sleeper does not want it");
        assert_eq!(role.begin(), Some((0, CommitClaim::Executed)));
        role.commit(0);
        sleeper.join().expect("it saw the end");
    }
}
